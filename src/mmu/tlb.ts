/**
 * One CPU's TLB: what walks found, by page size, with raw rights. It never faults and never reads memory.
 *
 * An entry covers its whole page, whatever the size, so INVLPG anywhere in a large page is one drop. For one address
 * there may be entries of several sizes, as hardware allows; the smallest is used.
 * Source: SDM 3A, "Translation Lookaside Buffers (TLBs)", "Use of PCIDs", "Global Pages".
 */

import type { CacheShape } from './cache-shape.ts';
import { Generations, GLOBAL_CONTEXT } from './generations.ts';
import type { Frame } from './halves.ts';
import type { PagingFormat } from './paging-mode.ts';
import { TranslationCache } from './translation-cache.ts';

export interface TlbShape {
  /** 4 KiB pages, 2 or 4 MiB pages, 1 GiB pages. */
  readonly small: CacheShape;
  readonly large: CacheShape;
  readonly huge: CacheShape;
}

export class Tlb {
  // Result of the last `find` that hit.
  /** First frame of the page. */
  frame: Frame = 0;
  rights = 0;
  /** 1, 2 or 3. */
  level = 1;

  readonly #generations = new Generations();
  /** By level; index 0 stands for level 1. */
  protected readonly caches: readonly [TranslationCache, TranslationCache, TranslationCache];
  /** Of 4 KiB pages: most lookups end here. */
  readonly small: TranslationCache;
  /** Slot of the entry found or filled last. */
  slot = 0;
  /** Whether a large or huge page was ever kept. */
  hasLarge = false;

  /** @param onGrow  told how many entries for 4 KiB pages there are since it grew; no entry has marks then */
  constructor(
    shape: TlbShape,
    onEvict: (lo: number, hi: number, shift: number, marks: number) => void,
    onGrow: (entries: number) => void,
  ) {
    const cache = (shift: number, cacheShape: CacheShape): TranslationCache => {
      const made = new TranslationCache(shift, cacheShape, this.#generations);
      made.onEvict = onEvict;
      return made;
    };
    this.small = cache(12, shape.small);
    this.small.onGrow = onGrow;
    this.caches = [this.small, cache(21, shape.large), cache(30, shape.huge)];
  }

  /** Level-2 pages are 4 MiB in 32-bit paging, else 2 MiB. A change of size drops them all. */
  useFormat(format: PagingFormat): void {
    const large = this.caches[1];
    if (format.levels >= 2 && large.shift !== format.shift(2)) large.reshape(format.shift(2));
  }

  /** Whether pages of a level are kept at all. */
  holds(level: number): boolean {
    return this.caches[level - 1]!.isOn;
  }

  /** Whether there is an entry for the address; it is left in the fields. */
  find(lo: number, hi: number, pcid: number): boolean {
    const slot = this.small.find(lo, hi, pcid);
    if (slot < 0) return this.hasLarge && this.#findLarge(lo, hi, pcid);
    this.#take(this.small, slot, 1);
    return true;
  }

  /** Marks the entry found or filled last: something was derived from it. */
  mark(marks: number): void {
    this.caches[this.level - 1]!.mark(this.slot, marks);
  }

  /** Keeps a translation. `context` is a PCID, or GLOBAL_CONTEXT. True where it replaced an older one of the same page. */
  fill(lo: number, hi: number, context: number, level: number, frame: Frame, rights: number): boolean {
    if (level > 1) this.hasLarge = true;
    const cache = this.caches[level - 1]!;
    const replaced = cache.fill(lo, hi, context, frame, rights);
    this.slot = cache.slot;
    this.level = level;
    return replaced;
  }

  /** Drops what translates an address for a PCID or for all; all sizes. Returns the largest level dropped, or 0. */
  dropPage(lo: number, hi: number, pcid: number): number {
    return Math.max(this.dropOf(lo, hi, pcid), this.dropOf(lo, hi, GLOBAL_CONTEXT));
  }

  /** Drops what translates an address in one context only; all sizes. Returns the largest level dropped, or 0. */
  dropOf(lo: number, hi: number, context: number): number {
    let level = 0;
    for (let at = 0; at < 3; at++) if (this.caches[at]!.drop(lo, hi, context)) level = at + 1;
    return level;
  }

  /** Drops the non-global entries of one PCID. */
  flush(pcid: number): void {
    this.#generations.flush(pcid);
  }

  flushNonGlobal(): void {
    this.#generations.flushNonGlobal();
  }

  flushAll(): void {
    this.#generations.flushAll();
  }

  /** Each live entry: address, context, level, first frame, rights. */
  forEach(visit: (lo: number, hi: number, context: number, level: number, frame: Frame, rights: number) => void): void {
    this.caches.forEach((cache, at) => {
      cache.forEach((lo, hi, context, frame, rights) => visit(lo, hi, context, at + 1, frame, rights));
    });
  }

  #findLarge(lo: number, hi: number, pcid: number): boolean {
    for (let level = 2; level <= 3; level++) {
      const cache = this.caches[level - 1]!;
      const slot = cache.find(lo, hi, pcid);
      if (slot < 0) continue;
      this.#take(cache, slot, level);
      return true;
    }
    return false;
  }

  #take(cache: TranslationCache, slot: number, level: number): void {
    this.slot = slot;
    this.frame = cache.frameAt(slot);
    this.rights = cache.rightsAt(slot);
    this.level = level;
  }
}
