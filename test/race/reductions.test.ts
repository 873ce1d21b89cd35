/**
 * Sleep sets and states that are not entered twice leave nothing out: 1,000 random tiny programs end in the same final
 * states, with the same kinds of errors, with all reductions off and on, with a bound that is none, and in parts; random
 * schedules find some of it. Many of the programs are wrong: errors must be the same too.
 *
 * One explored machine serves all searches of a program, taken back in between: so the same state has the same hash.
 */
import { describe, expect, it } from 'vitest';
import { pageAt } from '../../src/explorer/calls.ts';
import { DepthFirst, type DepthFirstOptions } from '../../src/explorer/depth-first.ts';
import { Explored } from '../../src/explorer/explored.ts';
import { RandomSearch } from '../../src/explorer/random.ts';
import { type CpuOperation, read, type Scenario } from '../../src/explorer/scenario.ts';
import { kindOf, type Search } from '../../src/explorer/search.ts';
import { hiOfPage, loOfPage } from '../../src/explorer/world.ts';
import { FLUSH_TLB_GLOBAL, type XenMm } from '../../src/hypervisor/index.ts';
import { prepare, tinyProgram } from '../support/tiny-programs.ts';

const LONG = process.env['PAGEWALK_LONG'] === '1';
const PROGRAMS = LONG ? 5000 : 1000;
/** States of a program at most with reductions, and without: what is larger is left out. */
const MOST = LONG ? { on: 200, off: 20_000 } : { on: 50, off: 800 };

/** Notes the states in which nobody can go on, whichever search looks. */
class Noting extends Explored {
  ends = new Set<string>();
  states = new Set<string>();
  override enabled(): number {
    const enabled = super.enabled();
    const { hashA, hashB } = this.world.state;
    this.states.add(`${hashA} ${hashB}`);
    if (enabled === 0) this.ends.add(`${hashA} ${hashB}`);
    return enabled;
  }
}

interface Found {
  readonly search: Search;
  readonly ends: ReadonlySet<string>;
  readonly states: ReadonlySet<string>;
  readonly errors: ReadonlySet<string>;
}

/** A program's machine, and what different searches find in it. */
class Searched {
  readonly explored: Noting;
  readonly #start: number;

  constructor(scenario: Scenario) {
    this.explored = new Noting(scenario);
    this.#start = this.explored.world.state.mark;
  }

  by(make: (explored: Explored) => Search): Found {
    const { explored } = this;
    explored.world.state.undo(this.#start);
    explored.ends = new Set();
    explored.states = new Set();
    const search = make(explored);
    search.run();
    return { search, ends: explored.ends, states: explored.states, errors: new Set(search.failures.keys()) };
  }

  depthFirst(options: DepthFirstOptions): Found {
    return this.by((explored) => new DepthFirst(explored, options));
  }
}

const within = (some: ReadonlySet<string>, all: ReadonlySet<string>): boolean => [...some].every((one) => all.has(one));
const same = (one: ReadonlySet<string>, other: ReadonlySet<string>): boolean =>
  one.size === other.size && within(one, other);
const agree = (one: Found, other: Found): boolean => same(one.ends, other.ends) && same(one.errors, other.errors);

/** What searches that should agree do not agree in. */
function differences(program: Searched, on: Found, off: Found): string[] {
  const wrong: string[] = [];
  if (!agree(on, off)) wrong.push('reductions on and off');
  if (!within(on.states, off.states)) wrong.push('states that do not exist');
  const bounded = program.depthFirst({ preemptions: 100 });
  if (!agree(bounded, off)) wrong.push('a bound of 100 preemptions');
  const parts = [0, 1, 2].map((index) => program.depthFirst({ shard: { index, count: 3 } }));
  const union = (of: (part: Found) => ReadonlySet<string>) => new Set(parts.flatMap((part) => [...of(part)]));
  if (
    !same(
      union(({ ends }) => ends),
      off.ends,
    ) ||
    !same(
      union(({ errors }) => errors),
      off.errors,
    )
  )
    wrong.push('parts');
  for (const strategy of ['pct', 'uniform'] as const) {
    const some = program.by((explored) => new RandomSearch(explored, { strategy, runs: 8, seed: 5 }));
    if (!within(some.ends, off.ends) || !within(some.errors, off.errors)) wrong.push(`random schedules, ${strategy}`);
  }
  return wrong;
}

const textOf = ({ name, cpus, hardware, plant }: Scenario): string =>
  [
    `${name}: ${JSON.stringify(hardware)}, ${plant ?? 'nothing'} planted`,
    ...cpus.map((calls) => calls.map((call) => call.name).join(' | ')),
  ].join('\n');

describe('reductions', () => {
  it(`leave out no final state and no kind of error of ${PROGRAMS} random programs`, () => {
    const wrong: string[] = [];
    const mix = { programs: 0, tooLarge: 0, ordersMatter: 0, errors: 0, deadlocks: 0, reduced: 0 };
    const kinds = new Map<string, number>();
    for (let seed = 0; mix.programs < PROGRAMS; seed++) {
      const scenario = tinyProgram(seed);
      const program = new Searched(scenario);
      const on = program.depthFirst({ maxStates: MOST.on });
      const off = on.search.truncated ?? program.depthFirst({ reductions: 'off', maxStates: MOST.off });
      if (typeof off === 'string' || off.search.truncated !== undefined) {
        mix.tooLarge += 1;
        continue;
      }
      mix.programs += 1;
      for (const what of differences(program, on, off)) wrong.push(`${what}: ${textOf(scenario)}`);
      const found = new Set([...off.search.failures.values()].map(({ violation }) => kindOf(violation)));
      for (const kind of found) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      const isClean = off.ends.size > 0;
      if (off.ends.size + off.errors.size > 1) mix.ordersMatter += 1;
      if (off.errors.size > 0) mix.errors += 1;
      if (found.has('Deadlock') && isClean) mix.deadlocks += 1;
      if (on.search.states < off.search.states) mix.reduced += 1;
    }
    expect(wrong).toEqual([]);
    // The mix, so that the programs do not become harmless unseen.
    if (process.env['PAGEWALK_MIX'] !== undefined) console.log(mix, kinds);
    expect(mix.tooLarge).toBeLessThan(2 * PROGRAMS);
    expect(mix.ordersMatter).toBeGreaterThan(0.25 * PROGRAMS);
    expect(mix.errors).toBeGreaterThan(0.25 * PROGRAMS);
    expect(mix.deadlocks).toBeGreaterThan(0.003 * PROGRAMS);
    expect(mix.reduced).toBeGreaterThan(0.5 * PROGRAMS);
    for (const kind of ['UseAfterFree', 'StaleTranslation', 'UnlockedWrite', 'MissingAck', 'TornEntry', 'Leak', 'Bug'])
      expect([kind, kinds.get(kind) ?? 0]).toEqual([
        kind,
        expect.toSatisfy((count: number) => count >= 0.003 * PROGRAMS),
      ]);
  });
});

/** Programs in which a footprint once said too little, and an order of events was left out for that. */
describe('orders of events that were left out once', () => {
  const L1 = 3;
  const page = pageAt(0);
  const warm = [[], [read(page)]];
  const one = (run: CpuOperation['run'], more: Partial<CpuOperation> = {}): CpuOperation => ({
    name: 'one',
    run,
    ...more,
  });
  const walk = ({ cpu }: XenMm): number => cpu.translator.translate(loOfPage(page), hiOfPage(page), 0);
  const takes = one(({ tables, heap }) => {
    tables.read(L1 * 512);
    heap.alloc();
    tables.read(L1 * 512);
    return heap.alloc();
  });
  const asks = one(({ flush }) => flush.request(2, page, FLUSH_TLB_GLOBAL));
  const programs: readonly [string, Pick<Scenario, 'cpus'> & Partial<Scenario>][] = [
    [
      'an interrupt, and a call with interrupts off that begins with a read',
      {
        cpus: [
          [asks],
          [
            one(
              (mm) => {
                mm.tables.read(L1 * 512);
                return walk(mm);
              },
              { irqsOff: true },
            ),
          ],
        ],
      },
    ],
    ['two CPUs that take the last table', { machine: { frames: 5, pool: 0 }, cpus: [[takes], [takes]] }],
    ['two CPUs that take from one another', { machine: { frames: 8, pool: 2 }, cpus: [[takes], [takes, takes]] }],
    [
      'a store whose call ends some local events later, and a cache that drops what it replaced',
      {
        warm,
        hardware: { evictions: 1 },
        cpus: [
          [
            one(({ tables, heap }) => {
              tables.write(L1 * 512, 1, 0, 0);
              const table = heap.alloc();
              tables.fill(table, 0, 0, 0);
              return heap.alloc();
            }),
          ],
          [],
        ],
      },
    ],
    [
      'a store to a table that another store unlinks',
      {
        hardware: { storeBuffers: true },
        cpus: [
          [one(({ tables }) => tables.exchange(1 * 512, 3, 0, 0))],
          [
            one(({ tables }) => {
              tables.write(2 * 512 + 1, 2, 0, 0);
              return 0;
            }),
          ],
        ],
      },
    ],
  ];
  it.each(programs)('%s', (name, some) => {
    const without = ['acknowledged', 'no-leak', 'owner-lock'] as const;
    const program = new Searched({ name, about: '', prepare, without, ...some });
    const off = program.depthFirst({ reductions: 'off' });
    expect(differences(program, program.depthFirst({}), off)).toEqual([]);
    expect(off.ends.size + off.errors.size).toBeGreaterThan(1);
  });
});
