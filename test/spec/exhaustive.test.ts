/** Our CPU against the oracle, over every class of case. */
import { describe, expect, it } from 'vitest';
import type { CacheOptions } from '../../src/index.ts';
import { CpuDriver } from '../support/cpu-driver.ts';
import { caseById } from '../support/generator.ts';
import { judge, newTally, type Tally } from '../support/judge.ts';
import { Oracle } from '../support/oracle.ts';

const LONG = process.env['PAGEWALK_LONG'] === '1';
const CASES = LONG ? 5_000_000 : 100_000;
const SEED = Number(process.env['PAGEWALK_SEED'] ?? 1);

/** Each cache setting takes a share of the cases; hit views off only shows what hit views hide. */
const SETTINGS: readonly [name: string, share: number, caches: CacheOptions][] = [
  ['caches on', 0.5, {}],
  ['keeping everything', 0.3, { tlb: 'everything', structures: 'everything' }],
  ['tiny caches', 0.1, { tlb: 4, tlbLarge: 4, tlbHuge: 4, structures: 4 }],
  ['caches off', 0.1, { tlb: 'off', structures: 'off' }],
];

describe('every class of access', () => {
  const tallies = new Map<string, Tally & { cases: number }>();

  let first = 0;
  for (const [name, share, caches] of SETTINGS) {
    const from = first;
    const to = Math.round(from + share * CASES);
    first = to;
    it(`is translated as the oracle says, with ${name}`, () => {
      const cpu = new CpuDriver(caches);
      const oracle = new Oracle();
      for (let id = from; id < to; id++) {
        const test = caseById(SEED, id);
        const tally = tallies.get(test.class) ?? { ...newTally(), cases: 0 };
        tallies.set(test.class, tally);
        tally.cases += 1;
        const mismatch = judge(test, cpu, oracle, tally);
        if (mismatch !== undefined) expect.fail(`case ${id} of seed ${SEED}: ${mismatch}`);
      }
    });
  }

  it('has run in quantity: successes, A flags, D flags', () => {
    const total = newTally();
    const rows = [...tallies].sort(([a], [b]) => a.localeCompare(b));
    for (const [, tally] of rows)
      for (const field of ['accesses', 'succeeded', 'setAccessed', 'setDirty'] as const) total[field] += tally[field];
    const table = rows.map(
      ([name, { cases, accesses, succeeded, setAccessed, setDirty }]) =>
        `${name.padEnd(20)} ${String(cases).padStart(8)} cases ${String(accesses).padStart(8)} accesses ${String(succeeded).padStart(8)} done ${String(setAccessed).padStart(8)} set A ${String(setDirty).padStart(8)} set D`,
    );
    console.log(`seed ${SEED}\n${table.join('\n')}`);
    expect(rows.reduce((sum, [, { cases }]) => sum + cases, 0)).toBe(CASES);
    expect(rows.length).toBe(22);
    expect(total.succeeded).toBeGreaterThan(0.25 * total.accesses);
    expect(total.setAccessed).toBeGreaterThan(0.1 * total.accesses);
    expect(total.setDirty).toBeGreaterThan(0.05 * total.accesses);
  });
});
