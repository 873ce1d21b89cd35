/** Explores a scenario: every schedule, those with few preemptions, or random ones; and replays one. */
import { type Coverage, machineText, mergeCoverage, type Shard } from './coverage.ts';
import { DepthFirst } from './depth-first.ts';
import { Explored } from './explored.ts';
import { minimise, switchesOf } from './minimise.ts';
import { type RandomOptions, RandomSearch } from './random.ts';
import type { Splits } from './ranges.ts';
import { Replayer } from './replay.ts';
import { type ErrorKind, RULES, type RuleName } from './rules.ts';
import type { Scenario } from './scenario.ts';
import { parseSchedule, scheduleText } from './schedule.ts';
import { type Failure, failureKey, kindOf, type Limits, type Search } from './search.ts';
import { type Trace, traceOf } from './trace.ts';

/** How much of a scenario is explored, and how. */
export interface ExploreOptions extends Limits, Pick<RandomOptions, 'strategy' | 'seed' | 'runs' | 'depth'> {
  /** `exhaustive` is the default; `bounded` takes the bounds 0, 1, ... up to `preemptions`. */
  readonly mode?: 'exhaustive' | 'bounded' | 'random';
  /** Of `bounded`; default 2. */
  readonly preemptions?: number;
  /** Part of the work: parts 0 to `count` - 1 together are all of it (`mergeOutcomes`). */
  readonly shard?: Shard;
  /** Whether failing schedules are made minimal; default true. */
  readonly minimises?: boolean;
}

/** A way in which something goes wrong, with a schedule that shows it. */
export interface FoundFailure {
  /** What sort of mistake. */
  readonly kind: ErrorKind;
  /** The rule that was broken. */
  readonly rule: RuleName;
  /** What must hold, and how it was broken. */
  readonly must: string;
  /** How it was broken, with frames, pages and CPUs. */
  readonly what: string;
  /** Whose step it was; `nobody` where the machine cannot go on, or at the end. */
  readonly by: 'cpu' | 'hardware' | 'nobody';
  /** The schedule string: `replay(scenario, schedule)` does it again. */
  readonly schedule: string;
  /** Steps of the schedule. */
  readonly steps: number;
  /** How often code is switched away from though it could go on. */
  readonly preemptions: number;
  /** How often another actor goes on. */
  readonly switches: number;
  /** Steps of the schedule as it was found, before it was made minimal. */
  readonly stepsFound: number;
}

/** What an exploration came to. */
export interface Outcome {
  /** Name of the scenario. */
  readonly scenario: string;
  /** What was seen; `coverageText` makes a sentence of it. */
  readonly coverage: Coverage;
  /** One of each kind and way, those with the fewest switches first. */
  readonly failures: readonly FoundFailure[];
}

/**
 * Runs a scenario under every schedule, or as many as `options` say, and judges each step.
 * @throws DivergenceError  where a program is not deterministic in the outcomes of its operations
 */
export function explore(scenario: Scenario, options: ExploreOptions = {}): Outcome {
  const { mode = 'exhaustive', preemptions = 2, minimises = true, seed = 1 } = options;
  const bounds = mode === 'bounded' ? Array.from({ length: preemptions + 1 }, (_, bound) => bound) : [undefined];
  let splits: Splits = new Map();
  for (;;) {
    const pass = exploreWith(scenario, splits, mode, bounds, { ...options, seed });
    const more = merged(splits, pass.conflicts);
    const isWhole = sizeOf(more) === sizeOf(splits);
    if (!isWhole && pass.coverage.truncated === undefined) {
      splits = more;
      continue;
    }
    return {
      scenario: scenario.name,
      coverage: pass.coverage,
      failures: minimal(scenario, splits, pass.failures, minimises),
    };
  }
}

interface Pass {
  readonly coverage: Coverage;
  readonly failures: ReadonlyMap<string, Failure>;
  readonly conflicts: Splits;
}

/** One search, or one for each bound, with operations on whole tables split at certain entries. */
function exploreWith(
  scenario: Scenario,
  splits: Splits,
  mode: 'exhaustive' | 'bounded' | 'random',
  bounds: readonly (number | undefined)[],
  options: ExploreOptions & { readonly seed: number },
): Pass {
  const { shard, seed } = options;
  const started = performance.now();
  const failures = new Map<string, Failure>();
  let conflicts: Splits = new Map();
  let coverage: Coverage | undefined;
  for (const bound of bounds) {
    const explored = new Explored(scenario, splits);
    const search = searchOf(explored, mode, bound, options);
    search.run();
    // A lower bound has found it with fewer preemptions.
    for (const [key, failure] of search.failures) if (!failures.has(key)) failures.set(key, failure);
    coverage = {
      mode,
      complete: mode !== 'random' && search.truncated === undefined,
      bound,
      states: search.states,
      events: explored.events + (coverage?.events ?? 0),
      replayed: explored.programs.observer.replayed + (coverage?.replayed ?? 0),
      executions: explored.programs.observer.executions + (coverage?.executions ?? 0),
      ends: search.ends,
      truncated: search.truncated,
      shard,
      seed: mode === 'random' ? seed : undefined,
      machine: machineText(scenario),
      ms: performance.now() - started,
    };
    conflicts = merged(conflicts, explored.conflicts());
    if (search.truncated !== undefined) break;
  }
  return { coverage: coverage!, failures, conflicts };
}

function merged(one: Splits, other: Splits): Splits {
  const both = new Map(one);
  for (const [page, entries] of other)
    both.set(
      page,
      [...new Set([...(both.get(page) ?? []), ...entries])].sort((a, b) => a - b),
    );
  return both;
}

const sizeOf = (splits: Splits): number => [...splits.values()].reduce((sum, entries) => sum + entries.length, 0);

/** Does a schedule again, and goes on to the end; the trace tells what happened. ScheduleError where it is not this scenario's. */
export function replay(scenario: Scenario, schedule: string): Trace {
  const { steps, splits } = parseSchedule(scenario, new Explored(scenario).actors, schedule);
  return traceOf(scenario, splits, steps, 'go on');
}

/** What the parts of one search have found together. */
export function mergeOutcomes(parts: readonly Outcome[]): Outcome {
  const best = new Map<string, FoundFailure>();
  for (const failure of parts.flatMap(({ failures }) => failures)) {
    const key = failureKey(failure);
    const known = best.get(key);
    if (
      known === undefined ||
      failure.preemptions < known.preemptions ||
      (failure.preemptions === known.preemptions && failure.steps < known.steps)
    )
      best.set(key, failure);
  }
  return {
    scenario: parts[0]?.scenario ?? '',
    coverage: mergeCoverage(parts.map(({ coverage }) => coverage)),
    failures: [...best.values()].sort(byCost),
  };
}

function searchOf(explored: Explored, mode: string, bound: number | undefined, options: ExploreOptions): Search {
  if (mode === 'random') return new RandomSearch(explored, options);
  const { preemptions: _, ...others } = options;
  return new DepthFirst(explored, bound === undefined ? others : { ...others, preemptions: bound });
}

function minimal(
  scenario: Scenario,
  splits: Splits,
  failures: ReadonlyMap<string, Failure>,
  minimises: boolean,
): FoundFailure[] {
  const replayer = new Replayer(new Explored(scenario, splits));
  const { actors } = replayer.explored;
  return [...failures.values()]
    .map((failure): FoundFailure => {
      const { rule, what, by } = failure.violation;
      const found = minimises ? minimise(replayer, failure) : failure;
      const { schedule } = found;
      return {
        kind: kindOf(failure.violation),
        rule,
        must: RULES[rule].text,
        what,
        by,
        schedule: scheduleText(scenario, actors, splits, schedule),
        steps: schedule.length,
        preemptions: Math.min(found.preemptions, failure.preemptions),
        switches: switchesOf(schedule),
        stepsFound: failure.schedule.length,
      };
    })
    .sort(byCost);
}

const byCost = (one: FoundFailure, other: FoundFailure): number =>
  one.switches - other.switches || one.steps - other.steps || one.rule.localeCompare(other.rule);
