/**
 * Locked instructions (XCHG, LOCK CMPXCHG): read-modify-writes that are atomic towards other CPUs, other threads
 * included, wherever the bytes lie within one aligned quadword of RAM. They are judged as writes even when nothing is
 * stored, and return the old value; a fault returns 0 with `faulted` set.
 */
import { READ_MODIFY_WRITE } from '../mmu/access.ts';
import { OFFSET_MASK } from '../mmu/halves.ts';
import { compareExchange, exchange } from '../mmu/physical-atomic.ts';
import { NONE } from './fault.ts';
import { SlowPath } from './slow-path.ts';

export class LockedPath extends SlowPath {
  /** XCHG of a byte. Returns the old one, 0 to 255; 0 on a fault. */
  exchange8(lo: number, hi: number, value: number): number {
    return this.#exchange(lo, hi, 1, value, 0);
  }

  /** XCHG. The old value, 0 to 65535. */
  exchange16(lo: number, hi: number, value: number): number {
    return this.#exchange(lo, hi, 2, value, 0);
  }

  /** XCHG. The old value, int32. */
  exchange32(lo: number, hi: number, value: number): number {
    return this.#exchange(lo, hi, 4, value, 0);
  }

  /** The old low half; the high one is left in `valueHi`. */
  exchange64(lo: number, hi: number, valueLo: number, valueHi: number): number {
    return this.#exchange(lo, hi, 8, valueLo, valueHi);
  }

  /** Stores `value` where the byte is `expected`. */
  compareExchange8(lo: number, hi: number, expected: number, value: number): number {
    return this.#compareExchange(lo, hi, 1, expected, 0, value, 0);
  }

  /** LOCK CMPXCHG. The old value, 0 to 65535: the store happened where it is `expected`. */
  compareExchange16(lo: number, hi: number, expected: number, value: number): number {
    return this.#compareExchange(lo, hi, 2, expected, 0, value, 0);
  }

  /** LOCK CMPXCHG. The old value, int32. */
  compareExchange32(lo: number, hi: number, expected: number, value: number): number {
    return this.#compareExchange(lo, hi, 4, expected, 0, value, 0);
  }

  /** The old low half; the high one is left in `valueHi`. */
  compareExchange64(
    lo: number,
    hi: number,
    expectedLo: number,
    expectedHi: number,
    valueLo: number,
    valueHi: number,
  ): number {
    return this.#compareExchange(lo, hi, 8, expectedLo, expectedHi, valueLo, valueHi);
  }

  #exchange(lo: number, hi: number, size: number, valueLo: number, valueHi: number): number {
    if (this.settle(this.locate(lo, hi, size, READ_MODIFY_WRITE)) !== NONE) return 0;
    const { physical, frame, secondFrame } = this;
    const offset = lo & OFFSET_MASK;
    if (secondFrame < 0) {
      const old = exchange(physical, frame, offset, size, valueLo, valueHi);
      return this.#done(lo, hi, size, old, physical.hi);
    }
    const old = physical.loadSplit(frame, secondFrame, offset, size);
    const oldHi = physical.hi;
    physical.storeSplit(frame, secondFrame, offset, size, valueLo, valueHi);
    return this.#done(lo, hi, size, old, oldHi);
  }

  #compareExchange(
    lo: number,
    hi: number,
    size: number,
    expectedLo: number,
    expectedHi: number,
    valueLo: number,
    valueHi: number,
  ): number {
    if (this.settle(this.locate(lo, hi, size, READ_MODIFY_WRITE)) !== NONE) return 0;
    const { physical, frame, secondFrame } = this;
    const offset = lo & OFFSET_MASK;
    // As a load gives them.
    const wantedLo = size === 1 ? expectedLo & 0xff : size === 2 ? expectedLo & 0xffff : expectedLo | 0;
    const wantedHi = expectedHi | 0;
    if (secondFrame < 0) {
      const old = compareExchange(physical, frame, offset, size, wantedLo, wantedHi, valueLo, valueHi);
      return this.#done(lo, hi, size, old, physical.hi);
    }
    const old = physical.loadSplit(frame, secondFrame, offset, size);
    const oldHi = physical.hi;
    const equal = old === wantedLo && (size < 8 || oldHi === wantedHi);
    if (equal) physical.storeSplit(frame, secondFrame, offset, size, valueLo, valueHi);
    return this.#done(lo, hi, size, old, oldHi);
  }

  #done(lo: number, hi: number, size: number, old: number, oldHi: number): number {
    this.done(lo, hi, size, READ_MODIFY_WRITE);
    if (size === 8) this.valueHi = oldHi;
    return old;
  }
}
