/** What an exploration has seen: numbers, and the sentence that they justify. */
import type { Scenario } from './scenario.ts';

/** One part of a search that was split. */
export interface Shard {
  /** 0 to `count` - 1. */
  readonly index: number;
  /** Parts in all. */
  readonly count: number;
}

/** What an exploration has seen, in numbers. */
export interface Coverage {
  /** Every schedule, those with few preemptions, or random ones. */
  readonly mode: 'exhaustive' | 'bounded' | 'random';
  /** Every schedule, within the bound where there is one, was seen. */
  readonly complete: boolean;
  /** Preemptions at most; of `bounded`. */
  readonly bound: number | undefined;
  /** Different states met, told apart by a 64-bit hash; of `random`, states passed. */
  readonly states: number;
  /** Parts of which this is the sum: a state that several of them met is counted by each. */
  readonly parts?: number;
  /** Events that happened; events of code that was executed again; executions of code. */
  readonly events: number;
  /** Events of code that was executed again. */
  readonly replayed: number;
  /** Executions of code. */
  readonly executions: number;
  /** Schedules seen to their end: final states, or random runs. */
  readonly ends: number;
  /** Why it is not complete. */
  readonly truncated: string | undefined;
  /** Part of how many, where the search was split. */
  readonly shard: Shard | undefined;
  /** Of `random`. */
  readonly seed: number | undefined;
  /** The machine, in words: CPUs, walks, frames, what its hardware does by itself. */
  readonly machine: string;
  /** Of the search that the numbers are about: where operations had to be split, one like it came before. */
  readonly ms: number;
}

/** The machine that a claim is about. */
export function machineText({ cpus, walks = [], machine = {}, hardware = {} }: Scenario): string {
  const count = Math.max(cpus.length, walks.length, machine.cpus ?? 0);
  const walked = walks.reduce((sum, accesses) => sum + accesses.length, 0);
  const { evictions = 0, storeBuffers = false, reuse = 'never' } = hardware;
  return [
    `${count} CPUs`,
    `locking ${machine.locking ?? 'l3'}`,
    walked === 0 ? 'no hardware walks' : `${walked} hardware walk${walked === 1 ? '' : 's'}, level by level`,
    'caches keep everything',
    ...(evictions > 0 ? [`but for ${evictions} eviction${evictions === 1 ? '' : 's'} a CPU`] : []),
    storeBuffers ? 'TSO store buffers' : 'no store buffers',
    reuse === 'hostile' ? 'freed frames are allocated next' : 'freed frames are not allocated again',
  ].join(', ');
}

/** What was seen, in one sentence: never more than that. */
export function coverageText(coverage: Coverage): string {
  const { mode, complete, bound, states, parts = 1, ends, truncated, shard, seed, machine } = coverage;
  const sum = `${states.toLocaleString('en')} states`;
  const count = parts > 1 ? `at most ${sum} (the sum of ${parts} parts)` : sum;
  const part = shard === undefined || shard.count === 1 ? '' : ` (part ${shard.index + 1} of ${shard.count})`;
  if (mode === 'random') return `${ends.toLocaleString('en')} random schedules${part}, seed ${seed}; ${machine}`;
  const within = bound === undefined ? '' : ` with at most ${bound} preemption${bound === 1 ? '' : 's'}`;
  if (!complete) return `not every schedule${within}: ${truncated ?? 'split'}${part}, ${count} seen; ${machine}`;
  return `every schedule${within}${part}: ${count}, to a hash of 64 bits; ${machine}`;
}

/** The coverage of several parts of one search together. */
export function mergeCoverage(parts: readonly Coverage[]): Coverage {
  const [first] = parts;
  if (first === undefined) throw new RangeError('nothing to merge');
  const sum = (of: (part: Coverage) => number): number => parts.reduce((total, part) => total + of(part), 0);
  const count = first.shard?.count ?? 1;
  const isWhole = new Set(parts.map(({ shard }) => shard?.index ?? 0)).size === count;
  return {
    ...first,
    complete: isWhole && parts.every(({ complete }) => complete),
    states: sum(({ states }) => states),
    ...(parts.length > 1 ? { parts: parts.length } : {}),
    events: sum(({ events }) => events),
    replayed: sum(({ replayed }) => replayed),
    executions: sum(({ executions }) => executions),
    ends: sum(({ ends }) => ends),
    ms: sum(({ ms }) => ms),
    truncated: isWhole
      ? parts.find(({ truncated }) => truncated !== undefined)?.truncated
      : `${parts.length} of ${count} parts`,
    shard: undefined,
  };
}
