/**
 * `map_pages_to_xen`: maps a range of pages to a range of frames in the largest pages that fit, over whatever is there.
 *
 * The way of one step, from the L3 entry down: the first level at which the request fits is written; a superpage that
 * says the same already is skipped; one in the way is split; a missing table is added. Upwards again: what became one run
 * is coalesced. Each entry is replaced by one store, so that a page is never absent in between. A step that finds that
 * another CPU was faster does nothing, and is done again (claim.ts).
 */
import type { Address } from '../mmu/address.ts';
import { A, D, G, isPresent, P, PS } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { ALLOCATES_HOLES, FLUSHES_EACH, IS_STRICT, ROLLS_BACK } from './behaviour.ts';
import { claim } from './claim.ts';
import { tableOf } from './entry-words.ts';
import {
  FLUSH_CACHE_EVICT,
  FLUSH_ORDER,
  FLUSH_TLB,
  FLUSH_TLB_GLOBAL,
  FLUSH_VA_VALID,
  INVALID_MFN,
  MAP_SMALL_PAGES,
  orderOf,
  PAGE_CACHE_ATTRS,
  pagesOf,
} from './flags.ts';
import { CHANGE } from './gather.ts';
import { DIRECTMAP, HYPERVISOR_VIRT, pageOf } from './layout.ts';
import { EINVAL, ENOMEM, type XenMm } from './mm.ts';
import { tablesNeeded } from './reserve.ts';
import { refusesAddress, refusesMap } from './strict.ts';
import { coalesce, coalesces, isFixed, isLeaf, pageFrame, smallFlags, split } from './superpage.ts';
import { traitsOf } from './table-loops.ts';
import { ENTRIES, type Entry } from './tables.ts';
import { childOf, childUnchecked, HOLE, l3Table, l4Index, NO_ENTRY, populate } from './virt-to-xen.ts';

/**
 * Maps `nrMfns` pages from `virt` to frames from `mfn` with `flags` (24 bits). Without P in the flags, unmaps; with
 * MAP_SMALL_PAGES and without P, adds the tables and maps nothing.
 * @param virt    byte address; its low 12 bits are ignored
 * @param mfn     first frame, or INVALID_MFN where nothing is mapped
 * @param nrMfns  4 KiB pages, 0 or more
 * @returns 0; -ENOMEM, with the first `mm.pagesDone` pages done; in strict mode -EINVAL, with nothing changed
 * Xen: map_pages_to_xen(virt, mfn, nr_mfns, flags).
 */
export function mapPagesToXen(mm: XenMm, virt: Address, mfn: Frame, nrMfns: number, flags: number): number {
  return refusesAddress(mm, virt) ? -EINVAL : mapPages(mm, pageOf(virt), mfn, nrMfns, flags);
}

/**
 * Adds the tables for a range, so that mapping it later needs none. Whatever was mapped there is gone.
 * Xen: populate_pt_range(virt, nr_mfns).
 */
export function populatePtRange(mm: XenMm, virt: Address, nrMfns: number): number {
  return mapPagesToXen(mm, virt, INVALID_MFN, nrMfns, MAP_SMALL_PAGES);
}

/** The same by page number, 0 to 2^52 - 1. Xen: map_pages_to_xen(). */
export function mapPages(mm: XenMm, page: number, mfn: Frame, nrMfns: number, flags: number): number {
  mm.begin();
  try {
    return mapRequest(mm, page, mfn, nrMfns, flags);
  } finally {
    mm.end();
  }
}

function mapRequest(mm: XenMm, page: number, mfn: Frame, nrMfns: number, flags: number): number {
  if ((mm.choices & IS_STRICT) !== 0 && refusesMap(mm, page, mfn, nrMfns, flags)) return -EINVAL;
  const { request } = mm;
  request.start(page, mfn, nrMfns, flags & mm.flagsMask);
  return (mm.choices & ROLLS_BACK) === 0 ? mapAll(mm) : mapAllOrNothing(mm, page, mfn, nrMfns);
}

/** The same with all tables set aside first. */
function mapAllOrNothing(mm: XenMm, page: number, mfn: Frame, nrMfns: number): number {
  const { request } = mm;
  const needed = tablesToMap(mm);
  request.start(page, mfn, nrMfns, request.flags);
  if (!mm.heap.reserve(needed)) return -ENOMEM;
  const error = mapAll(mm);
  mm.heap.unreserve();
  return error;
}

/** Does the whole request, one L3 table after another. */
function mapAll(mm: XenMm): number {
  const { request } = mm;
  const missing = addsTables(mm, request.flags) ? 'add' : 'skip';
  let error = 0;
  while (request.left > 0 && error === 0) {
    const table = l3Table(mm, l4Index(request.page), missing);
    if (table === NO_ENTRY) error = -ENOMEM;
    else if (table === HOLE) request.advance(request.within(4));
    else error = mapBelow(mm, table);
    if (error === -ENOMEM && mm.reclaim()) error = 0;
  }
  mm.pagesDone = request.done;
  return error;
}

/** Tables that the request needs at most; uses it up. */
function tablesToMap(mm: XenMm): number {
  const { request } = mm;
  return tablesNeeded(mm, request.page, request.left, (level, flags, frame, page) => {
    request.advance(page - request.page);
    if (!isPresent(flags) && !addsTables(mm, request.flags)) return true;
    if (level === 4) return false;
    const says = isPresent(flags) && isLeaf(level, flags) && saysTheSame(mm, level, flags, frame);
    return says || (level <= largestPage(mm) && writesOver(mm, level, flags, frame));
  });
}

/** Whether what is not there is added on the way: not to unmap it, where that is left out. */
const addsTables = (mm: XenMm, flags: number): boolean =>
  (mm.choices & ALLOCATES_HOLES) !== 0 || (flags & (P | MAP_SMALL_PAGES)) !== 0;

/**
 * As much of the request as lies below one L3 table, under its lock or those of the tables below; or one step, where each
 * step is flushed by itself.
 * What was replaced is flushed and freed before the lock is dropped.
 */
function mapBelow(mm: XenMm, table: Frame): number {
  const { request, locks, gather } = mm;
  const isOneStep = (mm.choices & FLUSHES_EACH) !== 0;
  const end = request.done + request.within(4);
  locks.lockBelow(table);
  try {
    let error = 0;
    do {
      if (request.done > 0) mm.serveOthers(); // after it a request of one page took 2 % more
      error = step(mm, table * ENTRIES + request.index(3));
    } while (error === 0 && !isOneStep && request.done < end);
    gather.complete();
    return error;
  } finally {
    locks.unlockBelow();
  }
}

/**
 * Maps, skips or unmaps what one entry can hold, adding and splitting on the way down, coalescing on the way up. Or nothing,
 * where another CPU was faster.
 */
function step(mm: XenMm, pl3e: Entry): number {
  const { request, tables, locks } = mm;
  const { page, flags } = request;
  const largest = largestPage(mm);
  // Whether tables that are too large for what is left need no second look.
  const goesThrough = locks.isExclusive && !locks.isPerTable && !isPopulate(flags);
  let pl2e: Entry = NO_ENTRY;
  let entry = pl3e;
  for (let level = 3; ; level--) {
    const old = tables.read(entry);
    if (level === 2) pl2e = entry;
    if (goesThrough && level > largest && (old & (P | PS)) === P) {
      entry = tables.below(request.index(level - 1));
      continue;
    }
    const oldFrame = tables.frame;
    if (locks.isPerTable && mayChange(mm, level, old, oldFrame) && !claim(mm, entry, oldFrame, old)) return 0;

    if (level === 1 || (level <= largest && writesOver(mm, level, old, oldFrame))) {
      if (level === 1 && !isPresent(old) && request.isMapping && request.mfn !== INVALID_MFN)
        request.advance(tables.writeRun(entry, request.mfn, flags, request.within(2)));
      else replace(mm, entry, level, old, oldFrame);
      coalesceAbove(mm, level, entry, pl2e, pl3e);
      return 0;
    }
    if (!isPresent(old)) {
      if (!addsTables(mm, flags)) {
        request.advance(request.within(level));
        return 0;
      }
      if (!populate(mm, entry, level)) return -ENOMEM;
    } else if (isLeaf(level, old)) {
      if (saysTheSame(mm, level, old, oldFrame)) {
        request.advance(request.within(level));
        coalesceAbove(mm, level, entry, pl2e, pl3e);
        return 0;
      }
      if (!split(mm, entry, level, page, oldFrame, old, true)) return -ENOMEM;
    }
    // What was read still holds; else the entry is read again, as virt_to_xen_l2e() does, or *pl2e.
    const isKnown = locks.isExclusive && isPresent(old) && !isLeaf(level, old);
    if (isKnown) entry = oldFrame * ENTRIES + request.index(level - 1);
    else if (level === 3) entry = childOf(mm, entry, level, page);
    else entry = childUnchecked(mm, entry, request.index(level - 1));
    if (isPopulate(flags)) tables.keep(tableOf(entry));
  }
}

/** Level of the largest page that the request may write next. */
const largestPage = (mm: XenMm): number => Math.min(mm.request.largest(), mm.topLevel);

/** Whether the step ends at an entry, or does more there than go through to a table. */
function mayChange(mm: XenMm, level: number, old: number, oldFrame: Frame): boolean {
  const { request } = mm;
  if (!isPresent(old) || isLeaf(level, old) || level <= largestPage(mm)) return true;
  return isPopulate(request.flags) && !mm.tables.isKept(oldFrame);
}

/** A request that adds tables and maps nothing. */
const isPopulate = (flags: number): boolean => (flags & (P | MAP_SMALL_PAGES)) === MAP_SMALL_PAGES;

/** Whether an entry that the request may write is the one to write. Unmapping leaves tables that a populate has made. */
function writesOver(mm: XenMm, level: number, old: number, oldFrame: Frame): boolean {
  const { request } = mm;
  if (request.isMapping || !isPresent(old) || isLeaf(level, old)) return true;
  return mm.behaviour.absentEntries === 'verbatim' || !mm.tables.isKept(oldFrame);
}

/** Whether a superpage maps the request's page already as it asks. A and D are hardware's to set. */
function saysTheSame(mm: XenMm, level: number, old: number, oldFrame: Frame): boolean {
  const { pageBits, mfn, flags } = mm.request;
  const mapped = pageFrame(mm, level, oldFrame) + (pageBits & (pagesOf(level) - 1));
  return mapped === mfn && ((smallFlags(mm, level, oldFrame, old) ^ flags) & ~(A | D)) === 0;
}

/** One store over whatever the entry held; then the flush, and the tables it led to. */
function replace(mm: XenMm, entry: Entry, level: number, old: number, oldFrame: Frame): void {
  const { request, tables, gather } = mm;
  const { page, mfn, flags } = request;
  const wasPresent = isPresent(old);
  if (wasPresent) gather.before(CHANGE);
  if (request.isMapping) tables.write(entry, level, mfn, level > 1 ? flags | PS : flags);
  else if (mm.behaviour.absentEntries === 'verbatim') tables.write(entry, level, mfn, flags);
  else if (wasPresent) tables.write(entry, level, 0, 0);
  if (wasPresent) {
    const traits = isLeaf(level, old)
      ? traitsOf(smallFlags(mm, level, oldFrame, old), flags)
      : detachBelow(mm, level - 1, oldFrame);
    gather.stored(CHANGE, page, FLUSH_TLB | FLUSH_ORDER(orderOf(level)) | flushFlags(mm, traits));
  }
  request.advance(pagesOf(level));
}

/**
 * Detaches a table of `level` and those below it. Returns the traits of all that they mapped.
 *
 * The entry above has changed already: a store that another CPU makes until it finds the table stale was overwritten by
 * ours. What it links there is found, since each table is stale before it is looked at.
 */
function detachBelow(mm: XenMm, level: number, table: Frame): number {
  const { tables, gather, request, locks } = mm;
  if (!locks.lockChild(table)) return 0; // whoever made it stale has detached it
  if (isFixed(mm, table)) locks.unlockChild();
  else locks.retireChild();
  let traits = tables.traits(table, level, request.flags);
  let index = level === 1 ? -1 : tables.nextTable(table, level, 0);
  while (index >= 0) {
    traits |= detachBelow(mm, level - 1, tables.frame);
    index = tables.nextTable(table, level, index + 1);
  }
  gather.detach(table);
  return traits;
}

/** What the flush of replaced pages needs besides its order, by their traits. */
function flushFlags(mm: XenMm, traits: number): number {
  const { page, isMapping } = mm.request;
  const global = (traits & G) !== 0 ? FLUSH_TLB_GLOBAL : 0;
  if (!isMapping || (traits & PAGE_CACHE_ATTRS) === 0) return global;
  // Lines of the directmap can be flushed by address; not of what may have just been unmapped elsewhere.
  const byAddress = page >= DIRECTMAP.start && page < HYPERVISOR_VIRT.end;
  return global | FLUSH_CACHE_EVICT | (byAddress ? FLUSH_VA_VALID : 0);
}

/**
 * After a step at `level`, in the table of `entry`: makes a superpage of each table that became one run, where the request
 * may end one. The counters of a table that is no run tell so before any lock is taken; without the L3 lock they do not
 * count.
 */
function coalesceAbove(mm: XenMm, level: number, entry: Entry, pl2e: Entry, pl3e: Entry): void {
  const { request, tables, locks } = mm;
  const { flags } = request;
  if (coalesces(mm, flags) !== true) return;
  let below = entry;
  for (let above = level + 1; above <= 3; above++) {
    if (!mm.hasPages(above) || !request.isAtBoundary(above)) return;
    if (locks.isExclusive && tables.mayBeRun(below, above - 1) !== true) return;
    below = above === 2 ? pl2e : pl3e;
    if (!coalesce(mm, below, above, request.page - 1, flags)) return;
  }
}
