/**
 * Loads and stores at a physical place: RAM, ROM, devices and holes. The slow path of every access ends here, and the
 * host's own reads and writes (DMA, loaders, debuggers) do too.
 */
import { type Frame, OFFSET_MASK, PAGE_SIZE } from './halves.ts';
import { PAGE_ROM } from './page-flags.ts';
import type { PhysicalMemory } from './physical-memory.ts';

// One BigInt64 element copied into two int32 halves compiles to a single 64-bit move, so a quadword never tears between
// threads; two int32 accesses do (11 % of racing reads). Load 1.5 ns, store 6 ns; Atomics 15 to 40 ns.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

export class PhysicalAccess {
  readonly memory: PhysicalMemory;
  /** High half of the last 8-byte load. */
  hi = 0;

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
  }

  /** `size` (1, 2, 4, 8) bytes within one frame: unsigned below 4 bytes, int32 at 4, the low half at 8 (then see `hi`). */
  load(frame: Frame, offset: number, size: number): number {
    const page = this.memory.pageOf(frame);
    if (page >= 0) return this.loadRam(page * PAGE_SIZE + offset, size);
    if (size === 8) {
      const lo = this.#loadBus(frame, offset, 4);
      this.hi = this.#loadBus(frame, offset + 4, 4);
      return lo;
    }
    return this.#loadBus(frame, offset, size);
  }

  /** Stores the low `size` bytes of (lo, hi). ROM and holes drop them. */
  store(frame: Frame, offset: number, size: number, lo: number, hi: number): void {
    const { memory } = this;
    const page = memory.pageOf(frame);
    if (page < 0) {
      this.#storeBus(frame, offset, Math.min(size, 4), lo);
      if (size === 8) this.#storeBus(frame, offset + 4, 4, hi);
      return;
    }
    if (memory.pages.has(page, PAGE_ROM)) return;
    this.storeRam(page * PAGE_SIZE + offset, size, lo, hi);
    memory.noteWrite(page, frame, offset, size);
  }

  // Data across a page boundary goes byte by byte, and through locals: a device's handler may come back here meanwhile.

  /** A load of 2, 4 or 8 bytes that ends in another frame, as `load` gives it. */
  loadSplit(frame: Frame, secondFrame: Frame, offset: number, size: number): number {
    let lo = 0;
    let hi = 0;
    for (let k = 0; k < size; k++) {
      const byte = this.load(offset + k < PAGE_SIZE ? frame : secondFrame, (offset + k) & OFFSET_MASK, 1);
      if (k < 4) lo |= byte << (8 * k);
      else hi |= byte << (8 * (k - 4));
    }
    this.hi = hi;
    return lo;
  }

  /** The store that belongs to it. */
  storeSplit(frame: Frame, secondFrame: Frame, offset: number, size: number, lo: number, hi: number): void {
    for (let k = 0; k < size; k++) {
      const byte = ((k < 4 ? lo : hi) >>> (8 * (k & 3))) & 0xff;
      this.store(offset + k < PAGE_SIZE ? frame : secondFrame, (offset + k) & OFFSET_MASK, 1, byte, 0);
    }
  }

  /** Copies `count` bytes within one frame into `target` from `at`. Devices are read byte by byte. */
  loadBytes(frame: Frame, offset: number, target: Uint8Array, at: number, count: number): void {
    const page = this.memory.pageOf(frame);
    if (page >= 0) {
      copy(this.memory.bytes, page * PAGE_SIZE + offset, target, at, count);
    } else {
      for (let k = 0; k < count; k++) target[at + k] = this.#loadBus(frame, offset + k, 1);
    }
  }

  /** Copies `count` bytes of `source` from `at` into one frame. */
  storeBytes(frame: Frame, offset: number, source: Uint8Array, at: number, count: number): void {
    const { memory } = this;
    const page = memory.pageOf(frame);
    if (page < 0) {
      for (let k = 0; k < count; k++) this.#storeBus(frame, offset + k, 1, source[at + k]!);
    } else if (!memory.pages.has(page, PAGE_ROM)) {
      copy(source, at, memory.bytes, page * PAGE_SIZE + offset, count);
      memory.noteWrite(page, frame, offset, count);
    }
  }

  /** `size` bytes at byte `at` of the buffer. */
  loadRam(at: number, size: number): number {
    const { bytes, halfwords, words, quads } = this.memory;
    if ((at & (size - 1)) === 0) {
      if (size === 4) return words[at / 4]!;
      if (size === 1) return bytes[at]!;
      if (size === 2) return halfwords[at / 2]!;
      scratchQuad[0] = quads[at / 8]!;
      this.hi = scratch[1]!;
      return scratch[0]!;
    }
    if (size === 2) return bytes[at]! | (bytes[at + 1]! << 8);
    if (size === 8) this.hi = unaligned(bytes, at + 4);
    return unaligned(bytes, at);
  }

  /** Stores at byte `at` of the buffer, and tells nobody. */
  storeRam(at: number, size: number, lo: number, hi: number): void {
    const { bytes, halfwords, words, quads } = this.memory;
    if ((at & (size - 1)) !== 0) {
      for (let k = 0; k < size; k++) bytes[at + k] = (k < 4 ? lo : hi) >>> (8 * (k & 3));
    } else if (size === 4) words[at / 4] = lo;
    else if (size === 1) bytes[at] = lo;
    else if (size === 2) halfwords[at / 2] = lo;
    else {
      scratch[0] = lo;
      scratch[1] = hi;
      quads[at / 8] = scratchQuad[0]!;
    }
  }

  #loadBus(frame: Frame, offset: number, size: number): number {
    const range = this.memory.deviceAt(frame);
    const value =
      range === undefined
        ? this.memory.busError(frame, offset, size, 'read')
        : range.device.read((frame - range.first) * PAGE_SIZE + offset, size);
    return size === 4 ? value | 0 : value & (size === 1 ? 0xff : 0xffff);
  }

  #storeBus(frame: Frame, offset: number, size: number, value: number): void {
    const range = this.memory.deviceAt(frame);
    const narrow = size === 4 ? value | 0 : value & (size === 1 ? 0xff : 0xffff);
    if (range === undefined) this.memory.busError(frame, offset, size, 'write');
    else range.device.write((frame - range.first) * PAGE_SIZE + offset, size, narrow);
  }
}

/** A loop for what SSE and AVX move: `subarray` makes an object, which costs more than 64 bytes. */
function copy(source: Uint8Array, from: number, target: Uint8Array, to: number, count: number): void {
  if (count > 64) target.set(source.subarray(from, from + count), to);
  else for (let k = 0; k < count; k++) target[to + k] = source[from + k]!;
}

const unaligned = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
