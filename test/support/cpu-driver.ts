/** Our CPU as an `MmuDriver`, through the public API. One machine for each processor model, reset between cases. */
import {
  AC,
  type CacheOptions,
  type Cpu,
  EXAMINE,
  FETCH,
  GP,
  IMPLICIT,
  Machine,
  PF,
  type Policy,
  READ,
  READ_MODIFY_WRITE,
  SS,
  STACK,
  WRITE,
} from '../../src/index.ts';
import type { Access, CpuModel, Kind, MmuDriver, Outcome, State } from './driver.ts';

const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));
const joined = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

const VECTORS: Readonly<Record<number, string>> = { [PF]: '#PF', [GP]: '#GP', [SS]: '#SS', [AC]: '#AC' };

const KINDS: Readonly<Record<Kind, number>> = {
  read: READ,
  write: WRITE,
  rmw: READ_MODIFY_WRITE,
  fetch: FETCH,
  'implicit-read': READ | IMPLICIT,
  'implicit-write': WRITE | IMPLICIT,
};

export class CpuDriver implements MmuDriver {
  cpu!: Cpu;
  readonly #caches: CacheOptions;
  readonly #policy: Partial<Policy>;
  readonly #machines = new Map<string, Machine>();
  #machine!: Machine;

  constructor(caches: CacheOptions = {}, policy: Partial<Policy> = {}) {
    this.#caches = caches;
    this.#policy = policy;
  }

  /** Chooses the machine of a model; `clear` and `poke` come after it. */
  useModel(model: CpuModel): void {
    const key = JSON.stringify(model);
    let machine = this.#machines.get(key);
    if (machine === undefined) {
      machine = new Machine({ memory: { sparse: {} }, features: model, caches: this.#caches, policy: this.#policy });
      this.#machines.set(key, machine);
    }
    this.#machine = machine;
    this.cpu = machine.cpus[0]!;
  }

  configure(model: CpuModel, state: State): boolean {
    this.useModel(model);
    return this.cpu.enter({ ...state, pkru: state.pkru | 0, pkrs: state.pkrs | 0 }) === 0;
  }

  /** Zeroes what was touched. */
  clear(): void {
    const { memory } = this.#machine;
    memory.forEachPage((page) => memory.words.fill(0, page * 1024, (page + 1) * 1024));
  }

  /** Where memory is not zero, in words. */
  findWritten(): string | undefined {
    const { memory } = this.#machine;
    let found: string | undefined;
    memory.forEachPage((page, frame) => {
      const at = memory.words.subarray(page * 1024, (page + 1) * 1024).findIndex((word) => word !== 0);
      if (at >= 0) found ??= `frame 0x${frame.toString(16)} was written at byte ${4 * at}`;
    });
    return found;
  }

  poke(pa: bigint, value: bigint, bytes: 4 | 8): void {
    if (bytes === 4) this.#machine.host.write32(Number(pa), Number(value));
    else this.#machine.host.write64(Number(pa), value);
  }

  peek(pa: bigint, bytes: 4 | 8): bigint {
    if (bytes === 4) return BigInt(this.#machine.host.read32(Number(pa)));
    return this.#machine.host.read64(Number(pa)).toBigInt();
  }

  access({ va, kind, size, cpl, ac, stack, value }: Access): Outcome {
    const { cpu } = this;
    const [lo, hi] = [low(va), high(va)];
    cpu.setCpl(cpl);
    cpu.setAc(ac);
    const through = stack ? STACK : 0;
    // A store may change the very tables it went through. Without a TLB, only the tables as they were tell where it went.
    const before = this.#caches.tlb === 'off' ? this.#places(va, size, (at) => this.#probe(at, kind)) : undefined;
    let read = 0n;
    if (kind === 'write') this.#write(lo, hi, size, value, through);
    else if (kind === 'implicit-write') cpu.store(KINDS[kind], lo, hi, size, low(value), high(value));
    else read = this.#read(kind, lo, hi, size, through);
    const { faulted, fault } = cpu;
    if (faulted !== 0) {
      const cr2 = faulted === PF ? joined(cpu.cr2Lo, cpu.cr2Hi) : undefined;
      return { ok: false, vector: VECTORS[faulted] ?? String(faulted), code: fault.errorCode, cr2 };
    }
    // Asked again: A and D are set by now, and a cache may only repeat itself.
    const [pa, pa2] = before ?? this.#places(va, size, (at) => this.#translate(at, kind));
    return { ok: true, pa: pa!, pa2, value: read };
  }

  /** Where the first byte lies, and the first byte on the second page if there is one. */
  #places(va: bigint, size: number, ask: (va: bigint) => bigint): bigint[] {
    const within = 4096 - (low(va) & 0xfff);
    return size <= within ? [ask(va)] : [ask(va), ask(va + BigInt(within))];
  }

  #translate(va: bigint, kind: Kind): bigint {
    const { cpu } = this;
    cpu.translate(low(va), high(va), KINDS[kind]);
    return joined(cpu.physicalLo, cpu.physicalHi);
  }

  #probe(va: bigint, kind: Kind): bigint {
    const { cpu } = this;
    cpu.probe(low(va), high(va), EXAMINE | (KINDS[kind] & IMPLICIT));
    return joined(cpu.physicalLo, cpu.physicalHi);
  }

  movCr0(value: bigint): boolean {
    this.cpu.setCpl(0);
    return this.cpu.setCr0(low(value), high(value)) === 0;
  }

  movCr3(value: bigint): boolean {
    return this.cpu.setCr3(low(value), high(value)) === 0;
  }

  movCr4(value: bigint): boolean {
    return this.cpu.setCr4(low(value), high(value)) === 0;
  }

  invpcid(type: number, pcid: bigint, va: bigint): boolean {
    this.cpu.setCpl(0);
    return this.cpu.invpcid(type, low(pcid), high(pcid), low(va), high(va)) === 0;
  }

  wrpkru(value: number): void {
    this.cpu.setPkru(value | 0);
  }

  wrpkrs(value: number): void {
    this.cpu.setPkrs(value | 0);
  }

  invlpg(va: bigint): void {
    this.cpu.invlpg(low(va), high(va));
  }

  #read(kind: Kind, lo: number, hi: number, size: number, stack: number): bigint {
    const { cpu } = this;
    const bits = size * 8;
    let value: number;
    if (kind === 'read') value = this.#readPlain(lo, hi, size, stack);
    else if (kind === 'fetch') value = this.#fetch(lo, hi, size);
    else if (kind === 'rmw') value = cpu.readForWrite(lo, hi, size, stack);
    else value = cpu.load(KINDS[kind], lo, hi, size);
    return size === 8 ? joined(value, cpu.valueHi) : BigInt.asUintN(bits, BigInt(value));
  }

  #readPlain(lo: number, hi: number, size: number, stack: number): number {
    const { cpu } = this;
    if (size === 8) return cpu.read64(lo, hi, stack);
    if (size === 4) return cpu.read32(lo, hi, stack);
    return size === 2 ? cpu.read16(lo, hi, stack) : cpu.read8(lo, hi, stack);
  }

  #fetch(lo: number, hi: number, size: number): number {
    const { cpu } = this;
    if (size === 8) return cpu.fetch64(lo, hi);
    if (size === 4) return cpu.fetch32(lo, hi);
    return size === 2 ? cpu.fetch16(lo, hi) : cpu.fetch8(lo, hi);
  }

  #write(lo: number, hi: number, size: number, value: bigint, stack: number): void {
    const { cpu } = this;
    if (size === 8) cpu.write64(lo, hi, low(value), high(value), stack);
    else if (size === 4) cpu.write32(lo, hi, low(value), stack);
    else if (size === 2) cpu.write16(lo, hi, low(value), stack);
    else cpu.write8(lo, hi, low(value), stack);
  }
}
