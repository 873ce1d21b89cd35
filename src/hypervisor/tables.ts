/**
 * One CPU's view of the page tables, for mapping code: the part of the seam that reads and writes entries.
 *
 * An entry is named by one number, its table's frame * 512 + its index, and travels as (frame, 24-bit flags). What is
 * linked is read and written as one 64-bit word; a table that nobody can see yet is filled by halves.
 */
import { bug } from '../bug.ts';
import { entryHi, entryLo, flagsOf, frameOf, P, PS } from '../mmu/entry.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import { PAGE_DIRTY } from '../mmu/page-flags.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { Seam } from '../mmu/seam.ts';
import type { Behaviour } from './behaviour.ts';
import { PAGES } from './flags.ts';
import { COUNT_HI, type FrameTable, MARK_KEPT, MARK_PUBLISHED, PGC_STATE_HI } from './frame-table.ts';
import { infoOf, TableCounters } from './table-counters.ts';
import { fillRun, isRun, pageTraits, superpageTraits } from './table-loops.ts';

/** Entries of a table. */
export const ENTRIES = 512;
const WORDS = 2 * ENTRIES;
const MAX_QUADS = 2 ** 30;
/** An entry's number: its table's frame and its index. */
export type Entry = number;

// One 64-bit move for a whole entry; see mmu/physical-access.ts.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

/** One CPU's way to entries: reads and writes of a whole entry each, told to the seam's observer, with the tables' counters kept. */
export class Tables {
  /** The frame number of the entry that `read` read last. Copy it at once. */
  frame: Frame = 0;

  readonly #memory: PhysicalMemory;
  readonly #frames: FrameTable;
  readonly #seam: Seam;
  readonly #pat: Behaviour['pat'];
  /** None where tables are scanned instead. */
  readonly #counters: TableCounters | undefined;

  constructor(frames: FrameTable, seam: Seam, { detection, pat }: Pick<Behaviour, 'detection' | 'pat'>) {
    this.#memory = frames.memory;
    this.#frames = frames;
    this.#seam = seam;
    this.#pat = pat;
    this.#counters = detection === 'counters' ? new TableCounters(frames) : undefined;
  }

  /** One load: the entry's flags, its frame in `frame`. */
  read(entry: Entry): number {
    const { observer } = this.#seam;
    if (observer?.enter('read', entry, 0, 0, 0)) {
      this.frame = observer.frame;
      return observer.value;
    }
    const quad = this.#quad(entry);
    scratchQuad[0] = this.#memory.quads[quad]!;
    const lo = scratch[0]!;
    const hi = scratch[1]!;
    this.frame = frameOf(lo, hi);
    const flags = flagsOf(lo, hi);
    if (observer !== null) observer.leave(flags, this.frame);
    return flags;
  }

  /** One store of a leaf, or of a clear, into a table of `level`. */
  write(entry: Entry, level: number, frame: Frame, flags: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('write', entry, frame, flags, level)) return;
    const quad = this.#quad(entry);
    scratch[0] = entryLo(frame, flags);
    scratch[1] = entryHi(frame, flags);
    if (this.#counters !== undefined && level < 3) this.#counters.replace(quad, level, scratch[0]!, scratch[1]!);
    this.#memory.quads[quad] = scratchQuad[0]!;
    this.#noteWrite(entry, quad, 1);
    if (observer !== null) observer.leave(0, 0);
  }

  /**
   * One locked exchange: stores a leaf, or a clear, and returns the flags that were there, the frame in `frame`. Nothing
   * that hardware set in between is lost; and no store of this CPU is still on its way after it.
   */
  exchange(entry: Entry, level: number, frame: Frame, flags: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('exchange', entry, frame, flags, level)) {
      this.frame = observer.frame;
      return observer.value;
    }
    const quad = this.#quad(entry);
    scratch[0] = entryLo(frame, flags);
    scratch[1] = entryHi(frame, flags);
    if (this.#counters !== undefined && level < 3) this.#counters.replace(quad, level, scratch[0]!, scratch[1]!);
    scratchQuad[0] = Atomics.exchange(this.#memory.quads, quad, scratchQuad[0]!);
    const lo = scratch[0]!;
    const hi = scratch[1]!;
    this.#noteWrite(entry, quad, 1);
    this.frame = frameOf(lo, hi);
    if (observer !== null) observer.leave(flagsOf(lo, hi), this.frame);
    return flagsOf(lo, hi);
  }

  /** The store that links a table, after everything that was written to it. */
  publish(entry: Entry, level: number, table: Frame, flags: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('publish', entry, table, flags, level)) return;
    this.#frames.mark(table, MARK_PUBLISHED);
    const quad = this.#quad(entry);
    scratch[0] = entryLo(table, flags);
    scratch[1] = entryHi(table, flags);
    if (this.#counters !== undefined && level < 3) this.#counters.replace(quad, level, scratch[0]!, scratch[1]!);
    Atomics.store(this.#memory.quads, quad, scratchQuad[0]!);
    this.#noteWrite(entry, quad, 1);
    if (observer !== null) observer.leave(0, 0);
  }

  /** Fills a table that is not linked: entry i becomes (frame + i * step, flags). Step 0 with flags 0 clears it. */
  fill(table: Frame, frame: Frame, flags: number, step: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('fill', table, frame, flags, step)) return;
    const { words } = this.#memory;
    const quad = this.#quad(table * ENTRIES);
    const first = 2 * quad;
    if (flags === 0) words.fill(0, first, first + WORDS);
    else fillRun(words, first, entryLo(frame, flags), entryHi(frame, flags), step << 12);
    this.#counters?.fill(quad, (flags & P) !== 0);
    this.#noteWrite(table * ENTRIES, quad, ENTRIES);
    if (observer !== null) observer.leave(0, 0);
  }

  /**
   * Writes leaves of level 1 into at most `count` entries from `entry` that are not present, ascending frames.
   * @returns how many, up to the first that is present
   */
  writeRun(entry: Entry, frame: Frame, flags: number, count: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('writeRun', entry, frame, flags, count)) return observer.value;
    const written = this.#writeRun(entry, frame, flags, count);
    if (observer !== null) observer.leave(written, 0);
    return written;
  }

  /** False where the counters rule out that the table in which an entry of `level` lies is one run. */
  mayBeRun(entry: Entry, level: number): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('counters', entry, level, 0, 0)) return observer.value !== 0;
    const may = this.#mayBeRun(entry, level);
    if (observer !== null) observer.leave(may ? 1 : 0, 0);
    return may;
  }

  /**
   * The first frame of a table whose 512 entries are one run of leaves with exactly these flags, aligned to the run's size;
   * or -1.
   */
  runBase(table: Frame, level: number, flags: number): Frame {
    const { observer } = this.#seam;
    if (observer?.enter('scan', table, level, flags, 0)) return observer.value;
    const base = this.#mayBeRun(table * ENTRIES, level) ? this.#scan(table, level, flags) : -1;
    if (observer !== null) observer.leave(base, 0);
    return base;
  }

  /**
   * The traits of all leaves of a table together. Entries that are not present count at level 1, as in Xen: at most one
   * flush of the cache too many.
   */
  traits(table: Frame, level: number, flags: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('scanTraits', table, level, flags, 0)) return observer.value;
    const { words } = this.#memory;
    const first = 2 * this.#quad(table * ENTRIES);
    const traits = level === 1 ? pageTraits(words, first, flags) : superpageTraits(words, first, flags, this.#pat);
    if (observer !== null) observer.leave(traits, 0);
    return traits;
  }

  /** Index of the next entry of a table of level 2 or 3, from one, that leads to a table, left in `frame`; or -1. */
  nextTable(table: Frame, level: number, from: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('nextTable', table, level, from, 0)) {
      this.frame = observer.frame;
      return observer.value;
    }
    const { words } = this.#memory;
    const first = 2 * this.#quad(table * ENTRIES);
    let index = from;
    while (index < ENTRIES && (words[first + 2 * index]! & (P | PS)) !== P) index += 1;
    const isFound = index < ENTRIES;
    this.frame = isFound ? frameOf(words[first + 2 * index]!, words[first + 2 * index + 1]!) : 0;
    if (observer !== null) observer.leave(isFound ? index : -1, this.frame);
    return isFound ? index : -1;
  }

  /** Whether no entry is present; without counters, as Xen sees it, whether all are zero. */
  isEmpty(table: Frame, level: number): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('scanEmpty', table, level, 0, 0)) return observer.value !== 0;
    const quad = this.#quad(table * ENTRIES);
    const empty = this.#counters === undefined ? this.#isZero(quad) : this.#counters.present(quad, level) === 0;
    if (observer !== null) observer.leave(empty ? 1 : 0, 0);
    return empty;
  }

  /** A populate has made the table, or asks for it: it stays when it becomes empty. */
  keep(table: Frame): void {
    const { observer } = this.#seam;
    if (observer?.enter('keep', table, 0, 0, 0)) return;
    this.#frames.mark(table, MARK_KEPT);
    if (observer !== null) observer.leave(0, 0);
  }

  /** Whether a table stays when it becomes empty. */
  isKept(table: Frame): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('isKept', table, 0, 0, 0)) return observer.value !== 0;
    const isKept = this.#frames.has(table, MARK_KEPT);
    if (observer !== null) observer.leave(isKept ? 1 : 0, 0);
    return isKept;
  }

  #mayBeRun(entry: Entry, level: number): boolean {
    return this.#counters === undefined || this.#counters.links(this.#quad(entry), level) === ENTRIES - 1;
  }

  #writeRun(entry: Entry, frame: Frame, flags: number, count: number): number {
    const { words, quads } = this.#memory;
    const quad = this.#quad(entry);
    let free = 0;
    while (free < count && (words[2 * (quad + free)]! & P) === 0) free += 1;
    if (free === 0) return 0;
    let lo = entryLo(frame, flags);
    let hi = entryHi(frame, flags);
    for (let at = quad; at < quad + free; at++) {
      scratch[0] = lo;
      scratch[1] = hi;
      quads[at] = scratchQuad[0]!;
      const wasHigh = lo < 0;
      lo = (lo + 4096) | 0;
      if (wasHigh && lo >= 0) hi = (hi + 1) | 0; // past 4 GiB
    }
    this.#noteWrite(entry, quad, free);
    this.#counters?.addRun(quad, free);
    return free;
  }

  /** By halves: whoever asks holds the lock, and hardware changes A and D only, which must be set here. */
  #scan(table: Frame, level: number, flags: number): Frame {
    const { words } = this.#memory;
    const first = 2 * this.#quad(table * ENTRIES);
    const step = PAGES[level]!;
    const lo = words[first]!;
    const hi = words[first + 1]!;
    if (flagsOf(lo, hi) !== flags) return -1;
    const base = frameOf(lo, hi);
    // Bit 0 of a superpage's frame number is its PAT bit.
    if ((level === 1 ? base : base - (base % 2)) % (step * ENTRIES) !== 0) return -1;
    return isRun(words, first, lo, hi, step << 12) ? base : -1;
  }

  #isZero(quad: number): boolean {
    const { words } = this.#memory;
    for (let at = 2 * quad; at < 2 * quad + WORDS; at++) if (words[at] !== 0) return false;
    return true;
  }

  /**
   * Index of an entry among the quadwords of memory, an int32: that it is one, and that loops over entries count in int32,
   * makes them ten times as fast. A bug where the table was freed, or lies past the first 8 GiB of the buffer.
   */
  #quad(entry: Entry): number {
    const quad = this.#memory.quadOf(entry) | 0;
    if (quad < 0 || quad >= MAX_QUADS || (this.#frames.words[infoOf(quad) + COUNT_HI]! & PGC_STATE_HI) !== 0)
      bug(`use of table ${hexNumber(Math.floor(entry / ENTRIES))}, which is free or no RAM`);
    return quad;
  }

  /** Tables are pages like others: whoever tracks dirty pages, or code in them, hears of writes. */
  #noteWrite(entry: Entry, quad: number, count: number): void {
    const page = quad >>> 9;
    if (this.#memory.pages.bytes[page] === PAGE_DIRTY) return;
    this.#memory.noteWrite(page, Math.floor(entry / ENTRIES), (quad & (ENTRIES - 1)) * 8, count * 8);
  }
}
