/**
 * `modify_xen_mappings`: changes P, RW, A, D and NX of what is mapped, keeping frames and all other attributes; with flags
 * 0, unmaps and frees the tables that become empty. L3 tables stay.
 */
import type { Address } from '../mmu/address.ts';
import { G, isPresent } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { claim, claimTable } from './claim.ts';
import { tableOf } from './entry-words.ts';
import { FLUSH_ORDER, FLUSH_TLB, FLUSH_TLB_GLOBAL, MODIFY_MASK, orderOf, pagesOf } from './flags.ts';
import { CHANGE } from './gather.ts';
import { END_OF_PAGES, lowBits, pageOf } from './layout.ts';
import { EINVAL, ENOMEM, type XenMm } from './mm.ts';
import { tablesNeeded } from './reserve.ts';
import { refusesAddress, refusesModify } from './strict.ts';
import { coalesce, couldBeSuperpage, isFixed, isLeaf, smallFlags, split } from './superpage.ts';
import { ENTRIES, type Entry } from './tables.ts';
import { childUnchecked, HOLE, indexOf, l3Entry, NO_ENTRY } from './virt-to-xen.ts';

/**
 * Changes the flags of what is mapped from `s` to `e`.
 * @param s   first byte, page aligned
 * @param e   one past the last byte, page aligned
 * @param nf  new flags: NX, D, A, RW and P count. Without P, unmaps
 * @returns 0; -ENOMEM, with the first `mm.pagesDone` pages done; in strict mode -EINVAL, with nothing changed
 * Xen: modify_xen_mappings(s, e, nf).
 */
export function modifyXenMappings(mm: XenMm, s: Address, e: Address, nf: number): number {
  if (refusesAddress(mm, s) || refusesAddress(mm, e)) return -EINVAL;
  return modifyPages(mm, pageOf(s), pageOf(e), nf);
}

/**
 * Unmaps from `s` to `e`, and frees the tables that become empty.
 * Xen: destroy_xen_mappings(s, e).
 */
export function destroyXenMappings(mm: XenMm, s: Address, e: Address): number {
  return modifyXenMappings(mm, s, e, 0);
}

/** The same by page numbers, 0 to 2^52 - 1; `until` is exclusive. Xen: modify_xen_mappings(). */
export function modifyPages(mm: XenMm, first: number, until: number, nf: number): number {
  mm.begin();
  try {
    return modifyRequest(mm, first, until, nf);
  } finally {
    mm.end();
  }
}

function modifyRequest(mm: XenMm, first: number, until: number, nf: number): number {
  if (mm.behaviour.requests === 'strict' && refusesModify(mm, first, until, nf)) return -EINVAL;
  const end = Math.min(until, END_OF_PAGES);
  const flags = nf & MODIFY_MASK & mm.flagsMask;
  if (mm.behaviour.onFailure === 'keep') return modifyAll(mm, first, end, flags);
  if (!mm.heap.reserve(tablesToModify(mm, first, end))) return -ENOMEM;
  const error = modifyAll(mm, first, end, flags);
  mm.heap.unreserve();
  return error;
}

/** Does the whole request, one L3 table after another. */
function modifyAll(mm: XenMm, first: number, end: number, nf: number): number {
  const { behaviour } = mm;
  let page = first;
  let error = 0;
  let isFlushed = false;
  while (page < end && error === 0) {
    const pl3e = l3Entry(mm, page, behaviour.holes === 'allocate' ? 'add' : 'skip');
    if (pl3e === NO_ENTRY) error = -ENOMEM;
    else if (pl3e === HOLE) page = nextBoundary(page, 4);
    else {
      error = modifyBelow(mm, pl3e, page, end, nf);
      page = mm.reached;
      isFlushed = page >= end;
    }
    if (error === -ENOMEM && mm.reclaim()) error = 0;
  }
  mm.pagesDone = Math.max(0, Math.min(page, end) - first);
  // Xen flushes once, even where there was nothing to do; but not after a failure.
  const isOwed = error === 0 ? !isFlushed : behaviour.failedModify === 'flushed';
  if (behaviour.flush === 'each' && isOwed) mm.flush.all(0, FLUSH_TLB_GLOBAL);
  return error;
}

/** Tables that a request needs at most: for the superpages that it begins or ends in. */
const tablesToModify = (mm: XenMm, first: number, end: number): number =>
  tablesNeeded(mm, first, Math.max(0, end - first), (level, flags, _frame, page) => {
    if (!isPresent(flags)) return level < 4 || mm.behaviour.holes === 'skip';
    return level < 4 && isLeaf(level, flags) && isWhole(page, end, level);
  });

/** Whether a range up to `end` has the whole of the page of `level` that begins at `page`. */
const isWhole = (page: number, end: number, level: number): boolean =>
  isAtStart(lowBits(page), level) && end - page >= pagesOf(level);

/** Whether an entry of `level` begins at a page with these low bits. */
const isAtStart = (bits: number, level: number): boolean => (bits & (pagesOf(level) - 1)) === 0;

/**
 * As much as lies below one L3 table, under its lock or those of the tables below; or one step, where each is locked by
 * itself. Leaves the page reached in `mm.reached`.
 */
function modifyBelow(mm: XenMm, pl3e: Entry, first: number, end: number, nf: number): number {
  const { locks, gather, flush, behaviour } = mm;
  const isOneStep = behaviour.flush === 'each';
  const table = tableOf(pl3e);
  const limit = Math.min(end, nextBoundary(first, 4));
  mm.reached = first;
  locks.lockBelow(table);
  try {
    let error = 0;
    do {
      error = step(mm, table * ENTRIES + indexOf(lowBits(mm.reached), 3), end, nf);
      mm.serveOthers();
    } while (error === 0 && !isOneStep && mm.reached < limit);
    gather.complete();
    if (isOneStep && error === 0 && mm.reached >= end) flush.all(0, FLUSH_TLB_GLOBAL); // once, under the last lock
    return error;
  } finally {
    locks.unlockBelow();
  }
}

/**
 * Changes what one entry maps from `mm.reached`; or splits it, and reaches nothing yet. Or nothing, where another CPU was
 * faster. The page is no argument: a number so large would be allocated at each call.
 */
function step(mm: XenMm, pl3e: Entry, end: number, nf: number): number {
  const { tables, behaviour, path, locks, reached: page } = mm;
  let entry = pl3e;
  for (let level = 3; ; level--) {
    path[level] = entry;
    const old = tables.read(entry);
    const frame = tables.frame;
    if (level > 1 && isPresent(old) && !isLeaf(level, old)) {
      const index = indexOf(lowBits(page), level - 1);
      entry = locks.isPerTable ? frame * ENTRIES + index : childUnchecked(mm, entry, index);
      continue;
    }
    if ((level === 1 || isPresent(old)) && !claim(mm, entry, frame, old)) return 0;
    if (level > 1 && isPresent(old) && !isWhole(page, end, level)) {
      const flushes = behaviour.modifySplit === 'flushed';
      return split(mm, entry, level, page, frame, old, flushes) ? 0 : -ENOMEM;
    }
    if (level === 1 || isPresent(old)) change(mm, entry, level, frame, old, nf);
    mm.reached = page + toBoundary(lowBits(page), level);
    if (!isPresent(nf)) freeEmptyAbove(mm, level, end);
    else if (behaviour.coalesceAfterModify === 'yes') coalesceAbove(mm, level, end);
    return 0;
  }
}

/** The first page of the next entry of a level. */
const nextBoundary = (page: number, level: number): number => page + toBoundary(lowBits(page), level);

/** Pages up to it, by the low bits of a page. */
const toBoundary = (bits: number, level: number): number => pagesOf(level) - (bits & (pagesOf(level) - 1));

/** One store: the leaf with its new flags, or cleared. A hole stays a hole, except where all is as in Xen. */
function change(mm: XenMm, entry: Entry, level: number, frame: Frame, old: number, nf: number): void {
  const { tables, gather, behaviour } = mm;
  if (!isPresent(old) && behaviour.absentEntries === 'zero') return;
  const now = (old & ~MODIFY_MASK) | nf;
  if (behaviour.flush === 'gather' && now === old) return;
  if (behaviour.flush === 'gather') gather.before(CHANGE);
  if (isPresent(nf)) tables.write(entry, level, frame, now);
  else tables.write(entry, level, 0, 0);
  if (behaviour.flush === 'each') return; // flushed once, in the end
  const global = (old & G) !== 0 ? FLUSH_TLB_GLOBAL : 0;
  const flush = FLUSH_TLB | global | FLUSH_ORDER(orderOf(level));
  if (!gather.joins(CHANGE, flush)) gather.leaveOpen(CHANGE, mm.reached, flush);
}

/**
 * Frees the tables above that became empty, from below: an L1 after its last page, an L2 after its last L1, where the range
 * ends or leaves them. Each is detached under `map_pgdir_lock`, or its own lock and that of the table above.
 */
function freeEmptyAbove(mm: XenMm, level: number, end: number): void {
  const { tables, locks, gather, behaviour, reached: page } = mm;
  const isDone = behaviour.emptyL2 === 'free' ? page >= end : page === end;
  for (let above = level + 1; above <= 3; above++) {
    if (!isDone && !isAtStart(lowBits(page), above)) return;
    const entry = mm.path[above]!;
    if (!claimTable(mm, entry)) return;
    locks.lockPgdir();
    const now = tables.read(entry);
    const table = tables.frame;
    const mayGo = isPresent(now) && !isLeaf(above, now) && isRemovable(mm, table) && locks.lockChild(table);
    const isEmpty = mayGo && tables.isEmpty(table, above - 1);
    if (isEmpty) {
      tables.write(entry, above, 0, 0);
      locks.retireChild();
    } else locks.unlockChild();
    locks.unlockPgdir();
    if (!isEmpty) continue;
    gather.detach(table);
    gather.stored(CHANGE, 0, FLUSH_TLB_GLOBAL);
  }
}

const isRemovable = (mm: XenMm, table: Frame): boolean =>
  !isFixed(mm, table) && (mm.behaviour.absentEntries === 'verbatim' || !mm.tables.isKept(table));

/** Makes superpages of what became uniform, where the range ends or leaves a table. */
function coalesceAbove(mm: XenMm, level: number, end: number): void {
  const { tables, reached: page } = mm;
  const now = tables.read(mm.path[level]!);
  const flags = smallFlags(mm, level, tables.frame, now);
  for (let above = level + 1; above <= 3; above++) {
    if (!couldBeSuperpage(mm, flags) || !mm.hasPages(above) || (page < end && !isAtStart(lowBits(page), above))) return;
    if (!coalesce(mm, mm.path[above]!, above, page - 1, flags)) return;
  }
}
