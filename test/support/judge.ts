/** Runs a case on a driver and on the oracle, and says what differs. */
import type { CpuDriver } from './cpu-driver.ts';
import type { Outcome } from './driver.ts';
import type { Case, Step } from './generator.ts';
import type { Oracle } from './oracle.ts';

/** What happened, for the table that says what was tested. */
export interface Tally {
  accesses: number;
  succeeded: number;
  /** Accesses that set an A flag, that set a D flag. */
  setAccessed: number;
  setDirty: number;
}

export const newTally = (): Tally => ({ accesses: 0, succeeded: 0, setAccessed: 0, setDirty: 0 });

const json = (value: unknown): string =>
  JSON.stringify(value, (_, field) => (typeof field === 'bigint' ? `0x${field.toString(16)}` : field));

/** The first difference in words, or undefined. */
export function judge(test: Case, cpu: CpuDriver, oracle: Oracle, tally: Tally): string | undefined {
  cpu.useModel(test.model);
  oracle.clear();
  for (const { pa, value, bytes } of test.writes) {
    cpu.poke(pa, value, bytes);
    oracle.poke(pa, value, bytes);
  }
  const tracked = new Set(test.writes.map(({ pa }) => pa & ~7n));
  const entered = cpu.configure(test.model, test.state);
  if (entered !== oracle.configure(test.model, test.state)) return `entering the state: ${entered}`;
  for (const [at, step] of entered ? test.steps.entries() : []) {
    const differs = perform(step, cpu, oracle, tally) ?? compareMemory(tracked, cpu, oracle);
    if (differs !== undefined) return `step ${at} ${json(step)}: ${differs}\n${json(test)}`;
  }
  // What the oracle knows of is zero again; now and then, that nothing else was written either.
  for (const quad of oracle.contents().keys()) cpu.poke(quad << 3n, 0n, 8);
  for (const pa of tracked) cpu.poke(pa, 0n, 8);
  return test.id % 500 === 0 ? cpu.findWritten() : undefined;
}

function perform(step: Step, cpu: CpuDriver, oracle: Oracle, tally: Tally): string | undefined {
  oracle.free.clear();
  switch (step.do) {
    case 'access': {
      const got = cpu.access(step);
      const expected = oracle.access(step);
      tally.accesses += 1;
      if (expected.ok) tally.succeeded += 1;
      if (expected.ok && oracle.changedAccessed > 0) tally.setAccessed += 1;
      if (expected.ok && oracle.changedDirty > 0) tally.setDirty += 1;
      return compareOutcomes(got, expected, step.kind);
    }
    case 'write':
      cpu.poke(step.pa, step.value, step.bytes);
      oracle.poke(step.pa, BigInt.asUintN(step.bytes * 8, step.value), step.bytes);
      return undefined;
    case 'cr0':
      return same(cpu.movCr0(step.value), oracle.movCr0(step.value));
    case 'cr3':
      return same(cpu.movCr3(step.value), oracle.movCr3(step.value));
    case 'cr4':
      return same(cpu.movCr4(step.value), oracle.movCr4(step.value));
    case 'pkru':
      cpu.wrpkru(step.rights);
      oracle.wrpkru(step.rights);
      return undefined;
    case 'pkrs':
      cpu.wrpkrs(step.rights);
      oracle.wrpkrs(step.rights);
      return undefined;
    case 'invlpg':
      cpu.invlpg(step.va);
      return undefined;
    case 'invpcid':
      return same(cpu.invpcid(step.type, step.pcid, step.va), oracle.invpcid(step.type, step.pcid, step.va));
  }
}

const same = (got: boolean, expected: boolean): string | undefined =>
  got === expected ? undefined : `accepted: ${got}, expected ${expected}`;

function compareOutcomes(got: Outcome, expected: Outcome, kind: string): string | undefined {
  // What a write leaves is compared in memory.
  const relevant = (outcome: Outcome): unknown =>
    outcome.ok && kind.endsWith('write') ? { ...outcome, value: 0n } : outcome;
  const [a, b] = [json(relevant(got)), json(relevant(expected))];
  return a === b ? undefined : `got ${a}, expected ${b}`;
}

/** Everything the oracle knows of, and every entry of the case. A free bit is copied, since both values are right. */
function compareMemory(tracked: ReadonlySet<bigint>, cpu: CpuDriver, oracle: Oracle): string | undefined {
  const quads = new Set([...tracked, ...[...oracle.contents().keys()].map((quad) => quad << 3n)]);
  for (const pa of quads) {
    const got = cpu.peek(pa, 8);
    const expected = oracle.peek(pa, 8);
    if (got === expected) continue;
    const free = (oracle.free.get(pa) ?? 0n) | ((oracle.free.get(pa + 4n) ?? 0n) << 32n);
    if (((got ^ expected) & ~free) !== 0n)
      return `memory at 0x${pa.toString(16)} is 0x${got.toString(16)}, expected 0x${expected.toString(16)}`;
    oracle.poke(pa, got, 8);
  }
  return undefined;
}
