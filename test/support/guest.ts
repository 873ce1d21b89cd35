/** A small guest to test with: a machine, page tables built by address, and one CPU that walks them. */
import { type Cpu, Machine, type MachineOptions } from '../../src/index.ts';

export const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));
export const joined = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

export type GuestMode = 'none' | '32-bit' | 'pae' | '4-level' | '5-level';

// Entry bits, typed from the manual.
export const P = 1n;
export const RW = 2n;
export const US = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const PS = 0x80n;
export const G = 0x100n;
export const XD: bigint = 1n << 63n;
/** A present, writable user entry. */
export const ALL: bigint = P | RW | US;

/** Control state of each mode: protected, WP; NXE in long mode. */
const STATE: Readonly<Record<GuestMode, { cr0: number; cr4: number; efer: number; levels: number; bits: bigint }>> = {
  none: { cr0: 0x0001_0001, cr4: 0, efer: 0, levels: 0, bits: 9n },
  '32-bit': { cr0: 0x8001_0001, cr4: 0x10, efer: 0, levels: 2, bits: 10n },
  pae: { cr0: 0x8001_0001, cr4: 0x20, efer: 0x800, levels: 3, bits: 9n },
  '4-level': { cr0: 0x8001_0001, cr4: 0x20, efer: 0x900, levels: 4, bits: 9n },
  '5-level': { cr0: 0x8001_0001, cr4: 0x1020, efer: 0x900, levels: 5, bits: 9n },
};

export interface GuestOptions extends Partial<MachineOptions> {
  readonly mode?: GuestMode;
  /** More bits of CR0 and CR4. */
  readonly cr0?: number;
  readonly cr4?: number;
}

/** Frame of the root table; tables follow it. Frames below are for data. */
export const ROOT = 0x100;

export class Guest {
  readonly machine: Machine;
  readonly cpu: Cpu;
  readonly #mode: GuestMode;
  readonly #options: GuestOptions;
  #nextTable = ROOT + 1;

  constructor(options: GuestOptions = {}) {
    const { mode = '4-level', cr0: _cr0, cr4: _cr4, ...machineOptions } = options;
    this.#mode = mode;
    this.#options = options;
    this.machine = new Machine({ memory: { size: 4 << 20 }, ...machineOptions });
    this.cpu = this.machine.cpus[0]!;
    this.enter();
  }

  /** Paging on, caches empty, CPL 0. */
  enter(cpu: Cpu = this.cpu): void {
    const { cr0, cr4, efer } = STATE[this.#mode];
    const { cr0: moreCr0 = 0, cr4: moreCr4 = 0 } = this.#options;
    cpu.enter({
      cr0: (cr0 | moreCr0) >>> 0,
      cr3: ROOT * 4096,
      cr4: (cr4 | moreCr4) >>> 0,
      efer,
    });
  }

  /** Maps the page of an address by a leaf of `level`; missing tables allow everything. */
  map(address: bigint, leaf: bigint, level = 1): this {
    this.#set(this.entryAddress(address, level), leaf);
    // The PDPTEs of PAE paging are registers: load them anew.
    if (this.#mode === 'pae') this.enter();
    return this;
  }

  /** Where the entry of an address lies, with the tables above it. */
  entryAddress(address: bigint, level: number): number {
    const { levels, bits } = STATE[this.#mode];
    if (level < 1 || level > levels) throw new RangeError(`no tables of level ${level}`);
    const bytes = bits === 10n ? 4 : 8;
    let table = ROOT;
    for (let at = levels; ; at--) {
      const index = Number((address >> (12n + BigInt(at - 1) * bits)) & ((1n << bits) - 1n));
      const entry = table * 4096 + index * bytes;
      if (at === level) return entry;
      if ((this.entryAt(entry) & P) === 0n) {
        const isPdpte = this.#mode === 'pae' && at === 3; // whose R/W and U/S are reserved
        this.#set(entry, BigInt(this.#nextTable++ * 4096) | (isPdpte ? P : ALL));
      }
      table = Number((this.entryAt(entry) >> 12n) & 0xff_ffff_ffffn);
    }
  }

  /** The entry at a physical address. */
  entryAt(address: number): bigint {
    const { host } = this.machine;
    return this.#mode === '32-bit' ? BigInt(host.read32(address)) : host.read64(address).toBigInt();
  }

  #set(address: number, entry: bigint): void {
    const { host } = this.machine;
    if (this.#mode === '32-bit') host.write32(address, Number(entry));
    else host.write64(address, entry);
  }
}
