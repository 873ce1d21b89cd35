/**
 * The hit path of every access.
 *
 * Each below is the same three lines: select a slot, compare the page (and, through the low bits, the alignment),
 * move the data. Whatever else there is to know about an access made the page absent from its view, and is the slow
 * path's business. Addresses are (lo, hi) int32 halves; nothing throws and nothing is allocated. `faulted` is 0 after
 * an access that was done, else the vector, with details in `fault`; a hit need not say so (see `settle`).
 *
 * Measured: docs/performance.md; other shapes: docs/decisions/0002-hit-path.md. `| 0` after a miss says that it returns an
 * integer: without it V8 keeps every value as a double or an object (1.1 ns a hit).
 */
import { FETCH, READ, READ_MODIFY_WRITE, WRITE } from '../mmu/access.ts';
import { HIGHS, PLACES, TAGS } from '../mmu/hit-table.ts';
import { TAG8, TAG16, TAG32, TAG64 } from '../mmu/hit-view.ts';
import { Processor } from './processor.ts';

// One 64-bit move for a quadword; see mmu/physical-access.ts.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

export class HitPath extends Processor {
  /** The byte at an address, 0 to 255. `stack` is STACK for an access through SS, so that a bad address is #SS. */
  read8(lo: number, hi: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.readKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG8)) return this.#missLoad(READ | stack, lo, hi, 1) | 0;
    return this.bytes[(PLACES[at]! + lo) >>> 0]!;
  }

  /** 0 to 65535. */
  read16(lo: number, hi: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.readKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG16)) return this.#missLoad(READ | stack, lo, hi, 2) | 0;
    return this.halfwords[(PLACES[at]! + lo) >>> 1]!;
  }

  /** A signed 32-bit value. */
  read32(lo: number, hi: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.readKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG32)) return this.#missLoad(READ | stack, lo, hi, 4) | 0;
    return this.words[(PLACES[at]! + lo) >>> 2]!;
  }

  /** The low half; the high one is left in `valueHi`. Where aligned, one 64-bit load. */
  read64(lo: number, hi: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.readKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG64)) return this.#missLoad(READ | stack, lo, hi, 8) | 0;
    scratchQuad[0] = this.quads[(PLACES[at]! + lo) >>> 3]!;
    this.valueHi = scratch[1]!;
    return scratch[0]!;
  }

  /** Instruction fetches, one to eight bytes; `fetchBytes` for longer ones. */
  fetch8(lo: number, hi: number): number {
    const at = (lo >>> 12) ^ this.fetchKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG8)) return this.#missLoad(FETCH, lo, hi, 1) | 0;
    return this.bytes[(PLACES[at]! + lo) >>> 0]!;
  }

  /** 0 to 65535. */
  fetch16(lo: number, hi: number): number {
    const at = (lo >>> 12) ^ this.fetchKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG16)) return this.#missLoad(FETCH, lo, hi, 2) | 0;
    return this.halfwords[(PLACES[at]! + lo) >>> 1]!;
  }

  /** A signed 32-bit value. */
  fetch32(lo: number, hi: number): number {
    const at = (lo >>> 12) ^ this.fetchKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG32)) return this.#missLoad(FETCH, lo, hi, 4) | 0;
    return this.words[(PLACES[at]! + lo) >>> 2]!;
  }

  /** The low half; the high one is left in `valueHi`. */
  fetch64(lo: number, hi: number): number {
    const at = (lo >>> 12) ^ this.fetchKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG64)) return this.#missLoad(FETCH, lo, hi, 8) | 0;
    scratchQuad[0] = this.quads[(PLACES[at]! + lo) >>> 3]!;
    this.valueHi = scratch[1]!;
    return scratch[0]!;
  }

  /** Stores the low 8 bits. Returns 0 or the vector. */
  write8(lo: number, hi: number, value: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.writeKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG8)) return this.#missStore(WRITE | stack, lo, hi, 1, value, 0);
    this.bytes[(PLACES[at]! + lo) >>> 0] = value;
    return 0;
  }

  /** Stores the low 16 bits. Returns 0 or the vector. */
  write16(lo: number, hi: number, value: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.writeKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG16)) return this.#missStore(WRITE | stack, lo, hi, 2, value, 0);
    this.halfwords[(PLACES[at]! + lo) >>> 1] = value;
    return 0;
  }

  /** Stores 32 bits. Returns 0 or the vector. */
  write32(lo: number, hi: number, value: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.writeKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG32)) return this.#missStore(WRITE | stack, lo, hi, 4, value, 0);
    this.words[(PLACES[at]! + lo) >>> 2] = value;
    return 0;
  }

  /** Where aligned, one 64-bit store. */
  write64(lo: number, hi: number, valueLo: number, valueHi: number, stack = 0): number {
    const at = (lo >>> 12) ^ this.writeKey;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG64))
      return this.#missStore(WRITE | stack, lo, hi, 8, valueLo, valueHi);
    scratch[0] = valueLo;
    scratch[1] = valueHi;
    this.quads[(PLACES[at]! + lo) >>> 3] = scratchQuad[0]!;
    return 0;
  }

  /** The read of a read-modify-write, 1, 2, 4 or 8 bytes: judged as a write, and sets D. The write that follows hits. */
  readForWrite(lo: number, hi: number, size: number, stack = 0): number {
    return this.load(READ_MODIFY_WRITE | stack, lo, hi, size);
  }

  /** Fills `target` (1 to 4096 bytes: SSE and AVX operands, XSAVE areas). Returns 0 or the vector. */
  readBytes(lo: number, hi: number, target: Uint8Array, stack = 0): number {
    return this.moveBytes(READ | stack, lo, hi, target);
  }

  /** Stores 1 to 4096 bytes; where a page of them faults, none. Returns 0 or the vector. */
  writeBytes(lo: number, hi: number, source: Uint8Array, stack = 0): number {
    return this.moveBytes(WRITE | stack, lo, hi, source);
  }

  /** Fetches the bytes of an instruction; where its second page faults, none. Returns 0 or the vector. */
  fetchBytes(lo: number, hi: number, target: Uint8Array): number {
    return this.moveBytes(FETCH, lo, hi, target);
  }

  #missLoad(access: number, lo: number, hi: number, size: number): number {
    const word = this.#lookAgain(access, lo, hi, size);
    return word < 0 ? this.load(access, lo, hi, size) : this.#loadWord(word, lo, size);
  }

  /**
   * Pieces of large pages have a view of their own; then the short way of a miss.
   * @returns index in the buffer of the word that (lo, hi) lies in; -1: a matter for the slow path
   */
  #lookAgain(access: number, lo: number, hi: number, size: number): number {
    if ((lo & (size - 1)) !== 0) return -1;
    const kind = access & (READ | WRITE | FETCH);
    const large = this.views.largeOf(kind);
    const word = large !== undefined ? large.find(lo, hi) : -1;
    return word < 0 && this.mayRefill === true ? this.refill.find(kind, lo, hi) : word;
  }

  #loadWord(word: number, lo: number, size: number): number {
    if (size === 4) return this.words[word]!;
    const value = this.physical.loadRam(word * 4 + (lo & 3), size);
    if (size === 8) this.valueHi = this.physical.hi;
    return value;
  }

  #missStore(access: number, lo: number, hi: number, size: number, valueLo: number, valueHi: number): number {
    const word = this.#lookAgain(access, lo, hi, size);
    if (word < 0) return this.store(access, lo, hi, size, valueLo, valueHi);
    this.physical.storeRam(word * 4 + (lo & 3), size, valueLo, valueHi);
    return 0;
  }
}
