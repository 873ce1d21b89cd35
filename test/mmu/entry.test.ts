import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryHi, entryLo, flagNames, flagsOf, frameOf, isPresent, keyOf, NX } from '../../src/mmu/entry.ts';
import { high, joined, low } from '../support/guest.ts';

const FRAME = 0x000f_ffff_ffff_f000n;

describe('an entry', () => {
  it('decodes as the BigInt of its 64 bits does', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (entry) => {
        const lo = low(entry);
        const hi = high(entry);
        expect(BigInt(frameOf(lo, hi))).toBe((entry & FRAME) >> 12n);
        expect(BigInt(flagsOf(lo, hi) >>> 0) & 0xff_ffffn).toBe(((entry >> 52n) << 12n) | (entry & 0xfffn));
        expect(BigInt(keyOf(hi))).toBe((entry >> 59n) & 15n);
        expect(isPresent(lo)).toBe((entry & 1n) === 1n);
      }),
      { numRuns: 2000 },
    );
  });

  it('is its frame and its flags', () => {
    const frames = fc.bigInt({ min: 0n, max: 2n ** 40n - 1n });
    fc.assert(
      fc.property(frames, fc.nat(0xff_ffff), (frame, flags) => {
        const made = joined(entryLo(Number(frame), flags), entryHi(Number(frame), flags));
        expect(made).toBe((BigInt(flags >> 12) << 52n) | (frame << 12n) | BigInt(flags & 0xfff));
        expect(flagsOf(low(made), high(made)) & 0xff_ffff).toBe(flags);
      }),
      { numRuns: 2000 },
    );
  });

  it('has its flags of 24 bits as a non-negative number', () => {
    expect(flagsOf(0xfff, -0x0010_0000)).toBe(0xff_ffff);
    expect(flagsOf(0, -0x8000_0000)).toBe(NX);
  });

  it('names its flags; bit 7 of a level-1 entry is PAT', () => {
    expect(flagNames(2, 0x1e7, 0)).toBe('P RW US A D PS G');
    expect(flagNames(1, 0x99, -0x8000_0000)).toBe('P PWT PCD PAT XD');
    expect(flagNames(4, 0, 0)).toBe('');
  });
});
