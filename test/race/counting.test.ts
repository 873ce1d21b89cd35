/**
 * Known numbers of interleavings: n events of one CPU and m of another are (n + m)! / (n! m!) schedules. What nobody else
 * can tell from not having happened yet, and the end of a call, belong to the step before: they add none.
 */
import { describe, expect, it } from 'vitest';
import { pageAt } from '../../src/explorer/calls.ts';
import { DepthFirst, type DepthFirstOptions } from '../../src/explorer/depth-first.ts';
import { Explored } from '../../src/explorer/explored.ts';
import { type CpuOperation, read, type Scenario } from '../../src/explorer/scenario.ts';
import { mapPages, PAGE_HYPERVISOR, type XenMm } from '../../src/hypervisor/index.ts';
import { NEVER_PUBLISHED } from '../../src/hypervisor/proof.ts';

/** The first L1 table: page 0 of the directmap is mapped. */
const L1 = 3;
const prepare = (mm: XenMm): void => void mapPages(mm, pageAt(0), 100, 1, PAGE_HYPERVISOR);

/** As many reads of one entry; of entries of its own, where `own` tells which. */
const reads = (count: number, own = 0): CpuOperation => ({
  name: `${count} reads`,
  run: ({ tables }) => {
    for (let nth = 0; nth < count; nth++) tables.read(L1 * 512 + own);
    return 0;
  },
});

const scenario = (...cpus: (readonly CpuOperation[])[]): Scenario => ({ name: 'counting', about: '', prepare, cpus });

function explored(what: Scenario, options: DepthFirstOptions = { reductions: 'off' }): DepthFirst {
  const search = new DepthFirst(new Explored(what), options);
  search.run();
  expect(search.truncated).toBeUndefined();
  return search;
}

const binomial = (n: number, k: number): number => (k === 0 ? 1 : (binomial(n - 1, k - 1) * n) / k);

describe('schedules of two CPUs', () => {
  const sizes = [
    [1, 1],
    [2, 2],
    [3, 3],
    [2, 5],
    [6, 6],
  ] as const;
  it.each(sizes)('with %d and %d events are as many as there are ways to shuffle them', (n, m) => {
    expect(explored(scenario([reads(n)], [reads(m)])).ends).toBe(binomial(n + m, n));
  });

  it('are the same where the events are of several calls', () => {
    expect(explored(scenario([reads(1), reads(2)], [reads(3)])).ends).toBe(20);
  });

  it('are two where a lock is held around all', () => {
    const locked = (nth: number): CpuOperation => ({
      name: `locked ${nth}`,
      run: (mm) => {
        mm.begin();
        mm.locks.lockPgdir();
        mm.tables.read(L1 * 512);
        mm.tables.read(L1 * 512);
        mm.locks.unlockPgdir();
        return 0;
      },
    });
    expect(explored(scenario([locked(0)], [locked(1)])).ends).toBe(2);
  });

  it('do not grow by events that nobody else can tell from not having happened yet', () => {
    const withTable: CpuOperation = {
      name: 'allocates between two reads',
      run: (mm) => {
        mm.tables.read(L1 * 512);
        const table = mm.heap.alloc();
        mm.tables.fill(table, 0, 0, 0);
        mm.tables.read(L1 * 512);
        mm.heap.free(table, NEVER_PUBLISHED);
        return 0;
      },
    };
    // Three events: two reads and the free.
    expect(explored(scenario([withTable], [reads(2)])).ends).toBe(binomial(5, 2));
  });
});

describe('schedules of three CPUs', () => {
  it('with two events each are 90', () => {
    expect(explored(scenario([reads(2)], [reads(2)], [reads(2)])).ends).toBe(90);
  });

  it('with one, two and three are 60', () => {
    expect(explored(scenario([reads(1)], [reads(2)], [reads(3)])).ends).toBe(60);
  });
});

describe('schedules of hardware', () => {
  it('are counted like those of code: a walk is 6 events', () => {
    // The TLB and the structure caches asked; loads of levels 4 to 1, where A is set already; the fill.
    const walks = [[], [read(pageAt(0))]];
    /** Nobody can go on: a search also ends where only hardware can, which need not. */
    class Counting extends Explored {
      complete = 0;
      override enabled(): number {
        const enabled = super.enabled();
        if (enabled === 0) this.complete += 1;
        return enabled;
      }
    }
    const machine = new Counting({ ...scenario([reads(2)], []), walks });
    const search = new DepthFirst(machine, { reductions: 'off' });
    search.run();
    expect(machine.complete).toBe(binomial(6 + 2, 2));
    // Besides, one for each way to end the code before the walk: after 0 to 5 of its events.
    expect(search.ends).toBe(28 + (1 + 2 + 3 + 4 + 5 + 6));
  });
});

describe('bounded schedules', () => {
  it('of two CPUs without preemptions are two; with one preemption, one more for each place it can be', () => {
    const of = (preemptions: number): number =>
      explored(scenario([reads(3)], [reads(3)]), { reductions: 'off', preemptions }).ends;
    expect(of(0)).toBe(2);
    // A prefix of 1 or 2 events, then all of the other CPU, then the rest.
    expect(of(1)).toBe(2 + 2 * 2);
    expect(of(100)).toBe(20);
  });
});

describe('reductions', () => {
  it('leave one schedule of those that differ in nothing', () => {
    expect(explored(scenario([reads(6)], [reads(6, 1)]), {}).ends).toBe(1);
  });
});
