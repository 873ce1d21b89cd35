/** What is left of a request to map pages. One object per CPU, used again for each request. */
import { P } from '../mmu/entry.ts';
import { type Frame, narrow } from '../mmu/halves.ts';
import { INVALID_MFN, MAP_SMALL_PAGES, orderOf, PAGE_PAT, pagesOf } from './flags.ts';
import { END_OF_PAGES, lowBits } from './layout.ts';

const M2_PAGES = 1 << 9;
const G1_PAGES = 1 << 18;

/** What will be a double is one from the start: V8 need not forget what it has learned of the object. */
const DOUBLE = Number.NaN;

export class MapRequest {
  /** The next page, 0 to 2^52. */
  page: number = DOUBLE;
  /** The frame it is mapped to; INVALID_MFN stays what it is. */
  mfn: Frame = DOUBLE;
  /** Pages left and done. */
  left = 0;
  done = 0;
  /** 24 bits. */
  flags = 0;
  /** Low 32 bits of `page`: indexes below level 4, and alignment. */
  pageBits = 0;
  /** What alignment of frames counts: 0 where no frame is mapped. */
  #mfnBits = 0;
  // Which bits of a number of pages `mfn` and `#mfnBits` go on by: all or none.
  #mfnMoves = 0;
  #alignmentMoves = 0;

  /** Whether pages are mapped, and not unmapped or only prepared for. */
  get isMapping(): boolean {
    return (this.flags & P) !== 0;
  }

  start(page: number, mfn: Frame, nrMfns: number, flags: number): void {
    this.page = page;
    this.mfn = mfn;
    this.left = narrow(Math.min(nrMfns, END_OF_PAGES - page));
    this.done = 0;
    this.flags = flags;
    this.pageBits = lowBits(page);
    this.#mfnMoves = mfn === INVALID_MFN ? 0 : -1;
    this.#alignmentMoves = this.isMapping ? this.#mfnMoves : 0;
    this.#mfnBits = this.isMapping ? lowBits(mfn) : 0;
  }

  /** Level of the largest page that what is left begins with, and may be one. Frames that are not mapped need no alignment. */
  largest(): number {
    const bits = this.pageBits | this.#mfnBits;
    if ((bits & 0x1ff) !== 0 || this.left < M2_PAGES || (this.flags & (PAGE_PAT | MAP_SMALL_PAGES)) !== 0) return 1;
    return (bits & 0x3_ffff) === 0 && this.left >= G1_PAGES ? 3 : 2;
  }

  /** Whether a superpage of `level` could follow, or nothing is left: when tables are looked at for a run. */
  isAtBoundary(level: number): boolean {
    return this.left === 0 || ((this.pageBits | this.#mfnBits) & (pagesOf(level) - 1)) === 0;
  }

  /** Pages of what is left that lie in the same entry of `level`. */
  within(level: number): number {
    const pages = pagesOf(level);
    return Math.min(this.left, pages - (this.pageBits & (pages - 1))) | 0;
  }

  /** Index of the next page's entry in a table of level 1 to 3. */
  index(level: number): number {
    return (this.pageBits >>> orderOf(level)) & 511;
  }

  advance(pages: number): void {
    this.page += pages;
    this.pageBits = (this.pageBits + pages) | 0;
    this.left -= pages;
    this.done += pages;
    this.mfn += pages & this.#mfnMoves;
    this.#mfnBits = (this.#mfnBits + (pages & this.#alignmentMoves)) | 0;
  }
}
