/**
 * The hit views of one CPU: reads, writes and fetches of 4 KiB pages, and pieces of large pages for reads and fetches.
 * Writes through large pages have no view of their own: dirty bits are kept per 4 KiB page.
 */
import { FETCH, WRITE } from '../mmu/access.ts';
import { NO_REGIME } from '../mmu/hit-table.ts';
import { HitView, LargeView, REGIMES } from '../mmu/hit-view.ts';

// Marks: a bit for each regime that a view was filled under; those of reads are the lowest ones.
const WRITES = NO_REGIME;
const FETCHES = 2 * NO_REGIME;

export class Views {
  readonly reads: HitView = new HitView(() => this.#changed());
  readonly writes: HitView = new HitView(() => this.#changed());
  readonly fetches: HitView = new HitView(() => this.#changed());
  readonly largeReads: LargeView = new LargeView(() => this.#changed());
  readonly largeFetches: LargeView = new LargeView(() => this.#changed());

  #regime = 0;
  /** Whether hits are possible: not after a fault. */
  isOpen = true;
  #changed: () => void = () => {};

  /** Tells now, and each time keys change. */
  subscribe(changed: () => void): void {
    this.#changed = changed;
    changed();
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

  /** Written out, as `#choose` is: in a loop over views of two classes V8 looks for the class of each (20 ns). */
  dropAll(): void {
    this.reads.dropAll();
    this.writes.dropAll();
    this.fetches.dropAll();
    this.largeReads.dropAll();
    this.largeFetches.dropAll();
    this.#changed();
  }

  dropWrites(): void {
    this.writes.dropAll();
    this.#changed();
  }

  /** Drops what was derived from the TLB entry of a 4 KiB page. */
  dropPage(lo: number, hi: number): void {
    this.reads.drop(lo, hi, REGIMES);
    this.writes.drop(lo, hi, REGIMES);
    this.fetches.drop(lo, hi, REGIMES);
  }

  /**
   * Lets hits answer for the 4 KiB page that (lo, hi) lies in, for accesses of one kind under the current regime.
   * @returns the mark for its TLB entry, by which `dropMarked` finds it
   */
  fill(access: number, lo: number, hi: number, word: number): number {
    if ((access & WRITE) !== 0) return this.writes.fill(lo, hi, word) << WRITES; // a read-modify-write is a write
    if ((access & FETCH) !== 0) return this.fetches.fill(lo, hi, word) << FETCHES;
    return this.reads.fill(lo, hi, word);
  }

  /** Drops what was derived from a TLB entry with these marks: nine places to look at otherwise, for each entry evicted. */
  dropMarked(lo: number, hi: number, marks: number): void {
    if (marks === this.reads.mark) this.reads.dropCurrent(lo, hi);
    else this.#dropOthers(lo, hi, marks);
  }

  #dropOthers(lo: number, hi: number, marks: number): void {
    this.reads.drop(lo, hi, marks & REGIMES);
    const writes = (marks >> WRITES) & REGIMES;
    const fetches = marks >> FETCHES;
    if (writes !== 0) this.writes.drop(lo, hi, writes);
    if (fetches !== 0) this.fetches.drop(lo, hi, fetches);
  }

  /** The view of large pages for a kind of access; none for writes. */
  largeOf(access: number): LargeView | undefined {
    if ((access & WRITE) !== 0) return undefined;
    return (access & FETCH) !== 0 ? this.largeFetches : this.largeReads;
  }

  #choose(): void {
    const regime = this.isOpen ? this.#regime : NO_REGIME;
    this.reads.useRegime(regime);
    this.writes.useRegime(regime);
    this.fetches.useRegime(regime);
    this.largeReads.useRegime(regime);
    this.largeFetches.useRegime(regime);
    this.#changed();
  }
}
