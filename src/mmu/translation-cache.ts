/**
 * One set-associative cache of what walks found, keyed by linear address bits from `shift` up and by PCID or GLOBAL.
 * A TLB is three of them (one per page size), the paging-structure caches are four.
 *
 * Each entry carries the generation of its context that it was filled in (generations.ts). Memory: 32 bytes an entry that it
 * has room for; with `keep everything` it grows with the entries alive.
 */
import { type CacheShape, checkShape } from './cache-shape.ts';
import {
  CONTEXT,
  FRAME,
  GENERATION,
  KEY,
  KEY_GENERATION,
  MARK_SHIFT,
  RIGHTS,
  RIGHTS_MASK,
  SLOT_DOUBLES,
  SLOT_WORDS,
  TAG_HI,
} from './cache-slot.ts';
import { type Generations, GLOBAL_CONTEXT } from './generations.ts';
import type { Frame } from './halves.ts';

/** Generations of slots without an entry: never used, and dropped. The first ends a search in a cache that keeps everything. */
const EMPTY = 0;
const DROPPED = -1;

export class TranslationCache {
  /** Told of an entry that had to go for another one, with its marks. */
  onEvict: (lo: number, hi: number, shift: number, marks: number) => void = () => {};
  /** Told how many entries it holds since it grew; no entry has marks then. */
  onGrow: (entries: number) => void = () => {};
  /** Whether anything was filled since the last time it was known to be empty: lookups of unused caches end here. */
  isUsed = false;
  /** The slot that was filled last. */
  slot = 0;
  // What cpu/refill.ts looks at by itself.
  words: Int32Array = new Int32Array(0);
  doubles: Float64Array = new Float64Array(0);
  ways = 1;
  /** Whether anything was ever filled for all PCIDs. */
  hasGlobal = false;
  readonly generations: Generations;

  #shift = 12;
  #maskLo = 0;
  #maskHi = 0;
  #keepsAll = false;
  setMask = 0;
  #slotMask = 0;
  /** Slots that are not EMPTY, of a cache that keeps everything. */
  #used = 0;
  // Which way goes next: counting, in steps of 1, or of 2^32 over the golden ratio, whose upper bits look random.
  #evicted = 1;
  readonly #step: number;
  /** Lowest bit of it that is used. */
  readonly #drawn: number;
  /** Number of slots. */
  #size = 0;
  /** Entries that it may grow to, and the eviction that makes it do so. */
  readonly #most: number;
  #crowdedFrom = 0;

  constructor(shift: number, shape: CacheShape, generations: Generations) {
    this.#shift = shift;
    this.generations = generations;
    const isRandom = shape.replacement === 'random';
    this.#step = isRandom ? 0x9e3779b9 | 0 : 1;
    this.#drawn = isRandom ? 24 : 0;
    this.#keepsAll = shape.entries === Infinity;
    this.ways = shape.ways;
    checkShape(shape);
    const entries = this.#keepsAll ? 16 : shape.entries;
    this.#most = entries;
    this.#allocate(Math.min(entries, shape.first ?? entries));
    this.reshape(shift);
    generations.subscribe(() => this.#empty());
  }

  /** Whether it has room for any entry. */
  get isOn(): boolean {
    return this.#size > 0;
  }

  /** Whether it is on, and has sets: not where it keeps everything. */
  get hasSets(): boolean {
    return this.#size > 0 && this.#keepsAll === false;
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
    this.#empty();
    this.isUsed = false;
    this.hasGlobal = false;
  }

  /** The slot that translates (lo, hi) for a PCID, its own or global; or -1. */
  find(lo: number, hi: number, pcid: number): number {
    if (!this.isUsed) return -1;
    const slot = this.#find(lo & this.#maskLo, hi & this.#maskHi, pcid);
    return slot >= 0 || !this.hasGlobal ? slot : this.#find(lo & this.#maskLo, hi & this.#maskHi, GLOBAL_CONTEXT);
  }

  frameAt(slot: number): Frame {
    return this.doubles[slot * SLOT_DOUBLES + FRAME]!;
  }

  rightsAt(slot: number): number {
    return this.words[slot * SLOT_WORDS + RIGHTS]! & RIGHTS_MASK;
  }

  /** Adds marks to an entry: bits, to be told when it is evicted. */
  mark(slot: number, marks: number): void {
    this.words[slot * SLOT_WORDS + RIGHTS]! |= marks << MARK_SHIFT;
  }

  /** Keeps the entry for (lo, hi) in `context`, a PCID or GLOBAL_CONTEXT. True where it replaced an older one. */
  fill(lo: number, hi: number, context: number, frame: Frame, rights: number): boolean {
    if (!this.isOn) return false;
    const older = this.#find(lo & this.#maskLo, hi & this.#maskHi, context);
    if (older < 0) this.add(lo, hi, context, frame, rights);
    else this.#put(older, lo, hi, context, frame, rights);
    return older >= 0;
  }

  /** `fill` where `find` has just found nothing; the cache must be on. Returns the slot. */
  add(lo: number, hi: number, context: number, frame: Frame, rights: number): number {
    const slot = this.#place(lo & this.#maskLo, hi & this.#maskHi, context);
    this.#put(slot, lo, hi, context, frame, rights);
    this.isUsed = true;
    if (context === GLOBAL_CONTEXT) this.hasGlobal = true;
    return slot;
  }

  /** Drops the entry for (lo, hi) of one context. True where there was one. */
  drop(lo: number, hi: number, context: number): boolean {
    if (!this.isUsed) return false;
    const slot = this.#find(lo & this.#maskLo, hi & this.#maskHi, context);
    if (slot < 0) return false;
    this.words[slot * SLOT_WORDS + KEY] = 0;
    this.words[slot * SLOT_WORDS + GENERATION] = DROPPED;
    return true;
  }

  /** Each live entry: tag, context, frame and rights. */
  forEach(visit: (lo: number, hi: number, context: number, frame: Frame, rights: number) => void): void {
    const { words } = this;
    for (let slot = 0; slot < this.#size; slot++) {
      if (!this.isLive(slot)) continue;
      const word = slot * SLOT_WORDS;
      const [lo, hi] = [words[word + KEY]! & ~KEY_GENERATION, words[word + TAG_HI]!];
      visit(lo, hi, words[word + CONTEXT]!, this.frameAt(slot), this.rightsAt(slot));
    }
  }

  #find(tagLo: number, tagHi: number, context: number): number {
    if (this.#keepsAll) return this.#findAmongAll(tagLo, tagHi, context);
    const { words, ways } = this;
    const generation = this.generations.of(context);
    const key = tagLo | (generation & KEY_GENERATION);
    const first = this.#set(tagLo, tagHi, context);
    for (let way = 0; way < ways; way++) {
      const word = (first + way) * SLOT_WORDS;
      if (words[word + KEY] !== key || words[word + TAG_HI] !== tagHi) continue;
      if (words[word + GENERATION] === generation) return first + way;
    }
    return -1;
  }

  #findAmongAll(tagLo: number, tagHi: number, context: number): number {
    const first = this.#set(tagLo, tagHi, context);
    const generation = this.generations.of(context);
    const key = tagLo | (generation & KEY_GENERATION);
    for (let nth = 0; nth < this.#size; nth++) {
      const slot = (first + nth) & this.#slotMask;
      const word = slot * SLOT_WORDS;
      const found = this.words[word + GENERATION];
      if (found === generation && this.words[word + KEY] === key && this.words[word + TAG_HI] === tagHi) return slot;
      if (found === EMPTY) return -1;
    }
    return -1;
  }

  isLive(slot: number): boolean {
    const word = slot * SLOT_WORDS;
    return this.generations.isPresent(this.words[word + GENERATION]!, this.words[word + CONTEXT]!);
  }

  /** First slot of a set. */
  #set(tagLo: number, tagHi: number, context: number): number {
    const shift = this.#shift;
    const page = shift < 32 ? (tagLo >>> shift) | (tagHi << (32 - shift)) : tagHi >> (shift - 32);
    return this.setOf(page, tagHi, context);
  }

  /** The same from the low 32 bits of a page number. High bits are folded in: kernel and user halves would meet under plain low bits. */
  setOf(page: number, tagHi: number, context: number): number {
    const set = page ^ (page >>> 10) ^ (tagHi >>> 7) ^ (Math.imul(context, 0x9e3779b1) >>> 16);
    return Math.imul(set & this.setMask, this.ways);
  }

  #put(slot: number, lo: number, hi: number, context: number, frame: Frame, rights: number): void {
    this.slot = slot;
    const words = this.words;
    const word = slot * SLOT_WORDS;
    const generation = this.generations.of(context);
    words[word + KEY] = (lo & this.#maskLo) | (generation & KEY_GENERATION);
    words[word + TAG_HI] = hi & this.#maskHi;
    words[word + GENERATION] = generation;
    words[word + RIGHTS] = rights;
    words[word + CONTEXT] = context;
    this.doubles[slot * SLOT_DOUBLES + FRAME] = frame;
  }

  /** Where a new entry goes: over one that is not live, or over a victim. */
  #place(tagLo: number, tagHi: number, context: number): number {
    if (this.#keepsAll) return this.#placeAmongAll(tagLo, tagHi, context);
    if (this.isCrowded) this.#enlarge();
    const { words, ways } = this;
    const key = this.generations.of(context) & KEY_GENERATION;
    const first = this.#set(tagLo, tagHi, context);
    for (let slot = first; slot < first + ways; slot++)
      if ((words[slot * SLOT_WORDS + KEY]! & KEY_GENERATION) !== key && !this.isLive(slot)) return slot;
    const victim = first + this.victim();
    const word = victim * SLOT_WORDS;
    const tag = words[word + KEY]! & ~KEY_GENERATION;
    this.onEvict(tag, words[word + TAG_HI]!, this.#shift, words[word + RIGHTS]! >>> MARK_SHIFT);
    return victim;
  }

  #placeAmongAll(tagLo: number, tagHi: number, context: number): number {
    if (4 * this.#used >= 3 * this.#size) this.#rebuild();
    const first = this.#set(tagLo, tagHi, context);
    let nth = 0;
    while (this.isLive((first + nth) & this.#slotMask)) nth++; // a quarter is free
    const slot = (first + nth) & this.#slotMask;
    if (this.words[slot * SLOT_WORDS + GENERATION] === EMPTY) this.#used += 1;
    return slot;
  }

  /** Chooses the way that goes. */
  victim(): number {
    this.#evicted = (this.#evicted + 1) | 0;
    return (Math.imul(this.#evicted, this.#step) >>> this.#drawn) & (this.ways - 1);
  }

  /** Whether it grows before it takes another entry. */
  get isCrowded(): boolean {
    return this.#evicted > this.#crowdedFrom;
  }

  /** Makes room for a number of entries, as far as it may grow. */
  reserve(entries: number): void {
    while (this.#size < entries && this.#size < this.#most) this.#enlarge();
  }

  #enlarge(): void {
    this.#reallocate(2 * this.#size);
    this.onGrow(this.#size);
  }

  /** Makes room in a cache that keeps everything: what is not live goes, and where that is not enough, the cache doubles. */
  #rebuild(): void {
    let live = 0;
    this.forEach(() => live++);
    this.#reallocate(4 * live > this.#size ? 2 * this.#size : this.#size);
  }

  #reallocate(entries: number): void {
    const live: number[][] = [];
    this.forEach((...entry) => live.push(entry));
    this.#allocate(entries);
    for (const [lo, hi, context, frame, rights] of live) this.fill(lo!, hi!, context!, frame!, rights!);
  }

  #allocate(entries: number): void {
    this.setMask = Math.max(0, entries / this.ways - 1);
    this.#slotMask = entries - 1;
    this.#size = entries;
    this.#crowdedFrom = entries < this.#most ? this.#evicted + (entries >>> 2) : 0x7fff_ffff;
    this.words = new Int32Array(entries * SLOT_WORDS);
    this.doubles = new Float64Array(this.words.buffer);
    this.#used = 0;
  }

  #empty(): void {
    this.words.fill(0); // EMPTY, and keys that show it
    this.#used = 0;
  }
}
