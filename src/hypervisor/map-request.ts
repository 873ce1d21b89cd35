/** What is left of a request to map pages. One object per CPU, used again for each request. */
import { isPresent } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { INVALID_MFN, MAP_SMALL_PAGES, ORDERS, PAGE_PAT, PAGES } from './flags.ts';
import { END_OF_PAGES, lowBits } from './layout.ts';

export class MapRequest {
  /** The next page, 0 to 2^52. */
  page = 0;
  /** The frame it is mapped to; INVALID_MFN stays what it is. */
  mfn: Frame = 0;
  /** Pages left and done. */
  left = 0;
  done = 0;
  /** 24 bits. */
  flags = 0;
  /** Low 32 bits of `page`: indexes below level 4, and alignment. */
  pageBits = 0;
  /** What alignment of frames counts: 0 where no frame is mapped. */
  #mfnBits = 0;

  start(page: number, mfn: Frame, nrMfns: number, flags: number): void {
    this.page = page;
    this.mfn = mfn;
    this.left = Math.min(nrMfns, END_OF_PAGES - page);
    this.done = 0;
    this.flags = flags;
    this.pageBits = lowBits(page);
    this.#mfnBits = this.isMapping ? lowBits(mfn) : 0;
  }

  /** Whether pages are mapped, and not unmapped or only prepared for. */
  get isMapping(): boolean {
    return isPresent(this.flags);
  }

  /** Whether what is left begins with a whole page of `level`, and may be one. Frames that are not mapped need no alignment. */
  fits(level: number): boolean {
    const pages = PAGES[level]!;
    return (
      this.left >= pages &&
      (this.flags & (PAGE_PAT | MAP_SMALL_PAGES)) === 0 &&
      ((this.pageBits | this.#mfnBits) & (pages - 1)) === 0
    );
  }

  /** Whether a superpage of `level` could follow, or nothing is left: when tables are looked at for a run. */
  isAtBoundary(level: number): boolean {
    return this.left === 0 || ((this.pageBits | this.#mfnBits) & (PAGES[level]! - 1)) === 0;
  }

  /** Pages of what is left that lie in the same entry of `level`. */
  within(level: number): number {
    const pages = PAGES[level]!;
    return Math.min(this.left, pages - (this.pageBits & (pages - 1)));
  }

  /** Index of the next page's entry in a table of level 1 to 3. */
  index(level: number): number {
    return (this.pageBits >>> ORDERS[level]!) & 511;
  }

  advance(pages: number): void {
    this.page += pages;
    this.pageBits = (this.pageBits + pages) | 0;
    this.left -= pages;
    this.done += pages;
    if (this.mfn === INVALID_MFN) return;
    this.mfn += pages;
    if (this.isMapping) this.#mfnBits = (this.#mfnBits + pages) | 0;
  }
}
