/**
 * Which pages of a region of linear addresses are given out: areas of one page or more, each behind a guard page that is
 * never mapped, found by first fit.
 *
 * Two bitmaps over the region's pages. In USED a run of ones is an area: the guard page before each keeps runs apart, so
 * that a run's length is the area's, and nothing else need be kept. STARTS marks areas that can be given back. Giving back
 * takes the mark first and the pages last; of two CPUs that give back one area, one finds no mark, and nobody gets the pages
 * while they are being unmapped.
 * Xen: vm_alloc(), vm_free(), whose bitmap pages are mapped as the region fills. Ours lies outside the tables.
 */
import type { Region } from './layout.ts';
import { LockedWords, type Stepper } from './locked-words.ts';

/** A region of 8 TiB: bits count to 2^31. */
const MAX_PAGES = 2 ** 31 - 32;

/** No area: nowhere are so many pages free. Not in Xen: there it is NULL. */
export const NO_AREA = -1;

/** What another thread needs to open the same. Structured-cloneable. Not in Xen: there, all CPUs share all memory. */
export interface SharedVmapArea {
  readonly region: Region;
  readonly name: number;
  readonly buffer: ArrayBufferLike;
}

// Words. All below LOW is used, or a guard page: where a search may begin.
const LOW = 0;
const USED = 1;

/**
 * The areas of one region. Pages are linear page numbers, but where a comment says "from its start".
 * Xen: vm_base[], vm_bitmap(), vm_low[], vm_top[], vm_end[] of one region.
 */
export class VmapArea {
  readonly region: Region;
  readonly #state: LockedWords;
  readonly #words: Int32Array;
  /** Pages of the region, words of a bitmap, the first word of the other bitmap. */
  readonly #pages: number;
  readonly #length: number;
  readonly #starts: number;

  /** @param name  of its words, a number of its own for each of one Xen's; see LockedWords */
  constructor(region: Region, name: number, storage: ArrayBufferLike | { readonly shared: boolean }) {
    this.region = region;
    this.#pages = region.end - region.start;
    if (!(this.#pages >= 2 && this.#pages <= MAX_PAGES))
      throw new RangeError(`a region has 2 to ${MAX_PAGES} pages, not ${this.#pages}`);
    this.#length = Math.ceil(this.#pages / 32);
    this.#starts = USED + this.#length;
    this.#state = new LockedWords(name, this.#starts + this.#length, storage);
    this.#words = this.#state.words;
  }

  /** In another thread, the areas that `share()` told of. */
  static attach({ region, name, buffer }: SharedVmapArea): VmapArea {
    return new VmapArea(region, name, buffer);
  }

  share(): SharedVmapArea {
    return { region: this.region, name: this.#state.name, buffer: this.#state.buffer };
  }

  /**
   * Takes the first free pages that suit.
   * @param align  pages that the first is a multiple of: a power of two, or the lowest bit set counts; 0 is 1
   * @returns the first page of the area; NO_AREA
   */
  reserve(by: Stepper, pages: number, align: number): number {
    return this.#state.step(by, pages, () => {
      const low = this.#words[LOW]!;
      const first = this.#firstFit(low, pages, align & -align || 1);
      if (first === NO_AREA) return NO_AREA;
      this.#mark(first, pages, 'used');
      this.#words[this.#starts + (first >>> 5)]! |= 1 << (first & 31);
      if (first === low + 1) this.#words[LOW] = first + pages;
      return this.region.start + first;
    });
  }

  /** Pages of the area that begins at a page; 0 where none does. Xen: vm_size(). */
  sizeOf(by: Stepper, page: number): number {
    return this.#state.step(by, page, () => this.#areaAt(page - this.region.start));
  }

  /** Begins to give back: the same, and from now on there is no area to give back at that page. */
  claim(by: Stepper, page: number): number {
    return this.#state.step(by, page, () => {
      const first = page - this.region.start;
      const pages = this.#areaAt(first);
      if (pages > 0) this.#words[this.#starts + (first >>> 5)]! &= ~(1 << (first & 31));
      return pages;
    });
  }

  /** Gives back what was claimed: its pages are free. */
  release(by: Stepper, page: number, pages: number): void {
    this.#state.step(by, page, () => {
      const first = page - this.region.start;
      this.#mark(first, pages, 'free');
      this.#words[LOW] = Math.min(this.#words[LOW]!, first - 1);
      return 0;
    });
  }

  /** Keeps what was claimed: it can be given back again. */
  keep(by: Stepper, page: number): void {
    this.#state.step(by, page, () => {
      const first = page - this.region.start;
      this.#words[this.#starts + (first >>> 5)]! |= 1 << (first & 31);
      return 0;
    });
  }

  /** Pages in use. Reads the whole bitmap. */
  usedPages(by: Stepper): number {
    return this.#state.step(by, 0, () => {
      let used = 0;
      for (let at = this.#next(0, 'used'); at < this.#pages; at = this.#next(at, 'used')) {
        const end = this.#next(at, 'free');
        used += end - at;
        at = end;
      }
      return used;
    });
  }

  /** The page of the first fit, from the region's start. The page before it and the page after its last are free too. */
  #firstFit(low: number, pages: number, align: number): number {
    const { start } = this.region;
    for (let guard = low; ; ) {
      const first = Math.ceil((start + guard + 1) / align) * align - start;
      const end = first + pages;
      if (end > this.#pages) return NO_AREA;
      const used = this.#next(first - 1, 'used');
      if (used > end || used === this.#pages) return first;
      guard = this.#next(used, 'free');
    }
  }

  /** Pages of the area that begins at a page from the region's start; 0 where none does. */
  #areaAt(first: number): number {
    if (first < 1 || first >= this.#pages) return 0;
    const isStart = (this.#words[this.#starts + (first >>> 5)]! & (1 << (first & 31))) !== 0;
    return isStart ? this.#next(first, 'free') - first : 0;
  }

  /** The next page, from the region's start, that is used or free; the number of pages where none is. */
  #next(from: number, wanted: 'used' | 'free'): number {
    if (from >= this.#pages) return this.#pages;
    const invert = wanted === 'used' ? 0 : -1;
    let at = from >>> 5;
    let word = (this.#words[USED + at]! ^ invert) & (-1 << (from & 31));
    while (word === 0) {
      at += 1;
      if (at === this.#length) return this.#pages;
      word = this.#words[USED + at]! ^ invert;
    }
    return 32 * at + 31 - Math.clz32(word & -word); // bits past the last page are never set
  }

  #mark(first: number, pages: number, as: 'used' | 'free'): void {
    const end = first + pages;
    for (let at = first; at < end; ) {
      const bits = Math.min(32 - (at & 31), end - at);
      const mask = (bits === 32 ? -1 : (1 << bits) - 1) << (at & 31);
      if (as === 'used') this.#words[USED + (at >>> 5)]! |= mask;
      else this.#words[USED + (at >>> 5)]! &= ~mask;
      at += bits;
    }
  }
}
