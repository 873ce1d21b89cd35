/**
 * The slow path of every access: whatever a hit view does not answer. Linear checks, then translation of every page
 * touched, then the data; nothing is written before all pages are translated.
 */
import { DIRTY, FETCH, IMPLICIT, READ_MODIFY_WRITE, STACK, WRITE } from '../mmu/access.ts';
import { type Frame, isCanonical, OFFSET_MASK, PAGE_SIZE, pageLo } from '../mmu/halves.ts';
import { LARGE_SHIFT } from '../mmu/hit-view.ts';
import { MemoryPort } from '../mmu/memory-port.ts';
import { PhysicalAccess } from '../mmu/physical-access.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { CpuOptions } from './cpu-options.ts';
import { AC, type Fault, GP, NONE, SS } from './fault.ts';
import { checkFeatures, DEFAULT_POLICY, INTEL } from './features.ts';
import { checkOptions } from './option-values.ts';
import { Refill } from './refill.ts';
import { Translator } from './translator.ts';
import type { Views } from './views.ts';
import { type Watch, Watchpoints } from './watchpoints.ts';

export class SlowPath {
  /** The memory that it runs on. */
  readonly memory: PhysicalMemory;
  /** TLB, structure caches and walk. @internal */
  readonly translator: Translator;
  /** Details of the last fault; filled in anew by each. */
  readonly fault: Fault;
  /** Vector of the last access, NONE (0) where it was done. To read: hits do not set it (see `settle`). */
  faulted: number = NONE;
  /** High half of the last 8-byte read. */
  valueHi = 0;
  /** The buffer of memory by words; hit views index it. */
  words: Int32Array;
  /** The same by bytes. @internal */
  bytes: Uint8Array;
  /** The same by halfwords. @internal */
  halfwords: Uint16Array;
  /** The same by quadwords. @internal */
  quads: BigInt64Array;

  protected readonly views: Views;
  protected readonly refill: Refill;
  // Keys of the views, as fields of the CPU's own: a load less an access (5 % of a hit).
  protected readKey = 0;
  protected writeKey = 0;
  protected fetchKey = 0;
  /** Whether a miss may take the short way. */
  protected mayRefill = false;
  protected readonly physical: PhysicalAccess;
  readonly #watchpoints = new Watchpoints();
  readonly #usesViews: boolean;
  #epoch = 0;

  // The access under way, after `locate`.
  protected frame: Frame = 0;
  /** -1 where the access stays on one page. */
  protected secondFrame: Frame = -1;

  constructor(memory: PhysicalMemory, options: CpuOptions = {}) {
    checkOptions(options);
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
    this.refill = new Refill(this.translator, memory);
    this.#usesViews = caches.hitViews !== 'off';
    this.views.subscribe(() => this.#takeViews());
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.halfwords = memory.halfwords;
    this.quads = memory.quads;
    memory.subscribe({
      flagsTightened: () => this.views.dropWrites(),
      layoutChanged: () => {
        this.words = memory.words;
        this.bytes = memory.bytes;
        this.halfwords = memory.halfwords;
        this.quads = memory.quads;
        this.views.dropAll();
      },
    });
  }

  /** Takes note of what other threads changed about pages (dirty, code, ROM). */
  protected noticePageFlags(): void {
    const epoch = this.memory.pages.epoch;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.views.dropWrites();
  }

  /** Reports accesses to linear bytes from now on. */
  addWatch(watch: Watch): void {
    this.#watchpoints.add(watch);
    this.views.dropAll();
  }

  /** Keys have changed: the views may have been opened or closed, and modes changed. */
  #takeViews(): void {
    const { reads, writes, fetches } = this.views;
    this.readKey = reads.key;
    this.writeKey = writes.key;
    this.fetchKey = fetches.key;
    this.#chooseWay();
  }

  #chooseWay(): void {
    this.mayRefill =
      this.#usesViews === true &&
      this.views.isOpen === true &&
      this.#watchpoints.isEmpty &&
      this.refill.isPossible === true;
  }

  /** Ends what `addWatch` began; takes the same object. */
  removeWatch(watch: Watch): void {
    this.#watchpoints.remove(watch);
    this.#chooseWay();
  }

  /**
   * A load of 1, 2, 4 or 8 bytes with every choice open: READ, FETCH or READ_MODIFY_WRITE, with IMPLICIT or STACK.
   * @returns the value: unsigned below 4 bytes, int32 at 4, the low half at 8 (high one in `valueHi`); 0 on a fault
   */
  load(access: number, lo: number, hi: number, size: number): number {
    if (this.settle(this.locate(lo, hi, size, access)) !== NONE) return 0;
    const offset = lo & OFFSET_MASK;
    const { frame, secondFrame, physical } = this;
    const value =
      offset + size <= PAGE_SIZE
        ? physical.load(frame, offset, size)
        : physical.loadSplit(frame, secondFrame, offset, size);
    const valueHi = physical.hi;
    this.done(lo, hi, size, access);
    if (size === 8) this.valueHi = valueHi;
    return value;
  }

  /**
   * A store of the low 1, 2, 4 or 8 bytes of (valueLo, valueHi): WRITE or READ_MODIFY_WRITE, with IMPLICIT or STACK.
   * @returns NONE or the vector
   */
  store(access: number, lo: number, hi: number, size: number, valueLo: number, valueHi: number): number {
    const vector = this.settle(this.locate(lo, hi, size, access));
    if (vector !== NONE) return vector;
    const offset = lo & OFFSET_MASK;
    if (offset + size <= PAGE_SIZE) this.physical.store(this.frame, offset, size, valueLo, valueHi);
    else this.physical.storeSplit(this.frame, this.secondFrame, offset, size, valueLo, valueHi);
    this.done(lo, hi, size, access);
    return NONE;
  }

  /**
   * Moves 1 to 4096 bytes: reads or fetches into `bytes`, or writes from it; all pages are translated first, and where one
   * faults nothing is moved. Returns NONE or the vector.
   */
  moveBytes(access: number, lo: number, hi: number, bytes: Uint8Array): number {
    const { length } = bytes;
    if (length < 1 || length > PAGE_SIZE)
      throw new RangeError(`a byte range has 1 to ${PAGE_SIZE} bytes, not ${length}`);
    const vector = this.settle(this.locate(lo, hi, length, access));
    if (vector !== NONE) return vector;
    const offset = lo & OFFSET_MASK;
    const first = Math.min(length, PAGE_SIZE - offset);
    const { secondFrame } = this;
    this.#movePart(access, this.frame, offset, bytes, 0, first);
    if (first < length) this.#movePart(access, secondFrame, 0, bytes, first, length - first);
    this.done(lo, hi, length, access);
    return NONE;
  }

  /**
   * Where 1, 2, 4 or 8 bytes lie, without moving data: translates as the access would. Returns NONE or the vector; the
   * frame of the first byte is then in `translator.frame`.
   */
  translateFor(access: number, lo: number, hi: number, size: number): number {
    const vector = this.settle(this.locate(lo, hi, size, access));
    this.translator.frame = this.frame;
    return vector;
  }

  /**
   * Says how an access ended. A hit stores nothing: after a fault the views are closed, so that whatever comes next gets
   * here and takes the fault back (0.14 ns a hit less than with the store in it).
   */
  protected settle(vector: number): number {
    this.faulted = vector;
    if (vector === NONE) this.views.open();
    else this.views.close();
    return vector;
  }

  /** Linear checks and translation of one or two pages, in the manual's order of priority. */
  protected locate(lo: number, hi: number, size: number, access: number): number {
    const { translator } = this;
    this.views.open(); // they may be filled
    const is64Bit = translator.registers.has64BitAddress(access);
    const linearHi = is64Bit ? hi : 0;
    if (is64Bit && !this.#isCanonicalRange(lo, hi, size))
      return translator.raise((access & STACK) !== 0 ? SS : GP, lo, hi, access);
    if (translator.registers.checksAlignment && this.#isMisaligned(lo, size, access))
      return translator.raise(AC, lo, linearHi, access);
    const first = this.#page(lo, linearHi, access);
    if (first !== NONE) return first;
    this.frame = translator.frame;
    this.secondFrame = -1;
    if ((lo & OFFSET_MASK) + size <= PAGE_SIZE) return NONE;
    const nextLo = pageLo(lo) + PAGE_SIZE; // 2^32 at the end of a half
    const nextHi = is64Bit && nextLo === 0 ? (hi + 1) | 0 : linearHi;
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
    const isNatural = size === 2 || size === 4 || size === 8;
    return (access & (FETCH | IMPLICIT)) === 0 && isNatural && (lo & (size - 1)) !== 0;
  }

  #page(lo: number, hi: number, access: number): number {
    const vector = this.translator.translate(lo, hi, access);
    // A view stands on a TLB entry. An implicit access has another regime; EXAMINE passed no judgement to repeat.
    const isJudged =
      this.translator.isCached && (access & IMPLICIT) === 0 && (access & (READ_MODIFY_WRITE | FETCH)) !== 0;
    if (vector === NONE && this.#usesViews && isJudged) this.#fillView(lo, hi, access);
    return vector;
  }

  /** Lets the hit path answer for this page from now on, where nothing about it needs a second look. */
  #fillView(lo: number, hi: number, access: number): void {
    const { translator, views } = this;
    const word = this.refill.wordOf(translator.frame, DIRTY, access); // a walk for a store sets D
    if (word < 0 || this.#watchpoints.touches(lo, hi, 12)) return;
    const mark = views.fill(access, lo, hi, word);
    if (translator.level > 0) translator.tlb.mark(mark);
    if (translator.level < 2 || this.#watchpoints.touches(lo, hi, LARGE_SHIFT)) return;
    this.refill.fillLargeView(access, lo, hi, word);
  }

  #movePart(access: number, frame: Frame, offset: number, bytes: Uint8Array, at: number, count: number): void {
    if ((access & WRITE) !== 0) this.physical.storeBytes(frame, offset, bytes, at, count);
    else this.physical.loadBytes(frame, offset, bytes, at, count);
  }

  /**
   * Ends an access that was done: tells the watchpoints, and forgets what a device's handler did with this CPU meanwhile.
   * Results are set after it: watchpoints may use this CPU too.
   */
  protected done(lo: number, hi: number, size: number, access: number): void {
    this.settle(NONE);
    if (this.#watchpoints.isEmpty) return;
    const is64Bit = this.translator.registers.has64BitAddress(access);
    this.#watchpoints.report(lo, is64Bit ? hi : 0, size, access, is64Bit ? 64 : 32);
    this.settle(NONE);
  }
}
