/**
 * The slow path of every access: whatever a hit view does not answer. Linear checks, then translation of every page
 * touched, then the data; nothing is written before all pages are translated.
 */
import { FETCH, IMPLICIT, STACK, WRITE } from '../mmu/access.ts';
import { type Frame, isCanonical, OFFSET_MASK, PAGE_SIZE, pageLo } from '../mmu/halves.ts';
import { MemoryPort } from '../mmu/memory-port.ts';
import { PAGE_DIRTY } from '../mmu/page-flags.ts';
import { PhysicalAccess } from '../mmu/physical-access.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { CacheOptions } from './cache-options.ts';
import { AC, type Fault, GP, NONE, SS } from './fault.ts';
import { checkFeatures, DEFAULT_POLICY, type Features, INTEL, type Policy } from './features.ts';
import { Translator } from './translator.ts';
import type { Views } from './views.ts';
import { type Watch, Watchpoints } from './watchpoints.ts';

export interface CpuOptions {
  /** Default: `INTEL`. */
  readonly features?: Partial<Features>;
  readonly policy?: Partial<Policy>;
  readonly caches?: CacheOptions;
}

const WORDS_PER_PAGE = PAGE_SIZE / 4;
const LARGE_SHIFT = 21;
const LARGE_FRAMES = 1 << (LARGE_SHIFT - 12);

export class SlowPath {
  readonly memory: PhysicalMemory;
  readonly translator: Translator;
  readonly fault: Fault;
  /** Vector of the last access, NONE (0) where it was done. */
  faulted: number = NONE;
  /** High half of the last 8-byte read. */
  valueHi = 0;
  /** The buffer of memory by words; hit views index it. */
  words: Int32Array;
  bytes: Uint8Array;
  halfwords: Uint16Array;
  quads: BigInt64Array;

  protected readonly views: Views;
  protected readonly physical: PhysicalAccess;
  readonly #watchpoints = new Watchpoints();
  readonly #usesViews: boolean;
  #epoch = 0;

  // The access under way, after `locate`.
  /** The address the walk sees: truncated outside 64-bit code. */
  #lo = 0;
  #hi = 0;
  protected frame: Frame = 0;
  /** -1 where the access stays on one page. */
  protected secondFrame: Frame = -1;
  readonly #split: Uint8Array = new Uint8Array(8);
  readonly #splitWords: DataView = new DataView(this.#split.buffer);

  constructor(memory: PhysicalMemory, options: CpuOptions = {}) {
    const features = { ...INTEL, ...options.features };
    checkFeatures(features);
    const caches = options.caches ?? {};
    this.memory = memory;
    this.physical = new PhysicalAccess(memory);
    this.translator = new Translator(
      features,
      { ...DEFAULT_POLICY, ...options.policy },
      new MemoryPort(memory),
      caches,
    );
    this.fault = this.translator.fault;
    this.views = this.translator.views;
    this.#usesViews = caches.hitViews !== 'off' && caches.tlb !== 'off';
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.halfwords = memory.halfwords;
    this.quads = memory.quads;
    memory.subscribe({
      flagsTightened: () => this.views.writes.dropAll(),
      layoutChanged: () => {
        this.words = memory.words;
        this.bytes = memory.bytes;
        this.halfwords = memory.halfwords;
        this.quads = memory.quads;
        this.views.dropAll();
      },
    });
  }

  /** At instruction boundaries: takes note of what other threads changed about pages (dirty, code, ROM). */
  service(): void {
    const epoch = this.memory.pages.epoch;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.views.writes.dropAll();
  }

  /** Reports accesses to linear bytes from now on. */
  addWatch(watch: Watch): void {
    this.#watchpoints.add(watch);
    this.views.dropAll();
  }

  removeWatch(watch: Watch): void {
    this.#watchpoints.remove(watch);
  }

  /**
   * A load of 1, 2, 4 or 8 bytes with every choice open: READ, FETCH or READ_MODIFY_WRITE, with IMPLICIT or STACK.
   * @returns the value: unsigned below 4 bytes, int32 at 4, the low half at 8 (high one in `valueHi`); 0 on a fault
   */
  load(access: number, lo: number, hi: number, size: number): number {
    this.faulted = this.locate(lo, hi, size, access);
    if (this.faulted !== NONE) return 0;
    const offset = this.#lo & OFFSET_MASK;
    const value =
      offset + size <= PAGE_SIZE ? this.physical.load(this.frame, offset, size) : this.#loadSplit(offset, size);
    if (size === 8) this.valueHi = this.physical.hi;
    this.report(size, access);
    return value;
  }

  /**
   * A store of the low 1, 2, 4 or 8 bytes of (valueLo, valueHi): WRITE or READ_MODIFY_WRITE, with IMPLICIT or STACK.
   * @returns NONE or the vector
   */
  store(access: number, lo: number, hi: number, size: number, valueLo: number, valueHi: number): number {
    this.faulted = this.locate(lo, hi, size, access);
    if (this.faulted !== NONE) return this.faulted;
    const offset = this.#lo & OFFSET_MASK;
    if (offset + size <= PAGE_SIZE) this.physical.store(this.frame, offset, size, valueLo, valueHi);
    else this.#storeSplit(offset, size, valueLo, valueHi);
    this.report(size, access);
    return NONE;
  }

  /** Reads or fetches 1 to 4096 bytes into `target`; all pages are translated first. Returns NONE or the vector. */
  loadBytes(access: number, lo: number, hi: number, target: Uint8Array): number {
    return this.#range(access, lo, hi, target, (frame, offset, at, count) =>
      this.physical.loadBytes(frame, offset, target, at, count),
    );
  }

  /** Writes 1 to 4096 bytes; where a page faults, nothing is written. Returns NONE or the vector. */
  storeBytes(access: number, lo: number, hi: number, source: Uint8Array): number {
    return this.#range(access, lo, hi, source, (frame, offset, at, count) =>
      this.physical.storeBytes(frame, offset, source, at, count),
    );
  }

  /**
   * Where 1, 2, 4 or 8 bytes lie, without moving data: translates as the access would. Returns NONE or the vector; the
   * frame of the first byte is then in `translator.frame`.
   */
  translateFor(access: number, lo: number, hi: number, size: number): number {
    this.faulted = this.locate(lo, hi, size, access);
    this.translator.frame = this.frame;
    return this.faulted;
  }

  /** Whether an address is the linear one of a 64-bit access; elsewhere it is truncated to 32 bits. */
  #is64Bit(access: number): boolean {
    const { registers } = this.translator;
    return registers.is64Bit || ((access & IMPLICIT) !== 0 && registers.isLongMode);
  }

  /** Linear checks and translation of one or two pages, in the manual's order of priority. */
  protected locate(lo: number, hi: number, size: number, access: number): number {
    const { translator } = this;
    const is64Bit = this.#is64Bit(access);
    this.#lo = lo;
    this.#hi = is64Bit ? hi : 0;
    if (is64Bit && !this.#isCanonicalRange(lo, hi, size))
      return translator.raise((access & STACK) !== 0 ? SS : GP, lo, hi, access);
    if (translator.registers.checksAlignment && this.#isMisaligned(lo, size, access))
      return translator.raise(AC, lo, this.#hi, access);
    const first = this.#page(this.#lo, this.#hi, access);
    if (first !== NONE) return first;
    this.frame = translator.frame;
    this.secondFrame = -1;
    if ((lo & OFFSET_MASK) + size <= PAGE_SIZE) return NONE;
    const nextLo = pageLo(lo) + PAGE_SIZE; // 2^32 at the end of a half
    const nextHi = is64Bit && nextLo === 0 ? (hi + 1) | 0 : this.#hi;
    const second = this.#page(nextLo | 0, nextHi, access);
    this.secondFrame = translator.frame;
    return second;
  }

  #isCanonicalRange(lo: number, hi: number, size: number): boolean {
    const { linearBits } = this.translator.registers.format.mode;
    const last = (lo >>> 0) + size - 1;
    const lastHi = last >= 0x1_0000_0000 ? (hi + 1) | 0 : hi;
    return isCanonical(hi, linearBits) && isCanonical(lastHi, linearBits);
  }

  /** #AC is for explicit data accesses of the natural sizes. */
  #isMisaligned(lo: number, size: number, access: number): boolean {
    return (access & (FETCH | IMPLICIT)) === 0 && size <= 8 && (lo & (size - 1)) !== 0;
  }

  #page(lo: number, hi: number, access: number): number {
    const vector = this.translator.translate(lo, hi, access);
    if (vector === NONE && this.#usesViews && (access & IMPLICIT) === 0) this.#fillView(lo, hi, access);
    return vector;
  }

  /** Lets the hit path answer for this page from now on, where nothing about it needs a second look. */
  #fillView(lo: number, hi: number, access: number): void {
    const { memory, translator, views } = this;
    const page = memory.pageOf(translator.frame);
    if (page < 0) return;
    // Stores that need to say nothing: to RAM that is dirty already, and no code.
    if ((access & WRITE) !== 0 && memory.pages.bytes[page] !== PAGE_DIRTY) return;
    if (!this.#watchpoints.isEmpty && this.#watchpoints.touches(lo, hi, 12)) return;
    views.of(access).fill(lo, hi, page * WORDS_PER_PAGE);
    if (translator.level > 1) this.#fillLargeView(lo, hi, access, page);
  }

  #fillLargeView(lo: number, hi: number, access: number, page: number): void {
    const large = this.views.largeOf(access);
    const within = (lo >>> 12) & (LARGE_FRAMES - 1);
    if (large === undefined || this.translator.a20Masked) return;
    if (!this.memory.isContiguous(this.translator.frame - within, LARGE_FRAMES)) return;
    if (!this.#watchpoints.isEmpty && this.#watchpoints.touches(lo, hi, LARGE_SHIFT)) return;
    large.fill(lo, hi, (page - within) * WORDS_PER_PAGE);
  }

  #loadSplit(offset: number, size: number): number {
    const bytes = this.#split.subarray(0, size);
    this.#moveSplit(offset, size, (frame, from, at, count) => this.physical.loadBytes(frame, from, bytes, at, count));
    this.physical.hi = size === 8 ? this.#splitWords.getInt32(4, true) : 0;
    return size === 2 ? this.#splitWords.getUint16(0, true) : this.#splitWords.getInt32(0, true);
  }

  #storeSplit(offset: number, size: number, lo: number, hi: number): void {
    this.#splitWords.setInt32(0, lo, true);
    this.#splitWords.setInt32(4, hi, true);
    const bytes = this.#split.slice(0, size); // a copy: a device's handler may use this CPU
    this.#moveSplit(offset, size, (frame, from, at, count) => this.physical.storeBytes(frame, from, bytes, at, count));
  }

  /** Moves the part of a range on the first page, then the part on the second. */
  #moveSplit(offset: number, length: number, move: Mover): void {
    const first = Math.min(length, PAGE_SIZE - offset);
    const second = this.secondFrame; // a device's handler may use this CPU
    move(this.frame, offset, 0, first);
    if (first < length) move(second, 0, first, length - first);
  }

  #range(access: number, lo: number, hi: number, bytes: Uint8Array, move: Mover): number {
    const { length } = bytes;
    if (length < 1 || length > PAGE_SIZE)
      throw new RangeError(`a byte range has 1 to ${PAGE_SIZE} bytes, not ${length}`);
    this.faulted = this.locate(lo, hi, length, access);
    if (this.faulted !== NONE) return this.faulted;
    this.#moveSplit(this.#lo & OFFSET_MASK, length, move);
    this.report(length, access);
    return NONE;
  }

  /** Tells the watchpoints of an access that was done. */
  protected report(size: number, access: number): void {
    if (!this.#watchpoints.isEmpty) this.#watchpoints.report(this.#lo, this.#hi, size, access);
  }
}

/** Moves `count` bytes between a frame, from byte `offset`, and a byte range, from byte `at`. */
type Mover = (frame: Frame, offset: number, at: number, count: number) => void;
