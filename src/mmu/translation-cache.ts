/**
 * One set-associative cache of what walks found, keyed by linear address bits from `shift` up and by PCID or GLOBAL.
 * A TLB is three of them (one per page size), the paging-structure caches are four.
 *
 * Invalidation is by generation: each entry carries the clock of its fill, each context the clock of its last flush, so
 * that flushing any amount is O(1). Memory: 32 bytes an entry; with `keep everything` it grows with the entries alive.
 */
import type { Frame } from './halves.ts';

/** The context of entries that all PCIDs use. PCIDs are 0 to 4095. */
export const GLOBAL_CONTEXT: number = 4096;

/** Contexts of slots without an entry: never used, and dropped. The first ends a search in a cache that grows. */
const EMPTY = -1;
const DROPPED = -2;

/** When what was flushed: shared by the caches that one operation flushes together. */
export class Generations {
  #clock = 1;
  #allFlushed = 0; // all contexts but GLOBAL_CONTEXT
  readonly #flushed: Float64Array = new Float64Array(GLOBAL_CONTEXT + 1);

  /** The stamp of an entry filled now. A double: it does not wrap. */
  get now(): number {
    return this.#clock;
  }

  isLive(context: number, stamp: number): boolean {
    return stamp > this.#flushed[context]! && (stamp > this.#allFlushed || context === GLOBAL_CONTEXT);
  }

  /** Drops all entries of one context. */
  flush(context: number): void {
    this.#flushed[context] = this.#clock++;
  }

  /** Drops all entries of all PCIDs, keeping global ones. */
  flushNonGlobal(): void {
    this.#allFlushed = this.#clock++;
  }

  flushAll(): void {
    this.flushNonGlobal();
    this.flush(GLOBAL_CONTEXT);
  }
}

export type Replacement = 'round-robin' | 'random';

export interface CacheShape {
  /** Entries; a power of two. 0: off. Infinity: keep everything, so that only invalidation removes an entry. */
  readonly entries: number;
  /** Entries that compete for one place; a power of two. */
  readonly ways: number;
  readonly replacement: Replacement;
}

export class TranslationCache {
  /** Told of an entry that a fill replaced. */
  onEvict: (lo: number, hi: number, shift: number) => void = () => {};
  /** Whether anything was filled since the last time it was known to be empty: lookups of unused caches end here. */
  isUsed = false;

  #hasGlobal = false;
  #shift: number;
  #maskLo = 0;
  #maskHi = 0;
  readonly #ways: number;
  readonly #grows: boolean;
  readonly #replacement: Replacement;
  readonly #generations: Generations;
  #setMask = 0;
  /** Slots that a search may look at: the ways of a set, or all of a cache that grows. */
  #reach = 0;
  #slotMask = 0;
  /** Slots that are not EMPTY, of a cache that grows. */
  #used = 0;
  #next = 1; // round robin, or the state of the generator
  #tagLo = new Int32Array(0);
  #tagHi = new Int32Array(0);
  #context = new Int32Array(0);
  #stamp = new Float64Array(0);
  #frame = new Float64Array(0);
  #rights = new Int32Array(0);

  constructor(shift: number, shape: CacheShape, generations: Generations) {
    this.#shift = shift;
    this.#generations = generations;
    this.#replacement = shape.replacement;
    this.#grows = shape.entries === Infinity;
    this.#ways = shape.ways;
    const entries = this.#grows ? 16 : shape.entries;
    for (const [what, value] of Object.entries({ entries, ways: shape.ways }))
      if (!Number.isInteger(value) || (value & (value - 1)) !== 0)
        throw new RangeError(`${what} of a cache: ${value} is not a power of two`);
    if (entries > 0 && entries < shape.ways)
      throw new RangeError(`a cache of ${entries} entries has no ${shape.ways} ways`);
    this.#allocate(entries);
    this.reshape(shift);
  }

  /** Whether it has room for any entry. */
  get isOn(): boolean {
    return this.#context.length > 0;
  }

  /** Lowest linear bit of the key. */
  get shift(): number {
    return this.#shift;
  }

  /** Keys by other linear bits from now on; everything in the cache is dropped. */
  reshape(shift: number): void {
    this.#shift = shift;
    this.#maskLo = shift < 32 ? -(1 << shift) : 0;
    this.#maskHi = shift < 32 ? -1 : -(1 << (shift - 32));
    this.#context.fill(EMPTY);
    this.#used = 0;
    this.isUsed = false;
    this.#hasGlobal = false;
  }

  /** The slot that translates (lo, hi) for a PCID, its own or global; or -1. */
  find(lo: number, hi: number, pcid: number): number {
    if (!this.isUsed) return -1;
    const slot = this.#find(lo & this.#maskLo, hi & this.#maskHi, pcid);
    return slot >= 0 || !this.#hasGlobal ? slot : this.#find(lo & this.#maskLo, hi & this.#maskHi, GLOBAL_CONTEXT);
  }

  frameAt(slot: number): Frame {
    return this.#frame[slot]!;
  }

  rightsAt(slot: number): number {
    return this.#rights[slot]!;
  }

  /** Adds the entry for (lo, hi) in `context`, a PCID or GLOBAL_CONTEXT. True where it replaced an older one. */
  fill(lo: number, hi: number, context: number, frame: Frame, rights: number): boolean {
    if (!this.isOn) return false;
    const tagLo = lo & this.#maskLo;
    const tagHi = hi & this.#maskHi;
    const slot = this.#place(tagLo, tagHi, context);
    const isSame = this.#context[slot] === context && this.#tagLo[slot] === tagLo && this.#tagHi[slot] === tagHi;
    const replaced = isSame && this.#isLive(slot);
    this.isUsed = true;
    if (context === GLOBAL_CONTEXT) this.#hasGlobal = true;
    this.#tagLo[slot] = tagLo;
    this.#tagHi[slot] = tagHi;
    this.#context[slot] = context;
    this.#stamp[slot] = this.#generations.now;
    this.#frame[slot] = frame;
    this.#rights[slot] = rights;
    return replaced;
  }

  /** Drops the entry for (lo, hi) of one context. True where there was one. */
  drop(lo: number, hi: number, context: number): boolean {
    if (!this.isUsed) return false;
    const slot = this.#find(lo & this.#maskLo, hi & this.#maskHi, context);
    if (slot < 0) return false;
    this.#context[slot] = DROPPED;
    return true;
  }

  /** Each live entry: tag, context, frame and rights. */
  forEach(visit: (lo: number, hi: number, context: number, frame: Frame, rights: number) => void): void {
    for (let slot = 0; slot < this.#context.length; slot++)
      if (this.#isLive(slot))
        visit(this.#tagLo[slot]!, this.#tagHi[slot]!, this.#context[slot]!, this.#frame[slot]!, this.#rights[slot]!);
  }

  #find(tagLo: number, tagHi: number, context: number): number {
    const first = this.#set(tagLo, tagHi, context);
    for (let nth = 0; nth < this.#reach; nth++) {
      const slot = (first + nth) & this.#slotMask;
      const found = this.#context[slot]!;
      if (found === context && this.#tagLo[slot] === tagLo && this.#tagHi[slot] === tagHi)
        return this.#generations.isLive(context, this.#stamp[slot]!) ? slot : -1;
      if (found === EMPTY && this.#grows) return -1;
    }
    return -1;
  }

  #isLive(slot: number): boolean {
    const context = this.#context[slot]!;
    return context >= 0 && this.#generations.isLive(context, this.#stamp[slot]!);
  }

  /** First slot of a set. High bits are folded in: kernel and user halves would meet under plain low bits. */
  #set(tagLo: number, tagHi: number, context: number): number {
    const shift = this.#shift;
    const page = shift < 32 ? (tagLo >>> shift) | (tagHi << (32 - shift)) : tagHi >>> (shift - 32);
    const mixed = page ^ (page >>> 10) ^ (tagHi >>> 7) ^ (Math.imul(context, 0x9e3779b1) >>> 16);
    return (mixed & this.#setMask) * this.#ways;
  }

  /** Where an entry goes: over its older self, over one that is not live, or over a victim. */
  #place(tagLo: number, tagHi: number, context: number): number {
    if (this.#grows && 4 * this.#used >= 3 * this.#context.length) this.#rebuild();
    const first = this.#set(tagLo, tagHi, context);
    let free = -1;
    for (let nth = 0; nth < this.#reach; nth++) {
      const slot = (first + nth) & this.#slotMask;
      const found = this.#context[slot]!;
      if (found === context && this.#tagLo[slot] === tagLo && this.#tagHi[slot] === tagHi) return slot;
      if (free < 0 && !this.#isLive(slot)) free = slot;
      if (found === EMPTY && this.#grows) break;
    }
    if (free >= 0) {
      if (this.#context[free] === EMPTY) this.#used += 1;
      return free;
    }
    const victim = first + this.#victim();
    this.onEvict(this.#tagLo[victim]!, this.#tagHi[victim]!, this.#shift);
    return victim;
  }

  #victim(): number {
    this.#next = this.#replacement === 'random' ? Math.imul(this.#next, 1664525) + 1013904223 : this.#next + 1;
    return (this.#next >>> (this.#replacement === 'random' ? 16 : 0)) & (this.#ways - 1);
  }

  /** Makes room in a cache that grows: what is not live goes, and where that is not enough, the cache doubles. */
  #rebuild(): void {
    const live: number[][] = [];
    this.forEach((...entry) => live.push(entry));
    this.#allocate(4 * live.length > this.#context.length ? 2 * this.#context.length : this.#context.length);
    // fill() stamps them now: they are as live as before, since nothing was flushed in between
    for (const [lo, hi, context, frame, rights] of live) this.fill(lo!, hi!, context!, frame!, rights!);
  }

  #allocate(entries: number): void {
    this.#setMask = Math.max(0, entries / this.#ways - 1);
    this.#slotMask = entries - 1;
    this.#reach = this.#grows ? entries : this.#ways;
    this.#used = 0;
    this.#tagLo = new Int32Array(entries);
    this.#tagHi = new Int32Array(entries);
    this.#context = new Int32Array(entries).fill(EMPTY);
    this.#stamp = new Float64Array(entries);
    this.#frame = new Float64Array(entries);
    this.#rights = new Int32Array(entries);
  }
}
