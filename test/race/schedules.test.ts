/** Two CPUs under every schedule with up to two preemptions: right with the locks, and found out without them. */
import { describe, expect, it } from 'vitest';
import {
  type BehaviourName,
  type Locking,
  lookUp,
  mapPages,
  mapToMfn,
  modifyPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_WC,
  populatePtRange,
  Xen,
  type XenMm,
} from '../../src/hypervisor/index.ts';
import { Machine } from '../../src/index.ts';
import { exploreSchedules, type Scenario } from '../support/schedules.ts';

const PAGE = 0xffff83000 * 2 ** 16;
const ADDRESS = BigInt(PAGE) * 4096n;
const GIB = 1 << 18;
const INVALID = 2 ** 52 - 1;

interface Expected {
  /** Frames that each page may have in the end. */
  readonly [page: number]: readonly number[];
}

type Act = (mm: XenMm) => void;
/** Tables that are made first, what each CPU does, and what may come out. */
type Case = readonly [
  name: string,
  prepare: Act,
  operations: readonly Act[],
  expected: Expected,
  check?: (xen: Xen) => string[],
];

function scenario(
  locking: Locking,
  preset: BehaviourName,
  [, prepare, operations, expected, more]: Case,
): () => Scenario {
  return () => {
    const machine = new Machine({
      memory: { size: 1 << 16 },
      cpus: operations.length,
      caches: { tlb: 16, tlbLarge: 16, tlbHuge: 4 },
    });
    const xen = new Xen(machine, { heap: { start: 0, size: 1 << 16 }, locking, behaviour: preset, checks: 'full' });
    prepare(xen.on(0));
    const check = (): string[] => {
      const wrong: string[] = [];
      for (const [page, frames] of Object.entries(expected)) {
        const mapped = mapToMfn(xen.on(0), PAGE + Number(page));
        if (!frames.includes(mapped)) wrong.push(`lost update: page ${page}`);
      }
      const reached = reachable(xen);
      for (const table of xen.frames.tables()) if (!reached.has(table)) wrong.push('leaked table');
      return [...wrong, ...(more?.(xen) ?? [])];
    };
    return { cpus: operations.map((run, at) => ({ mm: xen.on(at), run: () => run(xen.on(at)) })), check };
  };
}

function reachable(xen: Xen): Set<number> {
  const found = new Set<number>();
  const enter = (table: number, level: number): void => {
    found.add(table);
    for (let index = 0; level > 1 && index < 512; index++) {
      const { low, high } = xen.machine.host.read64(table * 4096 + 8 * index);
      if ((low & 1) !== 0 && (level === 4 || (low & 0x80) === 0))
        enter((high & 0xf_ffff) * 0x10_0000 + (low >>> 12), level - 1);
    }
  };
  enter(xen.root, 4);
  return found;
}

const map =
  (page: number, mfn: number, pages: number, flags: number = PAGE_HYPERVISOR): Act =>
  (mm) =>
    void mapPages(mm, PAGE + page, mfn, pages, flags);
const small = (page: number, mfn: number): Act => map(page, mfn, 1);
const large = (page: number, mfn: number): Act => map(page, mfn, 512);
const destroy =
  (page: number): Act =>
  (mm) =>
    void modifyPages(mm, PAGE + page, PAGE + page + 1, 0);
const nothing = (): void => {};
const both =
  (...acts: Act[]): Act =>
  (mm) => {
    for (const act of acts) act(mm);
  };

const SCENARIOS: readonly Case[] = [
  ['two pages of an empty address space', nothing, [small(0, 7), small(1, 9)], { 0: [7], 1: [9] }],
  ['a page and a superpage over it', small(3, 5), [small(1, 9), large(0, 512)], { 0: [512], 1: [9, 513], 3: [515] }],
  ['a superpage and a page, nothing before', nothing, [large(0, 512), small(1, 9)], { 0: [512], 1: [9, 513] }],
  ['two superpages over one table', small(3, 5), [large(0, 512), large(0, 1024)], { 0: [512, 1024] }],
  ['two splits of a superpage', large(0, 512), [small(0, 7), small(1, 9)], { 0: [7], 1: [9], 2: [514] }],
  ['the last page destroyed, its neighbour mapped', small(0, 7), [destroy(0), small(1, 9)], { 0: [INVALID], 1: [9] }],
  [
    'a page restored to a superpage, another one changed',
    both(large(0, 512), small(0, 7)),
    [small(0, 512), small(1, 9)],
    { 0: [512], 1: [9], 2: [514] },
  ],
  ['the last two pages destroyed', both(small(0, 7), small(1, 9)), [destroy(0), destroy(1)], { 0: [INVALID] }],
  [
    'a page of another memory type, and a superpage over it',
    small(3, 5),
    [map(1, 9, 1, PAGE_HYPERVISOR_WC), large(0, 512)],
    { 1: [9, 513] },
    // Whichever comes second changes the type of a page that may be in a cache.
    (xen) => ([0, 1].some((cpu) => xen.on(cpu).flush.cacheFlushes.length > 0) ? [] : ['no cache is flushed']),
  ],
];
/** What only the preset `pagewalk` promises. */
const KEPT: Case = [
  'a table made by a populate, and all its pages unmapped',
  small(3, 5),
  [(mm) => void populatePtRange(mm, ADDRESS, 1), map(0, INVALID, 512, 0)],
  { 3: [INVALID] },
  (xen) => (lookUp(xen.on(0), ADDRESS).level === 1 ? [] : ['the table is gone']),
];
/** What only reading without a lock, and freeing after a grace period, makes safe. */
const READS: readonly Case[] = [
  ['a lookup, and a superpage over the table', small(3, 5), [both(look(3), look(3)), large(0, 512)], { 3: [515] }],
  ['a lookup, and the last page destroyed', small(3, 5), [both(look(3), look(3)), destroy(3)], { 3: [INVALID] }],
  [
    'a lookup, and a superpage restored, and split again',
    both(large(0, 512), small(0, 7)),
    [look(3), both(small(0, 512), small(1, 9))],
    { 3: [515] },
  ],
];

/** Finds the page at one of two frames, or no more. */
function look(page: number): Act {
  return (mm) => {
    lookUp(mm, ADDRESS + BigInt(page) * 4096n);
    const found = mapToMfn(mm, PAGE + page);
    if (![5, 515, INVALID].includes(found)) throw new Error(`a lookup found frame ${found}`);
  };
}

type Choice = readonly [Locking, BehaviourName, number];

const expectClean = (one: Case, [locking, preset, preemptions]: Choice): void => {
  const { schedules, failures } = exploreSchedules(scenario(locking, preset, one), preemptions);
  expect([...failures]).toEqual([]);
  expect(schedules).toBeGreaterThan(preemptions === 2 ? 200 : 20);
};

describe.each(SCENARIOS.map((one) => ({ name: one[0], one })))('$name', ({ one }) => {
  it.each<Choice>([
    ['l3', 'pagewalk', 2],
    ['pgdir', 'pagewalk', 1],
    ['reverify', 'pagewalk', 2],
    ['reverify', 'xen', 2],
  ])('is right under every schedule: %s, %s, %d preemptions', (...choice) => expectClean(one, choice));
});

/** 512 reads more, of the L2 table that goes. */
const LARGEST: Case = ['', small(3, 5), [map(0, 0, GIB), small(513, 9)], { 3: [3], 513: [9, 513] }];

describe('1 GiB over tables, a table added below', () => {
  it.each<Choice>([
    ['l3', 'pagewalk', 1],
    ['reverify', 'pagewalk', 1],
    ['reverify', 'xen', 1],
  ])('is right under every schedule: %s, %s, %d preemption', (...choice) => expectClean(LARGEST, choice));
});

describe('tables that a populate made', () => {
  it('stay, under every schedule with one preemption', () => expectClean(KEPT, ['reverify', 'pagewalk', 1]));
});

describe('reading tables without a lock', () => {
  it.each(READS.map((one) => ({ name: one[0], one })))('$name: is safe under every schedule', ({ one }) => {
    expectClean(one, ['reverify', 'pagewalk', 2]);
    expectClean(one, ['reverify', 'xen', 2]);
  });

  it('meets tables that were freed, where they are freed with their flush', () => {
    const { failures } = exploreSchedules(scenario('l3', 'pagewalk', READS[0]!), 1);
    expect([...failures.keys()].join()).toMatch(/use of table 0x\w+, which is free/);
  });
});

describe('three CPUs', () => {
  it('split, coalesce and look up in one table, and are right under every schedule with one preemption', () => {
    const acts = [small(0, 512), small(1, 9), both(look(3), destroy(2))];
    const one: Case = ['', both(large(0, 512), small(0, 7)), acts, { 0: [512], 1: [9], 2: [INVALID] }];
    expectClean(one, ['reverify', 'pagewalk', 1]);
    expectClean(one, ['reverify', 'xen', 1]);
  });
});

describe('without the L3 lock', () => {
  it('what XSA-345 was about is found', () => {
    const found = new Set<string>();
    for (const one of SCENARIOS)
      for (const what of exploreSchedules(scenario('none-prefix', 'xen', one), 1).failures.keys())
        found.add(what.replace(/0x\w+|\d+/g, 'N'));
    const kinds = [...found].sort().join('\n');
    for (const kind of [/use of table N, which is free|double free/, /lost update/, /leaked table/])
      expect(kinds).toMatch(kind);
  });
});
