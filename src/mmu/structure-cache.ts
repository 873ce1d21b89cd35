/**
 * One CPU's paging-structure caches: for the upper bits of an address, the table that the entries above lead to, with
 * their combined rights. A hit means those entries are not read again.
 *
 * The cache of level L holds what entries of level L (2: PDE, 3: PDPTE, 4: PML4E, 5: PML5E) point to. G plays no role.
 * Source: SDM 3A, "Paging-Structure Caches".
 */
import { ALL_RIGHTS } from './access.ts';
import type { CacheShape } from './cache-shape.ts';
import { Generations } from './generations.ts';
import type { Frame } from './halves.ts';
import type { PagingFormat } from './paging-mode.ts';
import { TranslationCache } from './translation-cache.ts';
import type { Walker } from './walk.ts';

export class StructureCaches {
  // Where a walk may start, after `find`.
  /** Level of the table to start in. */
  level = 0;
  table: Frame = 0;
  /** Rights of the entries above it. */
  rights: number = ALL_RIGHTS;

  readonly #generations = new Generations();
  /** By level; index 0 stands for level 2. */
  protected readonly caches: readonly TranslationCache[];
  /** The cache of level 2: most walks start below a PDE. */
  readonly pdes: TranslationCache;
  /** Whether anything is kept. */
  readonly isOn: boolean;

  constructor(shape: CacheShape) {
    this.caches = [21, 30, 39, 48].map((shift) => new TranslationCache(shift, shape, this.#generations));
    this.pdes = this.caches[0]!;
    this.isOn = this.pdes.isOn;
  }

  /** In 32-bit paging a PDE covers 4 MiB. */
  useFormat(format: PagingFormat): void {
    const pdes = this.caches[0]!;
    if (format.levels >= 2 && pdes.shift !== format.shift(2)) pdes.reshape(format.shift(2));
  }

  /** The deepest table known for an address, else the root; left in the fields. */
  find(format: PagingFormat, root: Frame, lo: number, hi: number, pcid: number): void {
    const slot = format.levels < 2 ? -1 : this.pdes.find(lo, hi, pcid);
    if (slot >= 0) this.#take(1, this.pdes, slot);
    else this.#findUpper(format, root, lo, hi, pcid);
  }

  #findUpper(format: PagingFormat, root: Frame, lo: number, hi: number, pcid: number): void {
    for (let level = 3; level <= format.levels; level++) {
      const cache = this.caches[level - 2]!;
      const slot = cache.find(lo, hi, pcid);
      if (slot < 0) continue;
      this.#take(level - 1, cache, slot);
      return;
    }
    this.level = format.levels;
    this.table = root;
    this.rights = ALL_RIGHTS;
  }

  #take(level: number, cache: TranslationCache, slot: number): void {
    this.level = level;
    this.table = cache.frameAt(slot);
    this.rights = cache.rightsAt(slot);
  }

  /** Keeps the upper entries of a walk that found a translation: all of them present, well formed and marked accessed. */
  fill(walker: Walker, lo: number, hi: number, pcid: number): void {
    for (let level = walker.top; level > walker.level; level--)
      this.caches[level - 2]!.fill(lo, hi, pcid, walker.tables[level - 1]!, walker.rightsSoFar[level]!);
  }

  /** Drops what would be used for an address. */
  dropAddress(lo: number, hi: number, pcid: number): void {
    for (const cache of this.caches) cache.drop(lo, hi, pcid);
  }

  flush(pcid: number): void {
    this.#generations.flush(pcid);
  }

  flushAll(): void {
    this.#generations.flushAll();
  }

  /** Each live entry: level of the entry cached, address, PCID, table it points to, combined rights. */
  forEach(visit: (level: number, lo: number, hi: number, pcid: number, table: Frame, rights: number) => void): void {
    this.caches.forEach((cache, at) => {
      cache.forEach((lo, hi, pcid, table, rights) => visit(at + 2, lo, hi, pcid, table, rights));
    });
  }

  /** Puts an entry back, from a snapshot. */
  restore(level: number, lo: number, hi: number, pcid: number, table: Frame, rights: number): void {
    this.caches[level - 2]!.fill(lo, hi, pcid, table, rights);
  }
}
