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

export type PortOperation = 'load' | 'compareExchange';

/** Told of each operation on shared state before it happens. `index` counts entries of `size` bytes in the frame `table`. */
export interface PortObserver {
  before(operation: PortOperation, table: Frame, index: number, size: number): void;
}

// One 64-bit move for a whole entry; see physical-access.ts.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

export class MemoryPort {
  readonly memory: PhysicalMemory;
  observer: PortObserver | null = null;
  /** Whether A and D stores into a page flagged as code are reported as code writes. SDM allows both. */
  reportsAccessedDirty = false;
  /** The entry that was loaded last, as halves (hi is 0 for a 4-byte one). Copy both to locals at once. */
  lo = 0;
  hi = 0;

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
  }

  /** One load of the entry at `index` of `table`, `size` 4 or 8 bytes, into `lo` and `hi`. What is not RAM reads as all ones. */
  load(table: Frame, index: number, size: number): void {
    if (this.observer !== null) this.observer.before('load', table, index, size);
    const { memory } = this;
    const page = memory.pageOf(table);
    if (page < 0) {
      // A walk does not reach devices: their handlers could change an entry between two looks at it.
      this.lo = -1;
      this.hi = size === 8 ? -1 : 0;
    } else if (size === 8) {
      scratchQuad[0] = memory.quads[page * (PAGE_SIZE / 8) + index]!;
      this.lo = scratch[0]!;
      this.hi = scratch[1]!;
    } else {
      this.lo = memory.words[page * (PAGE_SIZE / 4) + index]!;
      this.hi = 0;
    }
  }

  /**
   * Stores (lo, hi) where the entry still is (expectedLo, expectedHi); false where it is not. On a table in ROM or outside
   * RAM the store is dropped, and true.
   */
  compareExchange(
    table: Frame,
    index: number,
    size: number,
    expectedLo: number,
    expectedHi: number,
    lo: number,
    hi: number,
  ): boolean {
    if (this.observer !== null) this.observer.before('compareExchange', table, index, size);
    const { memory } = this;
    const page = memory.pageOf(table);
    if (page < 0 || memory.pages.has(page, PAGE_ROM)) return true;
    const stored = this.#exchange(page, index, size, expectedLo, expectedHi, lo, hi);
    if (stored && this.reportsAccessedDirty) memory.noteWrite(page, table, index * size, size);
    else if (stored) memory.noteDirty(page);
    return stored;
  }

  #exchange(
    page: number,
    index: number,
    size: number,
    expectedLo: number,
    expectedHi: number,
    lo: number,
    hi: number,
  ): boolean {
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
      memory.words[at + 1] = hi;
      return true;
    }
    scratch[0] = expectedLo;
    scratch[1] = expectedHi;
    const expected = scratchQuad[0]!;
    scratch[0] = lo;
    scratch[1] = hi;
    const at = page * (PAGE_SIZE / 8) + index;
    return Atomics.compareExchange(memory.quads, at, expected, scratchQuad[0]!) === expected;
  }
}
