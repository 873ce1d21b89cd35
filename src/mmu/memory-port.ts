/**
 * The walker's side of the seam: one CPU's view of the paging structures in shared memory. Walks reach entries through a
 * port and in no other way, so that an observer can watch and delay them. (Mapping code has hypervisor/tables.ts.)
 *
 * One class with a nullable observer that each method asks first: a subclass for observed runs is as fast alone, but
 * makes every call site polymorphic once both exist in a process.
 */
import { type Frame, PAGE_SIZE } from './halves.ts';
import { PAGE_ROM } from './page-flags.ts';
import type { PhysicalMemory } from './physical-memory.ts';
import type { Seam, SeamObserver } from './seam.ts';

// One 64-bit move for a whole entry; see physical-access.ts.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

/** The walker's way to memory: entries as one word, A and D by compare-and-set, each told to an observer. */
export class MemoryPort implements Seam {
  /** Where the tables lie. */
  readonly memory: PhysicalMemory;
  /** Told of each operation of the walker, and may answer for it; null: nobody. */
  observer: SeamObserver | null = null;
  /** Whether A and D stores into a page flagged as code are reported as code writes. SDM allows both. */
  reportsAccessedDirty = false;
  /** The entry that was loaded last, as halves (hi is 0 for a 4-byte one). Copy both to locals at once. */
  lo = 0;
  /** Its high half, int32. */
  hi = 0;

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
  }

  /** One load of the entry at `index` of `table`, `size` 4 or 8 bytes, into `lo` and `hi`. What is not RAM reads as all ones. */
  load(table: Frame, index: number, size: number): void {
    const { memory, observer } = this;
    if (observer?.enter('load', entryNumber(table, index, size), size, 0, 0)) {
      this.lo = observer.value;
      this.hi = observer.frame;
      return;
    }
    const page = memory.pageOf(table);
    if (page < 0) {
      // A walk does not reach devices: their handlers could change an entry between two looks at it.
      this.lo = -1;
      this.hi = size === 8 ? -1 : 0;
    } else if (size === 8) {
      this.loadQuad(page * (PAGE_SIZE / 8) + index);
    } else {
      this.lo = memory.words[page * (PAGE_SIZE / 4) + index]!;
      this.hi = 0;
    }
    if (observer !== null) observer.leave(this.lo, this.hi);
  }

  /** The 8-byte entry at index `at` of the buffer's quadwords, into `lo` and `hi`; no observer is asked. */
  loadQuad(at: number): void {
    const { memory } = this;
    if (memory.isShared) {
      scratchQuad[0] = memory.quads[at]!;
      this.lo = scratch[0]!;
      this.hi = scratch[1]!;
    } else {
      // No other thread, no tearing, and 2 ns less than through memory once more.
      this.lo = memory.words[2 * at]!;
      this.hi = memory.words[2 * at + 1]!;
    }
  }

  /**
   * Stores another low half where the entry still is (expectedLo, expectedHi); false where it is not: A and D lie in the
   * low half. On a table in ROM or outside RAM the store is dropped, and true.
   */
  compareExchange(
    table: Frame,
    index: number,
    size: number,
    expectedLo: number,
    expectedHi: number,
    lo: number,
  ): boolean {
    const { observer } = this;
    const entry = entryNumber(table, index, size);
    if (observer?.enter('compareExchange', entry, expectedLo, expectedHi, lo)) return observer.value !== 0;
    const stored = this.#store(table, index, size, expectedLo, expectedHi, lo);
    if (observer !== null) observer.leave(stored ? 1 : 0, 0);
    return stored;
  }

  #store(table: Frame, index: number, size: number, expectedLo: number, expectedHi: number, lo: number): boolean {
    const { memory } = this;
    const page = memory.pageOf(table);
    if (page < 0 || memory.pages.has(page, PAGE_ROM)) return true;
    const stored = this.#exchange(page, index, size, expectedLo, expectedHi, lo);
    if (stored && this.reportsAccessedDirty) memory.noteWrite(page, table, index * size, size);
    else if (stored) memory.noteDirty(page);
    return stored;
  }

  #exchange(page: number, index: number, size: number, expectedLo: number, expectedHi: number, lo: number): boolean {
    const { memory } = this;
    if (size === 4) {
      const at = page * (PAGE_SIZE / 4) + index;
      return Atomics.compareExchange(memory.words, at, expectedLo, lo) === expectedLo;
    }
    if (!memory.isShared) {
      // One thread only: a comparison and a store. The BigInts of `Atomics` would cost 100 ns and an allocation.
      const at = page * (PAGE_SIZE / 4) + 2 * index;
      if (memory.words[at] !== expectedLo || memory.words[at + 1] !== expectedHi) return false;
      memory.words[at] = lo;
      return true;
    }
    scratch[0] = expectedLo;
    scratch[1] = expectedHi;
    const expected = scratchQuad[0]!;
    scratch[0] = lo;
    const at = page * (PAGE_SIZE / 8) + index;
    return Atomics.compareExchange(memory.quads, at, expected, scratchQuad[0]!) === expected;
  }
}

/** The number by which the seam names an entry. */
const entryNumber = (table: Frame, index: number, size: number): number => (table * PAGE_SIZE) / size + index;
