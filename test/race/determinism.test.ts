/** Two explorations are the same; and what makes them differ is noticed. */
import { describe, expect, it } from 'vitest';
import { map, pageAt } from '../../src/explorer/calls.ts';
import { DepthFirst } from '../../src/explorer/depth-first.ts';
import { type ExploreOptions, explore, replay } from '../../src/explorer/explore.ts';
import { Explored } from '../../src/explorer/explored.ts';
import { DivergenceError } from '../../src/explorer/replay-observer.ts';
import type { CpuOperation, Scenario } from '../../src/explorer/scenario.ts';
import { scenarioNamed } from '../../src/explorer/scenarios/all.ts';
import { mapPages, PAGE_HYPERVISOR, type XenMm } from '../../src/hypervisor/index.ts';

/** What must be the same: everything but times. */
function seen(scenario: Scenario, options: ExploreOptions): unknown {
  const { coverage, failures } = explore(scenario, options);
  const { ms: _, ...counts } = coverage;
  return { counts, failures };
}

describe('two explorations', () => {
  const [before, fixed] = scenarioNamed('r6').variants;
  const modes: [string, ExploreOptions][] = [
    ['every schedule', {}],
    ['bounded', { mode: 'bounded', preemptions: 2 }],
    ['random', { mode: 'random', runs: 100, seed: 3 }],
    ['a part', { shard: { index: 1, count: 3 } }],
  ];
  it.each(modes)('give the same states, events, failures and schedules: %s', (_name, options) => {
    for (const { scenario } of [before!, fixed!]) expect(seen(scenario, options)).toEqual(seen(scenario, options));
  });

  it('meet states with the same hashes in the same order', () => {
    /** Notes a hash of all that it met so far. */
    class Hashing extends Explored {
      readonly met: number[] = [];
      override enabled(): number {
        this.met.push(this.world.state.hashA, this.world.state.hashB);
        return super.enabled();
      }
    }
    const [one, other] = [new Hashing(fixed!.scenario), new Hashing(fixed!.scenario)];
    for (const explored of [one, other]) new DepthFirst(explored).run();
    expect(one.met.length).toBeGreaterThan(5000);
    expect(other.met).toEqual(one.met);
  });

  it('fail where they failed: each schedule found leads to the same failure again', () => {
    for (const { rule, what, schedule } of explore(before!.scenario, { mode: 'bounded' }).failures)
      expect(replay(before!.scenario, schedule).violations).toContainEqual(expect.objectContaining({ rule, what }));
  });
});

describe('code that is not deterministic in the outcomes of its operations', () => {
  const L1 = 3;
  const prepare = (mm: XenMm): void => void mapPages(mm, pageAt(0), 100, 1, PAGE_HYPERVISOR);
  const one = (run: CpuOperation['run']): Scenario => ({
    name: 'strange',
    about: '',
    prepare,
    cpus: [
      [{ name: 'strange', run }],
      [{ name: 'reads', run: ({ tables }) => tables.read(L1 * 512) & tables.read(L1 * 512) }],
    ],
  });
  const explored = (scenario: Scenario) => () => new DepthFirst(new Explored(scenario)).run();

  it('is noticed where it counts by itself', () => {
    let calls = 0;
    const scenario = one(({ tables }) => {
      calls += 1;
      tables.read(L1 * 512 + (calls % 2));
      return tables.read(L1 * 512);
    });
    expect(explored(scenario)).toThrow(DivergenceError);
  });

  it('is noticed where it draws numbers', () => {
    const scenario = one(({ tables }) => {
      const index = Math.floor(Math.random() * 500);
      tables.read(L1 * 512 + index);
      return tables.read(L1 * 512);
    });
    expect(explored(scenario)).toThrow(/not deterministic: with the same outcomes it did read\(\d+, .*and now read/);
  });

  it('is noticed where it ends earlier than before', () => {
    let calls = 0;
    const scenario = one(({ tables }) => {
      calls += 1;
      if (calls % 2 === 0) return 0;
      return tables.read(L1 * 512) & tables.read(L1 * 512);
    });
    expect(explored(scenario)).toThrow(/and now the end/);
  });

  it('is noticed where it keeps what it read for the next call', () => {
    let kept = 0;
    const call = (name: string): CpuOperation => ({
      name,
      run: ({ tables }) => {
        const entry = L1 * 512 + kept;
        kept = tables.read(entry) & 1;
        return tables.read(entry);
      },
    });
    const scenario = { ...one(() => 0), cpus: [[call('first'), call('second')], [map(0, 9)]] };
    expect(explored(scenario)).toThrow(DivergenceError);
  });

  it('is refused where it catches everything, what unwinds it too', () => {
    const scenario = one(({ tables }) => {
      try {
        return tables.read(L1 * 512);
      } catch {
        return 0;
      }
    });
    expect(explored(scenario)).toThrow(/code caught what unwinds it/);
  });

  it('is fine where it catches everything and goes on: its next operation unwinds it', () => {
    const scenario = one(({ tables }) => {
      try {
        tables.read(L1 * 512);
      } catch {}
      return tables.read(L1 * 512 + 1);
    });
    const plain = one(({ tables }) => {
      tables.read(L1 * 512);
      return tables.read(L1 * 512 + 1);
    });
    const searches = [scenario, plain].map((what) => {
      const search = new DepthFirst(new Explored(what), { reductions: 'off' });
      search.run();
      return search.ends;
    });
    expect(searches[0]).toBe(searches[1]);
  });
});
