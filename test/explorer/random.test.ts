import { describe, expect, it } from 'vitest';
import { Explored } from '../../src/explorer/explored.ts';
import { type RandomOptions, RandomSearch } from '../../src/explorer/random.ts';
import type { Scenario } from '../../src/explorer/scenario.ts';
import { variantOf } from '../../src/explorer/scenarios/all.ts';
import { prepare } from '../support/tiny-programs.ts';

/** Notes which actors go, in all runs. */
class Noting extends Explored {
  readonly begun: number[] = [];
  override begin(actor: number): void {
    this.begun.push(actor);
    super.begin(actor);
  }
}

function schedules(scenario: Scenario, options: RandomOptions): { steps: string; search: RandomSearch } {
  const explored = new Noting(scenario);
  const search = new RandomSearch(explored, options);
  search.run();
  return { steps: explored.begun.join(), search };
}

const { scenario } = variantOf('r1', 'before the fix');

describe.each(['pct', 'uniform'] as const)('random schedules: %s', (strategy) => {
  it('are the same for the same seed, and others for another one', () => {
    const of = (seed: number): string => schedules(scenario, { strategy, seed, runs: 20 }).steps;
    expect(of(1)).toBe(of(1));
    expect(new Set([1, 2, 3, 4, 0x8000_0001].map(of)).size).toBe(5);
  });

  it('of all parts together fail as those of one search do', () => {
    const kinds = (options: RandomOptions): string[] => [...schedules(scenario, options).search.failures.keys()];
    const parts = [0, 1, 2].flatMap((index) => kinds({ strategy, runs: 90, shard: { index, count: 3 } }));
    // Priorities change within the longest run so far, which parts know less of: they are other schedules.
    if (strategy === 'uniform') expect(new Set(parts)).toEqual(new Set(kinds({ strategy, runs: 90 })));
    else expect(parts).not.toEqual([]);
  });

  it('begin anew each time, also where nothing happens before the first step', () => {
    const one: Scenario = {
      name: 'one',
      about: '',
      prepare,
      cpus: [[{ name: 'reads', run: ({ tables }) => tables.read(1536) & tables.read(1537) }]],
    };
    const { search } = schedules(one, { strategy, runs: 10 });
    expect([search.ends, search.states]).toEqual([10, 20]);
  });

  it('are not judged where they are cut', () => {
    const endless: Scenario = {
      name: 'endless',
      about: '',
      prepare,
      cpus: [
        [
          {
            name: 'reads',
            run: ({ tables }) => {
              for (;;) tables.read(1536);
            },
          },
        ],
      ],
    };
    const { search } = schedules(endless, { strategy, runs: 2 });
    expect([search.ends, search.failures.size]).toEqual([0, 0]);
    expect(search.truncated).toMatch(/more than 100000 steps/);
  });
});
