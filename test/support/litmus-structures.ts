/**
 * Litmus tests about the levels above pages: a 2 MiB region that is mapped by a table or as a whole, and operations that
 * change that, or use it.
 */
import { M2, pageAt } from '../../src/explorer/calls.ts';
import { type CpuOperation, read, type Scenario } from '../../src/explorer/scenario.ts';
import { hiOfPage, loOfPage } from '../../src/explorer/world.ts';
import { FLUSH_TLB } from '../../src/hypervisor/flags.ts';
import { lookUp, mapPages, type XenMm } from '../../src/hypervisor/index.ts';
import { addressAt } from '../../src/hypervisor/layout.ts';
import { READ } from '../../src/mmu/access.ts';
import { A, P, PS, RW } from '../../src/mmu/entry.ts';
import { outcomesOf } from './litmus.ts';

const ENTRIES = 512;
export const LEAF: number = P | RW | A;
/** Two pages of one 2 MiB region, and one of the next. */
export const X: number = pageAt(0);
export const X1: number = pageAt(1);
export const Y: number = pageAt(M2);
/** X's region maps as many frames from here. */
export const BASE = 512;
export const FAULT = -1;

/** The entry of level 2 above X, and the table that it leads to or may lead to. */
let above = 0;
let table = 0;

/** X's region is mapped by a table of 512 pages; `leaf` may make the entry of X another one. */
export const pieces =
  (leaf: number = LEAF) =>
  (mm: XenMm): void => {
    mapPages(mm, Y, 3 * BASE, 1, LEAF);
    mapPages(mm, X, BASE, 1, LEAF);
    table = lookUp(mm, addressAt(X)).table;
    for (let at = 0; at < ENTRIES; at++) mm.tables.write(table * ENTRIES + at, 1, BASE + at, at === 0 ? leaf : LEAF);
    above = entryAbove(mm, X);
  };

/** X's region is one superpage; the table lies ready, its entries with these flags. */
export const whole =
  (leaf: number = LEAF) =>
  (mm: XenMm): void => {
    pieces()(mm);
    for (let at = 0; at < ENTRIES; at++) mm.tables.write(table * ENTRIES + at, 1, BASE + at, leaf);
    mm.tables.write(above, 2, BASE, LEAF | PS);
  };

function entryAbove(mm: XenMm, page: number): number {
  let entry = mm.root * ENTRIES + (Math.floor(page / 512 ** 3) % ENTRIES);
  for (const span of [512 ** 2, 512]) {
    mm.tables.read(entry);
    entry = mm.tables.frame * ENTRIES + (Math.floor(page / span) % ENTRIES);
  }
  return entry;
}

export const operation = (name: string, run: (mm: XenMm) => number | undefined): CpuOperation => ({
  name,
  run,
  irqsOff: true,
});

/** Returns FAULT; or the level of the leaf, and 8 where it walked. */
export const access = (page: number, kind: number = READ): CpuOperation =>
  operation('access', ({ cpu: { translator } }) => {
    const before = translator.counters.walks;
    if (translator.translate(loOfPage(page), hiOfPage(page), kind) !== 0) return FAULT;
    return translator.level + (translator.counters.walks !== before ? 8 : 0);
  });
export const unlink: CpuOperation = operation('unlink', ({ tables }) => void tables.write(above, 2, 0, 0));
export const seesUnlinked: CpuOperation = operation('sees it unlinked', ({ tables }) =>
  tables.read(above) === 0 ? 1 : 0,
);
export const promote = (frame: number = BASE): CpuOperation =>
  operation('promote', ({ tables }) => void tables.write(above, 2, frame, LEAF | PS));
export const split: CpuOperation = operation('split', ({ tables }) => void tables.write(above, 2, table, LEAF));
export const invlpg = (page: number): CpuOperation =>
  operation('INVLPG', ({ cpu }) => void cpu.invlpg(loOfPage(page), hiOfPage(page)));

/** A scenario whose CPUs have cached these pages. */
export const scenario = (
  prepare: (mm: XenMm) => void,
  cpus: readonly (readonly CpuOperation[])[],
  cached: readonly (readonly number[])[] = [],
  more: Partial<Scenario> = {},
): Scenario => ({
  name: 'levels above',
  about: 'a litmus test',
  machine: { frames: 16, pool: 0 },
  prepare,
  cpus,
  warm: cached.map((pages) => pages.map(read)),
  ...more,
});

/** What the operations of the last CPU return, over all outcomes. */
export const results = (of: Scenario): string[] =>
  outcomesOf(of, () => []).map(({ results: all }) => all.at(-1)!.join(' '));

/** Sizes that CPU 0 has cached, as levels. */
export function sizes({ cpu: { translator } }: XenMm): number[] {
  const levels: number[] = [];
  translator.tlb.forEach((_lo, _hi, _context, level) => levels.push(level));
  return levels.sort();
}

/** Unlinks X's table, flushes in some way, and frees it with a proof that says nothing of that. */
export const freeAfter = (flush: (mm: XenMm) => void): CpuOperation => ({
  name: 'unlink and free',
  run: (mm) => {
    mm.tables.write(above, 2, 0, 0);
    const proof = mm.flush.begin(X, FLUSH_TLB);
    flush(mm);
    mm.heap.free(table, proof);
    return 0;
  },
});
export const noFlush = (): void => {};
export const shootdown = ({ flush, mailboxes }: XenMm): void => flush.mask(mailboxes.onlineMask, X, FLUSH_TLB);

/** Whether A is set in the entry of X. */
export const isAccessed = ({ tables }: XenMm): number => ((tables.read(table * ENTRIES) & A) !== 0 ? 1 : 0);
