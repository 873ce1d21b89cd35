/**
 * The frame table: one `page_info` per frame of RAM, in a buffer that threads may share. 64 bytes a frame.
 *
 * `count_info` and `type_info` hold Xen's bits, as (lo, hi) words; the L3 lock is a bit of `type_info`. Behind them stands
 * what this mapping layer keeps of a table: counters that say when it is empty or one run, and where it comes from.
 * Xen: struct page_info.
 */
import { bug } from '../bug.ts';
import { allocate } from '../mmu/buffers.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import { operationsOn, type WordOperations } from '../mmu/word-operations.ts';

// Words of a page_info.
export const COUNT_HI = 1;
export const TYPE_HI = 3;
/** Xen: tlbflush_timestamp. */
export const STAMP = 4;
/** MARK_*. */
export const MARKS = 5;
/** Entries that are present; where MARK_COUNTED. */
export const PRESENT = 6;
/** Neighbours of which the upper continues the lower: 511 in a table that is one run; where MARK_COUNTED. */
export const LINKS = 7;
/** The next frame of a list: its backing page + 1, 0 at the end. */
export const NEXT = 8;
/** The number of shootdowns when the table was detached. */
export const DETACHED = 9;
/** CPU + 1 that holds the lock. */
export const HOLDER = 10;
/** A cache line each: CPUs that change tables beside each other would share one otherwise (two workers: 1.2 times one, not 1.6). */
export const INFO_WORDS = 16;

/** Bit 63 of count_info. Xen: PGC_allocated. */
export const PGC_ALLOCATED_HI: number = 1 << 31;
/** Bits 59:58 of count_info, the state: 0 in use, 3 free. Xen: PGC_state. */
export const PGC_STATE_HI: number = 3 << 26;
export const PGC_FREE_HI: number = 3 << 26;
/** Bit 60 of type_info, the lock. Xen: PGT_locked. */
export const PGT_LOCKED_HI: number = 1 << 28;
/** Bit 55 of type_info: the table is unlinked, and its lock not given out any more. Not in Xen. */
export const PGT_STALE_HI: number = 1 << 23;
/** Bit 59 of type_info: never freed. Xen: PGT_pinned. */
export const PGT_PINNED_HI: number = 1 << 27;

/** Part of an image: never coalesced, never freed to the heap. */
export const MARK_STATIC: number = 1 << 0;
/** Adopted with the page tables that were there. */
export const MARK_BOOT: number = 1 << 1;
/** From the heap. */
export const MARK_HEAP: number = 1 << 2;
/** Linked into the tables once. */
export const MARK_PUBLISHED: number = 1 << 3;
/** Made by a populate: stays when it becomes empty. */
export const MARK_KEPT: number = 1 << 4;
/** PRESENT and LINKS are right. */
export const MARK_COUNTED: number = 1 << 5;

/**
 * Where a table came from: part of an image (never coalesced, never freed), adopted with the tables that were there, or the
 * heap.
 */
export type Provenance = 'static' | 'boot' | 'heap';
export const PROVENANCE_MARKS: Readonly<Record<Provenance, number>> = {
  static: MARK_STATIC,
  boot: MARK_BOOT,
  heap: MARK_HEAP,
};
const ANY_PROVENANCE = MARK_STATIC | MARK_BOOT | MARK_HEAP;

/** One page_info, for people and tools. */
export interface PageInfo {
  /** What the frame is to the heap. */
  readonly state: 'in use' | 'free' | 'never used';
  /** Where the table came from; undefined where it is none. */
  readonly provenance: Provenance | undefined;
  /** Xen: PGT_locked. */
  readonly isLocked: boolean;
  /** CPU that holds the lock, -1 where none does. */
  readonly holder: number;
  /** Made by a populate: stays when it becomes empty. */
  readonly isKept: boolean;
  /** The TLB clock when it was freed. Xen: tlbflush_timestamp. */
  readonly tlbflushTimestamp: number;
}

/** Xen: frame_table. */
export class FrameTable {
  /** The RAM that it is about. */
  readonly memory: PhysicalMemory;
  /** 16 words a frame, by backing page. @internal */
  readonly words: Int32Array;
  /** Where they lie, for other threads. @internal */
  readonly buffer: ArrayBufferLike;
  readonly #atomics: WordOperations;

  constructor(memory: PhysicalMemory, buffer?: ArrayBufferLike) {
    const bytes = Math.ceil(memory.bytes.length / 4096) * INFO_WORDS * 4;
    this.memory = memory;
    this.buffer = buffer ?? allocate(bytes, { shared: memory.isShared });
    this.words = new Int32Array(this.buffer);
    this.#atomics = operationsOn(this.buffer);
  }

  /** Index of a frame's page_info in `words`; a bug where the frame is not RAM. */
  at(frame: Frame): number {
    const page = this.memory.pageOf(frame);
    if (page < 0) bug(`frame ${hexNumber(frame)} has no page_info: it is not RAM`);
    return (page * INFO_WORDS) | 0;
  }

  /** Whether a frame has one of the marks MARK_*. A BUG where it is not RAM. @internal */
  has(frame: Frame, mark: number): boolean {
    return (this.words[this.at(frame) + MARKS]! & mark) !== 0;
  }

  /** Atomic: another CPU may mark the same frame. */
  mark(frame: Frame, mark: number): void {
    this.#atomics.or(this.words, this.at(frame) + MARKS, mark);
  }

  /** Makes a frame a table in use, as adopted tables are. */
  adopt(frame: Frame, provenance: 'static' | 'boot'): void {
    const at = this.at(frame);
    this.words.fill(0, at, at + INFO_WORDS);
    this.words[at + COUNT_HI] = PGC_ALLOCATED_HI;
    this.words[at + MARKS] = PROVENANCE_MARKS[provenance] | MARK_PUBLISHED;
  }

  /** Whether a frame is a table in use: adopted, or allocated and not yet freed. */
  isTable(frame: Frame): boolean {
    const page = this.memory.pageOf(frame);
    if (page < 0) return false;
    const at = page * INFO_WORDS;
    return (this.words[at + MARKS]! & ANY_PROVENANCE) !== 0 && (this.words[at + COUNT_HI]! & PGC_STATE_HI) === 0;
  }

  /** A frame's page_info, as people read it. A BUG where it is not RAM. */
  info(frame: Frame): PageInfo {
    const at = this.at(frame);
    const marks = this.words[at + MARKS]!;
    const provenance = (['static', 'boot', 'heap'] as const).find((name) => (marks & PROVENANCE_MARKS[name]) !== 0);
    const isFree = (this.words[at + COUNT_HI]! & PGC_STATE_HI) === PGC_FREE_HI;
    return {
      state: isFree ? 'free' : provenance === undefined ? 'never used' : 'in use',
      provenance,
      isLocked: (Atomics.load(this.words, at + TYPE_HI) & PGT_LOCKED_HI) !== 0,
      holder: this.words[at + HOLDER]! - 1,
      isKept: (marks & MARK_KEPT) !== 0,
      tlbflushTimestamp: this.words[at + STAMP]! >>> 0,
    };
  }

  /** Frames in use as tables, of one provenance or all. Reads the whole frame table. */
  tables(provenance?: Provenance): Frame[] {
    const mark = provenance === undefined ? ANY_PROVENANCE : PROVENANCE_MARKS[provenance];
    const found: Frame[] = [];
    this.memory.forEachPage((_page, frame) => {
      if (this.isTable(frame) && this.has(frame, mark)) found.push(frame);
    });
    return found;
  }
}
