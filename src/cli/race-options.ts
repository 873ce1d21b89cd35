/** Options of `pagewalk race`, and the search that they ask for. */
import type { ExploreOptions } from '../explorer/explore.ts';
import { parseCount } from '../inspect/number-text.ts';
import { UsageError } from './failure.ts';

export interface RaceOptions {
  readonly all?: boolean;
  readonly variant?: string;
  readonly mode?: string;
  readonly preemptions?: string;
  readonly strategy?: string;
  readonly seed?: string;
  readonly runs?: string;
  readonly shard?: string;
  readonly maxStates?: string;
  readonly replay?: string;
  readonly merge?: boolean;
  readonly json?: boolean;
}

/** UsageError for options that would be ignored: all but these, and `json`. */
export function mustGoWith(what: string, options: RaceOptions, ...allowed: readonly (keyof RaceOptions)[]): void {
  for (const name of Object.keys(options) as (keyof RaceOptions)[])
    if (name !== 'json' && !allowed.includes(name)) {
      const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      throw new UsageError(`--${flag} does not go with ${what}`);
    }
}

/** UsageError for what makes no sense, or would be ignored. */
export function searchOptions(options: RaceOptions): ExploreOptions {
  const { mode, preemptions, strategy, seed, runs, shard, maxStates } = options;
  if (mode !== undefined && mode !== 'exhaustive' && mode !== 'bounded' && mode !== 'random')
    throw new UsageError(`--mode is exhaustive, bounded or random, not ${JSON.stringify(mode)}`);
  if (strategy !== undefined && strategy !== 'pct' && strategy !== 'uniform')
    throw new UsageError(`--strategy is pct or uniform, not ${JSON.stringify(strategy)}`);
  const isRandom = mode === 'random';
  if (preemptions !== undefined && mode !== 'bounded') throw new UsageError('--preemptions goes with --mode bounded');
  for (const [name, value] of Object.entries({ strategy, seed, runs }))
    if (value !== undefined && !isRandom) throw new UsageError(`--${name} goes with --mode random`);
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(preemptions === undefined ? {} : { preemptions: parseCount(preemptions, '--preemptions', 0, 10) }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(seed === undefined ? {} : { seed: parseCount(seed, '--seed', 0, 2 ** 32 - 1) }),
    ...(runs === undefined ? {} : { runs: parseCount(runs, '--runs', 1, 1e9) }),
    ...(shard === undefined ? {} : { shard: shardOf(shard) }),
    ...(maxStates === undefined ? {} : { maxStates: parseCount(maxStates, '--max-states', 1, 1e9) }),
  };
}

/** `2/8`: the second of eight parts. */
function shardOf(text: string): { index: number; count: number } {
  const [, part, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const index = Number(part) - 1;
  if (part === undefined || index < 0 || index >= Number(count))
    throw new UsageError(`--shard is a part of how many, such as 2/8, not ${JSON.stringify(text)}`);
  return { index, count: Number(count) };
}
