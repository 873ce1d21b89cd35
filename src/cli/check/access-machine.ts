/**
 * The machine that access vectors run on: one for each variant, emptied between cases. Entries a case names are zero until
 * written; every other quadword of memory is a function of its address, so that a read shows where it landed.
 */
import type { CacheOptions } from '../../cpu/cache-options.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { Machine } from '../../cpu/machine.ts';
import type { Variant } from './access-format.ts';

export class AccessMachine {
  readonly cpu: Cpu;
  /** 4 in 32-bit paging, else 8. */
  readonly entryBytes: number;
  readonly #machine: Machine;
  /** Addresses of the entries of the case under way. */
  #entries = new Set<number>();

  constructor(variant: Variant, caches: CacheOptions) {
    const has = (name: string): boolean => variant.features.includes(name);
    this.entryBytes = variant.mode === 2 ? 4 : 8;
    this.#machine = new Machine({
      memory: { sparse: { load: fillFrame } },
      caches,
      features: {
        maxPhyAddr: variant.maxphyaddr,
        pse: has('PSE'),
        pse36: has('PSE36'),
        pge: has('PGE'),
        pcid: has('PCID'),
        invpcid: has('INVPCID'),
        nx: has('NX'),
        page1gb: has('1G'),
        la57: has('LA57'),
        smep: has('SMEP'),
        smap: has('SMAP'),
        pku: has('PKU'),
        pks: has('PKS'),
      },
    });
    this.cpu = this.#machine.cpus[0]!;
  }

  /** Starts a case: what the last one named is data again, what this one names is zero. */
  begin(entries: Iterable<number>): void {
    for (const at of this.#entries) this.#restoreData(at, this.entryBytes);
    this.#entries = new Set(entries);
    for (const at of this.#entries) this.#machine.host.write(at, new Uint8Array(this.entryBytes));
  }

  writeEntry(at: number, value: bigint, bytes: number): void {
    if (bytes === 4) this.#machine.host.write32(at, Number(value));
    else this.#machine.host.write64(at, value);
  }

  readEntry(at: number): bigint {
    if (this.entryBytes === 4) return BigInt(this.#machine.host.read32(at));
    return this.#machine.host.read64(at).toBigInt();
  }

  /** 1 to 8 bytes, little endian. */
  readBytes(at: number, bytes: number): bigint {
    const target = new Uint8Array(8);
    this.#machine.host.read(at, target.subarray(0, bytes));
    return new DataView(target.buffer).getBigUint64(0, true);
  }

  /** Undoes a store to data; bytes that belong to an entry stay. */
  undoStore(at: number, bytes: number): void {
    for (let byte = at; byte < at + bytes; byte++)
      if (!this.#entries.has(byte - (byte % this.entryBytes))) this.#restoreData(byte, 1);
  }

  #restoreData(at: number, bytes: number): void {
    const restored = new Uint8Array(bytes).map((_, k) => dataByte(at + k));
    this.#machine.host.write(at, restored);
  }
}

/** Byte of the quadword `0xB8 | ((address >> 3) & 0xffffffff) << 8 | 0xCC << 40`: as code, `mov eax, address >> 3; int3`. */
function dataByte(address: number): number {
  const quad = Math.floor(address / 8) >>> 0;
  const at = address % 8;
  if (at === 0) return 0xb8;
  if (at <= 4) return (quad >>> (8 * (at - 1))) & 0xff;
  return at === 5 ? 0xcc : 0;
}

function fillFrame(frame: number, target: Uint8Array): boolean {
  for (let at = 0; at < target.length; at++) target[at] = dataByte(frame * 4096 + at);
  return true;
}
