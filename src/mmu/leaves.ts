/**
 * Everything that tables map, in ascending order: each leaf, and runs of leaves that continue one another.
 *
 * Absent subtrees are skipped, never stepped through. Tables that lead back to themselves end at level 1 like any other;
 * a table already found to map nothing is not entered again, so that a lattice of empty tables ends too.
 */
import { ALL_RIGHTS, narrow, patBit, withLeaf } from './access.ts';
import { isPresent } from './entry.ts';
import { type Frame, frameFrom, hiOf, isCanonical, loOf, PAGE_SIZE } from './halves.ts';
import type { MemoryPort } from './memory-port.ts';
import type { PagingFormat } from './paging-mode.ts';

/** One leaf. Pages are linear page numbers without sign extension: bits 12 and up of the address, 0 to 2^45 - 1. */
export interface Leaf {
  /** First page. */
  readonly page: number;
  /** Pages of 4 KiB: 1, 512, 1024 or 262144. */
  readonly pages: number;
  /** 3 to 1; 2 for a 4 MiB page. */
  readonly level: number;
  /** First frame. */
  readonly frame: Frame;
  /** Combined rights: access.ts. */
  readonly rights: number;
  /** The raw leaf. */
  readonly lo: number;
  /** Its high half; 0 of a 4-byte entry. */
  readonly hi: number;
}

/** A root table and the linear page its first entry maps: one, or in PAE paging the four of the PDPTE registers. */
export interface Root {
  readonly frame: Frame;
  readonly page: number;
}

/** The roots of a paging format: `pdptes` are (lo, hi) pairs in PAE paging, else empty. */
export function rootsOf(root: Frame, pdptes: ArrayLike<number>): Root[] {
  if (pdptes.length === 0) return [{ frame: root, page: 0 }];
  return [0, 1, 2, 3]
    .filter((at) => isPresent(pdptes[2 * at]!))
    .map((at) => ({ frame: frameFrom(pdptes[2 * at]!, pdptes[2 * at + 1]! & 0xf_ffff), page: at * 0x40000 }));
}

/** Asked before a table is read; where it is false, what the table maps is left out. The same table gives the same answer. */
export type Enters = (table: Frame, level: number) => boolean;

/**
 * Leaves whose pages lie in `from` to `to` (exclusive; page numbers as in `Leaf`). Entries with reserved bits set map
 * nothing.
 */
export function* leaves(
  port: MemoryPort,
  format: PagingFormat,
  roots: readonly Root[],
  from: number = 0,
  to: number = Number.POSITIVE_INFINITY,
  enters: Enters = () => true,
): Generator<Leaf> {
  const search: Search = { port, format, from, to, enters, empty: new Set() };
  for (const { frame, page } of roots) yield* leavesBelow(search, format.levels, frame, page, ALL_RIGHTS);
}

/** What stays the same on the way down. */
interface Search {
  readonly port: MemoryPort;
  readonly format: PagingFormat;
  readonly from: number;
  readonly to: number;
  readonly enters: Enters;
  /** Tables that map nothing, by frame and level. */
  readonly empty: Set<number>;
}

/** Returns whether the table maps anything at all, in range or not. */
function* leavesBelow(
  search: Search,
  level: number,
  table: Frame,
  basePage: number,
  rightsAbove: number,
): Generator<Leaf, boolean> {
  const { port, format, from, to, empty } = search;
  const pages = format.pageFrames(level);
  const entries = 4096 / format.entryBytes;
  const first = Math.max(0, Math.floor((from - basePage) / pages));
  const end = Math.min(entries, Math.ceil((to - basePage) / pages));
  const key = table * 8 + level;
  if (empty.has(key) || !search.enters(table, level)) return false;
  let mapsAnything = first > 0 || end < entries;
  for (let index = first; index < end; index++) {
    port.load(table, index, format.entryBytes);
    const { lo, hi } = port;
    if (!isPresent(lo)) continue;
    const leaf = format.isLeaf(level, lo);
    if (format.violatesReserved(level, leaf, lo, hi)) continue;
    const page = basePage + index * pages;
    const rights = narrow(rightsAbove, lo, hi);
    if (leaf) {
      mapsAnything = true;
      const frame = format.pageFrame(level, lo, hi);
      yield { page, pages, level, frame, rights: withLeaf(rights, lo, hi, patBit(level)), lo, hi };
    } else {
      const below = leavesBelow(search, level - 1, format.tableFrame(lo, hi), page, rights);
      mapsAnything = (yield* below) || mapsAnything;
    }
  }
  if (!mapsAnything) empty.add(key);
  return mapsAnything;
}

/** Leaves that follow one another with the same rights: linear and physical addresses continue. */
export interface Run {
  /** First page and number of pages, as in `Leaf`. */
  readonly page: number;
  readonly pages: number;
  readonly frame: Frame;
  /** Of all its leaves; `rightsMask` says which bits had to be equal. */
  readonly rights: number;
  /** Level of its leaves, or 0 where sizes are mixed. */
  readonly level: number;
}

/**
 * Coalesces leaves. Two continue where the rights under `rightsMask`, page and frame do, and with `same` sizes the level
 * too; never over the hole between the two halves of canonical addresses.
 */
export function* runsOf(
  all: Iterable<Leaf>,
  linearBits: number,
  rightsMask: number,
  sizes: 'mixed' | 'same' = 'mixed',
): Generator<Run> {
  const upperHalf = firstUpperPage(linearBits);
  let run: { page: number; pages: number; frame: Frame; rights: number; level: number } | undefined;
  for (const { page, pages, frame, rights: raw, level } of all) {
    const rights = raw & rightsMask;
    const continues =
      run !== undefined &&
      run.page + run.pages === page &&
      page !== upperHalf &&
      run.frame + run.pages === frame &&
      run.rights === rights &&
      (sizes === 'mixed' || run.level === level);
    if (run !== undefined && continues) {
      run.pages += pages;
      if (run.level !== level) run.level = 0;
      continue;
    }
    if (run !== undefined) yield run;
    run = { page, pages, frame, rights, level };
  }
  if (run !== undefined) yield run;
}

/** The first page whose address is sign-extended; of 32-bit addresses, the number of pages. */
const firstUpperPage = (linearBits: number): number => (linearBits === 32 ? 2 ** 20 : 2 ** (linearBits - 13));

/** Halves of the address of a page as in `Leaf`, sign-extended from the top linear bit in 64-bit modes. */
export function addressOf(page: number, linearBits: number): { lo: number; hi: number } {
  const lo = loOf((page % 0x100000) * PAGE_SIZE);
  const hi = hiOf((page - (page % 0x100000)) * PAGE_SIZE);
  return { lo, hi: page >= firstUpperPage(linearBits) ? hi | -(1 << (linearBits - 32)) : hi };
}

/**
 * The page, as in `Leaf`, that an address lies in. Of an address that none has (in the hole, or past 2^32 in 32-bit modes),
 * the first page above it.
 */
export function pageAt(lo: number, hi: number, linearBits: number): number {
  if (!hasPage(hi, linearBits)) return firstUpperPage(linearBits);
  const high = linearBits === 32 ? 0 : hi & ((1 << (linearBits - 32)) - 1);
  return high * 0x100000 + (lo >>> 12);
}

/** One past the last page that starts at or below an address. */
export const pageAfter = (lo: number, hi: number, linearBits: number): number =>
  pageAt(lo, hi, linearBits) + (hasPage(hi, linearBits) ? 1 : 0);

const hasPage = (hi: number, linearBits: number): boolean =>
  linearBits === 32 ? hi === 0 : isCanonical(hi, linearBits);
