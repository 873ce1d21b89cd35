/**
 * `modify_xen_mappings`: changes P, RW, A, D and NX of what is mapped, keeping frames and all other attributes; with flags
 * 0, unmaps and frees the tables that become empty. L3 tables stay.
 */
import type { Address } from '../mmu/address.ts';
import { G, isPresent, NX, P } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { FLUSH_ORDER, FLUSH_TLB, FLUSH_TLB_GLOBAL, MODIFY_MASK, ORDERS, PAGES } from './flags.ts';
import { MARK_KEPT } from './frame-table.ts';
import { CHANGE } from './gather.ts';
import { pageOf } from './layout.ts';
import { EINVAL, ENOMEM, type XenMm } from './mm.ts';
import { refusesModify } from './strict.ts';
import { coalesce, isFixed, isLeaf, smallFlags, split } from './superpage.ts';
import { ENTRIES, type Entry } from './tables.ts';
import { childOf, HOLE, indexAt, l3Entry, NO_ENTRY } from './virt-to-xen.ts';

/**
 * Changes the flags of what is mapped from `s` to `e`.
 * @param s   first byte, page aligned
 * @param e   one past the last byte, page aligned
 * @param nf  new flags: NX, D, A, RW and P count. Without P, unmaps
 * @returns 0; -ENOMEM, with the first `mm.pagesDone` pages done; in strict mode -EINVAL, with nothing changed
 * Xen: modify_xen_mappings(s, e, nf).
 */
export function modifyXenMappings(mm: XenMm, s: Address, e: Address, nf: number): number {
  return modifyPages(mm, pageOf(s), pageOf(e), nf);
}

/**
 * Unmaps from `s` to `e`, and frees the tables that become empty.
 * Xen: destroy_xen_mappings(s, e).
 */
export function destroyXenMappings(mm: XenMm, s: Address, e: Address): number {
  return modifyPages(mm, pageOf(s), pageOf(e), 0);
}

/** The same by page numbers, 0 to 2^52 - 1; `end` is exclusive. Xen: modify_xen_mappings(). */
export function modifyPages(mm: XenMm, first: number, end: number, nf: number): number {
  if (mm.behaviour.requests === 'strict' && refusesModify(mm, first, end, nf)) return -EINVAL;
  mm.begin();
  const flags = nf & MODIFY_MASK & (mm.options.nx ? -1 : ~NX);
  const { behaviour } = mm;
  let page = first;
  let error = 0;
  while (page < end && error === 0) {
    const pl3e = l3Entry(mm, page, behaviour.holes === 'allocate' ? 'add' : 'skip');
    if (pl3e === NO_ENTRY) error = -ENOMEM;
    else if (pl3e === HOLE) page = nextBoundary(page, 4);
    else {
      const reached = modifyBelow(mm, pl3e, page, end, flags);
      if (reached < 0) error = -ENOMEM;
      page = Math.abs(reached);
    }
  }
  mm.pagesDone = Math.max(0, Math.min(page, end) - first);
  // Xen flushes once, even where there was nothing to do; but not after a failure.
  const isOwed = error === 0 ? first >= end : behaviour.failedModify === 'flushed';
  if (behaviour.flush === 'each' && isOwed) mm.flush.all(0, FLUSH_TLB_GLOBAL);
  return error;
}

/**
 * As much as lies below one L3 table, under its lock; or one step, where each is locked by itself. Returns the page
 * reached; negative where a table could not be allocated.
 */
function modifyBelow(mm: XenMm, pl3e: Entry, first: number, end: number, nf: number): number {
  const { locks, gather, flush, behaviour } = mm;
  const isOneStep = behaviour.flush === 'each';
  const table = Math.floor(pl3e / ENTRIES);
  const limit = Math.min(end, nextBoundary(first, 4));
  locks.lockBelow(table);
  try {
    let page = first;
    let next = page;
    do {
      next = step(mm, table * ENTRIES + indexAt(page, 3), page, end, nf);
      if (next >= 0) page = next;
    } while (next >= 0 && !isOneStep && page < limit);
    gather.complete();
    if (isOneStep && next >= 0 && page >= end) flush.all(0, FLUSH_TLB_GLOBAL); // once, under the last lock
    return next < 0 ? -page : page;
  } finally {
    locks.unlockBelow();
  }
}

/** Changes what one entry maps, or splits it and starts anew. Returns the page reached, or -1 where there is no memory. */
function step(mm: XenMm, pl3e: Entry, page: number, end: number, nf: number): number {
  const { tables, behaviour, path } = mm;
  let entry = pl3e;
  for (let level = 3; ; level--) {
    path[level] = entry;
    const old = tables.read(entry);
    const frame = tables.frame;
    const pages = PAGES[level]!;
    const isWhole = page % pages === 0 && end - page >= pages;

    if (level > 1 && isPresent(old) && isLeaf(level, old) && !isWhole) {
      const flushes = behaviour.modifySplit === 'flushed';
      if (!split(mm, entry, level, page, frame, old, flushes)) return -1;
      return page;
    }
    if (level > 1 && isPresent(old) && !isLeaf(level, old)) {
      entry = childOf(mm, entry, level, page);
      continue;
    }
    if (level === 1 || isPresent(old)) change(mm, entry, level, page, frame, old, nf);
    const next = isPresent(old) || level === 1 ? page + pages : nextBoundary(page, level);
    if (!isPresent(nf)) freeEmptyAbove(mm, level, next, end);
    else if (behaviour.coalesceAfterModify === 'yes') coalesceAbove(mm, level, next, end);
    return next;
  }
}

/** The first page of the next entry of a level. */
const nextBoundary = (page: number, level: number): number => page - (page % PAGES[level]!) + PAGES[level]!;

/** One store: the leaf with its new flags, or cleared. A hole stays a hole, except where all is as in Xen. */
function change(mm: XenMm, entry: Entry, level: number, page: number, frame: Frame, old: number, nf: number): void {
  const { tables, gather, behaviour } = mm;
  if (!isPresent(old) && behaviour.absentEntries === 'zero') return;
  const now = (old & ~MODIFY_MASK) | nf;
  if (behaviour.flush === 'gather' && now === old) return;
  if (behaviour.flush === 'gather') gather.before(CHANGE);
  if (isPresent(nf)) tables.write(entry, level, frame, now);
  else tables.write(entry, level, 0, 0);
  if (behaviour.flush === 'each') return; // flushed once, in the end
  const global = (old & G) !== 0 ? FLUSH_TLB_GLOBAL : 0;
  gather.leaveOpen(CHANGE, page, FLUSH_TLB | global | FLUSH_ORDER(ORDERS[level]!));
}

/**
 * Frees the tables above that became empty, from below: an L1 after its last page, an L2 after its last L1, where the range
 * ends or leaves them. Each is detached under `map_pgdir_lock`.
 */
function freeEmptyAbove(mm: XenMm, level: number, page: number, end: number): void {
  const { tables, locks, gather, behaviour } = mm;
  const isDone = behaviour.emptyL2 === 'free' ? page >= end : page === end;
  for (let above = level + 1; above <= 3; above++) {
    if (!isDone && page % PAGES[above]! !== 0) return;
    const entry = mm.path[above]!;
    locks.lockPgdir();
    const now = tables.read(entry);
    const table = tables.frame;
    const isEmpty = isPresent(now) && !isLeaf(above, now) && isRemovable(mm, table) && tables.isEmpty(table, above - 1);
    if (isEmpty) tables.write(entry, above, 0, 0);
    locks.unlockPgdir();
    if (!isEmpty) continue;
    gather.detach(table);
    gather.stored(CHANGE, 0, FLUSH_TLB_GLOBAL);
  }
}

const isRemovable = (mm: XenMm, table: Frame): boolean =>
  !isFixed(mm, table) && (mm.behaviour.absentEntries === 'verbatim' || !mm.frames.has(table, MARK_KEPT));

/** Makes superpages of what became uniform, where the range ends or leaves a table. */
function coalesceAbove(mm: XenMm, level: number, page: number, end: number): void {
  const { tables } = mm;
  const flags = smallFlags(mm, level, 0, tables.read(mm.path[level]!));
  for (let above = level + 1; above <= 3; above++) {
    if (!mm.hasPages(above) || (page < end && page % PAGES[above]! !== 0)) return;
    if ((flags & P) === 0 || coalesce(mm, mm.path[above]!, above, page - 1, flags) !== 'superpage') return;
  }
}
