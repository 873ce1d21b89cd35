/** What people paste or drop: a schedule, or what `pagewalk race --json` printed. */
import type { Variant } from '../explorer/declared.ts';
import { SCENARIOS } from '../explorer/scenarios/all.ts';
import { isScheduleOf } from '../explorer/schedule.ts';
import type { ExploredVariant } from './start.ts';

export interface Named {
  readonly name: string;
  readonly variant: Variant;
}

export type Loaded =
  | { readonly schedule: string; readonly of: Named }
  | { readonly explored: readonly ExploredVariant[]; readonly schedule?: undefined };

/** Error, in one sentence, where the text is neither. */
export function loadText(text: string): Loaded {
  const trimmed = text.trim();
  if (trimmed.startsWith('[') || trimmed.startsWith('{')) return { explored: exploredIn(trimmed) };
  for (const { name, variants } of SCENARIOS)
    for (const variant of variants)
      if (isScheduleOf(variant.scenario, trimmed)) return { schedule: trimmed, of: { name, variant } };
  throw new Error('not a schedule of any scenario here, nor a report of pagewalk race --json');
}

function exploredIn(text: string): ExploredVariant[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error('the report is no JSON, or was not copied whole');
  }
  const all = Array.isArray(parsed) ? parsed : [parsed];
  if (all.length === 0 || !all.every(isExplored)) throw new Error('not what pagewalk race --json prints');
  return all;
}

function isExplored(value: unknown): value is ExploredVariant {
  if (typeof value !== 'object' || value === null) return false;
  const { name, variant, failures } = value as Partial<Record<keyof ExploredVariant, unknown>>;
  return (
    typeof name === 'string' &&
    typeof variant === 'string' &&
    Array.isArray(failures) &&
    failures.every((failure) => typeof failure?.schedule === 'string' && typeof failure?.kind === 'string') &&
    SCENARIOS.some((one) => one.name === name && one.variants.some(({ label }) => label === variant))
  );
}
