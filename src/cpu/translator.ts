/**
 * From a linear address to a frame: TLB, else paging-structure caches and a walk, then fill. What other CPUs write to the
 * tables is seen by the next walk.
 */
import { DIRTY, IMPLICIT, type Regime, STACK, WRITE } from '../mmu/access.ts';
import { type Frame, isCanonical } from '../mmu/halves.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';
import { MemoryTypeRegisters } from '../mmu/memory-type.ts';
import { MAPPED, Walker } from '../mmu/walk.ts';
import type { CacheOptions } from './cache-options.ts';
import { CachedTranslations } from './cached-translations.ts';
import { Fault, GP, NONE, PF, SS } from './fault.ts';
import type { Features, Policy } from './features.ts';
import { DROP_ALL, DROP_PCID, REFUSED } from './invalidation.ts';
import { REGIME_SUPERVISOR, Registers, type RegisterValues } from './registers.ts';

/** Frame bit 8 is address bit 20. */
const A20_FRAME = 1 << 8;

export class Translator extends CachedTranslations {
  readonly features: Features;
  readonly policy: Policy;
  readonly port: MemoryPort;
  readonly walker: Walker;
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
    super(new Registers(features, policy, port), caches);
    this.features = features;
    this.policy = policy;
    this.port = port;
    port.reportsAccessedDirty = policy.accessedDirtyStores === 'reported';
    this.memoryTypes = new MemoryTypeRegisters(features.maxPhyAddr);
    this.walker = new Walker(port);
    this.walker.accessedOnFault = policy.accessedOnFault;
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
    return (access & IMPLICIT) !== 0 ? registers.regimes[REGIME_SUPERVISOR] : registers.current;
  }

  /**
   * Translates a canonical address, setting A and D and filling the caches.
   * @returns NONE, with the result in the fields; or PF, with the fault and CR2 set and the entries that led there gone.
   */
  translate(lo: number, hi: number, access: number): number {
    const { registers, tlb, counters } = this;
    if (registers.format.levels === 0) {
      this.take(lo >>> 12, 0, 0, lo);
      return NONE;
    }
    const regime = this.regimeOf(access);
    if (this.findInTlb(lo, hi)) {
      counters.hits += 1;
      const { rights } = tlb;
      const denial = regime.denial(rights, access);
      const needsDirty = (access & WRITE) !== 0 && (rights & DIRTY) === 0;
      if (denial === 0 && !needsDirty) {
        this.take(tlb.frame, rights, tlb.level, lo);
        return NONE;
      }
      if (denial !== 0 && this.policy.deniedHit === 'fault') return this.#pageFault(regime, denial, lo, hi, access);
      if (denial !== 0) this.dropTranslation(lo, hi);
    }
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
      this.take(lo >>> 12, 0, 0, lo);
      return NONE;
    }
    const root = registers.rootOf(lo);
    if (root < 0) return PF;
    if (walker.probe(format, this.regimeOf(access), root, lo, is64Bit ? hi : 0, access) !== MAPPED) return PF;
    this.take(walker.pageFrame, walker.rights, walker.level, lo);
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
    if (drop === DROP_ALL) this.dropAll();
    else if (drop === DROP_PCID) this.dropPcid(registers.pcid);
    else this.views.dropAll();
    this.views.useRegime(registers.regime);
    return NONE;
  }

  /** Records a fault that is not a page fault. */
  raise(vector: number, lo: number, hi: number, access: number): number {
    this.counters.faults += 1;
    return this.fault.set(vector, 0, lo, hi, access);
  }

  #walkAndFill(regime: Regime, lo: number, hi: number, access: number): number {
    const { registers, walker, structures, counters } = this;
    const { format } = registers;
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
    this.findStructure(root, lo, hi);
    const { level, table, rights } = structures;
    if (walker.walk(format, regime, level, table, rights, lo, hi, access, 'mark') !== MAPPED) {
      this.#pageFault(regime, walker.cause, lo, hi, access);
      return this.#stoppedBy(walker.level, walker.los[walker.level]!, walker.his[walker.level]!);
    }
    this.keep(walker, lo, hi);
    this.take(walker.pageFrame, walker.rights, walker.level, lo);
    return NONE;
  }

  /** Leaves a translation in the fields: that of the 4 KiB within a page of `level` that an address lies in. */
  take(pageFrame: Frame, rights: number, level: number, lo: number): void {
    const within = level > 1 ? (lo >>> 12) & (this.registers.format.pageFrames(level) - 1) : 0;
    const frame = pageFrame + within;
    this.frame = this.#a20Mask !== 0 && Math.floor(frame / A20_FRAME) % 2 === 1 ? frame - A20_FRAME : frame;
    this.rights = rights;
    this.level = level;
  }

  /** A page fault drops the translation of the page and the structure-cache entries used for the address. */
  #pageFault(regime: Regime, cause: number, lo: number, hi: number, access: number): number {
    this.counters.faults += 1;
    this.dropFaulting(lo, hi);
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
}
