/** Two CPUs under every schedule with up to two preemptions: right with the locks, and found out without them. */
import { describe, expect, it } from 'vitest';
import {
  type Locking,
  mapPages,
  mapToMfn,
  modifyPages,
  PAGE_HYPERVISOR,
  Xen,
  type XenMm,
} from '../../src/hypervisor/index.ts';
import { Machine } from '../../src/index.ts';
import { exploreSchedules, type Scenario } from '../support/schedules.ts';

const PAGE = 0xffff83000 * 2 ** 16;
const INVALID = 2 ** 52 - 1;

interface Expected {
  /** Frames that each page may have in the end. */
  readonly [page: number]: readonly number[];
}

/** Two CPUs over tables that `prepare` has made, each with its own operation; and what may come out. */
function scenario(
  locking: Locking,
  prepare: (mm: XenMm) => void,
  operations: readonly [(mm: XenMm) => void, (mm: XenMm) => void],
  expected: Expected,
): () => Scenario {
  return () => {
    const machine = new Machine({ memory: { size: 1 << 16 }, cpus: 2, caches: { tlb: 16, tlbLarge: 16, tlbHuge: 4 } });
    const xen = new Xen(machine, { heap: { start: 0, size: 1 << 16 }, locking, checks: 'full' });
    prepare(xen.on(0));
    const check = (): string[] => {
      const wrong: string[] = [];
      for (const [page, frames] of Object.entries(expected)) {
        const mapped = mapToMfn(xen.on(0), PAGE + Number(page));
        if (!frames.includes(mapped)) wrong.push(`lost update: page ${page}`);
      }
      const reached = reachable(xen);
      for (const table of xen.frames.tables()) if (!reached.has(table)) wrong.push('leaked table');
      return wrong;
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

const small = (page: number, mfn: number) => (mm: XenMm) => void mapPages(mm, PAGE + page, mfn, 1, PAGE_HYPERVISOR);
const large = (page: number, mfn: number) => (mm: XenMm) => void mapPages(mm, PAGE + page, mfn, 512, PAGE_HYPERVISOR);
const destroy = (page: number) => (mm: XenMm) => void modifyPages(mm, PAGE + page, PAGE + page + 1, 0);
const nothing = () => {};

const SCENARIOS: readonly [string, (mm: XenMm) => void, [(mm: XenMm) => void, (mm: XenMm) => void], Expected][] = [
  ['two pages of an empty address space', nothing, [small(0, 7), small(1, 9)], { 0: [7], 1: [9] }],
  ['a page and a superpage over it', small(3, 5), [small(1, 9), large(0, 512)], { 0: [512], 1: [9, 513], 3: [515] }],
  ['a superpage and a page, nothing before', nothing, [large(0, 512), small(1, 9)], { 0: [512], 1: [9, 513] }],
  ['two superpages over one table', small(3, 5), [large(0, 512), large(0, 1024)], { 0: [512, 1024] }],
  ['two splits of a superpage', large(0, 512), [small(0, 7), small(1, 9)], { 0: [7], 1: [9], 2: [514] }],
  ['the last page destroyed, its neighbour mapped', small(0, 7), [destroy(0), small(1, 9)], { 0: [INVALID], 1: [9] }],
  [
    'a page restored to a superpage, another one changed',
    (mm) => [large(0, 512), small(0, 7)].forEach((step) => step(mm)),
    [small(0, 512), small(1, 9)],
    { 0: [512], 1: [9], 2: [514] },
  ],
];

describe.each(SCENARIOS)('%s', (_name, prepare, operations, expected) => {
  it.each<[Locking, number]>([
    ['l3', 2],
    ['reverify', 2],
    ['pgdir', 1],
  ])('is right under every schedule: %s, %d preemptions', (locking, preemptions) => {
    const { schedules, failures } = exploreSchedules(scenario(locking, prepare, operations, expected), preemptions);
    expect([...failures]).toEqual([]);
    expect(schedules).toBeGreaterThan(preemptions === 2 ? 200 : 20);
  });
});

describe('without the L3 lock', () => {
  it('what XSA-345 was about is found', () => {
    const found = new Set<string>();
    for (const [, prepare, operations, expected] of SCENARIOS)
      for (const what of exploreSchedules(scenario('none-prefix', prepare, operations, expected), 1).failures.keys())
        found.add(what.replace(/0x\w+|\d+/g, 'N'));
    const kinds = [...found].sort().join('\n');
    for (const kind of [/in the way/, /use of table N, which is free|double free/, /lost update/, /leaked table/])
      expect(kinds).toMatch(kind);
  });
});
