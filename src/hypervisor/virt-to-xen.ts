/**
 * From an address to its entry at a level, adding the tables that are missing on the way.
 *
 * L3 tables are never freed and an L4 entry never changes once it is set: that makes reading it without a lock safe, and
 * the lock that lies in the L3 table's page_info too. Below, whoever calls holds that lock, or has claimed the entry.
 */
import { bug } from '../bug.ts';
import type { Address } from '../mmu/address.ts';
import { isPresent, PS } from '../mmu/entry.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import { claim } from './claim.ts';
import { orderOf, PAGE_HYPERVISOR_TABLE, pagesOf } from './flags.ts';
import { NO_FRAME } from './heap.ts';
import { lowBits, pageOf } from './layout.ts';
import type { XenMm } from './mm.ts';
import { NEVER_PUBLISHED } from './proof.ts';
import { ENTRIES, type Entry } from './tables.ts';

/** No entry: a table could not be allocated. */
export const NO_ENTRY = -1;
/** No entry: nothing is there, and nothing was to be added. */
export const HOLE = -2;

/** Where an entry lies. */
export interface Slot {
  /** Frame of the table. */
  readonly table: Frame;
  /** 0 to 511. */
  readonly index: number;
  /** 4 to 1. */
  readonly level: number;
}

/** Index of a page's entry in a table of `level`. */
export const indexAt = (page: number, level: number): number =>
  level === 4 ? l4Index(page) : indexOf(lowBits(page), level);

/** The same for levels 1 to 3, by the low bits of a page: an int32 is passed on as it is, a double is allocated. */
export const indexOf = (bits: number, level: number): number => (bits >>> orderOf(level)) & 511;

/** In the root. */
export const l4Index = (page: number): number => (page / 0x800_0000) & 511;
const l3Index = (page: number): number => (lowBits(page) >>> 18) & 511;

/**
 * The L3 entry of an address; undefined where a table could not be allocated. Adds the L3 table.
 * Xen: virt_to_xen_l3e().
 */
export function virtToXenL3e(mm: XenMm, virt: Address): Slot | undefined {
  return slotAt(mm, pageOf(virt), 3);
}

/**
 * The L2 entry. A bug where a superpage maps the address. Xen: virt_to_xen_l2e().
 */
export function virtToXenL2e(mm: XenMm, virt: Address): Slot | undefined {
  return slotAt(mm, pageOf(virt), 2);
}

/**
 * The L1 entry. A bug where a superpage maps the address. Xen: virt_to_xen_l1e().
 */
export function virtToXenL1e(mm: XenMm, virt: Address): Slot | undefined {
  return slotAt(mm, pageOf(virt), 1);
}

/**
 * The entry that maps an address, or where its mapping would go, as deep as tables reach now; adds none. Its level tells
 * of a superpage: 2 for 2 MiB, 3 for 1 GiB.
 * Not in Xen: there, looking up an address whose superpage is in the way is a BUG.
 */
export function lookUp(mm: XenMm, virt: Address): Slot {
  mm.begin();
  try {
    const { entry, level } = deepest(mm, pageOf(virt));
    return { table: Math.floor(entry / ENTRIES), index: entry % ENTRIES, level };
  } finally {
    mm.end();
  }
}

/** The L3 entry of a page: NO_ENTRY, or HOLE where the L3 table is missing and not to be added. */
export function l3Entry(mm: XenMm, page: number, missing: 'add' | 'skip'): Entry {
  const table = l3Table(mm, l4Index(page), missing);
  return table < 0 ? table : table * ENTRIES + l3Index(page);
}

/** The L3 table that a slot of the root leads to: NO_ENTRY, or HOLE where it is missing and not to be added. */
export function l3Table(mm: XenMm, slot: number, missing: 'add' | 'skip'): Frame {
  const { tables } = mm;
  const entry = mm.root * ENTRIES + slot;
  if (!isPresent(tables.read(entry))) {
    if (missing === 'skip') return HOLE;
    if (!populate(mm, entry, 4)) return NO_ENTRY;
    tables.read(entry);
  }
  return tables.frame;
}

/** The entry below a table entry of `level`, which is read again: a superpage there is a bug, as in Xen. */
export function childOf(mm: XenMm, entry: Entry, level: number, page: number): Entry {
  const flags = mm.tables.read(entry);
  if (level < 4 && (flags & PS) !== 0)
    bug(`virt_to_xen_l${level - 1}e(${hexNumber(page)}000): a superpage of level ${level} is in the way`);
  return mm.tables.below(indexAt(page, level - 1));
}

/**
 * The entry with an index in the table below, where the entry above was looked at before and nobody else is thought to
 * change it: read again, and followed whatever it is. Without the L3 lock it may be a superpage by now, and its data are taken for entries.
 * Xen: l2e_to_l1e(*pl2e), l3e_to_l2e(*pl3e).
 */
export function childUnchecked(mm: XenMm, entry: Entry, index: number): Entry {
  mm.tables.read(entry);
  return mm.tables.below(index);
}

/**
 * Links a new, empty table to an entry that is not present. Where another CPU was faster, its table stays.
 * @returns false where no table could be allocated
 */
export function populate(mm: XenMm, entry: Entry, level: number): boolean {
  const { tables, heap, locks } = mm;
  const table = mm.newTable();
  if (table === NO_FRAME) return false;
  tables.fill(table, 0, 0, 0);
  locks.lockPgdir();
  const lost = isPresent(tables.read(entry));
  if (!lost) {
    tables.publish(entry, level, table, PAGE_HYPERVISOR_TABLE);
    if (level === 4) mm.onL4Entry?.(entry % ENTRIES, table, PAGE_HYPERVISOR_TABLE);
  }
  locks.unlockPgdir();
  if (lost) heap.free(table, NEVER_PUBLISHED);
  return true;
}

const rootEntry = (mm: XenMm, page: number): Entry => mm.root * ENTRIES + l4Index(page);

/** Where the entry of a page at `level` lies, adding tables; undefined where one could not be allocated. */
function slotAt(mm: XenMm, page: number, level: number): Slot | undefined {
  mm.begin();
  try {
    const entry = entryAt(mm, page, level);
    return entry < 0 ? undefined : { table: Math.floor(entry / ENTRIES), index: entry % ENTRIES, level };
  } finally {
    mm.locks.unlockBelow();
    mm.end();
  }
}

function entryAt(mm: XenMm, page: number, level: number): Entry {
  const { tables } = mm;
  let entry = l3Entry(mm, page, 'add');
  for (let above = 3; above > level && entry >= 0; above--) {
    const flags = tables.read(entry);
    if (!isPresent(flags)) {
      if (!claim(mm, entry, tables.frame, flags)) return entryAt(mm, page, level);
      if (!populate(mm, entry, above)) return NO_ENTRY;
    }
    entry = childOf(mm, entry, above, page);
  }
  return entry;
}

/** Pages from `page` to the end of the page that maps it, 1 to 262144; 0 where nothing does. Adds no table. */
export function leafAt(mm: XenMm, page: number): number {
  const { level, flags } = deepest(mm, page);
  return isPresent(flags) ? pagesOf(level) - (page % pagesOf(level)) : 0;
}

/** The entry at which a walk for a page ends: a leaf, or one that is not present. */
function deepest(mm: XenMm, page: number): { readonly entry: Entry; readonly level: number; readonly flags: number } {
  let entry = rootEntry(mm, page);
  for (let level = 4; ; level--) {
    const flags = mm.tables.read(entry);
    const isTable = isPresent(flags) && (level === 4 || (level > 1 && (flags & PS) === 0));
    if (!isTable) return { entry, level, flags };
    entry = mm.tables.frame * ENTRIES + indexAt(page, level - 1);
  }
}
