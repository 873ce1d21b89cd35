import { describe, expect, it } from 'vitest';
import { GLOBAL_CONTEXT } from '../../src/mmu/generations.ts';
import { PAGING_MODES, PagingFormat } from '../../src/mmu/paging-mode.ts';
import { Tlb } from '../../src/mmu/tlb.ts';

const features = {
  maxPhyAddr: 46,
  nxe: true,
  pse: true,
  pse36: true,
  pat: true,
  page1gb: true,
  vendor: 'intel',
} as const;

function tlb(onEvict: (lo: number, hi: number, shift: number) => void = () => {}): Tlb {
  const shape = { entries: 16, ways: 4, replacement: 'round-robin' } as const;
  return new Tlb({ small: shape, large: shape, huge: shape }, onEvict, () => {});
}

const found = (cache: Tlb, lo: number, pcid = 0): number[] | undefined =>
  cache.find(lo, 0, pcid) ? [cache.level, cache.frame, cache.rights] : undefined;

describe('a TLB', () => {
  it('covers the whole of each page, and uses the smallest', () => {
    const cache = tlb();
    cache.fill(0x4000_0000, 0, 0, 3, 300, 3);
    cache.fill(0x4020_0000, 0, 0, 2, 200, 2);
    cache.fill(0x4020_1000, 0, 0, 1, 100, 1);
    expect([0x4020_1fff, 0x4020_0000, 0x403f_ffff, 0x7fff_ffff].map((lo) => found(cache, lo))).toEqual([
      [1, 100, 1],
      [2, 200, 2],
      [2, 200, 2],
      [3, 300, 3],
    ]);
    expect(found(cache, -0x8000_0000)).toBeUndefined();
  });

  it('drops every size that translates an address, own and global', () => {
    const cache = tlb();
    for (const level of [1, 2, 3])
      for (const context of [5, 6, GLOBAL_CONTEXT]) cache.fill(0x4020_1000, 0, context, level, context, 0);
    expect(cache.dropPage(0x4020_1fff, 0, 5)).toBe(3);
    expect([found(cache, 0x4020_1000, 5), found(cache, 0x4020_1000, 6)]).toEqual([undefined, [1, 6, 0]]);
    expect(cache.dropOf(0x4020_2000, 0, 6)).toBe(3);
    expect(found(cache, 0x4020_1000, 6)).toEqual([1, 6, 0]);
    expect(cache.dropOf(0x4020_1000, 0, 6)).toBe(1);
    expect(cache.dropPage(0x4020_1000, 0, 6)).toBe(0);
  });

  it('flushes one PCID, all but global entries, or everything', () => {
    const cache = tlb();
    const fill = (): void => {
      for (const [at, context] of [1, 2, GLOBAL_CONTEXT].entries()) cache.fill(at << 12, 0, context, 1, context, 0);
    };
    const left = (): number[] => {
      const contexts: number[] = [];
      cache.forEach((_lo, _hi, context) => contexts.push(context));
      return contexts.sort((a, b) => a - b);
    };
    fill();
    cache.flush(1);
    expect(left()).toEqual([2, GLOBAL_CONTEXT]);
    fill();
    cache.flushNonGlobal();
    expect(left()).toEqual([GLOBAL_CONTEXT]);
    cache.flushAll();
    expect(left()).toEqual([]);
  });

  it('holds pages of 4 MiB in 32-bit paging, and none of the 2 MiB ones from before', () => {
    const cache = tlb();
    cache.fill(0x20_0000, 0, 0, 2, 1, 0);
    cache.useFormat(new PagingFormat(PAGING_MODES.pae, features));
    expect(found(cache, 0x20_0000)).toEqual([2, 1, 0]);
    cache.useFormat(new PagingFormat(PAGING_MODES['32-bit'], features));
    expect(found(cache, 0x20_0000)).toBeUndefined();
    cache.fill(0x40_0000, 0, 0, 2, 2, 0);
    expect(found(cache, 0x7f_ffff)).toEqual([2, 2, 0]);
  });

  it('tells of each entry that gave way', () => {
    const gone: number[] = [];
    const cache = tlb((lo, _hi, shift) => gone.push(lo >>> shift));
    for (let page = 0; page < 64; page++) cache.fill(page * 0x20_0000, 0, 0, 2, page, 0);
    const left: number[] = [];
    cache.forEach((lo) => left.push(lo >>> 21));
    expect([...gone, ...left].sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, page) => page));
    expect(left).toHaveLength(16);
  });
});
