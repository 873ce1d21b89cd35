/**
 * Two counters per table, so that "empty" and "one run" cost nothing to notice: PRESENT, the entries that are present; and
 * LINKS, the pairs of neighbours of which the upper continues the lower (frame and flags, A and D aside: hardware sets
 * those behind our back). 511 links are one run, which one scan then confirms.
 *
 * They lie in the table's page_info and change with each store, under the L3 lock. Of a table that was adopted they are made
 * when it is first asked about. Entries are named by their quadword in memory.
 */
import { A, D, P, PS } from '../mmu/entry.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import { type FrameTable, INFO_WORDS, LINKS, MARK_COUNTED, MARKS, PRESENT } from './frame-table.ts';

const ENTRIES = 512;

/** Index of the page_info of the table that a quadword lies in. */
export const infoOf = (quad: number): number => (quad >>> 9) * INFO_WORDS;

export class TableCounters {
  readonly #memory: PhysicalMemory;
  readonly #info: Int32Array;

  constructor(frames: FrameTable) {
    this.#memory = frames.memory;
    this.#info = frames.words;
  }

  /** Entries that are present in the table of `level` that a quadword lies in. */
  present(quad: number, level: number): number {
    this.#count(quad, level);
    return this.#info[infoOf(quad) + PRESENT]!;
  }

  /** Neighbours of which the upper continues the lower, 0 to 511. */
  links(quad: number, level: number): number {
    this.#count(quad, level);
    return this.#info[infoOf(quad) + LINKS]!;
  }

  /** A private table was filled: with one run of leaves, or cleared. */
  fill(quad: number, isRun: boolean): void {
    const about = infoOf(quad);
    this.#info[about + PRESENT] = isRun ? ENTRIES : 0;
    this.#info[about + LINKS] = isRun ? ENTRIES - 1 : 0;
    this.#info[about + MARKS]! |= MARK_COUNTED;
  }

  /** `count` leaves of level 1, ascending frames, were written where nothing was present. */
  addRun(quad: number, count: number): void {
    const info = this.#info;
    const about = infoOf(quad);
    if ((info[about + MARKS]! & MARK_COUNTED) === 0) return;
    const { words } = this.#memory;
    const index = quad & (ENTRIES - 1);
    const at = 2 * quad;
    const end = at + 2 * count;
    const below = index === 0 ? 0 : link(words[at - 2]!, words[at - 1]!, words[at]!, words[at + 1]!, 1);
    const isLast = index + count === ENTRIES;
    const above = isLast ? 0 : link(words[end - 2]!, words[end - 1]!, words[end]!, words[end + 1]!, 1);
    info[about + PRESENT]! += count;
    info[about + LINKS]! += count - 1 + below + above;
  }

  /** An entry of a table of `level` is about to become (lo, hi). */
  replace(quad: number, level: number, lo: number, hi: number): void {
    const info = this.#info;
    const about = infoOf(quad);
    if ((info[about + MARKS]! & MARK_COUNTED) === 0) return;
    const { words } = this.#memory;
    const index = quad & (ENTRIES - 1);
    const at = 2 * quad;
    const oldLo = words[at]!;
    const oldHi = words[at + 1]!;
    let links = 0;
    if (index > 0) {
      const belowLo = words[at - 2]!;
      const belowHi = words[at - 1]!;
      links = link(belowLo, belowHi, lo, hi, level) - link(belowLo, belowHi, oldLo, oldHi, level);
    }
    if (index < ENTRIES - 1) {
      const aboveLo = words[at + 2]!;
      const aboveHi = words[at + 3]!;
      links += link(lo, hi, aboveLo, aboveHi, level) - link(oldLo, oldHi, aboveLo, aboveHi, level);
    }
    info[about + PRESENT]! += (lo & P) - (oldLo & P);
    info[about + LINKS]! += links;
  }

  /** Makes the counters of a table that was adopted. */
  #count(quad: number, level: number): void {
    const info = this.#info;
    const about = infoOf(quad);
    if ((info[about + MARKS]! & MARK_COUNTED) !== 0) return;
    const { words } = this.#memory;
    const first = 2 * (quad - (quad & (ENTRIES - 1)));
    let present = words[first]! & P;
    let links = 0;
    for (let at = first + 2; at < first + 2 * ENTRIES; at += 2) {
      present += words[at]! & P;
      links += link(words[at - 2]!, words[at - 1]!, words[at]!, words[at + 1]!, level);
    }
    info[about + PRESENT] = present;
    info[about + LINKS] = links;
    info[about + MARKS]! |= MARK_COUNTED;
  }
}

/** 1 where a leaf continues the one below it: the next frame, the same flags but for A and D; else 0. */
function link(lo: number, hi: number, nextLo: number, nextHi: number, level: number): number {
  const leaf = level === 1 ? P : P | PS; // tables continue nothing
  const add = level === 1 ? 4096 : ENTRIES * 4096;
  if ((lo & leaf) !== leaf || (((nextLo & ~(A | D)) - (lo & ~(A | D))) | 0) !== add) return 0;
  const carry = nextLo >>> 12 < add >>> 12 ? 1 : 0;
  return nextHi === ((hi + carry) | 0) ? 1 : 0;
}
