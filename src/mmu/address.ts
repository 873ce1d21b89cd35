/**
 * 64-bit quantities as people write them, turned once into halves. Nothing here is on a path that runs per access in an
 * emulator's inner loop; those pass halves.
 */
import Long from 'long';
import { hiOf, loOf } from './halves.ts';

/**
 * A 64-bit value: a `Long` (signed or unsigned, or any `{ low, high }`), a bigint from -2^63 to 2^64 - 1, an integer from
 * 0 to 2^53 - 1, or hex digits behind `0x`.
 */
export type Address = Long | Halves | bigint | number | string;

/** What a `Long` is, whichever copy of the library made it. */
export interface Halves {
  /** Bits 31:0; signed or unsigned. */
  readonly low: number;
  /** Bits 63:32; signed or unsigned. */
  readonly high: number;
}

const HEX = /^0x[0-9a-f]{1,16}$/i;

/** The halves of an address, as an unsigned `Long`. RangeError where it is not an `Address`. */
export function toHalves(address: Address): Long {
  switch (typeof address) {
    case 'number':
      if (!Number.isSafeInteger(address) || address < 0) break;
      return new Long(loOf(address), hiOf(address), true);
    case 'bigint':
      if (address < -(2n ** 63n) || address >= 2n ** 64n) break;
      return Long.fromString(BigInt.asUintN(64, address).toString(16), true, 16);
    case 'string':
      if (!HEX.test(address)) break;
      return Long.fromString(address.slice(2), true, 16);
    default:
      if (address === null || typeof address !== 'object') break;
      if (isHalf(address.low) && isHalf(address.high)) return new Long(address.low, address.high, true);
  }
  throw new RangeError(`not a 64-bit address: ${shown(address)}`);
}

/** Signed or unsigned. */
const isHalf = (half: unknown): half is number =>
  Number.isInteger(half) && (half as number) >= -(2 ** 31) && (half as number) < 2 ** 32;

/** For a message, whatever the value is: objects may be cyclic, or not be willing to become text. */
const shown = (value: unknown): string => {
  if (typeof value === 'string') return JSON.stringify(value);
  const isObject = typeof value === 'object' && value !== null;
  return isObject ? 'an object whose low and high are not 32-bit integers' : String(value);
};
