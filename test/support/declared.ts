/** Explores a variant of a declared scenario as it asks to be. */
import type { Variant } from '../../src/explorer/declared.ts';
import { DepthFirst } from '../../src/explorer/depth-first.ts';
import { Explored } from '../../src/explorer/explored.ts';
import type { Scenario } from '../../src/explorer/scenario.ts';
import { kindOf } from '../../src/explorer/search.ts';

export interface Come {
  /** Kinds of errors, each once, sorted. */
  readonly kinds: readonly string[];
  /** The words of each. */
  readonly texts: readonly string[];
  /** The fewest preemptions of a failure; none where there is none. */
  readonly preemptions: number | undefined;
  /** Why not everything was seen; undefined where it was. */
  readonly truncated: string | undefined;
}

/** What a variant comes to. */
export function explore(
  { scenario, preemptions }: Pick<Variant, 'scenario' | 'preemptions'>,
  maxStates = 100_000,
): Come {
  const search = new DepthFirst(new Explored(scenario), {
    maxStates,
    ...(preemptions === undefined ? {} : { preemptions }),
  });
  search.run();
  const failures = [...search.failures.values()];
  return {
    kinds: [...new Set(failures.map(({ violation }) => kindOf(violation)))].sort(),
    texts: failures.map(({ violation }) => violation.what),
    preemptions: failures.length === 0 ? undefined : Math.min(...failures.map((failure) => failure.preemptions)),
    truncated: search.truncated,
  };
}

/** The same with one more CPU, whose hardware walks. */
export function withAnotherCpu(scenario: Scenario, ...walked: NonNullable<Scenario['walks']>[number]): Scenario {
  const { cpus, walks = [], machine = {} } = scenario;
  const count = Math.max(cpus.length, walks.length, machine.cpus ?? 0);
  const others = Array.from({ length: count }, (_, cpu) => walks[cpu] ?? []);
  return { ...scenario, walks: [...others, walked] };
}
