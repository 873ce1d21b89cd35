/**
 * The minimal schedule of each kind of failure, kept: each still fails in the same way where it did. After a change of the
 * code that schedules go through they mean something else; `PAGEWALK_UPDATE=1 npx vitest run test/race/regressions.test.ts`
 * writes them anew, to be looked at.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { searchFor } from '../../src/explorer/declared.ts';
import { explore, type FoundFailure, replay } from '../../src/explorer/explore.ts';
import { RULES } from '../../src/explorer/rules.ts';
import { SCENARIOS, variantOf } from '../../src/explorer/scenarios/all.ts';

interface Kept {
  readonly scenario: string;
  readonly variant: string;
  readonly kind: string;
  readonly what: string;
  readonly schedule: string;
}

const FILE = join(import.meta.dirname, 'regressions.json');
const failing = SCENARIOS.flatMap(({ name, variants }) =>
  variants.filter(({ finds }) => finds.length > 0).map(({ label }) => ({ name, label })),
);

/** The plainest failure of each kind. */
function found(name: string, label: string): Kept[] {
  const variant = variantOf(name, label);
  const { failures } = explore(variant.scenario, searchFor(variant));
  const kinds = new Map<string, FoundFailure>();
  for (const failure of failures) if (!kinds.has(failure.kind)) kinds.set(failure.kind, failure);
  return [...kinds.values()].map(({ kind, what, schedule }) => ({
    scenario: name,
    variant: label,
    kind,
    what,
    schedule,
  }));
}

if (process.env['PAGEWALK_UPDATE'] === '1') {
  const all = failing.flatMap(({ name, label }) => found(name, label));
  writeFileSync(FILE, `${JSON.stringify(all, null, 2)}\n`);
}

const kept = JSON.parse(readFileSync(FILE, 'utf8')) as Kept[];

describe('schedules that failed', () => {
  it.each(kept)('fail again: $scenario, $variant: $kind', ({ scenario, variant, kind, what, schedule }) => {
    const { violations, rows } = replay(variantOf(scenario, variant).scenario, schedule);
    expect(violations.map((violation) => violation.what)).toContain(what);
    expect(violations.map(({ rule }) => RULES[rule].kind)).toContain(kind);
    expect(rows.length).toBeGreaterThan(0);
  });

  it('are kept of each variant that must fail, of each kind that it must show', () => {
    const missing = failing.flatMap(({ name, label }) =>
      variantOf(name, label)
        .finds.filter(
          (kind) => !kept.some((one) => one.scenario === name && one.variant === label && one.kind === kind),
        )
        .map((kind) => `${name}, ${label}: ${kind}`),
    );
    expect(missing).toEqual([]);
  });

  it('have at most 80 steps and 12 switches', () => {
    for (const { schedule } of kept) {
      const runs = schedule
        .split(':')[2]!
        .split(',')
        .filter((run) => !run.startsWith('s'));
      expect(runs.length).toBeLessThanOrEqual(13);
      expect(runs.reduce((sum, run) => sum + Number(run.split('x')[1] ?? 1), 0)).toBeLessThanOrEqual(80);
    }
  });
});
