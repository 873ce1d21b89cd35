/**
 * What one CPU has cached of the tables: TLB, paging-structure caches, and the hit views derived from them; and everything
 * that drops some of it. They are the CPU's own, but what stands in them outlives an access: each use and each change is an
 * operation of the seam.
 */
import { GLOBAL } from '../mmu/access.ts';
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import type { Frame } from '../mmu/halves.ts';
import type { Seam, SeamObserver } from '../mmu/seam.ts';
import { StructureCaches } from '../mmu/structure-cache.ts';
import { Tlb } from '../mmu/tlb.ts';
import type { Walker } from '../mmu/walk.ts';
import { type CacheOptions, cacheShapes } from './cache-options.ts';
import { Counters } from './counters.ts';
import type { Registers } from './registers.ts';
import { Views } from './views.ts';

export class CachedTranslations implements Seam {
  readonly registers: Registers;
  readonly tlb: Tlb;
  readonly structures: StructureCaches;
  readonly views: Views = new Views();
  readonly counters: Counters = new Counters();
  observer: SeamObserver | null = null;

  constructor(registers: Registers, caches: CacheOptions) {
    const shapes = cacheShapes(caches);
    this.registers = registers;
    this.tlb = new Tlb(
      shapes.tlb,
      (lo, hi, shift, marks) => {
        if (shift > 12) this.views.dropAll();
        else this.views.dropMarked(lo, hi, marks);
      },
      () => this.views.dropAll(),
    );
    this.structures = new StructureCaches(shapes.structures);
    this.views.useRegime(registers.regime);
  }

  /** Whether the TLB translates an address; what it says is left in `tlb`. */
  protected findInTlb(lo: number, hi: number): boolean {
    const { observer, tlb } = this;
    if (observer === null) return tlb.find(lo, hi, this.registers.pcid);
    if (observer.enter('tlbFind', lo, hi, 0, 0)) {
      tlb.frame = observer.frame;
      tlb.level = observer.value & 3;
      tlb.rights = observer.value >> 2;
      return observer.value >= 0;
    }
    const found = tlb.find(lo, hi, this.registers.pcid);
    observer.leave(found ? tlb.level | (tlb.rights << 2) : -1, tlb.frame);
    return found;
  }

  /** Where a walk may start; left in `structures`. */
  protected findStructure(root: Frame, lo: number, hi: number): void {
    const { observer, structures, registers } = this;
    if (observer?.enter('structuresFind', lo, hi, 0, 0)) {
      structures.table = observer.frame;
      structures.level = observer.value & 7;
      structures.rights = observer.value >> 3;
      return;
    }
    structures.find(registers.format, root, lo, hi, registers.pcid);
    observer?.leave(structures.level | (structures.rights << 3), structures.table);
  }

  /** Keeps what a walk found. */
  keep(walker: Walker, lo: number, hi: number): void {
    const { observer, registers } = this;
    const { pcid } = registers;
    if (observer?.enter('tlbFill', lo, hi, walker.level, walker.pageFrame)) return;
    this.structures.fill(walker, lo, hi, pcid);
    const isGlobal = registers.isGlobalEnabled && (walker.rights & GLOBAL) !== 0;
    const context = isGlobal ? GLOBAL_CONTEXT : pcid;
    if (this.tlb.fill(lo, hi, context, walker.level, walker.pageFrame, walker.rights))
      this.#dropViews(lo, hi, walker.level > 1);
    observer?.leave(0, 0);
  }

  /** INVLPG: the page of any size for the current PCID and globally, and all structure-cache entries of the PCID. */
  invlpg(lo: number, hi: number): void {
    if (this.registers.format.levels === 0) return;
    this.counters.invalidations += 1;
    const { observer } = this;
    if (observer?.enter('dropPage', lo, hi, 0, 0)) return;
    this.#dropPage(lo, hi);
    this.structures.flush(this.registers.pcid);
    observer?.leave(0, 0);
  }

  /** INVPCID type 0: one address of one PCID, not global. */
  dropAddress(lo: number, hi: number, pcid: number): void {
    this.counters.invalidations += 1;
    const { observer } = this;
    if (observer?.enter('dropAddress', lo, hi, pcid, 0)) return;
    this.#dropViews(lo, hi, this.tlb.dropOf(lo, hi, pcid) > 1);
    this.structures.dropAddress(lo, hi, pcid);
    observer?.leave(0, 0);
  }

  /** INVPCID type 1: one PCID, not global. */
  dropPcid(pcid: number): void {
    this.counters.invalidations += 1;
    const { observer } = this;
    if (observer?.enter('dropPcid', pcid, 0, 0, 0)) return;
    this.tlb.flush(pcid);
    this.structures.flush(pcid);
    this.views.dropAll();
    observer?.leave(0, 0);
  }

  /** INVPCID type 3: all PCIDs, not global. */
  dropNonGlobal(): void {
    this.counters.invalidations += 1;
    const { observer } = this;
    if (observer?.enter('dropNonGlobal', 0, 0, 0, 0)) return;
    this.tlb.flushNonGlobal();
    this.structures.flushAll();
    this.views.dropAll();
    observer?.leave(0, 0);
  }

  /** INVPCID type 2, and whatever may safely drop everything. */
  dropAll(): void {
    this.counters.invalidations += 1;
    const { observer } = this;
    if (observer?.enter('dropAll', 0, 0, 0, 0)) return;
    this.tlb.flushAll();
    this.structures.flushAll();
    this.views.dropAll();
    observer?.leave(0, 0);
  }

  /** A hit that was denied: the tables are asked. */
  dropTranslation(lo: number, hi: number): void {
    const { observer } = this;
    if (observer?.enter('dropTranslation', lo, hi, 0, 0)) return;
    this.#dropPage(lo, hi);
    observer?.leave(0, 0);
  }

  /** A page fault drops the translation of the page and the structure-cache entries used for the address. */
  dropFaulting(lo: number, hi: number): void {
    const { observer } = this;
    if (observer?.enter('dropFaulting', lo, hi, 0, 0)) return;
    this.#dropPage(lo, hi);
    this.structures.dropAddress(lo, hi, this.registers.pcid);
    observer?.leave(0, 0);
  }

  #dropPage(lo: number, hi: number): void {
    this.#dropViews(lo, hi, this.tlb.dropPage(lo, hi, this.registers.pcid) > 1);
  }

  #dropViews(lo: number, hi: number, isLarge: boolean): void {
    if (isLarge) this.views.dropAll();
    else this.views.dropPage(lo, hi);
  }
}
