/**
 * The four PDPTE registers of PAE paging: loaded from memory when CR3 is, all or none, and used by walks from then on.
 *
 * Source: SDM 3A, "PDPTE Registers".
 */
import { isPresent } from '../mmu/entry.ts';
import { type Frame, frameFrom } from '../mmu/halves.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';

/** Bits 2:1 and 8:5; those from MAXPHYADDR up are reserved too. */
const RESERVED_LO = 0x1e6;

export class PdpteRegisters {
  /** (lo, hi) pairs. */
  readonly values: Int32Array = new Int32Array(8);
  readonly #next: Int32Array = new Int32Array(8);
  readonly #port: MemoryPort;
  readonly #reservedHi: number;
  readonly #checksAbsent: boolean;

  constructor(port: MemoryPort, maxPhyAddr: number, absentReserved: 'ignored' | 'checked') {
    this.#port = port;
    this.#reservedHi = ~((1 << (maxPhyAddr - 32)) - 1);
    this.#checksAbsent = absentReserved === 'checked';
  }

  /** Loads all four from the table at CR3[31:5]; false, and nothing changed, where one has a reserved bit set. */
  load(cr3: number): boolean {
    for (let at = 0; at < 4; at++) {
      this.#port.load(cr3 >>> 12, ((cr3 & 0xfe0) >>> 3) + at, 8);
      const { lo, hi } = this.#port;
      this.#next[2 * at] = lo;
      this.#next[2 * at + 1] = hi;
      if ((isPresent(lo) || this.#checksAbsent) && ((lo & RESERVED_LO) | (hi & this.#reservedHi)) !== 0) return false;
    }
    this.values.set(this.#next);
    return true;
  }

  /** The page directory for a linear address, or -1 where its register is not present. */
  directoryFor(lo: number): Frame {
    const at = 2 * (lo >>> 30);
    return isPresent(this.values[at]!) ? frameFrom(this.values[at]!, this.values[at + 1]!) : -1;
  }
}
