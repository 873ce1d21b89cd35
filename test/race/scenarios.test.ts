/**
 * Each scenario comes to what it declares: every kind of error that it names is found; where it names none, every schedule
 * was seen and none is wrong. The races and hazards that have tests of their own (edge-cases, beyond-the-fix,
 * demonstrations) are explored here in long runs only, and for scripts/mutants-race.mjs, which says so.
 */
import { describe, expect, it } from 'vitest';
import { mismatches, searchFor, type Variant } from '../../src/explorer/declared.ts';
import { explore } from '../../src/explorer/explore.ts';
import { SCENARIOS } from '../../src/explorer/scenarios/all.ts';
import { BEYOND_THE_FIX } from '../../src/explorer/scenarios/beyond-the-fix.ts';
import { DEMONSTRATIONS } from '../../src/explorer/scenarios/demonstrations.ts';

const ALL = process.env['PAGEWALK_LONG'] === '1' || process.env['PAGEWALK_SCENARIOS'] === 'all';
const elsewhere = new Set([...BEYOND_THE_FIX, ...DEMONSTRATIONS].map(({ name }) => name));

const variants: readonly (readonly [string, string, Variant])[] = SCENARIOS.filter(
  ({ name }) => ALL || !(elsewhere.has(name) || /^r\d/.test(name)),
).flatMap((declared) => declared.variants.map((variant) => [declared.name, variant.label, variant] as const));

/** Right code first: what is wrong with it shows soonest there. */
const isClean = ([, , { finds }]: (typeof variants)[number]): boolean => finds.length === 0;

describe('right code is clean under every schedule', () => {
  it.each(variants.filter(isClean))('%s, %s', (_name, _label, variant) => {
    const outcome = explore(variant.scenario, { ...searchFor(variant), minimises: false });
    expect(mismatches(variant, outcome)).toEqual([]);
    expect(outcome.coverage.ends).toBeGreaterThan(0);
  });
});

describe('mistakes are found', () => {
  it.each(variants.filter((one) => !isClean(one)))('%s, %s', (_name, _label, variant) => {
    expect(mismatches(variant, explore(variant.scenario, { ...searchFor(variant), minimises: false }))).toEqual([]);
  });
});
