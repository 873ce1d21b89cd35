import Long from 'long';
import { type Address, toHalves } from './address.ts';
import { type Frame, PAGE_SIZE } from './halves.ts';
import { PhysicalAccess } from './physical-access.ts';
import type { PhysicalMemory } from './physical-memory.ts';

/**
 * The host's view of guest memory, by physical byte address (0 to 2^52 - 1): loaders, DMA, debuggers. Writes mark pages
 * dirty, report code, and go through to ROM's underlying RAM only after `unprotectRom`.
 */
export class HostMemory {
  readonly #physical: PhysicalAccess;
  readonly #word = new DataView(new ArrayBuffer(8));

  constructor(memory: PhysicalMemory) {
    this.#physical = new PhysicalAccess(memory);
  }

  /** Fills `target`. Where there is no RAM, as a guest would read. */
  read(address: number, target: Uint8Array): void {
    this.#pieces(address, target.length, (frame, offset, at, count) =>
      this.#physical.loadBytes(frame, offset, target, at, count),
    );
  }

  /** Stores all of `source`. */
  write(address: number, source: Uint8Array): void {
    this.#pieces(address, source.length, (frame, offset, at, count) =>
      this.#physical.storeBytes(frame, offset, source, at, count),
    );
  }

  /** 0 to 2^32 - 1, little endian. */
  read32(address: number): number {
    this.#read(address, 4);
    return this.#word.getUint32(0, true);
  }

  /** Stores the low 32 bits, little endian. */
  write32(address: number, value: number): void {
    this.#word.setUint32(0, value, true);
    this.write(address, new Uint8Array(this.#word.buffer, 0, 4));
  }

  /** Unsigned. An aligned quadword is read as one. */
  read64(address: number): Long {
    const { frame, offset } = place(address);
    if (offset % 8 === 0) {
      const lo = this.#physical.load(frame, offset, 8);
      return new Long(lo, this.#physical.hi, true);
    }
    this.#read(address, 8);
    return new Long(this.#word.getInt32(0, true), this.#word.getInt32(4, true), true);
  }

  /** An aligned quadword, such as a page-table entry, is written as one. */
  write64(address: number, value: Address): void {
    const { low, high } = toHalves(value);
    const { frame, offset } = place(address);
    if (offset % 8 === 0) {
      this.#physical.store(frame, offset, 8, low, high);
      return;
    }
    this.#word.setInt32(0, low, true);
    this.#word.setInt32(4, high, true);
    this.write(address, new Uint8Array(this.#word.buffer));
  }

  #read(address: number, size: number): void {
    this.read(address, new Uint8Array(this.#word.buffer, 0, size));
  }

  #pieces(
    address: number,
    length: number,
    visit: (frame: Frame, offset: number, at: number, count: number) => void,
  ): void {
    for (let at = 0; at < length; ) {
      const { frame, offset } = place(address + at);
      const count = Math.min(length - at, PAGE_SIZE - offset);
      visit(frame, offset, at, count);
      at += count;
    }
  }
}

function place(address: number): { frame: Frame; offset: number } {
  if (!Number.isSafeInteger(address) || address < 0 || address >= 2 ** 52)
    throw new RangeError(`not a physical address (0 to 2^52 - 1): ${address}`);
  return { frame: Math.floor(address / PAGE_SIZE), offset: address % PAGE_SIZE };
}
