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

export class LongAccess {
  readonly #cpu: HitPath;

  constructor(cpu: HitPath) {
    this.#cpu = cpu;
  }

  read8(address: Address): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.read8(low, high));
  }

  read16(address: Address): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.read16(low, high));
  }

  /** 0 to 2^32 - 1. */
  read32(address: Address): number {
    const { low, high } = toHalves(address);
    return this.#checked(this.#cpu.read32(low, high)) >>> 0;
  }

  read64(address: Address): Long {
    const { low, high } = toHalves(address);
    const lo = this.#checked(this.#cpu.read64(low, high));
    return new Long(lo, this.#cpu.valueHi, true);
  }

  write8(address: Address, value: number): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.write8(low, high, value));
  }

  write16(address: Address, value: number): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.write16(low, high, value));
  }

  write32(address: Address, value: number): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.write32(low, high, value));
  }

  write64(address: Address, value: Address): void {
    const { low, high } = toHalves(address);
    const stored = toHalves(value);
    this.#checked(this.#cpu.write64(low, high, stored.low, stored.high));
  }

  /** 1 to 4096 bytes. */
  readBytes(address: Address, length: number): Uint8Array {
    return this.#bytes(address, length, 'readBytes');
  }

  fetchBytes(address: Address, length: number): Uint8Array {
    return this.#bytes(address, length, 'fetchBytes');
  }

  writeBytes(address: Address, bytes: Uint8Array): void {
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.writeBytes(low, high, bytes));
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

  setCr0(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setCr0(low, high));
  }

  setCr3(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setCr3(low, high));
  }

  setCr4(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setCr4(low, high));
  }

  setEfer(value: Address): void {
    const { low, high } = toHalves(value);
    this.#checked(this.#cpu.setEfer(low, high));
  }

  invlpg(address: Address): void {
    const { low, high } = toHalves(address);
    this.#cpu.invlpg(low, high);
  }

  invpcid(type: number, pcid: Address, address: Address): void {
    const descriptor = toHalves(pcid);
    const { low, high } = toHalves(address);
    this.#checked(this.#cpu.invpcid(type, descriptor.low, descriptor.high, low, high));
  }

  #bytes(address: Address, length: number, method: 'readBytes' | 'fetchBytes'): Uint8Array {
    const { low, high } = toHalves(address);
    const bytes = new Uint8Array(length);
    this.#checked(this.#cpu[method](low, high, bytes));
    return bytes;
  }

  /** Passes a value on, unless the access before it faulted. */
  #checked(value: number): number {
    if (this.#cpu.faulted !== NONE) throw new FaultError(this.#cpu.fault);
    return value;
  }
}
