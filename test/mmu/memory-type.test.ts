import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  combine,
  IA32_MTRR_DEF_TYPE,
  IA32_MTRR_PHYSBASE0,
  IA32_PAT,
  MEMORY_TYPE_MSRS,
  MEMORY_TYPE_NAMES,
  MemoryTypeRegisters,
  patIndex,
  UC,
  UC_MINUS,
  WB,
  WC,
  WP,
  WT,
} from '../../src/mmu/memory-type.ts';

const TYPES = [UC, WC, WT, WP, WB];
const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));
const write = (to: MemoryTypeRegisters, msr: number, value: bigint): boolean =>
  to.writeMsr(msr, low(value), high(value));
const enabled = (maxPhyAddr: number, defType: bigint): MemoryTypeRegisters => {
  const registers = new MemoryTypeRegisters(maxPhyAddr);
  expect(write(registers, IA32_MTRR_DEF_TYPE, defType)).toBe(true);
  return registers;
};

describe('memory types', () => {
  it('have the encodings of the manual', () => {
    expect({ UC, WC, WT, WP, WB, UC_MINUS }).toEqual({ UC: 0, WC: 1, WT: 4, WP: 5, WB: 6, UC_MINUS: 7 });
    for (const type of [...TYPES, UC_MINUS]) expect(MEMORY_TYPE_NAMES[type]).toBeDefined();
  });

  it('combine to a type that is never UC-', () => {
    for (const mtrr of TYPES) for (const pat of [...TYPES, UC_MINUS]) expect(TYPES).toContain(combine(mtrr, pat));
  });

  it('are chosen by PAT, PCD, PWT: PAT << 2 | PCD << 1 | PWT', () => {
    const all = [0, 1].flatMap((pat) => [0, 1].flatMap((pcd) => [0, 1].map((pwt) => patIndex(pat, pcd, pwt))));
    expect(all).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('after reset', () => {
  const registers = new MemoryTypeRegisters(46);

  it('everything is UC: the MTRRs are disabled', () => {
    for (const frame of [0, 0xff, 0x100, 2 ** 34 - 1])
      for (let index = 0; index < 8; index++) expect(registers.effectiveType(index, frame, false)).toBe(UC);
  });

  it('WC through the PAT reaches even uncached memory', () => {
    const withWc = new MemoryTypeRegisters(46);
    expect(write(withWc, IA32_PAT, 0x01n)).toBe(true);
    expect(withWc.effectiveType(0, 0, false)).toBe(WC);
  });
});

describe('WRMSR', () => {
  it.each([
    ['IA32_PAT', IA32_PAT, [0, 1, 4, 5, 6, 7]],
    ['a fixed-range MTRR', 0x26a, [0, 1, 4, 5, 6]],
  ])('of %s takes exactly the defined types, in each byte', (_, msr, defined) => {
    for (let byte = 0n; byte < 8n; byte++)
      for (let type = 0; type < 256; type++)
        expect(write(new MemoryTypeRegisters(46), msr, BigInt(type) << (8n * byte))).toBe(defined.includes(type));
  });

  it('of IA32_MTRR_DEF_TYPE takes a type, FE and E, and no other bit', () => {
    for (let type = 0n; type < 256n; type++)
      expect(write(new MemoryTypeRegisters(46), IA32_MTRR_DEF_TYPE, 0xc00n | type)).toBe(TYPES.includes(Number(type)));
    for (let bit = 8n; bit < 64n; bit++)
      expect(write(new MemoryTypeRegisters(46), IA32_MTRR_DEF_TYPE, 6n | (1n << bit))).toBe(bit === 10n || bit === 11n);
  });

  it.each([32, 36, 40, 46, 52])('of variable ranges honours MAXPHYADDR %i and every reserved bit', (maxPhyAddr) => {
    const inMask = (1n << BigInt(maxPhyAddr)) - 1n;
    for (let range = 0; range < 10; range++)
      for (let bit = 0n; bit < 64n; bit++) {
        const registers = new MemoryTypeRegisters(maxPhyAddr);
        const base = write(registers, IA32_MTRR_PHYSBASE0 + 2 * range, (1n << bit) | (bit > 7n ? 6n : 0n));
        const mask = write(registers, IA32_MTRR_PHYSBASE0 + 2 * range + 1, 1n << bit);
        const isAddress = bit >= 12n && 1n << bit <= inMask;
        expect([base, mask]).toEqual([bit === 0n || bit === 2n || isAddress, bit === 11n || isAddress]);
      }
  });

  it('refuses every MSR that is no PAT and no MTRR; IA32_MTRRCAP is read-only', () => {
    const known = [
      ...Array.from({ length: 20 }, (_, at) => 0x200 + at),
      ...[0x250, 0x258, 0x259],
      ...Array.from({ length: 8 }, (_, at) => 0x268 + at),
      ...[0x277, 0x2ff],
    ];
    const accepted = Array.from({ length: 0x400 }, (_, msr) => msr).filter((msr) =>
      new MemoryTypeRegisters(46).writeMsr(msr, 0, 0),
    );
    expect(accepted).toEqual(known);
    expect(new MemoryTypeRegisters(46).writeMsr(0xc0000080, 0, 0)).toBe(false);
  });

  it('that is refused changes nothing', () => {
    const registers = enabled(36, 0xc06n);
    write(registers, 0x250, 0x0404040404040404n);
    write(registers, 0x200, 0x100001n);
    write(registers, 0x201, 0xffff00800n);
    const all = (): number[] => [0, 0x100, 0x1ff, 0x200].map((frame) => registers.mtrrType(frame));
    const before = all();
    expect(before).toEqual([WT, WC, WC, WB]);
    expect(write(registers, IA32_MTRR_DEF_TYPE, 0x1000n)).toBe(false);
    expect(write(registers, 0x250, 0x0600000000000002n)).toBe(false);
    expect(write(registers, 0x200, 0x2n)).toBe(false);
    expect(write(registers, 0x201, 0x1n)).toBe(false);
    expect(write(registers, 0x200, 1n << 36n)).toBe(false);
    expect(all()).toEqual(before);
  });
});

describe('RDMSR', () => {
  it('gives what was written last and accepted', () => {
    const registers = new MemoryTypeRegisters(46);
    const expected = new Map(MEMORY_TYPE_MSRS.map((msr) => [msr, registers.readMsr(msr)]));
    expect(expected.get(IA32_PAT)).toEqual([0x00070406, 0x00070406]);
    const value = fc.bigInt({ min: 0n, max: 2n ** 46n - 1n }).map((any) => (any & ~0xfffn) | 0x800n);
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...MEMORY_TYPE_MSRS),
        fc.oneof(value, fc.constant(0x0106050406010406n)),
        (msr, written) => {
          if (write(registers, msr, written)) {
            expected.set(msr, [low(written), high(written)]);
            accepted += 1;
          }
          for (const each of MEMORY_TYPE_MSRS) expect(registers.readMsr(each)).toEqual(expected.get(each));
        },
      ),
      { numRuns: 300 },
    );
    expect(accepted).toBeGreaterThan(50);
    expect([0xfe, 0x214, 0x24f, 0x278].map((msr) => registers.readMsr(msr))).toEqual(Array(4).fill(undefined));
  });
});

describe('the fixed ranges', () => {
  // First frame and frames per byte of each, from the manual's "Address Mapping for Fixed-Range MTRRs".
  const RANGES = [
    [0x250, 0x00, 16],
    [0x258, 0x80, 4],
    [0x259, 0xa0, 4],
    [0x268, 0xc0, 1],
    [0x269, 0xc8, 1],
    [0x26a, 0xd0, 1],
    [0x26b, 0xd8, 1],
    [0x26c, 0xe0, 1],
    [0x26d, 0xe8, 1],
    [0x26e, 0xf0, 1],
    [0x26f, 0xf8, 1],
  ] as const;

  it('give each byte its frames below 1 MiB, and nothing else', () => {
    for (const [msr, first, each] of RANGES)
      for (let byte = 0; byte < 8; byte++) {
        const registers = enabled(46, 0xc06n);
        for (const [other] of RANGES) write(registers, other, 0x0505050505050505n);
        write(registers, msr, 0x0505050505050505n ^ (0x04n << BigInt(8 * byte)));
        const changed = Array.from({ length: 0x110 }, (_, frame) => frame).filter(
          (frame) => registers.mtrrType(frame) === WC,
        );
        expect(changed).toEqual(Array.from({ length: each }, (_, at) => first + each * byte + at));
        expect(registers.mtrrType(0x100)).toBe(WB);
      }
  });

  it('come before variable ranges, and count only with both FE and E', () => {
    const types = [0x806n, 0xc06n, 0x406n].map((defType) => {
      const registers = enabled(46, defType);
      write(registers, 0x268, 0x0505050505050505n);
      write(registers, 0x200, 4n);
      write(registers, 0x201, 0x3fff_fff0_0800n);
      return [registers.mtrrType(0xc0), registers.mtrrType(0x100)];
    });
    expect(types).toEqual([
      [WT, WB],
      [WP, WB],
      [UC, UC],
    ]);
  });
});

describe('the variable ranges', () => {
  it('reach every frame below 2^52', () => {
    const registers = enabled(52, 0x806n);
    write(registers, 0x212, 0xf_ffff_ffff_f000n | 1n);
    write(registers, 0x213, 0xf_ffff_ffff_f800n);
    expect([2 ** 40 - 1, 2 ** 40 - 2, 2 ** 20 - 1].map((frame) => registers.mtrrType(frame))).toEqual([WC, WB, WB]);
  });

  // Independent of the order of the ranges, and of how many of a type there are.
  const overlap = (types: readonly number[]): number => {
    const distinct = [...new Set(types)].sort((a, b) => a - b);
    if (distinct.length === 1) return distinct[0]!;
    return distinct.join() === [WT, WB].join() ? WT : UC;
  };

  it('agree with base and mask as the manual puts them: address & mask = base & mask', () => {
    const range = fc.record({
      type: fc.constantFrom(...TYPES),
      base: fc.nat(15),
      mask: fc.nat(15),
      valid: fc.constantFrom(true, true, true, false),
    });
    let overlaps = 0;
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 10 }),
        fc.constantFrom(12n, 20n, 30n, 31n, 32n, 40n, 48n),
        fc.constantFrom(...TYPES),
        (ranges, shift, defType) => {
          const registers = enabled(52, 0x800n | BigInt(defType));
          const above = ((1n << 52n) - 1n) & -(1n << (shift + 4n));
          ranges.forEach(({ type, base, mask, valid }, at) => {
            write(registers, 0x200 + 2 * at, (BigInt(base) << shift) | BigInt(type));
            write(registers, 0x201 + 2 * at, above | (BigInt(mask) << shift) | (valid ? 0x800n : 0n));
          });
          for (let nibble = 0; nibble < 16; nibble++) {
            const hit = ranges.filter(({ base, mask, valid }) => valid && (nibble & mask) === (base & mask));
            const expected = hit.length === 0 ? defType : overlap(hit.map(({ type }) => type));
            const frame = Number((BigInt(nibble) << shift) >> 12n);
            expect(registers.mtrrType(frame)).toBe(expected);
            if (hit.length > 1) overlaps += 1;
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(overlaps).toBeGreaterThan(1000);
  });
});

describe('the effective type', () => {
  it('is that of the PAT entry and the MTRR together, UC with CR0.CD', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...TYPES, UC_MINUS), { minLength: 8, maxLength: 8 }),
        fc.constantFrom(...TYPES),
        fc.nat(7),
        (pat, mtrr, index) => {
          const registers = enabled(46, 0x800n | BigInt(mtrr));
          const written = pat.reduce((value, type, at) => value | (BigInt(type) << BigInt(8 * at)), 0n);
          expect(write(registers, IA32_PAT, written)).toBe(true);
          expect(registers.patType(index)).toBe(pat[index]);
          expect(registers.effectiveType(index, 0x1234, false)).toBe(combine(mtrr, pat[index]!));
          expect(registers.effectiveType(index, 0x1234, true)).toBe(UC);
        },
      ),
    );
  });
});
