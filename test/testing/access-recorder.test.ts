/** Accesses recorded from an emulator and replayed by `pagewalk check`: right ones pass, each planted mistake fails. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkAccessVectors } from '../../src/cli/check/access-vectors.ts';
import { CheckReport } from '../../src/cli/check/report.ts';
import { type Cpu, type Features, type HostMemory, Machine } from '../../src/index.ts';
import { buildTables, type GuestPlan, guestArbitrary, performStep } from '../../src/testing/fast-check/index.ts';
import {
  type AccessOutcome,
  AccessRecorder,
  type AccessRequest,
  fillData,
  PageTables,
  performAccess,
  type TableMode,
} from '../../src/testing/index.ts';
import { newFolder, pagewalk, write } from '../support/command.ts';
import { CACHES } from '../support/tables.ts';

/** The emulator that is recorded: a CPU of ours, over memory filled as that of a replay. */
function emulator(features: Partial<Features> = {}): { host: HostMemory; cpu: Cpu } {
  const load = (frame: number, target: Uint8Array): boolean => {
    fillData(frame, target);
    return true;
  };
  const { host, cpus } = new Machine({ memory: { sparse: { load } }, features });
  return { host, cpu: cpus[0]! };
}

function recorderOf(host: HostMemory, features: Partial<Features> = {}): { recorder: AccessRecorder; lines: string[] } {
  const lines: string[] = [];
  const read = (at: number, bytes: number): bigint => {
    const target = new Uint8Array(8);
    host.read(at, target.subarray(0, bytes));
    return new DataView(target.buffer).getBigUint64(0, true);
  };
  return { lines, recorder: new AccessRecorder({ emit: (line) => lines.push(line), read, features }) };
}

/** Differs in one way from what the emulator gave. */
type Mistake = (outcome: AccessOutcome, request: AccessRequest) => AccessOutcome;

function recorded({ tables: plan, steps }: GuestPlan, mistake: Mistake = (outcome) => outcome): string[] {
  const { host, cpu } = emulator(plan.features);
  const { recorder, lines } = recorderOf(host, plan.features);
  const tables = buildTables(host, plan);
  cpu.enter(tables.state());
  recorder.begin(tables.state(), `guest ${plan.mode}`);
  for (const step of steps) {
    if (step.do === 'access') {
      recorder.access(step, () => mistake(performAccess(cpu, step), step));
      continue;
    }
    performStep(cpu, tables, step);
    if (step.do === 'change') recorder.invlpg(step.page);
    else recorder.cr3(tables.root);
  }
  recorder.end();
  return lines;
}

function check(
  lines: readonly string[],
  caches = {},
): { total: number; passed: number; text: string; compared: number } {
  const report = new CheckReport();
  const { accesses } = checkAccessVectors(lines, caches, report);
  return { total: report.total, passed: report.passed, text: JSON.stringify(report.toJson()), compared: accesses };
}

/** Each of up to 24 steps. */
const GUESTS = process.env['PAGEWALK_LONG'] === '1' ? 2000 : 30;

const guests = (mode?: TableMode): GuestPlan[] =>
  fc.sample(guestArbitrary(mode === undefined ? {} : { mode }), { numRuns: GUESTS, seed: 11 });

describe.each(CACHES)('recorded accesses, replayed with %s', (_, caches) => {
  it.each<TableMode>(['32-bit', 'pae', '4-level', '5-level'])('pass: %s', (mode) => {
    let total = 0;
    let compared = 0;
    for (const guest of guests(mode)) {
      const result = check(recorded(guest), caches);
      expect(result.text.includes('expected') ? result.text : '').toBe('');
      expect(result.passed).toBe(result.total);
      total += result.total;
      compared += result.compared;
    }
    expect(total).toBeGreaterThan(GUESTS / 2);
    expect(compared).toBeGreaterThan(GUESTS * 5);
  });
});

describe('a recorded mistake makes the check fail', () => {
  const flip = (address: unknown, bits: bigint): bigint => BigInt(address as bigint) ^ bits;

  it.each<[string, Mistake]>([
    [
      'another frame',
      (outcome) => ('physical' in outcome ? { ...outcome, physical: flip(outcome.physical, 0x1000n) } : outcome),
    ],
    [
      'the wrong second page',
      (outcome) =>
        'physical' in outcome && outcome.second !== undefined
          ? { ...outcome, second: flip(outcome.second, 0x1000n) }
          : outcome,
    ],
    [
      'another error code',
      (outcome) => ('cr2' in outcome ? { ...outcome, errorCode: outcome.errorCode ^ 4 } : outcome),
    ],
    ['another CR2', (outcome) => ('cr2' in outcome ? { ...outcome, cr2: flip(outcome.cr2, 0x1000n) } : outcome)],
    ['#GP for #PF', (outcome) => ('cr2' in outcome ? { vector: 13 } : outcome)],
    [
      'a fault that is none',
      (outcome, { address }) => ('physical' in outcome ? { vector: 14, errorCode: 0, cr2: address } : outcome),
    ],
    ['no fault where there is one', (outcome) => ('vector' in outcome ? { physical: 0 } : outcome)],
  ])('%s', (_, mistake) => {
    let failures = 0;
    for (const guest of guests()) {
      let planted = false;
      const once: Mistake = (outcome, request) => {
        const crosses =
          request.kind !== 'fetch' && Number(BigInt(request.address as bigint) & 0xfffn) + request.size > 4096;
        // Of an access that crosses a page and faults, two places would have to be told.
        if (planted || (crosses && 'vector' in outcome)) return outcome;
        const changed = mistake(outcome, request);
        planted = changed !== outcome;
        return changed;
      };
      const { passed, total } = check(recorded(guest, once));
      expect(passed).toBe(planted ? total - 1 : total);
      if (planted) failures += 1;
    }
    expect(failures).toBeGreaterThan(GUESTS / 20);
  });

  it('another value', () => {
    const { cpu, recorder, lines } = twoPages();
    recorder.access(READ_4, () => ({ ...performAccess(cpu, READ_4), physical: 0x5000, value: 0x0a_01b8 }));
    recorder.end();
    expect(check(lines).text).toContain('value 0xa00b8, expected 0xa01b8');
  });
});

/** A page at 0x1000 that leads to 0x5000, and its neighbour to 0x6000. */
function twoPages(): ReturnType<typeof emulator> & ReturnType<typeof recorderOf> & { tables: PageTables } {
  const made = emulator();
  const tables = new PageTables(made.host).map(0x1000, 0x5000, { sizeBytes: 0x2000 });
  made.cpu.enter(tables.state());
  const recording = recorderOf(made.host);
  recording.recorder.begin(tables.state());
  return { ...made, ...recording, tables };
}

const READ_4: AccessRequest = { address: 0x1000, kind: 'read', size: 4, cpl: 0 };
const WRITE_4: AccessRequest = { ...READ_4, kind: 'write', value: 7 };

describe('the recorder', () => {
  it('sees that an emulator forgets an invalidation', () => {
    const run = (forgets: boolean): string => {
      const { cpu, tables, recorder, lines } = twoPages();
      recorder.access(READ_4, () => performAccess(cpu, READ_4));
      tables.set(0x1000, 1, 0x6007n);
      if (!forgets) cpu.invlpg(0x1000, 0);
      recorder.invlpg(0x1000);
      recorder.access(READ_4, () => performAccess(cpu, READ_4));
      recorder.end();
      return check(lines).text;
    };
    expect(run(false)).not.toContain('expected');
    expect(run(true)).toContain('physical address 0x6000, expected 0x5000');
  });

  it('sees that an emulator sets no D', () => {
    const { cpu, tables, recorder, lines } = twoPages();
    recorder.access(WRITE_4, () => {
      const outcome = performAccess(cpu, WRITE_4);
      tables.change(0x1000, 1, { remove: 'D' });
      return outcome;
    });
    recorder.end();
    expect(check(lines).text).toContain('expected 0x5027');
  });

  it('accepts an emulator that sets A in a walk that faults, and one that does not', () => {
    for (const marks of [true, false]) {
      const { cpu, tables, recorder, lines } = twoPages();
      tables.set(0x3000, 1, 0n);
      const request = { ...READ_4, address: 0x3000 };
      const upper: AccessRequest = { ...request, kind: 'read' };
      recorder.access(upper, () => {
        const outcome = performAccess(cpu, upper);
        if (marks) tables.change(0x3000, 4, { add: 'A' });
        return outcome;
      });
      // Again: what the first one left is not sure, and a read that is done makes it so.
      recorder.access(upper, () => performAccess(cpu, upper));
      recorder.access(READ_4, () => performAccess(cpu, READ_4));
      recorder.end();
      expect(check(lines).text).not.toContain('expected');
    }
  });

  it('sees that an emulator sets no A, also where a fault before left it open', () => {
    const { cpu, tables, recorder, lines } = twoPages();
    const absent: AccessRequest = { ...READ_4, address: 0x3000 };
    recorder.access(absent, () => performAccess(cpu, absent));
    recorder.access(READ_4, () => {
      const outcome = performAccess(cpu, READ_4);
      tables.change(0x1000, 4, { remove: 'A' });
      return outcome;
    });
    recorder.end();
    expect(check(lines).text).toContain('entry 0x100000 is 0x101027, expected 0x101007');
  });

  it('sees that an emulator sets A in an entry with a reserved bit set', () => {
    const { cpu, tables, recorder, lines } = twoPages();
    tables.spoil(0x1000, 2, 'reserved');
    recorder.access(READ_4, () => {
      const outcome = performAccess(cpu, READ_4);
      tables.change(0x1000, 2, { add: 'A' });
      return outcome;
    });
    recorder.end();
    expect(check(lines).text).toContain('entry 0x102000 is');
  });

  it('leaves D of the first page open where the second page of a write faults, until a write is done; and of no other', () => {
    const run = (address: number, again: boolean, change: 'add' | 'remove' = 'add'): string => {
      const { cpu, tables, recorder, lines } = twoPages();
      tables.change(0x1000, 1, { add: 'A' }).change(0x2000, 1, { remove: 'RW' });
      const request: AccessRequest = { ...WRITE_4, address };
      recorder.access(request, () => {
        const outcome = performAccess(cpu, request);
        expect(outcome).toMatchObject({ vector: 14, cr2: 0x2000n });
        tables.change(0x2000 - (address === 0x2000 ? 0 : 0x1000), 1, { [change]: 'D' });
        return outcome;
      });
      if (again)
        recorder.access(WRITE_4, () => {
          const outcome = performAccess(cpu, WRITE_4);
          tables.change(0x1000, 1, { remove: 'D' });
          return outcome;
        });
      recorder.end();
      return check(lines).text;
    };
    expect(run(0x1ffe, false)).not.toContain('expected');
    expect(run(0x1ffe, false, 'remove')).not.toContain('expected');
    expect(run(0x1ffe, true)).toContain('entry 0x103008 is 0x5067, expected 0x5027');
    expect(run(0x2000, false)).toContain('entry 0x103010 is 0x6005, expected 0x6045');
  });

  it('tells of D only that a read leaves it as it was', () => {
    const { cpu, tables, recorder, lines } = twoPages();
    recorder.access(READ_4, () => {
      const outcome = performAccess(cpu, READ_4);
      tables.change(0x1000, 1, { add: 'D' });
      return outcome;
    });
    recorder.end();
    expect(check(lines).text).toContain('expected 0x5067');
  });

  it('does not compare the value of a read where memory holds other data than that of a replay', () => {
    const { cpu, host, recorder, lines } = twoPages();
    host.write32(0x5000, 0x12345678);
    recorder.access(READ_4, () => performAccess(cpu, READ_4));
    recorder.end();
    expect(lines.at(-1)).toContain('"val":"0x0","vdc":"0xffffffff"');
    expect(check(lines).text).not.toContain('expected');
  });

  it('does not compare a value that was read where an entry comes to be', () => {
    const { cpu, host, tables, recorder, lines } = twoPages();
    recorder.access(READ_4, () => performAccess(cpu, READ_4));
    // The page becomes a page table, for the 2 MiB above.
    tables.set(0x20_0000, 2, 0x5007n);
    host.write64(0x5000, 0x7007n);
    const above: AccessRequest = { ...READ_4, address: 0x20_0000 };
    recorder.access(above, () => performAccess(cpu, above));
    recorder.end();
    expect(lines.at(-1)).toContain('"vdc":"0xffffffff"');
    expect(check(lines).text).not.toContain('expected');
  });

  it('records changes of control registers, keys and PCIDs', () => {
    const { cpu, tables, recorder, lines } = twoPages();
    tables.set(0x1000, 1, 0x5007n | (1n << 59n));
    const { cr4, cr3 } = tables.state();
    const pke = cr4 | (1 << 22);
    cpu.setCr4(pke);
    recorder.cr4(pke);
    cpu.setPkru(4);
    recorder.pkru(4);
    const user: AccessRequest = { ...READ_4, cpl: 3 };
    expect(recorder.access(user, () => performAccess(cpu, user))).toMatchObject({ vector: 14, errorCode: 0x25 });
    cpu.setCr4(pke | (1 << 17));
    recorder.cr4(pke | (1 << 17));
    cpu.setCr3(cr3 | 5, 0);
    recorder.cr3(cr3 | 5);
    cpu.invpcid(1, 5, 0, 0, 0);
    recorder.invpcid(1, 5, 0);
    cpu.setPkru(0);
    recorder.pkru(0);
    expect(recorder.access(user, () => performAccess(cpu, user))).toMatchObject({ physical: 0x5000n });
    cpu.setCr0(0x8000_0001 | 0);
    recorder.cr0(0x8000_0001);
    recorder.access(WRITE_4, () => performAccess(cpu, WRITE_4));
    recorder.end();
    expect(check(lines).text).not.toContain('expected');
    expect(check(lines.map((line) => line.replace('"op":"pkru","v":"0x4"', '"op":"pkru","v":"0x0"'))).text).toContain(
      'vector 0, expected 14',
    );
  });

  it('tells whose reserved bits hold: G of a PML4E is reserved by AMD alone', () => {
    const run = (vendor: 'intel' | 'amd'): string => {
      const features: Partial<Features> = { vendor, pks: false };
      const { host, cpu } = emulator(features);
      const tables = new PageTables(host, { features }).map(0x1000, 0x5000).change(0x1000, 4, { add: 'G' });
      cpu.enter(tables.state());
      const { recorder, lines } = recorderOf(host, features);
      recorder.begin(tables.state());
      const { vector } = recorder.access(READ_4, () => performAccess(cpu, READ_4)) as { vector?: number };
      expect(vector).toBe(vendor === 'amd' ? 14 : undefined);
      recorder.end();
      return check(lines).text;
    };
    expect(run('amd')).not.toContain('expected');
    expect(run('intel')).not.toContain('expected');
  });

  it('leaves out a case without accesses, and says the variant again only where it changes', () => {
    const { host, cpu } = emulator();
    const { recorder, lines } = recorderOf(host);
    const modes: TableMode[] = ['4-level', '4-level', 'pae'];
    for (const [nth, mode] of modes.entries()) {
      const tables = new PageTables(host, { mode, root: 0x10_0000 * (nth + 1) }).map(0x1000, 0x5000);
      cpu.enter(tables.state());
      recorder.begin(tables.state(), 'nothing');
      recorder.begin(tables.state());
      recorder.access(READ_4, () => performAccess(cpu, READ_4));
    }
    recorder.end();
    expect(lines.map((line) => Object.keys(JSON.parse(line))[0])).toEqual([
      ...['format', 'variant', 'id', 'id', 'variant', 'id'],
    ]);
    expect(check(lines)).toMatchObject({ total: 3, passed: 3 });
  });

  it.each<[string, (recorder: AccessRecorder) => void, string]>([
    ['3 bytes', (it) => it.access({ ...READ_4, size: 3 }, NEVER), '1, 2, 4 or 8 bytes, not 3'],
    ['a write of nothing', (it) => it.access({ ...READ_4, kind: 'write' }, NEVER), 'a write has a value'],
    ['a read of a value', (it) => it.access({ ...READ_4, value: 1 }, NEVER), 'a write has a value'],
    [
      'an implicit access that crosses a page',
      (it) => it.access({ ...READ_4, address: 0x1ffc, kind: 'implicit', size: 8 }, NEVER),
      'all in one page',
    ],
    [
      'one physical address where there are two',
      (it) => it.access({ ...READ_4, address: 0x1ffe }, () => ({ physical: 0x5ffe })),
      'second physical address',
    ],
    ['another paging mode', (it) => it.cr4(0x1020), 'the paging mode changed'],
    ['no paging', (it) => it.begin({ cr0: 1, cr3: 0, cr4: 0, efer: 0 }), 'with paging on'],
  ])('refuses %s', (_, record, sentence) => {
    const { recorder } = twoPages();
    expect(() => record(recorder)).toThrow(RangeError);
    expect(() => record(twoPages().recorder)).toThrow(sentence);
  });

  it('refuses to record before a case begins', () => {
    const { host } = emulator();
    expect(() => recorderOf(host).recorder.invlpg(0)).toThrow('begins a case before');
  });
});

const NEVER = (): never => {
  throw new Error('was performed');
};

describe('the command', () => {
  const { cpu, recorder, lines } = twoPages();
  recorder.access(READ_4, () => performAccess(cpu, READ_4));
  recorder.access(WRITE_4, () => performAccess(cpu, WRITE_4));
  recorder.end();
  const folder = newFolder();

  it('passes what the recorder wrote, and fails what was changed since', () => {
    const good = write(folder, 'good.jsonl', lines.join('\n'));
    expect(pagewalk(['check', good])).toMatchObject({ status: 0 });
    expect(pagewalk(['check', good]).stdout).toContain('1 passed, 0 failed');
    const bad = write(folder, 'bad.jsonl', readFileSync(good, 'utf8').replace('"pa":"0x5000"', '"pa":"0x6000"'));
    const { status, stdout } = pagewalk(['check', bad]);
    expect(status).toBe(1);
    expect(stdout).toContain('physical address 0x5000, expected 0x6000');
  });
});
