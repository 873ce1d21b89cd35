/**
 * One CPU's view of the page tables, for mapping code: the part of the seam that reads and writes entries.
 *
 * An entry is named by one number, its table's frame * 512 + its index, and travels as (frame, 24-bit flags). What is
 * linked is read and written as one 64-bit word; a table that nobody can see yet is filled by halves.
 *
 * Each write keeps two counters of its table, so that "empty" and "one run" cost nothing to notice: PRESENT, the entries
 * that are present; and LINKS, the pairs of neighbours of which the upper continues the lower (frame and flags, A and D
 * aside: hardware sets those behind our back). 511 links are one run, which one scan then confirms. Counters are made when
 * a table that was adopted is first asked about.
 */
import { bugOn } from '../bug.ts';
import { A, D, entryHi, entryLo, P, PS } from '../mmu/entry.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';
import { PAGES } from './flags.ts';
import {
  COUNT_HI,
  type FrameTable,
  INFO_WORDS,
  LINKS,
  MARK_COUNTED,
  MARK_PUBLISHED,
  MARKS,
  PGC_STATE_HI,
  PRESENT,
} from './frame-table.ts';
import type { Seam } from './seam.ts';

/** Entries of a table. */
export const ENTRIES = 512;
const WORDS = 2 * ENTRIES;
/** An entry's number: its table's frame and its index. */
export type Entry = number;

const FRAME_LO = -4096;
/** Flags in the low half that neighbours of a run share. */
const UNIFORM = 0xfff & ~(A | D);

export class Tables {
  /** The frame number of the entry that `read` read last. Copy it at once. */
  frame: Frame = 0;

  readonly #port: MemoryPort;
  readonly #frames: FrameTable;
  readonly #seam: Seam;
  readonly #counts: boolean;

  constructor(port: MemoryPort, frames: FrameTable, seam: Seam, detection: 'scan' | 'counters') {
    this.#port = port;
    this.#frames = frames;
    this.#seam = seam;
    this.#counts = detection === 'counters';
  }

  /** One load: the entry's flags, its frame in `frame`. */
  read(entry: Entry): number {
    const { observer } = this.#seam;
    if (observer?.enter('read', entry, 0, 0, 0)) {
      this.frame = observer.frame;
      return observer.value;
    }
    const flags = this.#port.read(entry);
    this.frame = this.#port.frame;
    if (observer !== null) observer.leave(flags, this.frame);
    return flags;
  }

  /** One store of a leaf, or of a clear, into a table of `level`. */
  write(entry: Entry, level: number, frame: Frame, flags: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('write', entry, frame, flags, level)) return;
    if (this.#counts && level < 3) this.#count(entry, level, frame, flags);
    this.#port.write(entry, frame, flags);
    if (observer !== null) observer.leave(0, 0);
  }

  /** The store that links a table, after everything that was written to it. */
  publish(entry: Entry, level: number, table: Frame, flags: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('publish', entry, table, flags, level)) return;
    this.#frames.mark(table, MARK_PUBLISHED);
    if (this.#counts && level < 3) this.#count(entry, level, table, flags);
    this.#port.publish(entry, table, flags);
    if (observer !== null) observer.leave(0, 0);
  }

  /** Fills a table that is not linked: entry i becomes (frame + i * step, flags). Step 0 with flags 0 clears it. */
  fill(table: Frame, frame: Frame, flags: number, step: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('fill', table, frame, flags, step)) return;
    const { words } = this.#port.memory;
    const first = this.#firstWord(table);
    const end = first + WORDS;
    if (flags === 0) words.fill(0, first, end);
    else {
      const add = (step << 12) >>> 0;
      let lo = entryLo(frame, flags);
      let hi = entryHi(frame, flags);
      for (let at = first; at < end; at += 2) {
        words[at] = lo;
        words[at + 1] = hi;
        lo = (lo + add) | 0;
        if (lo >>> 0 < add) hi += 1;
      }
    }
    const info = this.#frames.words;
    const at = this.#frames.at(table);
    info[at + PRESENT] = (flags & P) !== 0 ? ENTRIES : 0;
    info[at + LINKS] = (flags & P) !== 0 ? ENTRIES - 1 : 0;
    info[at + MARKS]! |= MARK_COUNTED;
    this.#port.memory.noteWrite(first / WORDS, table, 0, 4096);
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

  /**
   * The first frame of a table whose 512 entries are one run of leaves with exactly these flags, aligned to the run's size;
   * or -1.
   */
  runBase(table: Frame, level: number, flags: number): Frame {
    const { observer } = this.#seam;
    if (observer?.enter('scan', table, level, flags, 0)) return observer.value;
    const base =
      !this.#counts || this.#counter(table, level, LINKS) === ENTRIES - 1 ? this.#scan(table, level, flags) : -1;
    if (observer !== null) observer.leave(base, 0);
    return base;
  }

  /** Whether no entry is present; without counters, as Xen sees it, whether all are zero. */
  isEmpty(table: Frame, level: number): boolean {
    const { observer } = this.#seam;
    if (observer?.enter('scanEmpty', table, level, 0, 0)) return observer.value !== 0;
    const empty = this.#counts ? this.#counter(table, level, PRESENT) === 0 : this.#isZero(table);
    if (observer !== null) observer.leave(empty ? 1 : 0, 0);
    return empty;
  }

  #writeRun(entry: Entry, frame: Frame, flags: number, count: number): number {
    const { memory } = this.#port;
    const { words } = memory;
    const table = Math.floor(entry / ENTRIES);
    const index = entry - table * ENTRIES;
    const first = this.#firstWord(table);
    let free = 0;
    for (let at = first + 2 * index; free < count && (words[at]! & P) === 0; at += 2) free += 1;
    if (free === 0) return 0;
    this.#port.writeLeaves(table, index, free, frame, flags);
    const info = this.#frames.words;
    const about = this.#frames.at(table);
    if (this.#counts && (info[about + MARKS]! & MARK_COUNTED) !== 0) {
      const at = first + 2 * index;
      const end = at + 2 * free;
      const below = index > 0 ? this.#linked(at - 2, at, 1) : 0;
      const above = index + free < ENTRIES ? this.#linked(end - 2, end, 1) : 0;
      info[about + PRESENT]! += free;
      info[about + LINKS]! += free - 1 + below + above;
    }
    return free;
  }

  /** Keeps the counters over a write that is about to happen. */
  #count(entry: Entry, level: number, frame: Frame, flags: number): void {
    const table = Math.floor(entry / ENTRIES);
    const index = entry - table * ENTRIES;
    const info = this.#frames.words;
    const about = this.#frames.at(table);
    if ((info[about + MARKS]! & MARK_COUNTED) === 0) return;
    const { words } = this.#port.memory;
    const at = this.#firstWord(table) + 2 * index;
    const was = words[at]! & P;
    info[about + PRESENT]! += (flags & P) - was;
    const lo = entryLo(frame, flags);
    const hi = entryHi(frame, flags);
    let links = 0;
    if (index > 0 && (words[at - 2]! & P) !== 0) {
      if (was !== 0) links -= this.#linked(at - 2, at, level);
      links += continues(words[at - 2]!, words[at - 1]!, lo, hi, level);
    }
    if (index < ENTRIES - 1 && (words[at + 2]! & P) !== 0) {
      if (was !== 0) links -= this.#linked(at, at + 2, level);
      links += continues(lo, hi, words[at + 2]!, words[at + 3]!, level);
    }
    info[about + LINKS]! += links;
  }

  #linked(lower: number, upper: number, level: number): number {
    const { words } = this.#port.memory;
    return continues(words[lower]!, words[lower + 1]!, words[upper]!, words[upper + 1]!, level);
  }

  /** A counter of a table, made first where the table was adopted. */
  #counter(table: Frame, level: number, which: number): number {
    const info = this.#frames.words;
    const about = this.#frames.at(table);
    if ((info[about + MARKS]! & MARK_COUNTED) === 0) {
      const { words } = this.#port.memory;
      const first = this.#firstWord(table);
      let present = 0;
      let links = 0;
      for (let at = first; at < first + WORDS; at += 2) {
        present += words[at]! & P;
        if (at > first) links += this.#linked(at - 2, at, level);
      }
      info[about + PRESENT] = present;
      info[about + LINKS] = links;
      info[about + MARKS]! |= MARK_COUNTED;
    }
    return info[about + which]!;
  }

  /** By halves: whoever asks holds the lock, and hardware changes A and D only, which must be set here. */
  #scan(table: Frame, level: number, flags: number): Frame {
    const { words } = this.#port.memory;
    const first = this.#firstWord(table);
    const step = PAGES[level]!;
    const base = this.#port.read(table * ENTRIES) === flags ? this.#port.frame : -1;
    // Bit 0 of a superpage's frame number is its PAT bit.
    if (base < 0 || (level === 1 ? base : base - (base % 2)) % (step * ENTRIES) !== 0) return -1;
    const add = step << 12;
    const hi = words[first + 1]!;
    let lo = words[first]!;
    for (let at = first; at < first + WORDS; at += 2) {
      if (words[at] !== lo || words[at + 1] !== hi) return -1;
      lo = (lo + add) | 0; // no carry: the run is aligned to its size
    }
    return base;
  }

  #isZero(table: Frame): boolean {
    const { words } = this.#port.memory;
    const first = this.#firstWord(table);
    for (let at = first; at < first + WORDS; at++) if (words[at] !== 0) return false;
    return true;
  }

  /** Index of a table's first word in memory. A bug where the table was freed. */
  #firstWord(table: Frame): number {
    const page = this.#port.memory.pageOf(table);
    const state = page < 0 ? PGC_STATE_HI : this.#frames.words[page * INFO_WORDS + COUNT_HI]! & PGC_STATE_HI;
    bugOn(state !== 0, () => `use of table ${hexNumber(table)}, which is free or no RAM`);
    return page * WORDS;
  }
}

/** 1 where a leaf continues the one below it: the next frame, the same flags but for A and D; else 0. */
function continues(lo: number, hi: number, nextLo: number, nextHi: number, level: number): number {
  if (((lo ^ nextLo) & UNIFORM) !== 0 || (lo & P) === 0) return 0;
  if (level > 1 && (lo & PS) === 0) return 0; // tables continue nothing
  const add = (PAGES[level]! << 12) >>> 0;
  const sum = ((lo & FRAME_LO) + add) | 0;
  const carry = sum >>> 0 < add ? 1 : 0;
  return (nextLo & FRAME_LO) === sum && nextHi === hi + carry ? 1 : 0;
}
