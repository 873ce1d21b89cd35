/**
 * The machine that access vectors run on: one for each variant, emptied between cases. Entries a case names are zero until
 * written; every other quadword of memory is a function of its address, so that a read shows where it landed.
 */
import type { CacheOptions } from '../../cpu/cache-options.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { Machine } from '../../cpu/machine.ts';
import { dataByte, fillData, type Variant, VECTOR_FEATURES } from '../../testing/access-vector.ts';

export class AccessMachine {
  readonly cpu: Cpu;
  /** 4 in 32-bit paging, else 8. */
  readonly entryBytes: number;
  readonly #machine: Machine;
  /** Addresses of the entries of the case under way. */
  #entries = new Set<number>();

  constructor(variant: Variant, caches: CacheOptions) {
    this.entryBytes = variant.mode === 2 ? 4 : 8;
    const features = Object.entries(VECTOR_FEATURES).map(([name, key]) => [key, variant.features.includes(name)]);
    this.#machine = new Machine({
      memory: { sparse: { load: fillFrame } },
      caches,
      features: {
        vendor: variant.vendor ?? 'intel',
        maxPhyAddr: variant.maxphyaddr,
        ...Object.fromEntries(features),
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

function fillFrame(frame: number, target: Uint8Array): boolean {
  fillData(frame, target);
  return true;
}
