/**
 * The registers and instructions of a CPU that change how it translates, and the questions one may ask without an access.
 *
 * Privilege is checked where instructions are decoded, before these are called; INVPCID alone checks CPL itself. What can
 * be refused returns 0, or the vector as accesses do.
 */
import { PAT_SHIFT, READ } from '../mmu/access.ts';
import { isCanonical, OFFSET_MASK, physicalHi, physicalLo } from '../mmu/halves.ts';
import type { MemoryTypeRegisters } from '../mmu/memory-type.ts';
import { CR0_CD, CR4_PCIDE } from './control-bits.ts';
import type { Counters } from './counters.ts';
import { GP, NONE, UD } from './fault.ts';
import { DROP_ALL, DROP_NOTHING, REFUSED } from './invalidation.ts';
import { LockedPath } from './locked-path.ts';
import type { Registers } from './registers.ts';

export class Processor extends LockedPath {
  /** Low half of the physical address that `translate` or `probe` found. */
  physicalLo = 0;
  /** High half, 0 to 2^20 - 1. */
  physicalHi = 0;

  /** Register values, to read. They are changed through the methods here. */
  get registers(): Readonly<Registers> {
    return this.translator.registers;
  }

  /** IA32_PAT and the MTRRs. */
  get memoryTypes(): MemoryTypeRegisters {
    return this.translator.memoryTypes;
  }

  /** What this CPU did: hits, misses, walks, faults, invalidations. */
  get counters(): Counters {
    return this.translator.counters;
  }

  /** Linear address of the last page fault. */
  get cr2Lo(): number {
    return this.translator.cr2Lo;
  }

  /** Its high half. */
  get cr2Hi(): number {
    return this.translator.cr2Hi;
  }

  /** MOV CR0. #GP where the value is not allowed. */
  setCr0(lo: number, hi = 0): number {
    return this.#finish(this.translator.registers.movCr0(lo, hi));
  }

  /** MOV CR3, with bit 63 as "no flush" where CR4.PCIDE = 1. #GP on reserved bits, or on reserved bits of a PDPTE. */
  setCr3(lo: number, hi: number): number {
    return this.#finish(this.translator.registers.movCr3(lo, hi));
  }

  /** MOV CR4. */
  setCr4(lo: number, hi = 0): number {
    return this.#finish(this.translator.registers.movCr4(lo, hi));
  }

  /** WRMSR IA32_EFER. */
  setEfer(lo: number, hi = 0): number {
    return this.#finish(this.translator.registers.wrmsrEfer(lo, hi));
  }

  /** CPL, 0 to 3. */
  setCpl(cpl: number): void {
    this.translator.registers.cpl = cpl & 3;
    this.#changeRegime();
  }

  /** EFLAGS.AC, 0 or 1. */
  setAc(ac: number): void {
    this.translator.registers.ac = ac & 1;
    this.#changeRegime();
  }

  /** CS.L, 0 or 1: whether code is 64-bit where EFER.LMA = 1; else linear addresses are truncated to 32 bits. */
  setCsL(csL: number): void {
    this.translator.registers.csL = csL & 1;
    this.#refresh();
  }

  /** WRPKRU, 32 bits. */
  setPkru(pkru: number): void {
    this.translator.registers.pkru = pkru | 0;
    this.#refresh();
  }

  /** WRMSR IA32_PKRS, 32 bits. */
  setPkrs(pkrs: number): void {
    this.translator.registers.pkrs = pkrs | 0;
    this.#refresh();
  }

  /** A20M#: 1 masks address bit 20. */
  setA20Mask(masked: number): void {
    this.translator.a20Masked = masked !== 0;
  }

  /** The CR3 load of a task switch. Bad PDPTEs raise what `Policy.taskSwitchPdpteFault` says; CR3 is loaded all the same. */
  taskSwitch(cr3: number): number {
    const { registers, policy } = this.translator;
    const drop = registers.taskSwitchCr3(cr3);
    if (drop !== REFUSED) return this.#finish(drop);
    this.translator.finish(DROP_ALL);
    return this.settle(this.translator.raise(policy.taskSwitchPdpteFault, 0, 0, 0));
  }

  /** INVLPG. A non-canonical operand does nothing. */
  invlpg(lo: number, hi: number): void {
    const { registers } = this.translator;
    if (!registers.is64Bit) this.translator.invlpg(lo, 0);
    else if (isCanonical(hi, registers.format.mode.linearBits)) this.translator.invlpg(lo, hi);
  }

  /**
   * INVPCID with descriptor (pcid in the low quadword, address in the high one). #UD where unsupported; #GP at CPL > 0, for
   * types above 3, set bits 63:12, a PCID without CR4.PCIDE (types 0, 1), a non-canonical address (type 0).
   */
  invpcid(type: number, pcidLo: number, pcidHi: number, lo: number, hi: number): number {
    const { translator } = this;
    const { registers, features } = translator;
    this.settle(NONE);
    if (!features.invpcid) return this.#refuse(UD);
    if (registers.cpl !== 0 || type < 0 || type > 3 || pcidHi !== 0 || pcidLo >>> 12 !== 0) return this.#refuse(GP);
    if (type < 2 && (registers.cr4 & CR4_PCIDE) === 0 && pcidLo !== 0) return this.#refuse(GP);
    if (type === 0 && !registers.isCanonicalForBase(hi)) return this.#refuse(GP);
    if (type === 0) translator.dropAddress(lo, hi, pcidLo);
    else if (type === 1) translator.dropPcid(pcidLo);
    else if (type === 2) translator.dropAll();
    else translator.dropNonGlobal();
    return NONE;
  }

  /** Whether an address may be the base of a segment, table or MSR: the processor's widest form, whatever CR4.LA57. */
  isCanonicalForBase(_lo: number, hi: number): boolean {
    return this.translator.registers.isCanonicalForBase(hi);
  }

  /** Translates as a one-byte access would, with its side effects. Returns 0, with `physicalLo/Hi` set, or the vector. */
  translate(lo: number, hi: number, access: number = READ): number {
    const vector = this.translateFor(access, lo, hi, 1);
    if (vector === NONE) this.#foundAt(lo);
    return vector;
  }

  /** Memory type (UC, WC, WT, WP, WB of mmu/memory-type.ts) of what `translate` found last, by `memoryTypes`. */
  get memoryType(): number {
    const { frame, rights, registers } = this.translator;
    const index = registers.format.levels === 0 ? -1 : (rights >>> PAT_SHIFT) & 7;
    return this.memoryTypes.effectiveType(index, frame, (registers.cr0 & CR0_CD) !== 0);
  }

  /** What a one-byte access would meet, by the tables alone: asks no cache, sets no A, D, CR2 or fault. */
  probe(lo: number, hi: number, access: number = READ): number {
    const vector = this.translator.probe(lo, hi, access);
    if (vector === NONE) this.#foundAt(lo);
    return vector;
  }

  #foundAt(lo: number): void {
    const { frame } = this.translator;
    this.physicalLo = physicalLo(frame, lo & OFFSET_MASK);
    this.physicalHi = physicalHi(frame);
  }

  #finish(drop: number): number {
    return this.settle(this.translator.finish(drop));
  }

  #refuse(vector: number): number {
    return this.settle(this.translator.raise(vector, 0, 0, 0));
  }

  /** A register changed that needs no flush: what follows from it is recomputed, hit views start anew. */
  #refresh(): void {
    this.translator.registers.derive();
    this.translator.finish(DROP_NOTHING);
  }

  /** CPL or AC changed: other hit views count from now on, none goes. */
  #changeRegime(): void {
    const { registers } = this.translator;
    registers.chooseRegime();
    this.views.useRegime(registers.regime);
  }
}
