/**
 * The accesses and instructions of a CPU for people: addresses as `Address`, 64-bit values as unsigned `Long`, faults
 * thrown as `FaultError`. Each does what the (lo, hi) form of the same name does.
 */
import Long from 'long';
import { READ } from '../mmu/access.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { type ExplainedWalk, explainWalk } from './explain.ts';
import { FaultError, NONE } from './fault.ts';
import type { HitPath } from './hit-path.ts';

/**
 * A CPU's accesses and instructions for people and tools: `Address` in, `Long` out; a fault is thrown as `FaultError`, and
 * a value
 * that is no address is a RangeError. Loops use the methods of the CPU itself, which allocate nothing. `stack` is STACK for
 * an
 * access through SS.
 */
export class LongAccess {
  readonly #cpu: HitPath;

  constructor(cpu: HitPath) {
    this.#cpu = cpu;
  }

  /** 0 to 255. `stack` is STACK for an access through SS, here and below. */
  read8(address: Address, stack = 0): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.read8(low, high, stack));
  }

  /** 0 to 65535. */
  read16(address: Address, stack = 0): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.read16(low, high, stack));
  }

  /** 0 to 2^32 - 1. */
  read32(address: Address, stack = 0): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.read32(low, high, stack)) >>> 0;
  }

  /** Unsigned. */
  read64(address: Address, stack = 0): Long {
    const { low, high } = toHalves(address);
    return this.#quad(this.#cpu.read64(low, high, stack));
  }

  /** An instruction fetch, 0 to 255. */
  fetch8(address: Address): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.fetch8(low, high));
  }

  /** An instruction fetch, 0 to 65535. */
  fetch16(address: Address): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.fetch16(low, high));
  }

  /** 0 to 2^32 - 1. */
  fetch32(address: Address): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.fetch32(low, high)) >>> 0;
  }

  /** An instruction fetch, unsigned. */
  fetch64(address: Address): Long {
    const { low, high } = toHalves(address);
    return this.#quad(this.#cpu.fetch64(low, high));
  }

  /** Stores the low 8 bits. */
  write8(address: Address, value: number, stack = 0): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.write8(low, high, value, stack));
  }

  /** Stores the low 16 bits. */
  write16(address: Address, value: number, stack = 0): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.write16(low, high, value, stack));
  }

  /** Stores the low 32 bits. */
  write32(address: Address, value: number, stack = 0): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.write32(low, high, value, stack));
  }

  /** Stores 64 bits; where aligned, as one. */
  write64(address: Address, value: Address, stack = 0): void {
    const { low, high } = toHalves(address);
    const stored = toHalves(value);
    this.#checked(this.#cpu.write64(low, high, stored.low, stored.high, stack));
  }

  /** The old value, 0 to 255; so are the others unsigned. */
  exchange8(address: Address, value: number): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.exchange8(low, high, value));
  }

  /** XCHG of 16 bits; returns the old value, 0 to 65535. */
  exchange16(address: Address, value: number): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.exchange16(low, high, value));
  }

  /** XCHG of 32 bits; returns the old value, 0 to 2^32 - 1. */
  exchange32(address: Address, value: number): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.exchange32(low, high, value)) >>> 0;
  }

  /** XCHG of 64 bits; returns the old value, unsigned. */
  exchange64(address: Address, value: Address): Long {
    const { low, high } = toHalves(address);
    const stored = toHalves(value);
    return this.#quad(this.#cpu.exchange64(low, high, stored.low, stored.high));
  }

  /** Stores `value` where the byte is `expected`; the old value, 0 to 255. */
  compareExchange8(address: Address, expected: number, value: number): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.compareExchange8(low, high, expected, value));
  }

  /** LOCK CMPXCHG of 16 bits; returns the old value, 0 to 65535. */
  compareExchange16(address: Address, expected: number, value: number): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.compareExchange16(low, high, expected, value));
  }

  /** LOCK CMPXCHG of 32 bits; returns the old value, 0 to 2^32 - 1. */
  compareExchange32(address: Address, expected: number, value: number): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.compareExchange32(low, high, expected, value)) >>> 0;
  }

  /** LOCK CMPXCHG of 64 bits; returns the old value, unsigned. */
  compareExchange64(address: Address, expected: Address, value: Address): Long {
    const { low, high } = toHalves(address);
    const wanted = toHalves(expected);
    const stored = toHalves(value);
    return this.#quad(this.#cpu.compareExchange64(low, high, wanted.low, wanted.high, stored.low, stored.high));
  }

  /** 1 to 4096 bytes. */
  readBytes(address: Address, length: number, stack = 0): Uint8Array {
    const { low, high } = toHalves(address);
    const bytes = new Uint8Array(length);
    this.#checked(this.#cpu.readBytes(low, high, bytes, stack));
    return bytes;
  }

  /** The bytes of an instruction: 1 to 4096, else RangeError. */
  fetchBytes(address: Address, length: number): Uint8Array {
    const { low, high } = toHalves(address);
    const bytes = new Uint8Array(length);
    this.#checked(this.#cpu.fetchBytes(low, high, bytes));
    return bytes;
  }

  /** Writes 1 to 4096 bytes, else RangeError; where a page of them faults, none. */
  writeBytes(address: Address, bytes: Uint8Array, stack = 0): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.writeBytes(low, high, bytes, stack));
  }

  /** Physical address, translated as a one-byte access would, with its side effects. */
  translate(address: Address, access: number = READ): Long {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.translate(low, high, access));
    return new Long(this.#cpu.physicalLo, this.#cpu.physicalHi, true);
  }

  /** Physical address by the tables alone, or undefined where the access would fault; changes nothing. */
  probe(address: Address, access: number = READ): Long | undefined {
    const { low, high } = toHalves(address);
    if (this.#cpu.probe(low, high, access) !== NONE) return undefined;
    return new Long(this.#cpu.physicalLo, this.#cpu.physicalHi, true);
  }

  /** The walk of an access, step by step; changes nothing. */
  explain(address: Address, access: number = READ): ExplainedWalk {
    const { low, high } = toHalves(address);
    return explainWalk(this.#cpu.translator, low, high, access);
  }

  /** MOV CR0. FaultError (#GP) where the value is not allowed, and nothing has changed. */
  setCr0(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setCr0(low, high));
  }

  /**
   * MOV CR3, bit 63 as "no flush" where CR4.PCIDE = 1. FaultError (#GP) where the value, or a PDPTE it leads to, is not
   * allowed.
   */
  setCr3(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setCr3(low, high));
  }

  /** MOV CR4. FaultError (#GP) where the value is not allowed, and nothing has changed. */
  setCr4(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setCr4(low, high));
  }

  /** WRMSR of IA32_EFER. FaultError (#GP) where the value is not allowed, and nothing has changed. */
  setEfer(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setEfer(low, high));
  }

  /** CPL, 0 to 3. */
  setCpl(cpl: number): void {
    this.#cpu.setCpl(cpl);
  }

  /** EFLAGS.AC, 0 or 1. */
  setAc(ac: number): void {
    this.#cpu.setAc(ac);
  }

  /** CS.L, 0 or 1. */
  setCsL(csL: number): void {
    this.#cpu.setCsL(csL);
  }

  /** WRPKRU: 32 bits, access-disable and write-disable for each of 16 keys of user pages. */
  setPkru(pkru: number): void {
    this.#cpu.setPkru(pkru);
  }

  /** WRMSR of IA32_PKRS: the same for supervisor pages. */
  setPkrs(pkrs: number): void {
    this.#cpu.setPkrs(pkrs);
  }

  /** INVLPG. Of an address that is not canonical it does nothing. */
  invlpg(address: Address): void {
    const { low, high } = toHalves(address);
    this.#cpu.invlpg(low, high);
  }

  /** INVPCID of type 0 to 3; `pcid` is the low quadword of its descriptor. FaultError (#UD, #GP) as the instruction raises it. */
  invpcid(type: number, pcid: Address, address: Address): void {
    const descriptor = toHalves(pcid);
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.invpcid(type, descriptor.low, descriptor.high, low, high));
  }

  /** An 8-byte result: `low`, and the high half that the access left. */
  #quad(low: number): Long {
    return new Long(this.#checked(low), this.#cpu.valueHi, true);
  }

  /** Passes a value on, unless the access before it faulted. */
  #checked(value: number): number {
    if (this.#cpu.faulted !== NONE) throw new FaultError(this.#cpu.fault);
    return value;
  }
}
