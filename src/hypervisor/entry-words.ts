/**
 * Entries as words of memory: what the operations of tables.ts do when they happen.
 *
 * What is linked is read and written as one 64-bit word, so that no other thread sees half of it; where no other thread can
 * be, two words do (2 instead of 7 ns a store). An entry's place is its index among the quadwords of memory.
 */
import { bug } from '../bug.ts';
import { entryHi, entryLo, flagsOf, frameOf, P } from '../mmu/entry.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import { PAGE_DIRTY } from '../mmu/page-flags.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { Behaviour } from './behaviour.ts';
import { pagesOf } from './flags.ts';
import { COUNT_HI, type FrameTable, PGC_STATE_HI } from './frame-table.ts';
import { infoOf, TableCounters } from './table-counters.ts';
import { isRun, isRunBelow, WORDS } from './table-loops.ts';

/** Entries of a table. */
export const ENTRIES = 512;
const MAX_QUADS: number = 1 << 30;
/** An entry's number: its table's frame and its index. */
export type Entry = number;

/** The table that an entry lies in. */
export const tableOf = (entry: Entry): Frame => (entry === (entry | 0) ? entry >> 9 : Math.floor(entry / ENTRIES));

// One 64-bit move for a whole entry; see mmu/physical-access.ts.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

export class EntryWords {
  /** The entry that was read last; and the upper bits of its frame number in their place, 0 below 4 GiB. */
  protected lo = 0;
  protected hi = 0;
  #frameHigh = 0;

  protected readonly memory: PhysicalMemory;
  protected readonly frames: FrameTable;
  /** None where tables are scanned instead. */
  protected readonly counters: TableCounters | undefined;
  readonly #isShared: boolean;
  readonly #info: Int32Array;

  constructor(frames: FrameTable, detection: Behaviour['detection']) {
    this.memory = frames.memory;
    this.frames = frames;
    this.#info = frames.words;
    this.#isShared = frames.memory.isShared;
    this.counters = detection === 'counters' ? new TableCounters(frames) : undefined;
  }

  /** The frame number of the entry that was read last. Copy it at once. */
  get frame(): Frame {
    return this.#frameHigh + (this.lo >>> 12);
  }

  /** Of the table that the entry read last leads to: the entry with this index. */
  below(index: number): Entry {
    return this.frame * ENTRIES + index;
  }

  /**
   * Index of an entry among the quadwords of memory, an int32: that it is one, and that loops over entries count in int32,
   * makes them ten times as fast. A bug where the table was freed, or lies past the first 8 GiB of the buffer.
   */
  protected quad(entry: Entry): number {
    const quad = this.memory.quadOf(entry) | 0;
    if (quad >>> 0 >= MAX_QUADS || (this.#info[infoOf(quad) + COUNT_HI]! & PGC_STATE_HI) !== 0) refuse(entry);
    return quad & (MAX_QUADS - 1); // as it was; V8 now knows that twice as much is an int32 too
  }

  // What threads share stands apart: V8 puts only so much code into its caller.

  protected load(quad: number): void {
    const { words } = this.memory;
    if (this.#isShared === true) this.#loadWhole(quad);
    else this.hold(words[2 * quad]!, words[2 * quad + 1]!);
  }

  #loadWhole(quad: number): void {
    scratchQuad[0] = this.memory.quads[quad]!;
    this.hold(scratch[0]!, scratch[1]!);
  }

  /** What was read. */
  protected hold(lo: number, hi: number): void {
    this.lo = lo;
    this.hi = hi;
    this.#frameHigh = ((hi << 12) >>> 12) * 0x10_0000;
  }

  /** One store, without what follows from it. */
  protected put(quad: number, lo: number, hi: number): void {
    const { words } = this.memory;
    if (this.#isShared === true) this.#putWhole(quad, lo, hi);
    else {
      words[2 * quad] = lo;
      words[2 * quad + 1] = hi;
    }
  }

  #putWhole(quad: number, lo: number, hi: number): void {
    scratch[0] = lo;
    scratch[1] = hi;
    this.memory.quads[quad] = scratchQuad[0]!;
  }

  /** One locked exchange; what was there is left as what was read last. */
  protected swap(quad: number, lo: number, hi: number): void {
    scratch[0] = lo;
    scratch[1] = hi;
    scratchQuad[0] = Atomics.exchange(this.memory.quads, quad, scratchQuad[0]!);
    this.hold(scratch[0]!, scratch[1]!);
  }

  /** The store after which others may read what was stored before it. */
  protected publishWord(quad: number, lo: number, hi: number): void {
    if (this.#isShared === true) {
      scratch[0] = lo;
      scratch[1] = hi;
      Atomics.store(this.memory.quads, quad, scratchQuad[0]!);
    } else this.put(quad, lo, hi);
  }

  protected mayBeOneRun(entry: Entry, level: number): boolean {
    return this.counters === undefined || this.counters.links(this.quad(entry), level) === ENTRIES - 1;
  }

  protected putRun(entry: Entry, frame: Frame, flags: number, count: number): number {
    const { words } = this.memory;
    const quad = this.quad(entry);
    let free = 0;
    while (free < count && (words[2 * (quad + free)]! & P) === 0) free += 1;
    if (free === 0) return 0;
    let lo = entryLo(frame, flags);
    let hi = entryHi(frame, flags);
    for (let at = quad; at < quad + free; at++) {
      this.put(at, lo, hi);
      const wasHigh = lo < 0;
      lo = (lo + 4096) | 0;
      if (wasHigh && lo >= 0) hi = (hi + 1) | 0; // past 4 GiB
    }
    this.noteWrite(entry, quad, free);
    this.counters?.addRun(quad, free);
    return free;
  }

  /** By halves: whoever asks holds the lock, and hardware changes A and D only, which must be set here. */
  protected scan(table: Frame, level: number, flags: number): Frame {
    const { words } = this.memory;
    const first = 2 * this.quad(table * ENTRIES);
    const step = pagesOf(level);
    const lo = words[first]!;
    const hi = words[first + 1]!;
    if (flagsOf(lo, hi) !== flags) return -1;
    const base = frameOf(lo, hi);
    // Bit 0 of a superpage's frame number is its PAT bit.
    if ((level === 1 ? base : base - (base % 2)) % (step * ENTRIES) !== 0) return -1;
    const isOneRun =
      this.counters === undefined ? isRun(words, first, lo, hi, step << 12) : isRunBelow(words, first, lo, step << 12);
    return isOneRun ? base : -1;
  }

  protected isZero(quad: number): boolean {
    const { words } = this.memory;
    for (let at = 2 * quad; at < 2 * quad + WORDS; at++) if (words[at] !== 0) return false;
    return true;
  }

  /** Tables are pages like others: whoever tracks dirty pages, or code in them, hears of writes. */
  protected noteWrite(entry: Entry, quad: number, count: number): void {
    const page = quad >>> 9;
    if (this.memory.pages.bytes[page] !== PAGE_DIRTY) this.#tell(entry, quad, count);
  }

  #tell(entry: Entry, quad: number, count: number): void {
    const index = quad & (ENTRIES - 1);
    this.memory.noteWrite(quad >>> 9, Math.floor(entry / ENTRIES), index * 8, count * 8);
  }
}

/** Apart, as messages are: what is small V8 puts where it is called. */
function refuse(entry: Entry): never {
  return bug(`use of table ${hexNumber(Math.floor(entry / ENTRIES))}, which is free or no RAM`);
}
