/** Sizes of the caches of one CPU. */

import type { CacheShape, Replacement } from '../mmu/cache-shape.ts';
import type { TlbShape } from '../mmu/tlb.ts';

/** How much a CPU keeps of its translations. Sizes are powers of two, else RangeError. */
export interface CacheOptions {
  /**
   * Most entries for 4 KiB pages, a power of two; default 262144, which cover 1 GiB. Where that is more than 4096, it begins with
   * 4096, and doubles when it has evicted a quarter of what it holds. `everything`: only invalidation removes one. `off`: no TLB.
   */
  readonly tlb?: number | 'everything' | 'off';
  /** Entries for 2 and 4 MiB pages; default 1024. */
  readonly tlbLarge?: number;
  /** Entries for 1 GiB pages; default 64. */
  readonly tlbHuge?: number;
  /** Entries of each paging-structure cache; default 256. */
  readonly structures?: number | 'everything' | 'off';
  /** Which of the entries that compete for a place goes; default round-robin. */
  readonly replacement?: Replacement;
  /** `off`: every access asks the TLB, so that counters and observers see each; hits then take about ten times as long. */
  readonly hitViews?: 'on' | 'off';
}

const WAYS = 4;
const MOST_SMALL = 1 << 18;
const FIRST_SMALL = 1 << 12;

export function cacheShapes(options: CacheOptions): { tlb: TlbShape; structures: CacheShape } {
  const { tlb = MOST_SMALL, tlbLarge = 1024, tlbHuge = 64, structures = 256, replacement = 'round-robin' } = options;
  const shape = (size: number | 'everything' | 'off'): CacheShape => {
    const entries = size === 'everything' ? Infinity : size === 'off' ? 0 : size;
    return { entries, ways: Math.min(WAYS, entries || WAYS), replacement };
  };
  const sized = (size: number): CacheShape => shape(typeof tlb === 'number' ? size : tlb);
  return {
    tlb: { small: { ...shape(tlb), first: FIRST_SMALL }, large: sized(tlbLarge), huge: sized(tlbHuge) },
    structures: shape(structures),
  };
}
