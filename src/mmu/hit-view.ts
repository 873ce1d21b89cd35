/**
 * What makes a hit four lines: linear pages whose accesses of one kind need no question but the address. Derived from TLB
 * entries, per regime; never the truth, and never there without its TLB entry.
 *
 * Everything that asks for a second look is simply absent: devices, ROM, code pages, clean pages (for writes), watched
 * pages, RAM past 4 GiB of the buffer, non-canonical addresses. Unaligned addresses miss because the low bits take part in the comparison.
 *
 * The key permutes the slots: a page lies at `(page ^ key)`, so an entry of another regime or generation is never met
 * under the current key, and dropping everything means taking the next key. Two bits of the key are the regime, ten the
 * generation, or more where there are more slots; when those run out, the slots are cleared once. Shapes compared:
 * docs/decisions/0002-hit-path.md.
 */

/** Slots that a view of 4 KiB pages begins with. */
export const VIEW_SLOTS: number = 1 << 12;

/** Backing pages that views may hold: the hit path computes positions in the buffer as 32-bit numbers, which end at 4 GiB. */
export const VIEW_PAGES: number = 1 << 20;

// Where the slot of a 4 KiB page begins, in words; the hit path has this in place: `slotOf(mask, lo ^ key)`.
export const SLOT_SHIFT: number = 10;
const SLOT_WORDS = 4;
const slotOf = (mask: number, permuted: number): number => (permuted >>> SLOT_SHIFT) & mask;
// Words of a slot: the low half of the page's address, the high one, and what makes `lo` a position in the buffer, in bytes.
export const TAG_HI: number = 1;
export const BYTES: number = 2;
// The part of a low half that is compared: the page, and the bits that alignment wants zero.
export const TAG8: number = ~0xfff;
export const TAG16: number = ~0xffe;
export const TAG32: number = ~0xffc;
export const TAG64: number = ~0xff8;

// The same for a piece of a large page; its slot begins at `largeSlot(lo ^ key, hi)`.
export const LARGE_SHIFT: number = 21;
const LARGE_TAG = ~0x1f_ffff;
const LARGE_SLOTS = 1 << 11;
/** Upper bits of the high half take part: those of the low one alone would let pages 4 GiB apart meet. */
const largeSlot = (permuted: number, hi: number): number =>
  (((permuted >>> LARGE_SHIFT) ^ (Math.imul(hi, 0x9e3779b1) >>> LARGE_SHIFT)) & (LARGE_SLOTS - 1)) << 2;

const REGIME_BITS = 2;
/** A regime that nothing is ever filled under: while it is used, every access misses. */
export const NO_REGIME: number = 3;
/** All others, a bit each. */
export const REGIMES: number = (1 << NO_REGIME) - 1;
/** A tag no access has: bits 11:6 never take part in a comparison. */
const EMPTY_TAG = 1 << 11;

/** Slots, and the key that permutes them. */
abstract class KeyedSlots {
  /** XORed into the address before it selects a slot. */
  key = 0;
  /** Four words a slot, of which the last one is unused: a slot does not straddle cache lines. A power of two of them. */
  slots: Int32Array = new Int32Array(0);
  /** Bits of the index where a slot begins. */
  mask = 0;
  protected regime = 0;
  /** The regime as a bit; 0 where nothing is filled. */
  mark = 1;
  readonly #shift: number;
  #generationBits = 0;
  #generation = 0;

  /** @param shift  log2 of the bytes an entry covers, where the key begins */
  constructor(shift: number, slots: number) {
    this.#shift = shift;
    this.resize(slots);
  }

  /** Has another number of slots from now on, a power of two, all of them empty. */
  resize(slots: number): void {
    this.slots = new Int32Array(SLOT_WORDS * slots).fill(EMPTY_TAG);
    this.mask = SLOT_WORDS * (slots - 1);
    this.#generationBits = 31 - Math.clz32(slots) - REGIME_BITS;
    this.#generation = 0;
    this.useRegime(this.regime);
  }

  /** Chooses the regime whose entries are met from now on, 0 to 2 or NO_REGIME. Others stay. */
  useRegime(regime: number): void {
    this.regime = regime;
    this.mark = (1 << regime) & REGIMES;
    this.key = this.keyOf(regime);
  }

  /** Drops the entries of all regimes. */
  dropAll(): void {
    this.#generation += 1;
    if (this.#generation === 1 << this.#generationBits) {
      this.#generation = 0;
      this.slots.fill(EMPTY_TAG);
    }
    this.key = this.keyOf(this.regime);
  }

  /** Fills the slot that begins at `at`, for the piece from (tag, hi) on, whose first word is at `word` in the buffer. */
  protected put(at: number, tag: number, hi: number, word: number): void {
    const { slots } = this;
    slots[at] = tag;
    slots[at + TAG_HI] = hi;
    slots[at + BYTES] = (word << 2) - tag;
  }

  protected keyOf(regime: number): number {
    return ((regime << this.#generationBits) | this.#generation) << this.#shift;
  }
}

/** Of 4 KiB pages. */
export class HitView extends KeyedSlots {
  constructor() {
    super(12, VIEW_SLOTS);
  }

  /**
   * Adds the page that (lo, hi) lies in, whose first word is at `word` in the buffer, under the current regime.
   * @returns that regime, as a bit
   */
  fill(lo: number, hi: number, word: number): number {
    this.put(slotOf(this.mask, lo ^ this.key), lo & TAG8, hi, word);
    return this.mark;
  }

  /** Drops the page that (lo, hi) lies in from the current regime. */
  dropCurrent(lo: number, hi: number): void {
    this.#dropAt(slotOf(this.mask, lo ^ this.key), lo, hi);
  }

  /** Drops the page that (lo, hi) lies in from some regimes, a bit each. */
  drop(lo: number, hi: number, regimes: number): void {
    for (let left = regimes; left !== 0; left &= left - 1)
      this.#dropAt(slotOf(this.mask, lo ^ this.keyOf(31 - Math.clz32(left & -left))), lo, hi);
  }

  #dropAt(at: number, lo: number, hi: number): void {
    const { slots } = this;
    if (slots[at] === (lo & TAG8) && slots[at + TAG_HI] === hi) slots[at] = EMPTY_TAG;
  }
}

/** Of pieces of large pages. */
export class LargeView extends KeyedSlots {
  /** Whether anything was ever filled: a look into an unused one ends here. */
  isUsed = false;

  constructor() {
    super(LARGE_SHIFT, LARGE_SLOTS);
  }

  /** Index in the buffer of the word that (lo, hi) lies in, or -1. */
  find(lo: number, hi: number): number {
    const { slots } = this;
    const at = largeSlot(lo ^ this.key, hi);
    return slots[at] === (lo & LARGE_TAG) && slots[at + TAG_HI] === hi ? (slots[at + BYTES]! + lo) >>> 2 : -1;
  }

  /** Adds the piece that (lo, hi) lies in, whose first word is at `word` in the buffer, under the current regime. */
  fill(lo: number, hi: number, word: number): void {
    this.isUsed = true;
    this.put(largeSlot(lo ^ this.key, hi), lo & LARGE_TAG, hi, word);
  }
}
