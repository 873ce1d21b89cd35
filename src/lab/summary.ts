/**
 * What a table maps in all, found a piece at a time: a picture has only so many milliseconds, and a table that is not known
 * yet is shown as such. Tables lead to themselves in some systems (Xen's linear page table); each level is its own entry.
 */
import { NO_EXECUTE, narrow, USER, WRITABLE } from '../mmu/access.ts';
import { isPresent } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import type { Slots } from './slots.ts';

export interface Summary {
  /** Pages of 4 KiB that are mapped. */
  readonly pages: number;
  /** Level of the largest and of the smallest page; 0 where nothing is mapped. */
  readonly largest: number;
  readonly smallest: number;
  /** Rights that some page has, and rights that every page has; NO_EXECUTE the other way round. */
  readonly any: number;
  readonly all: number;
}

const NOTHING: Summary = { pages: 0, largest: 0, smallest: 0, any: 0, all: 0 };
const MASK = WRITABLE | USER | NO_EXECUTE;

export class Summaries {
  readonly #slots: Slots;
  readonly #known = new Map<number, Summary>();
  #deadline = 0;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** Forgets everything: tables changed. */
  clear(): void {
    this.#known.clear();
  }

  /** From now on, so many milliseconds may be spent. */
  allow(milliseconds: number): void {
    this.#deadline = performance.now() + milliseconds;
  }

  /**
   * What a table maps; undefined where the time is over before it is known. What was found by then is kept.
   * @param rights  combined rights of the entries above it
   */
  of(table: Frame, level: number, rights: number): Summary | undefined {
    // Rights above are few: W, U and XD make eight kinds.
    const key = (table * 8 + level) * 8 + (rights & MASK);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (performance.now() > this.#deadline) return undefined;
    const found = this.#add(table, level, rights & MASK);
    if (found !== undefined) this.#known.set(key, found);
    return found;
  }

  #add(table: Frame, level: number, rights: number): Summary | undefined {
    const { format, port, entries } = this.#slots;
    let sum: Summary = NOTHING;
    for (let index = 0; index < entries; index++) {
      port.load(table, index, format.entryBytes);
      const { lo, hi } = port;
      if (!isPresent(lo)) continue;
      const isLeaf = format.isLeaf(level, lo);
      if (format.violatesReserved(level, isLeaf, lo, hi)) continue;
      const own = narrow(rights, lo, hi) & MASK;
      const one = isLeaf
        ? { pages: format.pageFrames(level), largest: level, smallest: level, any: own, all: own }
        : this.of(format.tableFrame(lo, hi), level - 1, own);
      if (one === undefined) return undefined;
      sum = together(sum, one);
    }
    return sum;
  }
}

function together(one: Summary, other: Summary): Summary {
  if (one.pages === 0) return other;
  if (other.pages === 0) return one;
  return {
    pages: one.pages + other.pages,
    largest: Math.max(one.largest, other.largest),
    smallest: Math.min(one.smallest, other.smallest),
    any: one.any | other.any,
    all: one.all & other.all,
  };
}
