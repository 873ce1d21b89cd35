import { describe, expect, it } from 'vitest';
import { type Coverage, coverageText, machineText, mergeCoverage } from '../../src/explorer/coverage.ts';
import { DepthFirst } from '../../src/explorer/depth-first.ts';
import { explore, mergeOutcomes } from '../../src/explorer/explore.ts';
import { Explored } from '../../src/explorer/explored.ts';
import { variantOf } from '../../src/explorer/scenarios/all.ts';

const whole: Coverage = {
  mode: 'exhaustive',
  complete: true,
  bound: undefined,
  states: 1234,
  events: 2000,
  replayed: 10,
  executions: 20,
  ends: 7,
  truncated: undefined,
  shard: undefined,
  seed: undefined,
  machine: '2 CPUs',
  ms: 5,
};

describe('the sentence of a coverage', () => {
  it.each<[string, Partial<Coverage>, RegExp]>([
    ['all', {}, /^every schedule: 1,234 states, to a hash of 64 bits; 2 CPUs$/],
    ['a bound', { mode: 'bounded', bound: 1 }, /^every schedule with at most 1 preemption: /],
    ['a part', { shard: { index: 1, count: 4 } }, /^every schedule \(part 2 of 4\): /],
    [
      'one that was stopped',
      { complete: false, truncated: 'stopped at 10 states' },
      /^not every schedule: stopped at 10 states, 1,234 states seen; 2 CPUs$/,
    ],
    [
      'a stopped one with a bound',
      { complete: false, bound: 2, truncated: 'stopped after 5 ms' },
      /^not every .*2 pre/,
    ],
    ['a random one', { mode: 'random', complete: false, seed: 3 }, /^7 random schedules, seed 3; 2 CPUs$/],
  ])('says what was seen of %s', (_name, changed, expected) => {
    expect(coverageText({ ...whole, ...changed })).toMatch(expected);
  });

  it('claims every schedule only where the search was complete', () => {
    for (const mode of ['exhaustive', 'bounded', 'random'] as const)
      for (const truncated of ['stopped', undefined])
        expect(coverageText({ ...whole, mode, complete: false, truncated, seed: 1 })).not.toMatch(/^every/);
  });

  it('names the machine that it is about', () => {
    const { scenario } = variantOf('restored-page', 'l3, by two CPUs');
    expect(machineText(scenario)).toBe(
      '3 CPUs, locking l3, 1 hardware walk, level by level, caches keep everything, but for 1 eviction a CPU, no store buffers, freed frames are not allocated again',
    );
  });
});

describe('the coverage of parts', () => {
  const part = (index: number, more: Partial<Coverage> = {}): Coverage => ({
    ...whole,
    ...more,
    shard: { index, count: 3 },
  });

  it('is complete where all parts are there and complete', () => {
    const merged = mergeCoverage([part(0), part(1), part(2)]);
    expect([merged.complete, merged.states, merged.shard]).toEqual([true, 3702, undefined]);
    expect(coverageText(merged)).toMatch(/^every schedule: at most 3,702 states \(the sum of 3 parts\)/);
  });

  it.each<[string, readonly Coverage[]]>([
    ['one is missing', [part(0), part(2)]],
    ['one is there twice instead of another one', [part(0), part(1), part(1)]],
    ['one was stopped', [part(0), part(1), part(2, { complete: false, truncated: 'stopped' })]],
  ])('is not where %s', (_name, parts) => {
    const merged = mergeCoverage(parts);
    expect(merged.complete).toBe(false);
    expect(coverageText(merged)).toMatch(/^not every schedule: (stopped|\d of 3 parts)/);
  });
});

describe('parts of a search', () => {
  /**
   * Every state in which somebody chooses is noted by its hash, over one machine, so that a state has the same hash in all
   * parts. `states` counts those that a search enters: the first six steps of schedules by each part without memory, and
   * what follows once a part; so the parts' sum is larger than the whole.
   */
  class Noting extends Explored {
    met = new Set<string>();
    override enabled(): number {
      this.met.add(`${this.world.state.hashA} ${this.world.state.hashB}`);
      return super.enabled();
    }
  }

  it.each([
    ['r6', 'l3', 4],
    ['r1-l1', 'before the fix', 3],
    ['lookup', 'the table becomes empty', 8],
  ] as const)('meet together what the whole meets, and nothing else: %s, %s, in %d parts', (name, label, count) => {
    const explored = new Noting(variantOf(name, label).scenario);
    const { mark } = explored.world.state;
    const search = (shard?: { index: number; count: number }) => {
      explored.world.state.undo(mark);
      explored.met = new Set();
      const found = new DepthFirst(explored, shard === undefined ? {} : { shard });
      found.run();
      return { met: explored.met, keys: [...found.failures.keys()], states: found.states };
    };
    const all = search();
    const parts = Array.from({ length: count }, (_, index) => search({ index, count }));
    expect(new Set(parts.flatMap(({ met }) => [...met]))).toEqual(all.met);
    expect(new Set(parts.flatMap(({ keys }) => keys))).toEqual(new Set(all.keys));
    expect(parts.reduce((sum, { states }) => sum + states, 0)).toBeGreaterThanOrEqual(all.states);
    for (const { states } of parts) expect(states).toBeLessThan(all.states);
  });

  it('are merged to the failures of the whole', () => {
    const { scenario } = variantOf('r6', 'before the fix');
    const options = { mode: 'bounded', preemptions: 2 } as const;
    const outcome = explore(scenario, options);
    const parts = [0, 1, 2].map((index) => explore(scenario, { ...options, shard: { index, count: 3 } }));
    const merged = mergeOutcomes(parts);
    const said = ({ failures }: typeof outcome) => new Set(failures.map(({ rule, kind }) => `${rule} ${kind}`));
    expect(said(merged)).toEqual(said(outcome));
    expect(merged.coverage.complete).toBe(true);
  });
});
