/**
 * What 4-level tables map, as runs: adjacent leaves of one level and equal flags whose pages and frames continue. Reads the
 * words of the tables in place: 3 ns an entry, of which a check lists half a billion.
 */
import { pagesOf } from '../../hypervisor/flags.ts';
import { flagsOf, frameOf, isPresent, PS } from '../../mmu/entry.ts';
import type { Frame } from '../../mmu/halves.ts';
import type { PhysicalMemory } from '../../mmu/physical-memory.ts';

export interface LeafRun {
  /** First linear page number, sign bits kept. */
  readonly page: number;
  readonly mfn: Frame;
  /** In pages of 4 KiB. */
  pages: number;
  readonly level: number;
  /** 24 bits, PS in place. */
  readonly flags: number;
}

/** Words of a table. */
const WORDS = 1024;
/** From the end of the lower half of the address space to the start of the upper one, in pages. */
const NON_CANONICAL = 2 ** 52 - 2 ** 36;

export class LeafLister {
  readonly #memory: PhysicalMemory;
  #runs: LeafRun[] = [];
  #tables = 0;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  /** The runs below a root, in the order of the entries, and how many tables there are with it. */
  list(root: Frame): { runs: readonly LeafRun[]; tables: number } {
    this.#runs = [];
    this.#tables = 0;
    this.#add(root, 4, 0);
    return { runs: this.#runs, tables: this.#tables };
  }

  #add(table: Frame, level: number, firstPage: number): void {
    this.#tables += 1;
    const { words } = this.#memory;
    const first = this.#memory.pageOf(table) * WORDS;
    const end = first + WORDS;
    const pages = pagesOf(level);
    const add = (pages << 12) >>> 0;
    for (let at = first; at < end; at += 2) {
      if (!isPresent(words[at]!)) continue;
      const lo = words[at]!;
      const hi = words[at + 1]!;
      const index = (at - first) / 2;
      const page = firstPage + index * pages + (level === 4 && index >= 256 ? NON_CANONICAL : 0);
      if (level > 1 && (lo & PS) === 0) {
        this.#add(frameOf(lo, hi), level - 1, page);
        continue;
      }
      let nextLo = lo;
      let nextHi = hi;
      let next = at;
      do {
        nextLo = (nextLo + add) | 0;
        if (nextLo >>> 0 < add) nextHi = (nextHi + 1) | 0;
        next += 2;
      } while (next < end && words[next] === nextLo && words[next + 1] === nextHi);
      this.#append(page, frameOf(lo, hi), ((next - at) / 2) * pages, level, flagsOf(lo, hi));
      at = next - 2;
    }
  }

  #append(page: number, mfn: Frame, pages: number, level: number, flags: number): void {
    const last = this.#runs.at(-1);
    const continues =
      last !== undefined &&
      last.level === level &&
      last.flags === flags &&
      last.page + last.pages === page &&
      last.mfn + last.pages === mfn;
    if (continues) last.pages += pages;
    else this.#runs.push({ page, mfn, pages, level, flags });
  }
}
