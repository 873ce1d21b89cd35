/**
 * Each variant of each scenario comes to what it declares. Those that have tests of their own, and three CPUs at once, are
 * explored here in long runs only, and for scripts/mutants-race.mjs, which says so; and all in `npm run check`, for the table
 * of docs/races.md.
 */
import { describe, expect, it } from 'vitest';
import { mismatches, searchFor } from '../../src/explorer/declared.ts';
import { explore } from '../../src/explorer/explore.ts';
import { SCENARIOS, scenarioNamed } from '../../src/explorer/scenarios/all.ts';
import { BEYOND_THE_FIX } from '../../src/explorer/scenarios/beyond-the-fix.ts';
import { DEMONSTRATIONS } from '../../src/explorer/scenarios/demonstrations.ts';

const ALL = process.env['PAGEWALK_LONG'] === '1' || process.env['PAGEWALK_SCENARIOS'] === 'all';
const elsewhere = new Set(
  ALL ? [] : ['three-at-once', ...[...BEYOND_THE_FIX, ...DEMONSTRATIONS].map(({ name }) => name)],
);
const here = SCENARIOS.filter(({ name }) => !elsewhere.has(name)).flatMap(({ name, variants }) =>
  variants.map((variant) => ({ name, label: variant.label, variant })),
);

describe('55: what CPUs do to one another', () => {
  it.each(here)('$name, $label: comes to what it declares', ({ variant }) => {
    const outcome = explore(variant.scenario, { ...searchFor(variant), minimises: false });
    expect(mismatches(variant, outcome)).toEqual([]);
    if (variant.finds.length === 0) expect(outcome.coverage.ends).toBeGreaterThan(0);
  });

  it.each(['r1', 'r1-l1', 'r1b', 'r1c', 'r1d', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8'])(
    '%s is declared to go wrong before the fix, and never with it',
    (name) => {
      const { variants } = scenarioNamed(name);
      expect(variants.some(({ finds }) => finds.length > 0)).toBe(true);
      expect(variants.some(({ finds }) => finds.length === 0)).toBe(true);
    },
  );

  it('has a name of its own in each case', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
    for (const { variants } of SCENARIOS)
      expect(new Set(variants.map(({ label }) => label)).size).toBe(variants.length);
  });

  it('is explored with hardware walks and interrupts, by two CPUs in every clean variant of XSA-345, by three in five', () => {
    const clean = SCENARIOS.flatMap(({ name, variants }) => variants.map((variant) => ({ name, ...variant }))).filter(
      ({ name, finds }) => /^(xsa|r[1-9])/.test(name) && finds.length === 0,
    );
    for (const { scenario } of clean) expect(scenario.walks?.flat().length).toBeGreaterThan(0);
    const three = new Set(
      clean
        .filter(({ scenario: { cpus, walks = [] } }) => Math.max(cpus.length, walks.length) > 2)
        .map(({ name }) => name),
    );
    expect(three.size).toBeGreaterThanOrEqual(5);
  });
});
