/**
 * From a linear address to a frame: TLB, else paging-structure caches and a walk, then fill. And everything that drops
 * what is cached.
 *
 * The TLB, the structure caches and the hit views are one CPU's own. What other CPUs write to the tables is seen by the
 * next walk.
 */
import { DIRTY, GLOBAL, IMPLICIT, type Regime, STACK, WRITE } from '../mmu/access.ts';
import { type Frame, isCanonical } from '../mmu/halves.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';
import { MemoryTypeRegisters } from '../mmu/memory-type.ts';
import { StructureCaches } from '../mmu/structure-cache.ts';
import { Tlb } from '../mmu/tlb.ts';
import { GLOBAL_CONTEXT } from '../mmu/translation-cache.ts';
import { MAPPED, Walker } from '../mmu/walk.ts';
import { type CacheOptions, cacheShapes } from './cache-options.ts';
import { Counters } from './counters.ts';
import { Fault, GP, NONE, PF, SS } from './fault.ts';
import type { Features, Policy } from './features.ts';
import { DROP_ALL, DROP_PCID, REFUSED } from './invalidation.ts';
import { REGIME_SUPERVISOR, Registers, type RegisterValues } from './registers.ts';
import { Views } from './views.ts';

/** Frame bit 8 is address bit 20. */
const A20_FRAME = 1 << 8;

export class Translator {
  readonly features: Features;
  readonly policy: Policy;
  readonly port: MemoryPort;
  readonly registers: Registers;
  readonly walker: Walker;
  readonly tlb: Tlb;
  readonly structures: StructureCaches;
  readonly views: Views = new Views();
  readonly counters: Counters = new Counters();
  readonly fault: Fault = new Fault();
  /** Asked for the type of a translation, never by one. */
  readonly memoryTypes: MemoryTypeRegisters;
  /** Linear address of the last page fault. */
  cr2Lo = 0;
  cr2Hi = 0;

  // Result of the last `translate` that returned NONE.
  /** Frame of the 4 KiB page that the address lies in. */
  frame: Frame = 0;
  rights = 0;
  /** Level of the leaf; 0 without paging. */
  level = 0;

  /** Whether the TLB holds what `translate` found; without paging there is nothing to hold. */
  get isCached(): boolean {
    return this.level === 0 || this.tlb.holds(this.level);
  }

  #a20Mask = 0;

  constructor(features: Features, policy: Policy, port: MemoryPort, caches: CacheOptions) {
    this.features = features;
    this.policy = policy;
    this.port = port;
    port.reportsAccessedDirty = policy.accessedDirtyStores === 'reported';
    this.registers = new Registers(features, policy, port);
    this.memoryTypes = new MemoryTypeRegisters(features.maxPhyAddr);
    this.walker = new Walker(port);
    this.walker.accessedOnFault = policy.accessedOnFault;
    const shapes = cacheShapes(caches);
    this.tlb = new Tlb(shapes.tlb, (lo, hi, shift) => this.#dropViews(lo, hi, shift > 12));
    this.structures = new StructureCaches(shapes.structures);
    this.views.useRegime(this.registers.regime);
  }

  /** Whether A20 is masked: address bit 20 of the final physical address is then 0. Walks are not affected. */
  set a20Masked(masked: boolean) {
    this.#a20Mask = masked ? A20_FRAME : 0;
    this.views.dropAll();
  }

  get a20Masked(): boolean {
    return this.#a20Mask !== 0;
  }

  /** The regime that judges an access. */
  regimeOf(access: number): Regime {
    const { registers } = this;
    return registers.regimes[(access & IMPLICIT) !== 0 ? REGIME_SUPERVISOR : registers.regime]!;
  }

  /**
   * Translates a canonical address, setting A and D and filling the caches.
   * @returns NONE, with the result in the fields; or PF, with the fault and CR2 set and the entries that led there gone.
   */
  translate(lo: number, hi: number, access: number): number {
    const { registers, tlb, counters } = this;
    if (registers.format.levels === 0) {
      this.#take(lo >>> 12, 0, 0, lo);
      return NONE;
    }
    const regime = this.regimeOf(access);
    if (tlb.find(lo, hi, registers.pcid)) {
      counters.hits += 1;
      const { rights } = tlb;
      const denial = regime.denial(rights, access);
      const needsDirty = (access & WRITE) !== 0 && (rights & DIRTY) === 0;
      if (denial === 0 && !needsDirty) {
        this.#take(tlb.frame, rights, tlb.level, lo);
        return NONE;
      }
      if (denial !== 0 && this.policy.deniedHit === 'fault') return this.#pageFault(regime, denial, lo, hi, access);
      if (denial !== 0) this.#dropPage(lo, hi);
    }
    counters.misses += 1;
    return this.#walkAndFill(regime, lo, hi, access);
  }

  /**
   * What the tables alone say, from the root: no cache is asked or filled, nothing is marked or recorded.
   * @returns NONE, with the result in the fields; or GP, SS or PF, with what stopped the walk in `walker`.
   */
  probe(lo: number, hi: number, access: number): number {
    const { registers, walker } = this;
    const { format } = registers;
    const is64Bit = registers.has64BitAddress(access);
    if (is64Bit && !isCanonical(hi, format.mode.linearBits)) return (access & STACK) !== 0 ? SS : GP;
    if (format.levels === 0) {
      this.#take(lo >>> 12, 0, 0, lo);
      return NONE;
    }
    const root = registers.rootOf(lo);
    if (root < 0) return PF;
    if (walker.probe(format, this.regimeOf(access), root, lo, is64Bit ? hi : 0, access) !== MAPPED) return PF;
    this.#take(walker.pageFrame, walker.rights, walker.level, lo);
    return NONE;
  }

  /** Takes over register values, all caches empty. False, and nothing changed, where PAE paging meets a malformed PDPTE. */
  enter(values: RegisterValues): boolean {
    if (!this.registers.enter(values)) return false;
    this.finish(DROP_ALL);
    return true;
  }

  /** Does what a change of control registers returned: drops, or #GP(0). */
  finish(drop: number): number {
    if (drop === REFUSED) return this.raise(GP, 0, 0, 0);
    const { registers, tlb, structures } = this;
    tlb.useFormat(registers.format);
    structures.useFormat(registers.format);
    if (drop === DROP_ALL) {
      tlb.flushAll();
      structures.flushAll();
    } else if (drop === DROP_PCID) {
      tlb.flush(registers.pcid);
      structures.flush(registers.pcid);
    }
    if (drop === DROP_ALL || drop === DROP_PCID) this.counters.invalidations += 1;
    this.views.dropAll();
    this.views.useRegime(registers.regime);
    return NONE;
  }

  /** INVLPG: the page of any size for the current PCID and globally, and all structure-cache entries of the PCID. */
  invlpg(lo: number, hi: number): void {
    if (this.registers.format.levels === 0) return;
    this.counters.invalidations += 1;
    this.#dropPage(lo, hi);
    this.structures.flush(this.registers.pcid);
  }

  /** INVPCID type 0: one address of one PCID, not global. */
  dropAddress(lo: number, hi: number, pcid: number): void {
    this.counters.invalidations += 1;
    this.#dropViews(lo, hi, this.tlb.dropOf(lo, hi, pcid) > 1);
    this.structures.dropAddress(lo, hi, pcid);
  }

  /** INVPCID type 1: one PCID, not global. */
  dropPcid(pcid: number): void {
    this.counters.invalidations += 1;
    this.tlb.flush(pcid);
    this.structures.flush(pcid);
    this.views.dropAll();
  }

  /** INVPCID type 3: all PCIDs, not global. */
  dropNonGlobal(): void {
    this.counters.invalidations += 1;
    this.tlb.flushNonGlobal();
    this.structures.flushAll();
    this.views.dropAll();
  }

  /** INVPCID type 2, and whatever may safely drop everything. */
  dropAll(): void {
    this.counters.invalidations += 1;
    this.tlb.flushAll();
    this.structures.flushAll();
    this.views.dropAll();
  }

  /** Records a fault that is not a page fault. */
  raise(vector: number, lo: number, hi: number, access: number): number {
    this.counters.faults += 1;
    return this.fault.set(vector, 0, lo, hi, access);
  }

  #walkAndFill(regime: Regime, lo: number, hi: number, access: number): number {
    const { registers, walker, structures, counters } = this;
    const { format, pcid } = registers;
    counters.walks += 1;
    const root = registers.rootOf(lo);
    if (root < 0) {
      this.#pageFault(regime, 0, lo, hi, access);
      return this.#stoppedBy(
        3,
        registers.pdptes.values[2 * (lo >>> 30)]!,
        registers.pdptes.values[2 * (lo >>> 30) + 1]!,
      );
    }
    structures.find(format, root, lo, hi, pcid);
    const { level, table, rights } = structures;
    if (walker.walk(format, regime, level, table, rights, lo, hi, access, 'mark') !== MAPPED) {
      this.#pageFault(regime, walker.cause, lo, hi, access);
      return this.#stoppedBy(walker.level, walker.los[walker.level]!, walker.his[walker.level]!);
    }
    structures.fill(walker, lo, hi, pcid);
    const isGlobal = registers.isGlobalEnabled && (walker.rights & GLOBAL) !== 0;
    const context = isGlobal ? GLOBAL_CONTEXT : pcid;
    if (this.tlb.fill(lo, hi, context, walker.level, walker.pageFrame, walker.rights))
      this.#dropViews(lo, hi, walker.level > 1);
    this.#take(walker.pageFrame, walker.rights, walker.level, lo);
    return NONE;
  }

  #take(pageFrame: Frame, rights: number, level: number, lo: number): void {
    const within = level > 1 ? (lo >>> 12) & (this.registers.format.pageFrames(level) - 1) : 0;
    const frame = pageFrame + within;
    this.frame = this.#a20Mask !== 0 && Math.floor(frame / A20_FRAME) % 2 === 1 ? frame - A20_FRAME : frame;
    this.rights = rights;
    this.level = level;
  }

  /** A page fault drops the translation of the page and the structure-cache entries used for the address. */
  #pageFault(regime: Regime, cause: number, lo: number, hi: number, access: number): number {
    this.counters.faults += 1;
    this.#dropPage(lo, hi);
    this.structures.dropAddress(lo, hi, this.registers.pcid);
    this.cr2Lo = lo;
    this.cr2Hi = hi;
    return this.fault.set(PF, regime.errorCode(cause, access), lo, hi, access);
  }

  #stoppedBy(level: number, entryLo: number, entryHi: number): number {
    this.fault.level = level;
    this.fault.entryLo = entryLo;
    this.fault.entryHi = entryHi;
    return this.fault.vector;
  }

  #dropPage(lo: number, hi: number): void {
    this.#dropViews(lo, hi, this.tlb.dropPage(lo, hi, this.registers.pcid) > 1);
  }

  #dropViews(lo: number, hi: number, isLarge: boolean): void {
    if (isLarge) this.views.dropAll();
    else this.views.dropPage(lo, hi);
  }
}
