/**
 * 64-bit quantities as two int32 halves, always in the order (lo, hi); and as page and frame numbers.
 *
 * Hot code computes on halves with bit operators, cold code on page and frame numbers with `/`, `%` and `Math.floor`;
 * both are exact. No function does both.
 */

/** A physical frame number (physical address >> 12), 0 to 2^40 - 1. */
export type Frame = number;

/** Bytes of a page and of a frame. */
export const PAGE_SIZE: number = 4096;

/** Linear bits that a 4 KiB page leaves to the offset. */
export const OFFSET_MASK: number = PAGE_SIZE - 1;

/** The low half of the address of the page that `lo` lies in. */
export const pageLo = (lo: number): number => lo & ~OFFSET_MASK;

/**
 * Whether bits 63 to `linearBits - 1` of an address are all equal.
 * @param linearBits  48 or 57
 * SDM 3A, "Canonical Addressing".
 */
export const isCanonical = (hi: number, linearBits: number): boolean => {
  const spare = 64 - linearBits;
  return (hi << spare) >> spare === hi;
};

/** The unsigned value of a half, 0 to 2^32 - 1. */
export const unsigned = (half: number): number => half >>> 0;

/** The number that two halves spell, 0 to 2^53 - 1; inexact above. */
export const numberOf = (lo: number, hi: number): number => unsigned(hi) * 0x1_0000_0000 + unsigned(lo);

/** The low half of a non-negative safe integer. */
export const loOf = (value: number): number => value | 0;

/** The high half of a non-negative safe integer. */
export const hiOf = (value: number): number => Math.floor(value / 0x1_0000_0000) | 0;

/** Low half of the physical address of byte `offset` in `frame`. */
export const physicalLo = (frame: Frame, offset: number): number => ((frame % 0x100000) << 12) | offset;

/** High half of the physical address of `frame`, 0 to 2^20 - 1. */
export const physicalHi = (frame: Frame): number => Math.floor(frame / 0x100000);

/** The frame of the physical address (lo, hi), hi below 2^20. */
export const frameFrom = (lo: number, hi: number): Frame => hi * 0x100000 + (lo >>> 12);

/** The same number, as an int32 where it is one. What comes out of a division V8 keeps as a double, and all that follows. */
export const narrow = (value: number): number => (value === (value | 0) ? value | 0 : value);

/** 16 lower-case hex digits. */
export const hex64 = (lo: number, hi: number): string => hex32(hi) + hex32(lo);

/** 8 lower-case hex digits. */
export const hex32 = (half: number): string => unsigned(half).toString(16).padStart(8, '0');

/** `0x` and the digits of a non-negative safe integer. */
export const hexNumber = (value: number): string => `0x${value.toString(16)}`;
