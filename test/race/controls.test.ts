/**
 * Controls: mistakes planted into whatever code runs, which the explorer must find by what they lead to, also where the rule
 * that forbids the mistake itself is not judged. test/race/soak.test.ts plants the same four on threads.
 */
import { describe, expect, it } from 'vitest';
import { explore } from '../../src/explorer/explore.ts';
import type { ErrorKind, RuleName } from '../../src/explorer/rules.ts';
import type { Plant, Scenario } from '../../src/explorer/scenario.ts';
import { variantOf } from '../../src/explorer/scenarios/all.ts';

function found(scenario: Scenario, plant: Plant | undefined, without: readonly RuleName[] = []): ErrorKind[] {
  const planted = { ...scenario, ...(plant === undefined ? {} : { plant }), without };
  const { coverage, failures } = explore(planted, { minimises: false });
  expect(coverage.truncated).toBeUndefined();
  return [...new Set(failures.map(({ kind }) => kind))].sort();
}

/** Two superpages over one table, under the lock of the L3 table, with a walk by each CPU. */
const { scenario } = variantOf('r2', 'l3');

describe('right code', () => {
  it('is clean', () => {
    expect(found(scenario, undefined)).toEqual([]);
  });
});

describe('a planted mistake', () => {
  it.each<[Plant, readonly ErrorKind[], readonly RuleName[], readonly ErrorKind[]]>([
    ['no-lock', ['UnlockedWrite'], ['owner-lock'], ['Bug', 'DoubleFree', 'UseAfterFree']],
    ['no-flush', ['StaleTranslation', 'UseAfterFree'], ['no-stale'], ['UseAfterFree']],
    [
      'no-ack',
      ['MissingAck', 'StaleTranslation', 'UseAfterFree'],
      ['acknowledged'],
      ['StaleTranslation', 'UseAfterFree'],
    ],
    ['ack-before-flush', ['StaleTranslation', 'UseAfterFree'], ['no-stale'], ['UseAfterFree']],
  ])('is found, and what it leads to: %s', (plant, kinds, without, consequences) => {
    expect(found(scenario, plant)).toEqual(kinds);
    expect(found(scenario, plant, without)).toEqual(consequences);
  });

  it.each<Plant>(['no-flush', 'no-ack', 'ack-before-flush'])(
    'is found where a table is torn down, too: %s',
    (plant) => {
      expect(found(variantOf('r6', 'l3').scenario, plant)).toContain('StaleTranslation');
    },
  );
});
