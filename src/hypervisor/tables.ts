/**
 * One CPU's view of the page tables, for mapping code: the part of the seam that reads and writes entries.
 *
 * An entry is named by one number, its table's frame * 512 + its index, and travels as (frame, 24-bit flags). What is
 * linked is read and written whole (entry-words.ts); a table that nobody can see yet is filled by halves.
 */
import { entryHi, entryLo, flagsOf, P, PS } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import type { Seam, SeamObserver } from '../mmu/seam.ts';
import type { Behaviour } from './behaviour.ts';
import { ENTRIES, type Entry, EntryWords } from './entry-words.ts';
import { type FrameTable, MARK_KEPT, MARK_PUBLISHED } from './frame-table.ts';
import { fillRun, pageTraits, superpageTraits, WORDS } from './table-loops.ts';

export { ENTRIES, type Entry };

/** One CPU's way to entries: reads and writes of a whole entry each, told to the seam's observer, with the tables' counters kept. */
export class Tables extends EntryWords {
  readonly #seam: Seam;
  readonly #pat: Behaviour['pat'];

  constructor(frames: FrameTable, seam: Seam, { detection, pat }: Pick<Behaviour, 'detection' | 'pat'>) {
    super(frames, detection);
    this.#seam = seam;
    this.#pat = pat;
  }

  /** One load: the entry's flags, its frame in `frame`. */
  read(entry: Entry): number {
    const { observer } = this.#seam;
    if (observer !== null) return this.#watchedRead(observer, entry);
    this.load(this.quad(entry));
    return flagsOf(this.lo, this.hi);
  }

  #watchedRead(observer: SeamObserver, entry: Entry): number {
    if (observer.enter('read', entry, 0, 0, 0)) return this.#take(observer);
    this.load(this.quad(entry));
    const flags = flagsOf(this.lo, this.hi);
    observer.leave(flags, this.frame);
    return flags;
  }

  /** What was read before, as an observer has kept it. */
  #take({ value, frame }: SeamObserver): number {
    this.hold(entryLo(frame, value), entryHi(frame, value));
    return value;
  }

  /** One store of a leaf, or of a clear, into a table of `level`. */
  write(entry: Entry, level: number, frame: Frame, flags: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('write', entry, frame, flags, level)) return;
    this.#write(entry, level, entryLo(frame, flags), entryHi(frame, flags));
    if (observer !== null) observer.leave(0, 0);
  }

  // The counters are asked in place, as in the two stores below: by a method of its own a page took 10 ns more, of 118.
  #write(entry: Entry, level: number, lo: number, hi: number): void {
    const quad = this.quad(entry);
    if (this.counters !== undefined && level < 3) this.counters.replace(quad, level, lo, hi);
    this.put(quad, lo, hi);
    this.noteWrite(entry, quad, 1);
  }

  /**
   * One locked exchange: stores a leaf, or a clear, and returns the flags that were there, the frame in `frame`. Nothing
   * that hardware set in between is lost; and no store of this CPU is still on its way after it.
   */
  exchange(entry: Entry, level: number, frame: Frame, flags: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('exchange', entry, frame, flags, level)) return this.#take(observer);
    const quad = this.quad(entry);
    const lo = entryLo(frame, flags);
    const hi = entryHi(frame, flags);
    if (this.counters !== undefined && level < 3) this.counters.replace(quad, level, lo, hi);
    this.swap(quad, lo, hi);
    this.noteWrite(entry, quad, 1);
    const old = flagsOf(this.lo, this.hi);
    if (observer !== null) observer.leave(old, this.frame);
    return old;
  }

  /** The store that links a table, after everything that was written to it. */
  publish(entry: Entry, level: number, table: Frame, flags: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('publish', entry, table, flags, level)) return;
    this.frames.mark(table, MARK_PUBLISHED);
    const quad = this.quad(entry);
    const lo = entryLo(table, flags);
    const hi = entryHi(table, flags);
    if (this.counters !== undefined && level < 3) this.counters.replace(quad, level, lo, hi);
    this.publishWord(quad, lo, hi);
    this.noteWrite(entry, quad, 1);
    if (observer !== null) observer.leave(0, 0);
  }

  /** Fills a table that is not linked: entry i becomes (frame + i * step, flags). Step 0 with flags 0 clears it. */
  fill(table: Frame, frame: Frame, flags: number, step: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('fill', table, frame, flags, step)) return;
    const { words } = this.memory;
    const quad = this.quad(table * ENTRIES);
    const first = 2 * quad;
    if (flags === 0) words.fill(0, first, first + WORDS);
    else fillRun(words, first, entryLo(frame, flags), entryHi(frame, flags), step << 12);
    this.counters?.fill(quad, (flags & P) !== 0);
    this.noteWrite(table * ENTRIES, quad, ENTRIES);
    if (observer !== null) observer.leave(0, 0);
  }

  /**
   * Writes leaves of level 1 into at most `count` entries from `entry` that are not present, ascending frames.
   * @returns how many, up to the first that is present
   */
  writeRun(entry: Entry, frame: Frame, flags: number, count: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('writeRun', entry, frame, flags, count)) return observer.value;
    const written = this.putRun(entry, frame, flags, count);
    if (observer !== null) observer.leave(written, 0);
    return written;
  }

  /** False where the counters rule out that the table in which an entry of `level` lies is one run. */
  mayBeRun(entry: Entry, level: number): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('counters', entry, level, 0, 0)) return observer.value !== 0;
    const may = this.mayBeOneRun(entry, level);
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
    const base = this.mayBeOneRun(table * ENTRIES, level) ? this.scan(table, level, flags) : -1;
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
    const { words } = this.memory;
    const first = 2 * this.quad(table * ENTRIES);
    const traits = level === 1 ? pageTraits(words, first, flags) : superpageTraits(words, first, flags, this.#pat);
    if (observer !== null) observer.leave(traits, 0);
    return traits;
  }

  /** Index of the next entry of a table of level 2 or 3, from one, that leads to a table, left in `frame`; or -1. */
  nextTable(table: Frame, level: number, from: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('nextTable', table, level, from, 0)) return this.#takeTable(observer);
    const { words } = this.memory;
    const first = 2 * this.quad(table * ENTRIES);
    let index = from;
    while (index < ENTRIES && (words[first + 2 * index]! & (P | PS)) !== P) index += 1;
    const isFound = index < ENTRIES;
    if (isFound) this.hold(words[first + 2 * index]!, words[first + 2 * index + 1]!);
    else this.hold(0, 0);
    if (observer !== null) observer.leave(isFound ? index : -1, this.frame);
    return isFound ? index : -1;
  }

  #takeTable({ value, frame }: SeamObserver): number {
    this.hold(entryLo(frame, 0), entryHi(frame, 0));
    return value;
  }

  /** Whether no entry is present; without counters, as Xen sees it, whether all are zero. */
  isEmpty(table: Frame, level: number): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('scanEmpty', table, level, 0, 0)) return observer.value !== 0;
    const quad = this.quad(table * ENTRIES);
    const empty = this.counters === undefined ? this.isZero(quad) : this.counters.present(quad, level) === 0;
    if (observer !== null) observer.leave(empty ? 1 : 0, 0);
    return empty;
  }

  /** A populate has made the table, or asks for it: it stays when it becomes empty. */
  keep(table: Frame): void {
    const { observer } = this.#seam;
    if (observer?.enter('keep', table, 0, 0, 0)) return;
    this.frames.mark(table, MARK_KEPT);
    if (observer !== null) observer.leave(0, 0);
  }

  /** Whether a table stays when it becomes empty. */
  isKept(table: Frame): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('isKept', table, 0, 0, 0)) return observer.value !== 0;
    const isKept = this.frames.has(table, MARK_KEPT);
    if (observer !== null) observer.leave(isKept ? 1 : 0, 0);
    return isKept;
  }
}
