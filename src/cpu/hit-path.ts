/**
 * The hit path of every access.
 *
 * Each below is the same five lines: select a slot, compare the page (and, through the low bits, the alignment),
 * move the data. Whatever else there is to know about an access made the page absent from its view, and is the slow
 * path's business. Addresses are (lo, hi) int32 halves; nothing throws and nothing is allocated. `faulted` is 0 after
 * an access that was done, else the vector, with details in `fault`.
 *
 * Measured (random over 200 pages / sequential, ns): raw typed-array load 1.3 / 0.95, read32 3.1 / 3.1. Key-permuted
 * slots against a generation that is compared: 3.1 against 3.4. docs/decisions/0002-hit-path.md has the other shapes.
 */
import { FETCH, READ, READ_MODIFY_WRITE, STACK, WRITE } from '../mmu/access.ts';
import { VIEW_MASK } from '../mmu/hit-view.ts';
import { Processor } from './processor.ts';

// The part of a low half that is compared: the page, and the bits that alignment wants zero.
const TAG8 = -4096;
const TAG16 = TAG8 | 1;
const TAG32 = TAG8 | 3;
const TAG64 = TAG8 | 7;

// One 64-bit move for a quadword; see mmu/physical-access.ts.
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

export class HitPath extends Processor {
  /** The byte at an address, 0 to 255. `stack` is STACK for an access through SS, so that a bad address is #SS. */
  read8(lo: number, hi: number, stack = 0): number {
    const view = this.views.reads;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG8) || view.tagHi[slot] !== hi) return this.#miss(READ | stack, lo, hi, 1);
    this.faulted = 0;
    return this.bytes[((view.word[slot]! << 2) | (lo & 0xfff)) >>> 0]!;
  }

  /** 0 to 65535. */
  read16(lo: number, hi: number, stack = 0): number {
    const view = this.views.reads;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG16) || view.tagHi[slot] !== hi) return this.#miss(READ | stack, lo, hi, 2);
    this.faulted = 0;
    return this.halfwords[(view.word[slot]! << 1) | ((lo >>> 1) & 0x7ff)]!;
  }

  /** A signed 32-bit value. */
  read32(lo: number, hi: number, stack = 0): number {
    const view = this.views.reads;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG32) || view.tagHi[slot] !== hi) return this.#miss(READ | stack, lo, hi, 4);
    this.faulted = 0;
    return this.words[view.word[slot]! | ((lo >>> 2) & 0x3ff)]!;
  }

  /** The low half; the high one is left in `valueHi`. Where aligned, one 64-bit load. */
  read64(lo: number, hi: number, stack = 0): number {
    const view = this.views.reads;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG64) || view.tagHi[slot] !== hi) return this.#miss(READ | stack, lo, hi, 8);
    this.faulted = 0;
    scratchQuad[0] = this.quads[(view.word[slot]! >>> 1) | ((lo >>> 3) & 0x1ff)]!;
    this.valueHi = scratch[1]!;
    return scratch[0]!;
  }

  /** Instruction fetches, one to eight bytes; `fetchBytes` for longer ones. */
  fetch8(lo: number, hi: number): number {
    const view = this.views.fetches;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG8) || view.tagHi[slot] !== hi) return this.#miss(FETCH, lo, hi, 1);
    this.faulted = 0;
    return this.bytes[((view.word[slot]! << 2) | (lo & 0xfff)) >>> 0]!;
  }

  fetch16(lo: number, hi: number): number {
    const view = this.views.fetches;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG16) || view.tagHi[slot] !== hi) return this.#miss(FETCH, lo, hi, 2);
    this.faulted = 0;
    return this.halfwords[(view.word[slot]! << 1) | ((lo >>> 1) & 0x7ff)]!;
  }

  fetch32(lo: number, hi: number): number {
    const view = this.views.fetches;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG32) || view.tagHi[slot] !== hi) return this.#miss(FETCH, lo, hi, 4);
    this.faulted = 0;
    return this.words[view.word[slot]! | ((lo >>> 2) & 0x3ff)]!;
  }

  fetch64(lo: number, hi: number): number {
    const view = this.views.fetches;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG64) || view.tagHi[slot] !== hi) return this.#miss(FETCH, lo, hi, 8);
    this.faulted = 0;
    scratchQuad[0] = this.quads[(view.word[slot]! >>> 1) | ((lo >>> 3) & 0x1ff)]!;
    this.valueHi = scratch[1]!;
    return scratch[0]!;
  }

  /** Stores the low 8 bits. Returns 0 or the vector. */
  write8(lo: number, hi: number, value: number, stack = 0): number {
    const view = this.views.writes;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG8) || view.tagHi[slot] !== hi)
      return this.store(WRITE | stack, lo, hi, 1, value, 0);
    this.bytes[((view.word[slot]! << 2) | (lo & 0xfff)) >>> 0] = value;
    this.faulted = 0;
    return 0;
  }

  write16(lo: number, hi: number, value: number, stack = 0): number {
    const view = this.views.writes;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG16) || view.tagHi[slot] !== hi)
      return this.store(WRITE | stack, lo, hi, 2, value, 0);
    this.halfwords[(view.word[slot]! << 1) | ((lo >>> 1) & 0x7ff)] = value;
    this.faulted = 0;
    return 0;
  }

  write32(lo: number, hi: number, value: number, stack = 0): number {
    const view = this.views.writes;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG32) || view.tagHi[slot] !== hi)
      return this.store(WRITE | stack, lo, hi, 4, value, 0);
    this.words[view.word[slot]! | ((lo >>> 2) & 0x3ff)] = value;
    this.faulted = 0;
    return 0;
  }

  /** Where aligned, one 64-bit store. */
  write64(lo: number, hi: number, valueLo: number, valueHi: number, stack = 0): number {
    const view = this.views.writes;
    const slot = ((lo ^ view.key) >>> 12) & VIEW_MASK;
    if (view.tagLo[slot] !== (lo & TAG64) || view.tagHi[slot] !== hi)
      return this.store(WRITE | stack, lo, hi, 8, valueLo, valueHi);
    scratch[0] = valueLo;
    scratch[1] = valueHi;
    this.quads[(view.word[slot]! >>> 1) | ((lo >>> 3) & 0x1ff)] = scratchQuad[0]!;
    this.faulted = 0;
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

  writeBytes(lo: number, hi: number, source: Uint8Array, stack = 0): number {
    return this.moveBytes(WRITE | stack, lo, hi, source);
  }

  /** Fetches the bytes of an instruction; where its second page faults, none. Returns 0 or the vector. */
  fetchBytes(lo: number, hi: number, target: Uint8Array): number {
    return this.moveBytes(FETCH, lo, hi, target);
  }

  /** Pieces of large pages have a view of their own; then the slow path. */
  #miss(access: number, lo: number, hi: number, size: number): number {
    const view = (access & FETCH) !== 0 ? this.views.largeFetches : this.views.largeReads;
    const word = view.find(lo, hi);
    if (word < 0 || (lo & (size - 1)) !== 0) return this.load(access & (STACK | FETCH | READ), lo, hi, size);
    this.faulted = 0;
    const value = this.physical.loadRam(word * 4 + (lo & 0x1f_ffff), size);
    if (size === 8) this.valueHi = this.physical.hi;
    return value;
  }
}
