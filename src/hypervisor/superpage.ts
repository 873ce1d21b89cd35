/**
 * Superpages and the tables they turn into, and back. Whoever calls holds the lock of the L3 table, or has claimed the entry;
 * `map_pgdir_lock`, or the lock of the entry's table, goes around the one store that exchanges page and table, after a last
 * look at the entry.
 */
import { D, G, isPresent, P, PS, RW } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { COALESCES_UNIFORM, MOVES_PAT } from './behaviour.ts';
import { claimTable } from './claim.ts';
import {
  FLUSH_ORDER,
  FLUSH_TLB,
  FLUSH_TLB_GLOBAL,
  MAP_SMALL_PAGES,
  orderOf,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_TABLE,
  PAGE_PAT,
  pagesOf,
} from './flags.ts';
import { MARK_STATIC, PGT_PINNED_HI, TYPE_HI } from './frame-table.ts';
import { RESIZE } from './gather.ts';
import { NO_FRAME } from './heap.ts';
import type { XenMm } from './mm.ts';
import { NEVER_PUBLISHED } from './proof.ts';
import type { Entry } from './tables.ts';

/** Bit 12 of a superpage's entry is PAT: bit 0 of what reads as its frame number. */
const patOf = (frame: Frame): number => frame & 1;

/** Whether a present entry of a level maps a page. */
export const isLeaf = (level: number, flags: number): boolean => level === 1 || (flags & PS) !== 0;

/** Flags of a leaf as they would be on a 4 KiB page: PS gone, PAT in bit 7 where it moves. Xen: lNf_to_l1f(). */
export function smallFlags(mm: XenMm, level: number, frame: Frame, flags: number): number {
  if (level === 1 || !isPresent(flags)) return flags;
  const pat = (mm.choices & MOVES_PAT) !== 0 && patOf(frame) !== 0 ? PAGE_PAT : 0;
  return (flags & ~PS) | pat;
}

/** First frame of the page that a leaf maps. */
export const pageFrame = (mm: XenMm, level: number, frame: Frame): Frame =>
  level > 1 && (mm.choices & MOVES_PAT) !== 0 ? frame - patOf(frame) : frame;

/**
 * Exchanges the superpage that `entry` held as (frame, flags) for a table of 512 pieces. Where another CPU was faster, its
 * entry stays.
 * @param flushes  whether the split is flushed
 * @returns false where no table could be allocated
 */
export function split(
  mm: XenMm,
  entry: Entry,
  level: number,
  page: number,
  frame: Frame,
  flags: number,
  flushes: boolean,
): boolean {
  const { tables, heap, locks, gather } = mm;
  const table = mm.newTable();
  if (table === NO_FRAME) return false;
  const pieceFlags = level === 2 ? smallFlags(mm, 2, frame, flags) : flags;
  const first = level === 2 ? pageFrame(mm, 2, frame) : frame;
  tables.fill(table, first, pieceFlags, pagesOf(level - 1));
  // A change that is still open concerns pages before this superpage: one flush may cover both.
  locks.lockPgdir();
  const now = tables.read(entry);
  const lost = !isPresent(now) || (now & PS) === 0;
  if (!lost) tables.publish(entry, level, table, PAGE_HYPERVISOR_TABLE);
  locks.unlockPgdir();
  if (!lost) mm.splits += 1;
  const global = (flags & G) !== 0 ? FLUSH_TLB_GLOBAL : 0;
  if (flushes) gather.stored(RESIZE, page, FLUSH_TLB | global | FLUSH_ORDER(orderOf(level)));
  if (lost) heap.free(table, NEVER_PUBLISHED);
  return true;
}

/** Whether pages with these flags (as of 4 KiB pages) may become a superpage after they were mapped. */
export function coalesces(mm: XenMm, flags: number): boolean {
  if ((mm.choices & COALESCES_UNIFORM) !== 0) return couldBeSuperpage(mm, flags);
  return flags === (PAGE_HYPERVISOR & mm.flagsMask);
}

/**
 * Whether pages with these flags can become a superpage at all. Writable ones without D cannot: hardware could set D in a
 * piece after the scan, and the store of the superpage would take it away.
 */
export const couldBeSuperpage = (mm: XenMm, flags: number): boolean =>
  (flags & (P | MAP_SMALL_PAGES)) === P &&
  (flags & (RW | D)) !== RW &&
  ((mm.choices & MOVES_PAT) !== 0 || (flags & PAGE_PAT) === 0);

/**
 * Exchanges the table that `entry` of `level` leads to for a superpage, where its entries are one run of leaves with the
 * flags of a request.
 * @param page   the last page of the request: names the area in the flush
 * @param flags  of the request, as for 4 KiB pages
 * @returns whether a superpage is there, made now or before
 */
export function coalesce(mm: XenMm, entry: Entry, level: number, page: number, flags: number): boolean {
  const { tables, locks, gather } = mm;
  gather.before(RESIZE); // `map_pgdir_lock` is not held over a flush
  if (!claimTable(mm, entry)) return false;
  locks.lockPgdir();
  const base = runBelow(mm, entry, level, flags);
  const now = tables.read(entry);
  const table = tables.frame;
  if (base >= 0) {
    tables.write(entry, level, base, (flags & ~PAGE_PAT) | PS);
    locks.retireChild();
  } else locks.unlockChild();
  locks.unlockPgdir();
  if (base < 0) return isPresent(now) && (now & PS) !== 0;
  mm.coalesces += 1;
  gather.detach(table);
  gather.stored(RESIZE, page, FLUSH_TLB_GLOBAL | FLUSH_ORDER(orderOf(level)));
  return true;
}

/** A table of the image, or one that is pinned, stays. */
export function isFixed(mm: XenMm, table: Frame): boolean {
  const at = mm.frames.at(table);
  return mm.frames.has(table, MARK_STATIC) || (mm.frames.words[at + TYPE_HI]! & PGT_PINNED_HI) !== 0;
}

/**
 * What the superpage would hold as its frame that could replace the table below `entry`: the first frame, with PAT in
 * bit 0; -1 where there is no table, or no run. Locks the table, so that no store into it gets lost.
 */
function runBelow(mm: XenMm, entry: Entry, level: number, flags: number): Frame {
  const { tables, locks } = mm;
  const now = tables.read(entry);
  const table = tables.frame;
  if (!isPresent(now) || (now & PS) !== 0 || isFixed(mm, table) || !locks.lockChild(table)) return -1;
  const pat = (flags & PAGE_PAT) !== 0 ? 1 : 0;
  if (level === 2) {
    const base = tables.runBase(table, 1, flags);
    return base < 0 ? base : base + pat;
  }
  const base = tables.runBase(table, level - 1, (flags & ~PAGE_PAT) | PS);
  return base >= 0 && patOf(base) === pat ? base : -1;
}
