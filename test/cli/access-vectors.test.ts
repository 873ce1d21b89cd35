/** Access vectors of our own: what is compared, and what is refused. */
import { describe, expect, it, vi } from 'vitest';
import { checkAccessVectors } from '../../src/cli/check/access-vectors.ts';
import { CheckReport } from '../../src/cli/check/report.ts';
import { UsageError } from '../../src/cli/failure.ts';
import { Cpu } from '../../src/index.ts';
import { newFolder, pagewalk, write } from '../support/command.ts';

const HEADER = '{"format":"mmu-oracle-1"}';
const VARIANT = { variant: 'own', mode: 4, maxphyaddr: 40, features: ['PGE', 'NX', 'PSE'] };

/** Pages 0x1000 and 0x2000 at 0x9000 and 0xb000. */
const TABLES = [
  ...[
    ['0x100000', '0x101003'],
    ['0x101000', '0x102003'],
    ['0x102000', '0x103003'],
    ['0x103008', '0x9003'],
    ['0x103010', '0xb003'],
  ].map(([pa, v]) => ({ op: 'write', pa, v, n: 8 })),
  { op: 'config', cr0: '0x80010033', cr3: '0x100000', cr4: '0x20', efer: '0xd00', pkru: '0x0' },
];
const STORE = {
  op: 'access',
  va: '0x1008',
  kind: 'write',
  cpl: 0,
  size: 8,
  ac: 0,
  w: '0x1122334455667788',
  pa: '0x9008',
};
const STRADDLE = { ...STORE, va: '0x1ffd', pa: '0x9ffd', pa2: '0xb000' };
const LOAD = { op: 'access', va: '0x1000', kind: 'read', cpl: 0, size: 1, ac: 0, val: '0xb8', pa: '0x9000' };

type Fields = Record<string, unknown>;
const caseOf = (...ops: Fields[]): Fields => ({ id: 7, cls: 'single', ops: [...TABLES, ...ops] });

function check(...records: readonly unknown[]): CheckReport {
  const report = new CheckReport();
  checkAccessVectors([HEADER, ...records.map((record) => JSON.stringify(record))], {}, report);
  return report;
}

describe('an access vector', () => {
  it('passes where place, bytes and value are as told', () => {
    const { total, passed } = check(VARIANT, caseOf(STORE, LOAD), caseOf(STRADDLE, LOAD));
    expect([total, passed]).toEqual([2, 2]);
  });

  it.each<[string, Fields, string]>([
    ['the physical address', { ...LOAD, pa: '0xa000' }, 'physical address 0x9000, expected 0xa000'],
    ['the value', { ...LOAD, val: '0xb9' }, 'value 0xb8, expected 0xb9'],
    ['the second physical address', { ...STRADDLE, pa2: '0xa000' }, 'second physical address 0xb000, expected 0xa000'],
  ])('fails on %s', (_, op, sentence) => {
    expect(JSON.stringify(check(VARIANT, caseOf(op)).toJson())).toContain(sentence);
  });

  it.each([
    ['', STORE, 'stored 0x1122334455667789, expected 0x1122334455667788'],
    [' in the second page', STRADDLE, 'stored 0x1122334455667789, expected 0x1122334455667788'],
  ])('fails where other bytes are stored%s', (_, op, sentence) => {
    const write64 = Cpu.prototype.write64;
    const wrong = vi.spyOn(Cpu.prototype, 'write64').mockImplementation(function (this: Cpu, lo, hi, valueLo, valueHi) {
      return write64.call(this, lo, hi, valueLo ^ 1, valueHi);
    });
    try {
      expect(JSON.stringify(check(VARIANT, caseOf(op)).toJson())).toContain(sentence);
    } finally {
      wrong.mockRestore();
    }
  });

  it.each<[string, readonly unknown[], string]>([
    ['of no operations', [VARIANT, { ...caseOf(), ops: [] }], 'line 3: case 7 compares nothing'],
    ['that only sets up', [VARIANT, caseOf()], 'line 3: case 7 compares nothing'],
    ['without operations', [VARIANT, { id: 7, cls: 'single' }], 'line 3: ops is missing'],
    ['of class 3', [VARIANT, { ...caseOf(LOAD), cls: 3 }], 'line 3: cls is 3'],
    ['before any variant', [caseOf(LOAD)], 'line 2: a case before any variant'],
    ['that is null', [null], 'line 2: neither a variant nor a case'],
    ['that is a list', [[VARIANT]], 'line 2: neither a variant nor a case'],
    ['whose variant has no features', [{ ...VARIANT, features: undefined }], 'line 2: features is missing'],
    ['whose variant has MAXPHYADDR 99', [{ ...VARIANT, maxphyaddr: 99 }], 'line 2: maxphyaddr is 99'],
    ['whose variant has an unknown feature', [{ ...VARIANT, features: ['PGE', 'SVM'] }], 'line 2: features is ["PGE",'],
    ['whose variant has no vendor we know', [{ ...VARIANT, vendor: 'via' }], 'line 2: vendor is "via"'],
    ['whose variant has mode 6', [{ ...VARIANT, mode: 6 }], 'line 2: mode is 6'],
    ['whose operation is a number', [VARIANT, { ...caseOf(), ops: [1] }], 'line 3: ops is [1]'],
    ['of an unknown operation', [VARIANT, caseOf({ op: 'toString' })], 'line 3: op 6: op is "toString"'],
    ['of an unknown kind', [VARIANT, caseOf({ ...LOAD, kind: 'peek' })], 'line 3: op 6: kind is "peek"'],
    ['with an address that is no number', [VARIANT, caseOf({ ...LOAD, va: 'zz' })], 'line 3: op 6: va is "zz"'],
    ['past 2^52', [VARIANT, caseOf({ ...LOAD, pa: '0x10000000000000' })], 'op 6: pa is "0x10000000000000"'],
    ['of size 3', [VARIANT, caseOf({ ...LOAD, size: 3 })], 'line 3: op 6: size is 3'],
    [
      'with no outcome',
      [VARIANT, caseOf({ ...LOAD, pa: undefined })],
      'op 6: an access has exactly one of pa, pf and gp',
    ],
    ['with two outcomes', [VARIANT, caseOf({ ...LOAD, gp: 0 })], 'op 6: an access has exactly one of pa, pf and gp'],
    ['that reads no value', [VARIANT, caseOf({ ...LOAD, val: undefined })], 'op 6: a read with pa has val'],
    ['that writes nothing', [VARIANT, caseOf({ ...STORE, w: undefined })], 'op 6: a write has w'],
    ['that crosses to nowhere', [VARIANT, caseOf({ ...STRADDLE, pa2: undefined })], 'op 6: an access has pa2 where it'],
    ['with a fault of no code', [VARIANT, caseOf({ ...LOAD, pa: undefined, pf: {} })], 'line 3: op 6: pf is {}'],
    ['with no entries to compare', [VARIANT, caseOf({ op: 'mem', e: [] })], 'line 3: op 6: e is []'],
    ['with an entry that is none', [VARIANT, caseOf({ op: 'mem', e: [['0x0']] })], 'line 3: op 6: e is [["0x0"]]'],
    ['with INVPCID type 4', [VARIANT, caseOf({ op: 'invpcid', type: 4, pcid: '0x0', va: '0x0' })], 'op 6: type is 4'],
    ['that stores 5 bytes', [VARIANT, caseOf({ op: 'write', pa: '0x0', v: '0x0', n: 5 })], 'line 3: op 6: n is 5'],
  ])('%s is refused with the number of its line', (_, records, sentence) => {
    expect(() => check(...records)).toThrow(UsageError);
    expect(() => check(...records)).toThrow(sentence);
  });

  it('counts where MOV CR3 is to be refused, and nothing else is compared', () => {
    const { total, passed } = check(VARIANT, caseOf({ ...TABLES.at(-1), gp: true }));
    expect([total, passed]).toEqual([1, 0]);
  });

  it('is refused by the command in one line that names the file', () => {
    const lines = [HEADER, JSON.stringify(VARIANT), JSON.stringify({ ...caseOf(), ops: [] })];
    const path = write(newFolder(), 'none.jsonl', lines.join('\n'));
    const { status, stdout, stderr } = pagewalk(['check', path]);
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: `pagewalk: ${path}: line 3: case 7 compares nothing\n`,
    });
  });
});
