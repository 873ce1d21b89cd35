/** How large a cache of translations is, and what it gives up when it is full. */

/** Which entry of a full set makes room: each in turn, or any by a fixed sequence. */
export type Replacement = 'round-robin' | 'random';

export interface CacheShape {
  /** Entries; a power of two. 0: off. Infinity: keep everything, so that only invalidation removes an entry. */
  readonly entries: number;
  /** Entries that it begins with, a power of two; it doubles when it has evicted a quarter of what it holds. As many as `entries` where left out. */
  readonly first?: number;
  /** Entries that compete for one place; a power of two. */
  readonly ways: number;
  readonly replacement: Replacement;
}

/** RangeError where a size is no power of two, or there are more ways than entries. */
export function checkShape({ entries, ways, first = 1 }: CacheShape): void {
  const sizes = { entries: entries === Infinity ? 1 : entries, ways, first };
  for (const [what, value] of Object.entries(sizes))
    if (!Number.isInteger(value) || (value & (value - 1)) !== 0)
      throw new RangeError(`${what} of a cache: ${value} is not a power of two`);
  if (entries > 0 && entries < ways) throw new RangeError(`a cache of ${entries} entries has no ${ways} ways`);
}
