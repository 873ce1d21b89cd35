/**
 * Between the store that replaces an entry and the free of what it led to: flushes, each at once as Xen does, or gathered
 * to one shootdown.
 *
 * Two things that must not meet in a TLB are kept apart even when gathered: a change (frame or attributes of a page) and a
 * resize (a split or a coalesce, which change neither). With both open, one address could be cached in two sizes with
 * different attributes. So a coalesce waits for the flush of a change, and a change for the flush of a resize. A split need
 * not wait: requests go upwards, and what they changed lies below the superpage that they split.
 */
import type { Frame } from '../mmu/halves.ts';
import type { Seam } from '../mmu/seam.ts';
import { operationsOn, type WordOperations } from '../mmu/word-operations.ts';
import { SHOOTDOWNS } from './control.ts';
import { FLUSH_CACHE_EVICT, FLUSH_ORDER_MASK } from './flags.ts';
import type { Flush } from './flush.ts';
import { DETACHED, type FrameTable } from './frame-table.ts';
import type { Grace } from './grace.ts';
import type { Heap } from './heap.ts';
import type { Locks } from './locks.ts';

export const CHANGE = 1;
export const RESIZE = 2;

export class Gather {
  readonly #flush: Flush;
  readonly #heap: Heap;
  readonly #frames: FrameTable;
  readonly #control: Int32Array;
  readonly #atomics: WordOperations;
  readonly #seam: Seam;
  readonly #locks: Locks;
  readonly #grace: Grace;
  readonly #isGathering: boolean;

  /** CHANGE | RESIZE of what was stored and not yet flushed. */
  #open = 0;
  #page: number = Number.NaN; // a double from the start, as in map-request.ts
  #flags = 0;
  /** Tables detached and not yet freed, in order. Grows to the largest number that one flush has freed. */
  readonly #detached: Frame[] = [];
  #count = 0;
  /** How many of them the flush that is open covers: those whose store was noted. */
  #covered = 0;
  /** Tables that are flushed and may still be read: where tables are read without a lock. */
  readonly #retired: Frame[] = [];

  constructor(
    flush: Flush,
    heap: Heap,
    frames: FrameTable,
    control: Int32Array,
    seam: Seam,
    locks: Locks,
    grace: Grace,
    flushing: 'each' | 'gather',
  ) {
    this.#seam = seam;
    this.#locks = locks;
    this.#grace = grace;
    this.#flush = flush;
    this.#heap = heap;
    this.#frames = frames;
    this.#control = control;
    this.#atomics = operationsOn(control.buffer);
    this.#isGathering = flushing === 'gather';
  }

  /** Before the store of a change or a resize: flushes what is open of the other. */
  before(kind: number): void {
    if ((this.#open & ~kind) !== 0) this.complete();
  }

  /** After a table was unlinked: it is freed after the flush that `stored` or `complete` makes. */
  detach(table: Frame): void {
    const { observer } = this.#seam;
    if (!observer?.enter('detach', table, 0, 0, 0)) {
      this.#frames.words[this.#frames.at(table) + DETACHED] = this.#atomics.load(this.#control, SHOOTDOWNS);
      if (observer !== null) observer.leave(0, 0);
    }
    this.#detached[this.#count++] = table;
  }

  /** After the store: what is to be flushed for it, at once or with others. */
  stored(kind: number, page: number, flags: number): void {
    // A cache flush goes by the address of its one page: it is never merged with another.
    const isCache = (flags & FLUSH_CACHE_EVICT) !== 0;
    if (isCache) this.complete();
    this.leaveOpen(kind, page, flags);
    if (isCache || !this.#isGathering) this.complete();
  }

  /** After a store whose flush comes with the next `complete` in any case. */
  leaveOpen(kind: number, page: number, flags: number): void {
    if (this.joins(kind, flags)) return;
    this.#page = page;
    this.#note(kind, flags);
  }

  /** The same where something is open already: several pages flush everything, and which they are is forgotten. Else false. */
  joins(kind: number, flags: number): boolean {
    if (this.#open === 0) return false;
    this.#note(kind, (this.#flags | flags) & ~FLUSH_ORDER_MASK);
    return true;
  }

  #note(kind: number, flags: number): void {
    this.#open |= kind;
    this.#flags = flags;
    this.#covered = this.#count;
  }

  /** Whether a flush would free tables. */
  get hasTables(): boolean {
    return this.#covered > 0;
  }

  /** Forgets what is open: the operation was unwound by whoever observes. */
  abandon(): void {
    this.#open = 0;
    this.#count = 0;
    this.#covered = 0;
    this.#retired.length = 0;
  }

  /** Shoots down what is open, then frees what it led to; or leaves it to `retire`. */
  complete(): void {
    if (this.#open !== 0) this.#completeOpen();
  }

  #completeOpen(): void {
    this.#open = 0;
    const proof = this.#flush.all(this.#page, this.#flags);
    const covered = this.#covered;
    for (let nth = 0; nth < covered; nth++) {
      if (this.#locks.isPerTable) this.#retired.push(this.#detached[nth]!);
      else this.#heap.free(this.#detached[nth]!, proof);
    }
    for (let nth = covered; nth < this.#count; nth++) this.#detached[nth - covered] = this.#detached[nth]!;
    this.#count -= covered;
    this.#covered = 0;
  }

  /** Frees the flushed tables that may still be read, after a grace period. Between operations; false where there are none. */
  retire(): boolean {
    if (this.#retired.length === 0) return false;
    const proof = this.#grace.period();
    for (const table of this.#retired.splice(0)) this.#heap.free(table, proof);
    return true;
  }
}
