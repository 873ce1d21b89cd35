/**
 * The registers of one logical processor that decide how addresses are translated: which changes are legal, and what
 * follows from their values (paging format, root, PCID, regimes).
 *
 * Source: SDM 3A, "Control Registers", "Paging Modes and Control Bits", "PDPTE Registers".
 */
import { IMPLICIT, Regime } from '../mmu/access.ts';
import { type Frame, frameFrom, isCanonical } from '../mmu/halves.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';
import { PAGING_MODES, PagingFormat, type PagingModeName } from '../mmu/paging-mode.ts';
import {
  CR0_AM,
  CR0_CD,
  CR0_DEFINED,
  CR0_ET,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR3_NO_FLUSH,
  CR3_PCID,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  cr4Allowed,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  eferAllowed,
  modeOf,
} from './control-bits.ts';
import type { Features, Policy } from './features.ts';
import { afterCr0, afterCr3, afterCr4, DROP_NOTHING, REFUSED } from './invalidation.ts';
import { PdpteRegisters } from './pdpte-registers.ts';

/** Classes of accesses; hit views keep them apart. */
export const REGIME_USER = 0;
export const REGIME_SUPERVISOR = 1;
/** CR4.SMAP = 1 and EFLAGS.AC = 1: user pages may be read and written. */
export const REGIME_SUPERVISOR_AC = 2;

/** Register values, int32 halves and words. */
export interface RegisterValues {
  /** CR0; its high half is always 0. */
  readonly cr0: number;
  /** CR3, low half. */
  readonly cr3Lo: number;
  /** CR3, high half. */
  readonly cr3Hi: number;
  /** CR4; its high half is always 0. */
  readonly cr4: number;
  /** IA32_EFER, low half; the high one is always 0. */
  readonly efer: number;
  /** Current privilege level, 0 to 3. */
  readonly cpl: number;
  /** EFLAGS.AC, 0 or 1. */
  readonly ac: number;
  /** L of CS, 0 or 1: 64-bit mode where EFER.LMA = 1. */
  readonly csL: number;
  /** PKRU, 32 bits. */
  readonly pkru: number;
  /** IA32_PKRS, 32 bits. */
  readonly pkrs: number;
  /** The PDPTE registers as (lo, hi) pairs, 8 numbers. */
  readonly pdptes?: readonly number[];
}

export class Registers {
  readonly features: Features;
  cr0: number = CR0_ET;
  cr3Lo = 0;
  cr3Hi = 0;
  cr4 = 0;
  efer = 0;
  /** 0 to 3. */
  cpl = 0;
  /** EFLAGS.AC. */
  ac = 0;
  /** CS.L: 64-bit code, where EFER.LMA = 1. */
  csL = 0;
  pkru = 0;
  pkrs = 0;
  readonly pdptes: PdpteRegisters;

  // What follows.
  format: PagingFormat;
  /** Root table, outside PAE. */
  root: Frame = 0;
  /** 0 where CR4.PCIDE = 0. */
  pcid = 0;
  isGlobalEnabled = false;
  /** By REGIME_*. */
  readonly regimes: readonly [Regime, Regime, Regime] = [new Regime(), new Regime(), new Regime()];
  /** REGIME_* of explicit accesses. */
  regime: number = REGIME_SUPERVISOR;
  /** The same, as the object. */
  current: Regime = this.regimes[REGIME_SUPERVISOR];
  /** Linear addresses of explicit accesses have 64 bits. */
  is64Bit = false;
  /** CR0.AM, EFLAGS.AC and CPL 3: unaligned explicit accesses raise #AC. */
  checksAlignment = false;

  /** The bits that the format was made from, besides the mode. */
  #formatInputs = 0;

  constructor(features: Features, policy: Policy, port: MemoryPort) {
    this.features = features;
    this.pdptes = new PdpteRegisters(port, features.maxPhyAddr, policy.absentPdpteReserved);
    this.format = this.#makeFormat('none');
    this.derive();
  }

  get isLongMode(): boolean {
    return (this.efer & EFER_LMA) !== 0;
  }

  /** MOV CR0. Returns what to drop, or REFUSED. Bits above 31 are refused, undefined bits below are ignored. */
  movCr0(lo: number, hi: number): number {
    const before = this.cr0;
    const after = (lo & CR0_DEFINED) | CR0_ET;
    const set = after & ~before;
    const cleared = before & ~after;
    if (hi !== 0) return REFUSED;
    if ((after & CR0_PG) !== 0 && (after & CR0_PE) === 0) return REFUSED;
    if ((after & CR0_NW) !== 0 && (after & CR0_CD) === 0) return REFUSED;
    let efer = this.efer;
    if ((set & CR0_PG) !== 0 && (efer & EFER_LME) !== 0) {
      if ((this.cr4 & CR4_PAE) === 0 || this.csL !== 0) return REFUSED;
      efer |= EFER_LMA;
    }
    if ((cleared & CR0_PG) !== 0) {
      if ((this.cr4 & CR4_PCIDE) !== 0 || this.is64Bit) return REFUSED;
      efer &= ~EFER_LMA;
    }
    const reloads = ((set | cleared) & (CR0_PG | CR0_CD | CR0_NW)) !== 0;
    if (reloads && modeOf(after, this.cr4, efer) === 'pae' && !this.pdptes.load(this.cr3Lo)) return REFUSED;
    this.cr0 = after;
    this.efer = efer;
    this.derive();
    return afterCr0(before, after);
  }

  /** MOV CR3. Outside long mode the operand has 32 bits and `hi` is ignored. */
  movCr3(lo: number, hi: number): number {
    let noFlush = false;
    let address = hi;
    if (!this.isLongMode) address = 0;
    else if ((this.cr4 & CR4_PCIDE) !== 0) {
      noFlush = (hi & CR3_NO_FLUSH) !== 0;
      address = hi & ~CR3_NO_FLUSH;
    }
    if (address >>> (this.features.maxPhyAddr - 32) !== 0) return REFUSED;
    if (this.format.mode.name === 'pae' && !this.pdptes.load(lo)) return REFUSED;
    this.cr3Lo = lo;
    this.cr3Hi = address;
    this.#chooseAddressSpace();
    return afterCr3(noFlush);
  }

  movCr4(lo: number, hi: number): number {
    const before = this.cr4;
    const changed = before ^ lo;
    if (hi !== 0 || (lo & ~cr4Allowed(this.features)) !== 0) return REFUSED;
    if (this.isLongMode && ((lo & CR4_PAE) === 0 || (changed & CR4_LA57) !== 0)) return REFUSED;
    const enablesPcid = (lo & ~before & CR4_PCIDE) !== 0;
    if (enablesPcid && (!this.isLongMode || (this.cr3Lo & CR3_PCID) !== 0)) return REFUSED;
    const reloads = (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) !== 0;
    if (reloads && modeOf(this.cr0, lo, this.efer) === 'pae' && !this.pdptes.load(this.cr3Lo)) return REFUSED;
    this.cr4 = lo;
    this.derive();
    return afterCr4(before, lo, this.features.vendor);
  }

  /** WRMSR IA32_EFER. LMA is read-only: the bit written is ignored. */
  wrmsrEfer(lo: number, hi: number): number {
    if (hi !== 0 || (lo & ~eferAllowed(this.features)) !== 0) return REFUSED;
    if (((lo ^ this.efer) & EFER_LME) !== 0 && (this.cr0 & CR0_PG) !== 0) return REFUSED;
    this.efer = (lo & ~EFER_LMA) | (this.efer & EFER_LMA);
    this.derive();
    return DROP_NOTHING;
  }

  /** The CR3 load of a task switch, past its commit point: bad PDPTEs leave the registers not present, and return REFUSED. */
  taskSwitchCr3(lo: number): number {
    this.cr3Lo = lo;
    this.cr3Hi = 0;
    const valid = this.format.mode.name !== 'pae' || this.pdptes.load(lo);
    if (!valid) this.pdptes.values.fill(0);
    this.#chooseAddressSpace();
    return valid ? afterCr3(false) : REFUSED;
  }

  /**
   * Takes over all values at once, as a debugger or a loaded image does: no MOV's rules apply. EFER.LMA follows from CR0.PG
   * and EFER.LME. In PAE paging without `pdptes` the registers are loaded from memory; false, and nothing changed, where
   * one of them is malformed.
   */
  enter(values: RegisterValues): boolean {
    const { cr0, cr4, cr3Lo, cr3Hi, pdptes } = values;
    const isLong = (cr0 & CR0_PG) !== 0 && (values.efer & EFER_LME) !== 0;
    const efer = isLong ? values.efer | EFER_LMA : values.efer & ~EFER_LMA;
    if (pdptes !== undefined) this.pdptes.values.set(pdptes);
    else if (modeOf(cr0, cr4, efer) === 'pae' && !this.pdptes.load(cr3Lo)) return false;
    this.cr0 = (cr0 & CR0_DEFINED) | CR0_ET;
    this.cr3Lo = cr3Lo;
    this.cr3Hi = cr3Hi;
    this.cr4 = cr4;
    this.efer = efer;
    this.cpl = values.cpl;
    this.ac = values.ac;
    this.csL = values.csL;
    this.pkru = values.pkru;
    this.pkrs = values.pkrs;
    this.derive();
    return true;
  }

  /** All values, as `enter` takes them. */
  values(): RegisterValues {
    const { cr0, cr3Lo, cr3Hi, cr4, efer, cpl, ac, csL, pkru, pkrs } = this;
    return { cr0, cr3Lo, cr3Hi, cr4, efer, cpl, ac, csL, pkru, pkrs, pdptes: [...this.pdptes.values] };
  }

  /** Whether an address may be the base of a segment, table or MSR: the processor's widest form, whatever CR4.LA57. */
  isCanonicalForBase(hi: number): boolean {
    return isCanonical(hi, this.features.la57 ? 57 : 48);
  }

  /** Whether an access has a 64-bit linear address; elsewhere it is truncated to 32 bits. Descriptor tables always have one in long mode. */
  has64BitAddress(access: number): boolean {
    return this.is64Bit || ((access & IMPLICIT) !== 0 && this.isLongMode);
  }

  /** The table a walk starts in; in PAE paging the one its PDPTE register points to, or -1 where that is not present. */
  rootOf(lo: number): Frame {
    return this.format.mode.rootBits === 0 ? this.root : this.pdptes.directoryFor(lo);
  }

  /** Recomputes all that follows from the registers. */
  derive(): void {
    const { cr4, efer } = this;
    const name = modeOf(this.cr0, cr4, efer);
    const inputs = (efer & EFER_NXE) | (cr4 & CR4_PSE);
    if (name !== this.format.mode.name || inputs !== this.#formatInputs) this.format = this.#makeFormat(name);
    this.#formatInputs = inputs;
    this.#chooseAddressSpace();
    this.isGlobalEnabled = (cr4 & CR4_PGE) !== 0;
    this.is64Bit = this.isLongMode && this.csL !== 0;
    this.chooseRegime();
    this.#setRegimes();
  }

  /** The part of `derive` that CR3 decides. */
  #chooseAddressSpace(): void {
    this.root = frameFrom(this.cr3Lo, this.isLongMode ? this.cr3Hi : 0);
    this.pcid = (this.cr4 & CR4_PCIDE) !== 0 ? this.cr3Lo & CR3_PCID : 0;
  }

  /** The part of `derive` that CPL and EFLAGS.AC decide; they change often. */
  chooseRegime(): void {
    this.checksAlignment = (this.cr0 & CR0_AM) !== 0 && this.ac !== 0 && this.cpl === 3;
    if (this.cpl === 3) this.regime = REGIME_USER;
    else this.regime = (this.cr4 & CR4_SMAP) !== 0 && this.ac !== 0 ? REGIME_SUPERVISOR_AC : REGIME_SUPERVISOR;
    this.current = this.regimes[this.regime]!;
  }

  #setRegimes(): void {
    const { cr0, cr4, efer } = this;
    const nxe = (efer & EFER_NXE) !== 0;
    // One object for the three: spread into others it made a WRPKRU 8600 ns.
    const options = {
      userMode: true,
      wp: (cr0 & CR0_WP) !== 0,
      smep: (cr4 & CR4_SMEP) !== 0,
      smap: false,
      nxe,
      pkru: this.isLongMode && (cr4 & CR4_PKE) !== 0 ? this.pkru : 0,
      pkrs: this.isLongMode && (cr4 & CR4_PKS) !== 0 ? this.pkrs : 0,
      reportsFetch: (cr4 & CR4_SMEP) !== 0 || ((cr4 & CR4_PAE) !== 0 && nxe),
    };
    this.regimes[REGIME_USER].set(options);
    options.userMode = false;
    this.regimes[REGIME_SUPERVISOR_AC].set(options);
    options.smap = (cr4 & CR4_SMAP) !== 0;
    this.regimes[REGIME_SUPERVISOR].set(options);
  }

  #makeFormat(name: PagingModeName): PagingFormat {
    const nxe = (this.efer & EFER_NXE) !== 0;
    return new PagingFormat(PAGING_MODES[name], { ...this.features, nxe, pse: (this.cr4 & CR4_PSE) !== 0 });
  }
}
