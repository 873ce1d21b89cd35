import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  frameFrom,
  hex64,
  hexNumber,
  hiOf,
  isCanonical,
  loOf,
  numberOf,
  pageLo,
  physicalHi,
  physicalLo,
} from '../../src/mmu/halves.ts';
import { high, joined, low } from '../support/guest.ts';

const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

describe('halves', () => {
  it('agree with BigInt about canonical addresses of 48 and 57 bits', () => {
    const extremes = [0n, 2n ** 47n - 1n, 2n ** 47n, 2n ** 56n - 1n, 2n ** 56n, -(2n ** 47n), -(2n ** 47n) - 1n];
    const near = fc.constantFrom(...extremes, ...extremes.map((value) => -value - 1n));
    fc.assert(
      fc.property(fc.oneof(word, near, near), fc.constantFrom(48, 57), (address, bits) => {
        const isSame = BigInt.asIntN(bits, address) === BigInt.asIntN(64, address);
        expect(isCanonical(high(address), bits)).toBe(isSame);
      }),
      { numRuns: 1000 },
    );
  });

  it('join to the number they were made from', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect([loOf(value), hiOf(value)]).toEqual([low(BigInt(value)), high(BigInt(value))]);
        expect(numberOf(loOf(value), hiOf(value))).toBe(value);
        expect(hexNumber(value)).toBe(`0x${BigInt(value).toString(16)}`);
      }),
    );
  });

  it('split a physical address into frame and offset and join it again', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 52n - 1n }), (address) => {
        const frame = Number(address >> 12n);
        const offset = Number(address & 0xfffn);
        expect(frameFrom(low(address), high(address))).toBe(frame);
        expect(joined(physicalLo(frame, offset), physicalHi(frame))).toBe(address);
        expect(physicalHi(frame)).toBe(Number(address >> 32n));
      }),
      { numRuns: 1000 },
    );
  });

  it('show 16 hex digits', () => {
    expect(hex64(-1, 0)).toBe('00000000ffffffff');
    expect(hex64(0x1a, -0x8000_0000)).toBe('800000000000001a');
  });

  it('keep the page of a low half', () => {
    expect(pageLo(-1)).toBe(-4096);
    expect(pageLo(0x1fff)).toBe(0x1000);
  });
});
