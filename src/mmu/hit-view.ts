/**
 * What makes a hit five lines: linear pages whose accesses of one kind need no question but the address. Derived from TLB
 * entries, per regime; never the truth, and never there without its TLB entry.
 *
 * Everything that asks for a second look is simply absent: devices, ROM, code pages, clean pages (for writes), watched
 * pages, RAM past 4 GiB of the buffer, non-canonical addresses. Unaligned addresses miss because the low bits take part in the comparison.
 *
 * The key permutes the slots: a page lies at `(page ^ key)`, so an entry of another regime or generation is never met
 * under the current key, and dropping everything means taking the next key. Two bits of the key are the regime, ten the
 * generation; when those run out, the arrays are cleared once. Shapes compared: docs/decisions/0002-hit-path.md.
 */

/** Slots of a view of 4 KiB pages. */
export const VIEW_SLOTS: number = 1 << 12;
export const VIEW_MASK: number = VIEW_SLOTS - 1;

/** Backing pages that views may hold: the hit path computes positions in the buffer as 32-bit numbers, which end at 4 GiB. */
export const VIEW_PAGES: number = 1 << 20;

const REGIME_BITS = 2;
/** A tag no access has: bits 11:6 never take part in a comparison. */
const EMPTY_TAG = 1 << 11;

export class HitView {
  /** log2 of the bytes an entry covers: 12, or 21 for pieces of large pages. */
  readonly shift: number;
  /** XORed into the address before it selects a slot. */
  key = 0;
  /** Low half of the address of each entry's page. */
  readonly tagLo: Int32Array;
  readonly tagHi: Int32Array;
  /** Index of the page's first 32-bit word in the buffer of memory. */
  readonly word: Int32Array;

  readonly #mask: number;
  readonly #generationBits: number;
  #generation = 0;
  #regime = 0;

  constructor(shift: number) {
    this.shift = shift;
    const slotBits = Math.min(12, 32 - shift); // slots are chosen by bits of the low half
    this.#mask = (1 << slotBits) - 1;
    this.#generationBits = slotBits - REGIME_BITS;
    this.tagLo = new Int32Array(1 << slotBits).fill(EMPTY_TAG);
    this.tagHi = new Int32Array(1 << slotBits);
    this.word = new Int32Array(1 << slotBits);
  }

  /** Chooses the regime whose entries are met from now on, 0 to 3. Others stay. */
  useRegime(regime: number): void {
    this.#regime = regime;
    this.key = this.#keyOf(regime);
  }

  /** Drops the entries of all regimes. */
  dropAll(): void {
    this.#generation += 1;
    if (this.#generation === 1 << this.#generationBits) {
      this.#generation = 0;
      this.tagLo.fill(EMPTY_TAG);
    }
    this.useRegime(this.#regime);
  }

  /** Adds the piece that (lo, hi) lies in, under the current regime. */
  fill(lo: number, hi: number, word: number): void {
    const slot = this.#slotOf(lo, this.key);
    this.tagLo[slot] = this.#tagOf(lo);
    this.tagHi[slot] = hi;
    this.word[slot] = word;
  }

  /** Word index of the first word of the piece that (lo, hi) lies in, or -1. */
  find(lo: number, hi: number): number {
    const slot = this.#slotOf(lo, this.key);
    return this.tagLo[slot] === this.#tagOf(lo) && this.tagHi[slot] === hi ? this.word[slot]! : -1;
  }

  /** Drops the piece that (lo, hi) lies in, from every regime. */
  drop(lo: number, hi: number): void {
    const tag = this.#tagOf(lo);
    for (let regime = 0; regime < 1 << REGIME_BITS; regime++) {
      const slot = this.#slotOf(lo, this.#keyOf(regime));
      if (this.tagLo[slot] === tag && this.tagHi[slot] === hi) this.tagLo[slot] = EMPTY_TAG;
    }
  }

  #keyOf(regime: number): number {
    return ((regime << this.#generationBits) | this.#generation) << this.shift;
  }

  #slotOf(lo: number, key: number): number {
    return ((lo ^ key) >>> this.shift) & this.#mask;
  }

  #tagOf(lo: number): number {
    return lo & -(1 << this.shift);
  }
}
