/** 64-bit values as BigInts: tests are cold code, where arithmetic that reads well counts more than speed. */
import { type Address, toHalves } from '../mmu/address.ts';

/** 0 to 2^64 - 1. RangeError where it is not an `Address`. */
export const wide = (address: Address): bigint => toHalves(address).toBigInt();

/** The low and the high half, int32. */
export const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

/** 0 to 2^64 - 1. */
export const joined = (lo: number, hi: number): bigint =>
  BigInt.asUintN(32, BigInt(lo)) | (BigInt.asUintN(32, BigInt(hi)) << 32n);

/** `0x` and hex digits. */
export const hexText = (value: bigint): string => `0x${value.toString(16)}`;
