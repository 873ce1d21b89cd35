import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FormatOptions, PAGING_MODES, PagingFormat, type PagingModeName } from '../../src/mmu/paging-mode.ts';
import { high, low } from '../support/guest.ts';

const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const modes = fc.constantFrom<PagingModeName>('32-bit', 'pae', '4-level', '5-level');
const options: fc.Arbitrary<FormatOptions> = fc.record({
  maxPhyAddr: fc.integer({ min: 32, max: 52 }),
  nxe: fc.boolean(),
  pse: fc.boolean(),
  pse36: fc.boolean(),
  pat: fc.boolean(),
  page1gb: fc.boolean(),
  vendor: fc.constantFrom('intel', 'amd'),
});

const bits = (high: number, low: number): bigint => (high < low ? 0n : (1n << BigInt(high + 1)) - (1n << BigInt(low)));

/** Reserved bits of a present entry, read off the format tables of the manual. */
function reservedBits(mode: PagingModeName, level: number, leaf: boolean, about: FormatOptions): bigint {
  const { maxPhyAddr, nxe, pse36, pat, page1gb, vendor } = about;
  const noPat = leaf && !pat ? 1n << (level === 1 ? 7n : 12n) : 0n;
  if (mode === '32-bit') {
    if (level === 1 || !leaf) return noPat;
    return noPat | (pse36 ? bits(21, Math.min(maxPhyAddr, 40) - 19) : bits(21, 13));
  }
  let reserved = bits(51, maxPhyAddr) | (nxe ? 0n : bits(63, 63)) | noPat;
  if (mode === 'pae') reserved |= bits(62, 52);
  if (leaf && level === 2) reserved |= bits(20, 13);
  if (leaf && level === 3) reserved |= bits(29, 13);
  if (level === 3 && !page1gb) reserved |= bits(7, 7);
  if (level >= 4) reserved |= bits(7, 7) | (vendor === 'amd' ? bits(8, 8) : 0n);
  return reserved;
}

describe('a paging format', () => {
  it('selects entries by the index bits of each level', () => {
    fc.assert(
      fc.property(modes, options, word, (name, about, address) => {
        const format = new PagingFormat(PAGING_MODES[name], about);
        const width = name === '32-bit' ? 10n : 9n;
        for (let level = 1; level <= format.levels; level++) {
          const index = (address >> (12n + width * BigInt(level - 1))) & ((1n << width) - 1n);
          expect(format.index(level, low(address), high(address))).toBe(Number(index));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reserves in each entry what the manual reserves', () => {
    let violations = 0;
    fc.assert(
      fc.property(modes, options, word, fc.nat(63), (name, about, entry, keep) => {
        const format = new PagingFormat(PAGING_MODES[name], about);
        // All bits of a random word hit some reserved one: most rounds look at one bit only.
        const looked = keep < 8 ? entry : 1n << BigInt(keep);
        for (let level = 1; level <= format.levels; level++) {
          for (const leaf of level === 1 ? [true] : level <= 3 ? [false, true] : [false]) {
            if (level === 3 && leaf && !about.page1gb) continue;
            const narrow = name === '32-bit' ? looked & 0xffff_ffffn : looked;
            const expected = (narrow & reservedBits(name, level, leaf, about)) !== 0n;
            expect(format.violatesReserved(level, leaf, low(narrow), high(narrow))).toBe(expected);
            if (expected) violations += 1;
          }
        }
      }),
      { numRuns: 3000 },
    );
    expect(violations).toBeGreaterThan(1000);
  });

  it('finds the frame of a page of each size', () => {
    const about = {
      maxPhyAddr: 52,
      nxe: true,
      pse: true,
      pse36: true,
      pat: true,
      page1gb: true,
      vendor: 'intel',
    } as const;
    const long = new PagingFormat(PAGING_MODES['4-level'], about);
    const old = new PagingFormat(PAGING_MODES['32-bit'], about);
    fc.assert(
      fc.property(word, (entry) => {
        const lo = low(entry);
        const hi = high(entry);
        const address = entry & 0x000f_ffff_ffff_f000n;
        expect(BigInt(long.pageFrame(1, lo, hi))).toBe(address >> 12n);
        expect(BigInt(long.pageFrame(2, lo, hi))).toBe((address >> 21n) << 9n);
        expect(BigInt(long.pageFrame(3, lo, hi))).toBe((address >> 30n) << 18n);
        expect(BigInt(long.tableFrame(lo, hi))).toBe(address >> 12n);
        expect(BigInt(old.pageFrame(1, lo, 0))).toBe((entry & 0xffff_f000n) >> 12n);
        const pse36 = (((entry >> 13n) & 0xffn) << 32n) | (entry & 0xffc0_0000n);
        expect(BigInt(old.pageFrame(2, lo, 0))).toBe(pse36 >> 12n);
      }),
      { numRuns: 500 },
    );
  });

  it.each<[PagingModeName, number[]]>([
    ['32-bit', [1, 1024]],
    ['pae', [1, 512]],
    ['4-level', [1, 512, 262_144]],
    ['5-level', [1, 512, 262_144]],
  ])('%s maps pages of %j frames', (name, frames) => {
    const about = {
      maxPhyAddr: 46,
      nxe: true,
      pse: true,
      pse36: true,
      pat: true,
      page1gb: true,
      vendor: 'intel',
    } as const;
    const format = new PagingFormat(PAGING_MODES[name], about);
    const leaves = [1, 2, 3, 4, 5].filter((level) => level <= format.levels && format.isLeaf(level, 0x81));
    expect(leaves.map((level) => format.pageFrames(level))).toEqual(frames);
  });

  it('maps no large page where PSE or 1 GiB pages are missing', () => {
    const about = {
      maxPhyAddr: 46,
      nxe: true,
      pse: false,
      pse36: true,
      pat: true,
      page1gb: false,
      vendor: 'intel',
    } as const;
    expect(new PagingFormat(PAGING_MODES['32-bit'], about).isLeaf(2, 0x81)).toBe(false);
    expect(new PagingFormat(PAGING_MODES['4-level'], about).isLeaf(3, 0x81)).toBe(false);
    expect(new PagingFormat(PAGING_MODES['4-level'], about).isLeaf(2, 0x81)).toBe(true);
  });
});
