/**
 * What is known about each backing page of memory, one byte a page, over a buffer that threads may share.
 *
 * Bits are set and cleared one at a time, atomically: another thread may be changing a neighbour of the same byte.
 */

/** The page was written since the flag was cleared. */
export const PAGE_DIRTY: number = 1;
/** The embedder keeps translated code of this page: writes to it are reported. */
export const PAGE_CODE: number = 2;
/** Guest writes to this page are dropped. */
export const PAGE_ROM: number = 4;

/** Before the flags stands the epoch, one int32, and padding. */
const HEADER = 8;

/** Bytes of a buffer for the flags of so many pages. */
export const flagBytesNeeded = (pages: number): number => HEADER + pages;

export class PageFlags {
  readonly buffer: ArrayBufferLike;
  /** PAGE_* of each backing page. */
  readonly bytes: Uint8Array;
  readonly #epoch: Int32Array;

  constructor(buffer: ArrayBufferLike) {
    this.buffer = buffer;
    this.#epoch = new Int32Array(buffer, 0, 1);
    this.bytes = new Uint8Array(buffer, HEADER);
  }

  has(page: number, flag: number): boolean {
    return (this.bytes[page]! & flag) !== 0;
  }

  set(page: number, flag: number): void {
    Atomics.or(this.bytes, page, flag);
  }

  clear(page: number, flag: number): void {
    Atomics.and(this.bytes, page, ~flag);
  }

  clearEverywhere(flag: number): void {
    for (let page = 0; page < this.bytes.length; page++) if (this.has(page, flag)) this.clear(page, flag);
  }

  /** Counts changes after which a store may no longer go past the flags, over all threads. */
  get epoch(): number {
    return Atomics.load(this.#epoch, 0);
  }

  nextEpoch(): void {
    Atomics.add(this.#epoch, 0, 1);
  }
}
