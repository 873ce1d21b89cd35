/**
 * What makes a hit three lines: linear pages whose accesses of one kind need no question but the address. Derived from TLB
 * entries, per regime; never the truth, and never there without its TLB entry.
 *
 * Everything that asks for a second look is simply absent: devices, ROM, code pages, clean pages (for writes), watched
 * pages, RAM past 4 GiB of the buffer, non-canonical addresses. Unaligned addresses miss because the low bits take part in the comparison.
 *
 * The slots of all views are one table (hit-table.ts), in which a view finds its own under its key: an entry of another view,
 * regime or generation is never met, and dropping everything means taking the next key. Shapes compared: docs/decisions/0002-hit-path.md.
 */
import {
  EMPTY_TAG,
  GENERATIONS,
  HIGHS,
  homes,
  NO_REGIME,
  NOWHERE,
  PLACES,
  REGIME_SHIFT,
  SLOTS,
  TAGS,
  type Tenancy,
} from './hit-table.ts';

/** Backing pages that views may hold: the hit path computes positions in the buffer as 32-bit numbers, which end at 4 GiB. */
export const VIEW_PAGES: number = 1 << 20;

// The part of a low half that is compared: the page, and the bits that alignment wants zero.
export const TAG8: number = ~0xfff;
export const TAG16: number = ~0xffe;
export const TAG32: number = ~0xffc;
export const TAG64: number = ~0xff8;

// The same for a piece of a large page, with a bit that no tag of a 4 KiB page has.
export const LARGE_SHIFT: number = 21;
const LARGE = 1 << 10;
const largeBase = (lo: number): number => lo & ~0x1f_ffff;
/** Pieces are counted through 2 TiB of linear space before two of them meet. */
const largeSlot = (lo: number, hi: number): number => ((lo >>> LARGE_SHIFT) | (hi << 11)) & (SLOTS - 1);

/** All regimes that views are filled under, a bit each. */
export const REGIMES: number = (1 << NO_REGIME) - 1;

/** A part of the table, as a key shows it. */
abstract class KeyedSlots {
  /** XORed into the number of a page before it selects a slot. */
  key: number = NOWHERE;
  /** The regime as a bit; 0 where nothing is filled. */
  mark = 1;
  #regime = 0;
  #generation = 0;
  readonly #tenancy: Tenancy = homes.tenancyOf(this);
  readonly #moved: () => void;

  /** @param moved  told when the key changed because something was filled */
  constructor(moved: () => void) {
    this.#moved = moved;
  }

  /** Chooses the regime whose entries are met from now on, 0 to 2 or NO_REGIME. Others stay. */
  useRegime(regime: number): void {
    this.#regime = regime;
    this.mark = (1 << regime) & REGIMES;
    this.key = this.keyOf(regime);
  }

  /** Drops the entries of all regimes. */
  dropAll(): void {
    if (this.#tenancy.home === NOWHERE) return;
    this.#generation = (this.#generation + 1) & (GENERATIONS - 1);
    if (this.#generation === 0) homes.leave(this.#tenancy);
    this.key = this.keyOf(this.#regime);
  }

  /** Finds a home where there is none. False where that fails, or while views are closed: nothing can be filled then. */
  protected moveIn(): boolean {
    if (this.#tenancy.home === NOWHERE) {
      homes.enter(this.#tenancy);
      this.key = this.keyOf(this.#regime);
      this.#moved();
    }
    return this.key < NOWHERE;
  }

  /** Fills a slot, for the piece from (base, hi) on, whose first word is at `word` in the buffer. */
  protected put(at: number, tag: number, hi: number, base: number, word: number): void {
    TAGS[at] = tag;
    HIGHS[at] = hi;
    PLACES[at] = (word << 2) - base;
  }

  protected keyOf(regime: number): number {
    return (regime << REGIME_SHIFT) | this.#tenancy.home | this.#generation;
  }
}

/** Of 4 KiB pages. */
export class HitView extends KeyedSlots {
  /**
   * Adds the page that (lo, hi) lies in, whose first word is at `word` in the buffer, under the current regime.
   * @returns that regime, as a bit; 0 where nothing was added
   */
  fill(lo: number, hi: number, word: number): number {
    if (this.key >= NOWHERE && !this.moveIn()) return 0;
    const page = lo & TAG8;
    this.put((lo >>> 12) ^ this.key, page, hi, page, word);
    return this.mark;
  }

  /** Drops the page that (lo, hi) lies in from the current regime. */
  dropCurrent(lo: number, hi: number): void {
    this.#dropAt((lo >>> 12) ^ this.key, lo, hi);
  }

  /** Drops the page that (lo, hi) lies in from some regimes, a bit each. */
  drop(lo: number, hi: number, regimes: number): void {
    for (let left = regimes; left !== 0; left &= left - 1)
      this.#dropAt((lo >>> 12) ^ this.keyOf(31 - Math.clz32(left & -left)), lo, hi);
  }

  #dropAt(at: number, lo: number, hi: number): void {
    if (TAGS[at] === (lo & TAG8) && HIGHS[at] === hi) TAGS[at] = EMPTY_TAG;
  }
}

/** Of pieces of large pages. */
export class LargeView extends KeyedSlots {
  /** Index in the buffer of the word that (lo, hi) lies in, or -1. */
  find(lo: number, hi: number): number {
    const at = largeSlot(lo, hi) ^ this.key;
    return TAGS[at] === (largeBase(lo) | LARGE) && HIGHS[at] === hi ? (PLACES[at]! + lo) >>> 2 : -1;
  }

  /** Adds the piece that (lo, hi) lies in, whose first word is at `word` in the buffer, under the current regime. */
  fill(lo: number, hi: number, word: number): void {
    if (this.key >= NOWHERE && !this.moveIn()) return;
    const base = largeBase(lo);
    this.put(largeSlot(lo, hi) ^ this.key, base | LARGE, hi, base, word);
  }
}
