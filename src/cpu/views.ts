/**
 * The hit views of one CPU: reads, writes and fetches of 4 KiB pages, and pieces of large pages for reads and fetches.
 * Writes through large pages have no view of their own: dirty bits are kept per 4 KiB page.
 */
import { FETCH, WRITE } from '../mmu/access.ts';
import { HitView, NO_REGIME } from '../mmu/hit-view.ts';

/** Is told the keys that the hit path must use from now on. */
export type KeysChanged = (
  reads: number,
  writes: number,
  fetches: number,
  largeReads: number,
  largeFetches: number,
) => void;

export class Views {
  readonly reads: HitView = new HitView(12);
  readonly writes: HitView = new HitView(12);
  readonly fetches: HitView = new HitView(12);
  readonly largeReads: HitView = new HitView(21);
  readonly largeFetches: HitView = new HitView(21);
  readonly #small: readonly HitView[] = [this.reads, this.writes, this.fetches];
  readonly #all: readonly HitView[] = [this.reads, this.writes, this.fetches, this.largeReads, this.largeFetches];

  #regime = 0;
  /** Whether hits are possible: not after a fault. */
  isOpen = true;
  #keysChanged: KeysChanged = () => {};

  /** Tells the keys now, and each time they change. */
  subscribe(keysChanged: KeysChanged): void {
    this.#keysChanged = keysChanged;
    this.#tell();
  }

  useRegime(regime: number): void {
    this.#regime = regime;
    this.#choose();
  }

  /** After a fault: no access is a hit until the views are open again, so that the slow path can forget the fault. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#choose();
  }

  open(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.#choose();
  }

  dropAll(): void {
    for (const view of this.#all) view.dropAll();
    this.#tell();
  }

  dropWrites(): void {
    this.writes.dropAll();
    this.#tell();
  }

  /** Drops what was derived from the TLB entry of a 4 KiB page. */
  dropPage(lo: number, hi: number): void {
    this.reads.drop(lo, hi);
    this.writes.drop(lo, hi);
    this.fetches.drop(lo, hi);
  }

  /**
   * Lets hits answer for the 4 KiB page that (lo, hi) lies in, for accesses of one kind under the current regime.
   * @returns the mark for its TLB entry, by which `dropMarked` finds it
   */
  fill(access: number, lo: number, hi: number, word: number): number {
    const kind = (access & WRITE) !== 0 ? 1 : (access & FETCH) !== 0 ? 2 : 0; // a read-modify-write is a write
    this.#small[kind]!.fill(lo, hi, word);
    return 1 << (kind * NO_REGIME + this.#regime);
  }

  /** Drops what was derived from a TLB entry with these marks: nine places to look at otherwise, for each entry evicted. */
  dropMarked(lo: number, hi: number, marks: number): void {
    for (let left = marks; left !== 0; left &= left - 1) {
      const mark = 31 - Math.clz32(left & -left);
      const kind = (mark / NO_REGIME) | 0;
      this.#small[kind]!.dropUnder(mark - kind * NO_REGIME, lo, hi);
    }
  }

  /** The view of large pages for a kind of access; none for writes. */
  largeOf(access: number): HitView | undefined {
    if ((access & WRITE) !== 0) return undefined;
    return (access & FETCH) !== 0 ? this.largeFetches : this.largeReads;
  }

  #choose(): void {
    const regime = this.isOpen ? this.#regime : NO_REGIME;
    for (const view of this.#all) view.useRegime(regime);
    this.#tell();
  }

  #tell(): void {
    const { reads, writes, fetches, largeReads, largeFetches } = this;
    this.#keysChanged(reads.key, writes.key, fetches.key, largeReads.key, largeFetches.key);
  }
}
