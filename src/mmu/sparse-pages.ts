/** Sparse memory: RAM wherever it is touched. Frames get backing pages in the order of their first touch, and keep them. */
import type { Frame } from './halves.ts';

/** RAM that exists where it is touched. */
export interface SparseOptions {
  /** Fills a frame that is touched for the first time (all zero at the call), without touching others; false: there is no RAM, and it may be asked again. Default: zeros everywhere. */
  readonly load?: (frame: Frame, target: Uint8Array) => boolean;
  /** Frames that may be touched; further ones behave as if there were no RAM. Default 2^18 (1 GiB). */
  readonly maxPages?: number;
}

/** Holes that are remembered, 2^20: a guest may touch 2^40 frames, and memory must not grow with those that are none. */
const MAX_HOLES = 1 << 20;

export class SparsePages {
  readonly maxPages: number;
  readonly #load: (frame: Frame, target: Uint8Array) => boolean;
  readonly #bytesOf: (page: number) => Uint8Array;
  /** Backing page of each frame touched, -1 where `load` has none. */
  readonly #pages = new Map<Frame, number>();
  #used = 0;
  #holes = 0;

  /** @param bytesOf  the bytes of a backing page; the first call for one makes room for it */
  constructor(options: SparseOptions, bytesOf: (page: number) => Uint8Array) {
    this.maxPages = options.maxPages ?? 1 << 18;
    this.#load = options.load ?? (() => true);
    this.#bytesOf = bytesOf;
  }

  /** The backing page of a frame, which is touched by that; -1 where there is no RAM. */
  pageOf(frame: Frame): number {
    return this.#pages.get(frame) ?? this.#touch(frame);
  }

  /** Makes a page what its frame is before any store. False where the loader has none. */
  load(page: number, frame: Frame): boolean {
    return this.#load(frame, this.#bytesOf(page).fill(0));
  }

  /** Each frame touched that is RAM, in the order of first touch. */
  forEach(visit: (page: number, frame: Frame) => void): void {
    this.#pages.forEach((page, frame) => {
      if (page >= 0) visit(page, frame);
    });
  }

  #touch(frame: Frame): number {
    if (this.#used === this.maxPages) return -1;
    const page = this.load(this.#used, frame) ? this.#used++ : -1;
    if (page >= 0 || this.#holes++ < MAX_HOLES) this.#pages.set(frame, page);
    return page;
  }
}
