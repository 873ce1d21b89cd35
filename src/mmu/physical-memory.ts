/**
 * Guest-physical memory: RAM over one buffer, ROM, devices, holes; and what is known about each page.
 *
 * A backing page is a 4 KiB piece of the buffer, numbered from the buffer's start. Frames (guest-physical) turn into
 * backing pages in `pageOf` and nowhere else, so that two frames on one backing page (aliases) share its flags.
 * Memory grows with RAM: the buffer, and one byte of flags a page. Sparse memory grows with the frames that were touched.
 */
import { bugOn } from '../bug.ts';
import { allocate, isSharedBuffer, viewsOf } from './buffers.ts';
import { type Frame, hexNumber, narrow, PAGE_SIZE } from './halves.ts';
import type { BusError, Device, MemoryListener, MemoryOptions, SharedMemory } from './memory-options.ts';
import { flagBytesNeeded, PAGE_CODE, PAGE_DIRTY, PAGE_ROM, PageFlags } from './page-flags.ts';
import {
  bytesNeeded,
  checkRange,
  type FrameRange,
  layOut,
  type RamRange,
  type RamSegment,
  segmentsOf,
} from './ram-layout.ts';
import { SparsePages } from './sparse-pages.ts';

interface DeviceRange extends FrameRange {
  readonly device: Device;
}

bugOn(new Uint8Array(new Int32Array([1]).buffer)[0] !== 1, () => 'this host is big-endian');

/** Quadwords of a page. */
const QUADS = PAGE_SIZE / 8;

/** Guest-physical memory: RAM, ROM, devices and holes, by frames of 4 KiB; and which pages are dirty, or code. */
export class PhysicalMemory {
  /** The buffer that RAM lies in, by bytes. Replaced by `attach()`: whoever keeps it subscribes. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The same by halfwords. */
  halfwords: Uint16Array = new Uint16Array(0);
  /** The same by words. */
  words: Int32Array = new Int32Array(0);
  /** The same by quadwords. */
  quads: BigInt64Array = new BigInt64Array(0);
  /** What is known of each backing page. @internal */
  readonly pages: PageFlags;
  /** Asked for what a read of neither RAM nor a device gives; told of such writes. */
  readonly busError: BusError;
  /** Whether other threads may see the buffer and the flags. */
  readonly isShared: boolean;
  /** Called after a write to a page flagged PAGE_CODE, by the guest or the host. */
  onCodeWrite: ((frame: Frame, offset: number, size: number) => void) | undefined = undefined;

  // The largest segment, copied out: nearly every frame lies in it.
  #first = 0;
  #frames = 0;
  #page = 0;
  // The same in quadwords.
  #firstQuad = 0;
  #quadCount = 0;
  #quad = 0;
  #segments: RamSegment[] = [];
  #devices: DeviceRange[] = [];
  readonly #ranges: Required<RamRange>[];
  readonly #listeners: MemoryListener[] = [];
  readonly #sparse: SparsePages | undefined;

  constructor(options: MemoryOptions) {
    if (options.sparse !== undefined && (options.buffer !== undefined || options.shared === true))
      throw new RangeError('sparse memory has a buffer of its own, which grows and is not shared');
    this.#sparse = options.sparse && new SparsePages(options.sparse, (page) => this.#bytesOf(page));
    this.#ranges = options.sparse ? [] : layOut(options);
    const needed = options.sparse ? 64 * PAGE_SIZE : bytesNeeded(this.#ranges);
    const buffer = options.buffer ?? allocate(needed, { shared: options.shared === true });
    const count = this.#sparse?.maxPages ?? Math.ceil(needed / PAGE_SIZE);
    const flags = options.flags ?? allocate(flagBytesNeeded(count), { shared: isSharedBuffer(buffer) });
    this.pages = new PageFlags(flags);
    this.isShared = isSharedBuffer(flags);
    this.busError = options.busError ?? (() => -1);
    this.attach(buffer);
  }

  /** RAM as laid out at construction, devices not cut out; empty for sparse memory. */
  get ranges(): readonly Required<RamRange>[] {
    return this.#ranges;
  }

  /** RangeError where the buffer is not a SharedArrayBuffer. */
  share(): SharedMemory {
    if (!this.isShared) throw new RangeError('only memory over a SharedArrayBuffer can be shared with a worker');
    return { buffer: this.bytes.buffer, flags: this.pages.buffer, ranges: this.#ranges };
  }

  /**
   * Moves to another buffer that holds the same bytes, as after a WebAssembly `memory.grow`. RangeError, and nothing changed,
   * where it does not fit, is resizable or of another kind: page flags, and what else threads share, stay in buffers of the first kind.
   */
  attach(buffer: ArrayBufferLike): void {
    const views = viewsOf(buffer);
    if (isSharedBuffer(buffer) !== this.isShared)
      throw new RangeError(
        `the page flags lie in ${this.isShared ? 'a SharedArrayBuffer' : 'an ArrayBuffer'}, so the buffer must be one too`,
      );
    const needed = bytesNeeded(this.#ranges);
    if (buffer.byteLength < needed)
      throw new RangeError(`the buffer has ${buffer.byteLength} bytes, the RAM ranges need ${needed}`);
    ({ bytes: this.bytes, halfwords: this.halfwords, words: this.words, quads: this.quads } = views);
    this.#layoutChanged();
  }

  /** The backing page of a RAM or ROM frame, or -1. */
  pageOf(frame: Frame): number {
    const within = frame - this.#first;
    return within >= 0 && within < this.#frames ? within + this.#page : this.#search(frame);
  }

  /**
   * Index in `quads` of the quadword at physical address 8 * `number`, or -1 where it is not RAM. An entry of a table is one
   * quadword: this spares mapping code the way through frame and index.
   */
  quadOf(number: number): number {
    const within = number - this.#firstQuad;
    return within >= 0 && within < this.#quadCount ? within + this.#quad : this.#searchQuad(number);
  }

  #searchQuad(number: number): number {
    const frame = Math.floor(number / QUADS);
    const page = this.#search(frame);
    return page < 0 ? -1 : page * QUADS + (number - frame * QUADS);
  }

  /** Whether `count` frames from `frame` are RAM and lie one after another in the buffer. */
  isContiguous(frame: Frame, count: number): boolean {
    return this.#segments.some(({ first, end }) => frame >= first && frame + count <= end);
  }

  /** The device that answers for a frame, and the frame its range begins at. */
  deviceAt(frame: Frame): Pick<DeviceRange, 'device' | 'first'> | undefined {
    return this.#devices.find(({ first, end }) => frame >= first && frame < end);
  }

  /** Puts a device at guest-physical bytes `start` to `start + size`, in front of any RAM there. */
  addDevice(start: number, size: number, device: Device): void {
    checkRange('device', start, size);
    this.#devices.push({ first: start / PAGE_SIZE, end: (start + size) / PAGE_SIZE, device });
    this.#layoutChanged();
  }

  /** Takes a device away: what it hid is there again. */
  removeDevice(device: Device): void {
    this.#devices = this.#devices.filter((range) => range.device !== device);
    this.#layoutChanged();
  }

  /** Makes RAM read-only: guest writes are dropped. RangeError where a page of it is no RAM. */
  protectRom(start: number, size: number): void {
    this.#forEachPage(start, size, (page) => this.pages.set(page, PAGE_ROM));
  }

  /** Makes ROM writable again, as when a chipset shadows it. */
  unprotectRom(start: number, size: number): void {
    this.#forEachPage(start, size, (page) => this.pages.clear(page, PAGE_ROM));
  }

  /** From now on `onCodeWrite` reports writes to this frame, through whichever address. */
  markCode(frame: Frame): void {
    this.#forEachPage(frame * PAGE_SIZE, PAGE_SIZE, (page) => this.pages.set(page, PAGE_CODE));
  }

  /** Ends `markCode`. RangeError where the frame is no RAM. */
  unmarkCode(frame: Frame): void {
    this.#forEachPage(frame * PAGE_SIZE, PAGE_SIZE, (page) => this.pages.clear(page, PAGE_CODE));
  }

  /** Whether a frame is marked as code; false where there is no RAM. */
  isCode(frame: Frame): boolean {
    return this.#hasFlag(frame, PAGE_CODE);
  }

  /** Whether a frame was written since `clearDirty`. */
  isDirty(frame: Frame): boolean {
    return this.#hasFlag(frame, PAGE_DIRTY);
  }

  /** Calls back with each dirty frame; an alias of one is dirty too. */
  forEachDirty(visit: (frame: Frame) => void): void {
    this.forEachPage((page, frame) => {
      if (this.pages.has(page, PAGE_DIRTY)) visit(frame);
    });
  }

  /** Marks all pages clean. CPUs of other threads notice at their next `poll()`. */
  clearDirty(): void {
    this.pages.clearEverywhere(PAGE_DIRTY);
    this.#flagsTightened();
  }

  /** Each backing page with its frame: range by range; of sparse memory, in the order of first touch. */
  forEachPage(visit: (page: number, frame: Frame) => void): void {
    for (const { start, size, offset } of this.#ranges)
      for (let at = 0; at < size; at += PAGE_SIZE) visit((offset + at) / PAGE_SIZE, (start + at) / PAGE_SIZE);
    this.#sparse?.forEach(visit);
  }

  /** Makes a page what its frame is before any store: zeros, or what the loader of sparse memory has. */
  initialise(page: number, frame: Frame): void {
    if (this.#sparse === undefined) this.#bytesOf(page).fill(0);
    else this.#sparse.load(page, frame);
  }

  /** Called with each store that reaches a backing page: marks it dirty and reports code. */
  noteWrite(page: number, frame: Frame, offset: number, size: number): void {
    this.noteDirty(page);
    if (this.pages.has(page, PAGE_CODE)) this.onCodeWrite?.(frame, offset, size);
  }

  /** The same for stores that never count as code writes. */
  noteDirty(page: number): void {
    if (!this.pages.has(page, PAGE_DIRTY)) this.pages.set(page, PAGE_DIRTY);
  }

  /** After the host changed page flags without the methods here: nobody's stores may go past them. */
  changedByHost(): void {
    this.#flagsTightened();
  }

  /** Tells `listener` of each change from now on; for as long as this memory exists. */
  subscribe(listener: MemoryListener): void {
    this.#listeners.push(listener);
  }

  #hasFlag(frame: Frame, flag: number): boolean {
    const page = this.pageOf(frame);
    return page >= 0 && this.pages.has(page, flag);
  }

  #forEachPage(start: number, size: number, change: (page: number) => void): void {
    checkRange('range', start, size);
    const pages = Array.from({ length: size / PAGE_SIZE }, (_, at) => this.pageOf(start / PAGE_SIZE + at));
    const missing = pages.findIndex((page) => page < 0);
    if (missing >= 0) throw new RangeError(`no RAM at ${hexNumber(start + missing * PAGE_SIZE)}`);
    pages.forEach(change);
    this.#flagsTightened();
  }

  #flagsTightened(): void {
    this.pages.nextEpoch();
    for (const listener of this.#listeners) listener.flagsTightened();
  }

  #layoutChanged(): void {
    this.#segments = segmentsOf(this.#ranges, this.#devices);
    const [largest] = this.#segments;
    const { first, end, page } = largest ?? { first: 0, end: 0, page: 0 };
    this.#first = narrow(first);
    this.#frames = narrow(end - first);
    this.#page = narrow(page);
    this.#firstQuad = narrow(first * QUADS);
    this.#quadCount = narrow((end - first) * QUADS);
    this.#quad = narrow(page * QUADS);
    for (const listener of this.#listeners) listener.layoutChanged();
  }

  #search(frame: Frame): number {
    for (const { first, end, page } of this.#segments) if (frame >= first && frame < end) return frame - first + page;
    return this.#sparse === undefined || this.deviceAt(frame) !== undefined ? -1 : this.#sparse.pageOf(frame);
  }

  /** The bytes of a backing page. The buffer of sparse memory grows to hold it. */
  #bytesOf(page: number): Uint8Array {
    const end = (page + 1) * PAGE_SIZE;
    if (this.#sparse !== undefined && end > this.bytes.length) {
      const size = Math.min(2 * this.bytes.length, this.#sparse.maxPages * PAGE_SIZE);
      const larger = allocate(size, { shared: false });
      new Uint8Array(larger).set(this.bytes);
      this.attach(larger);
    }
    return this.bytes.subarray(end - PAGE_SIZE, end);
  }
}
