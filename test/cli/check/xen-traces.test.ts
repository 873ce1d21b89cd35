import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CheckReport } from '../../../src/cli/check/report.ts';
import { checkXenTraces } from '../../../src/cli/check/xen-traces.ts';

interface Operation {
  rc: number;
  tables: number;
  budget: number;
  readonly leaves: unknown[][];
  readonly count: { flush: number; free: number };
  readonly ev: unknown[][];
}

interface Checked {
  readonly passed: number;
  readonly total: number;
  readonly note: string;
  readonly mismatches: readonly string[];
}

const [header = '', first = ''] = gunzipSync(readFileSync('test/corpus/xen-traces/plain.jsonl.gz'))
  .toString()
  .split('\n', 2);

function check(behaviour: 'xen' | 'pagewalk', line: string): Checked {
  const report = new CheckReport();
  const note = checkXenTraces([header, line], behaviour, report);
  const { mismatches } = report.toJson() as { mismatches: string[] };
  return { passed: report.passed, total: report.total, note, mismatches };
}

/** The first scenario. Its second operation splits a 1 GiB page down to a page of 4 KiB and changes its flags. */
function changed(change: (op: Operation) => void): string {
  const scenario = JSON.parse(first) as { ops: Operation[] };
  change(scenario.ops[1]!);
  return JSON.stringify(scenario);
}

describe('checkXenTraces', () => {
  it.each<[string, 'xen' | 'pagewalk', (op: Operation) => void, string]>([
    ['another result', 'pagewalk', (op) => Object.assign(op, { rc: -12 }), 'returns 0, expected -12'],
    [
      'other flags of a leaf',
      'pagewalk',
      (op) => Object.assign(op.leaves[2]!, { 4: 353 }),
      'leaves from ffff83000fa91000 14fa91 1 1 355, expected ffff83000fa91000 14fa91 1 1 353',
    ],
    [
      'a leaf less',
      'pagewalk',
      (op) => op.leaves.pop(),
      'leaves from ffff83000fc00000 14fc00 197632 2 8389091, expected none',
    ],
    ['fewer tables', 'pagewalk', (op) => Object.assign(op, { tables: 3 }), "4 tables, more than Xen's 3"],
    ['fewer flushes', 'pagewalk', (op) => Object.assign(op.count, { flush: 1 }), '2 flushes, more than 1'],
    ['more tables', 'xen', (op) => Object.assign(op, { tables: 5 }), '4 tables, expected 5'],
    ['a free', 'xen', (op) => Object.assign(op.count, { free: 1 }), 'count.free is 0, expected 1'],
    [
      'another frame',
      'xen',
      (op) => Object.assign(op.ev[0]!, { 1: 0x10_000e }),
      'step 1: allocate table 100002, expected allocate table 10000e',
    ],
    [
      'a flush before its write',
      'xen',
      (op) => op.ev.push(...op.ev.splice(-2).reverse()),
      'write 000000014fa91163 to entry 145 of table 100003, expected flush page ffff83000fa91 with 301',
    ],
  ])('tells %s', (_, behaviour, change, message) => {
    const { passed, total, mismatches } = check(behaviour, changed(change));
    expect({ passed, total }).toEqual({ passed: 23, total: 24 });
    expect(mismatches[0]).toMatch(
      /^map: scenario 0, operation 1: map ffff83000fa91000 to 14fa91, 1 pages, flags 163: /,
    );
    expect(mismatches[0]).toContain(message);
  });

  it('lets writes into a table that is not linked come in any order', () => {
    const upperHalfFirst = changed(({ ev }) => {
      const [name, table, , , , step] = ev[1]!;
      const half = (index: number, value: string): unknown[] => [name, table, index, value, 256, step];
      ev.splice(1, 1, half(256, '80000001600001e3'), half(0, '80000001400001e3'));
    });
    expect(check('xen', upperHalfFirst)).toMatchObject({ passed: 24, total: 24 });
  });

  it('stops where a budget gets further than in Xen, and only then', () => {
    // One table where the two splits take one each, and the trace says that Xen got by.
    const budget = (op: Operation): void => void Object.assign(op, { budget: 1 });
    const stopped = check('pagewalk', changed(budget));
    expect(stopped).toMatchObject({ passed: 1, total: 1 });
    expect(stopped.note).toContain('1 of 1 scenarios stopped early, 23 operations not compared');
    const same = check(
      'pagewalk',
      changed((op) => Object.assign(op, { budget: 2 })),
    );
    expect(same).toMatchObject({ passed: 24, total: 24 });
    expect(check('xen', changed(budget)).mismatches[0]).toContain('budget 1: returns -12, expected 0');
  });

  it.each<[string, string, string]>([
    ['a root outside the pool', first.replace('"root":1048576', '"root":1048577'), 'root is 1048577'],
    ['an unknown operation', first.replace('"op":"map"', '"op":"unmap"'), 'op 0: op is "unmap"'],
    ['an operation without leaves', first.replace('"leaves"', '"leafs"'), 'op 0: leaves is missing'],
    ['an event that is none', first.replace('["a",', '["b",'), 'op 0: ev is'],
    ['a line cut short', first.slice(0, -1), 'not JSON'],
    ['a list', '[]', 'not an object'],
  ])('refuses %s', (_, line, message) => {
    expect(() => check('xen', line)).toThrow(`line 2: ${message}`);
  });
});
