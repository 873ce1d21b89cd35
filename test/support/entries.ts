/** Paging-structure entries in memory, found from a linear address; the tables on the way come into being. */
import type { HostMemory } from '../../src/index.ts';

export type Mode = '32-bit' | 'pae' | '4-level' | '5-level';
/** Names, with `bit52` for bits that have none; or the bits themselves. */
export type Flags = string | number | bigint;

export interface Entries {
  /** Physical address of the entry that a linear address selects in a table of `level`. */
  addressOf(va: string, level: number): number;
  load(address: number): bigint;
  store(address: number, entry: bigint): void;
}

/** The root table; the others follow it. Data belongs in frames from 0x200. */
export const ROOT = 0x10_0000;
/** Where an entry points; all tables lie below 4 GiB. */
export const POINTER = 0xffff_f000n;
export const LEVELS: Readonly<Record<Mode, number>> = { '32-bit': 2, pae: 3, '4-level': 4, '5-level': 5 };

const BITS: Readonly<Record<string, number>> = {
  ...{ P: 0, RW: 1, US: 2, PWT: 3, PCD: 4, A: 5, D: 6, PS: 7, PAT: 7, G: 8, XD: 63 },
};

export function bitsOf(flags: Flags): bigint {
  if (typeof flags !== 'string') return BigInt(flags);
  const names = flags.split(' ').filter((name) => name !== '');
  return names.reduce((bits, name) => bits | (1n << BigInt(BITS[name] ?? Number(name.replace('bit', '')))), 0n);
}

/** An entry that is not zero keeps its table, whether P is set or not; others get one with P, RW and US. */
export function entries(host: HostMemory, mode: Mode): Entries {
  const [indexBits, bytes] = mode === '32-bit' ? [10n, 4] : [9n, 8];
  let last = ROOT;
  const load = (at: number): bigint => (bytes === 4 ? BigInt(host.read32(at)) : host.read64(at).toBigInt());
  const store = (at: number, value: bigint): void =>
    bytes === 4 ? host.write32(at, Number(value)) : host.write64(at, value);
  const offsetOf = (va: string, level: number): number => {
    const index = (BigInt(va) >> (12n + BigInt(level - 1) * indexBits)) & ((1n << indexBits) - 1n);
    return Number(mode === 'pae' && level === 3 ? index & 3n : index) * bytes;
  };
  const addressOf = (va: string, level: number): number => {
    let table = ROOT;
    for (let above = LEVELS[mode]; above > level; above--) {
      const at = table + offsetOf(va, above);
      if (load(at) === 0n) {
        last += 4096;
        store(at, BigInt(last) | bitsOf(mode === 'pae' && above === 3 ? 'P' : 'P RW US'));
      }
      table = Number(load(at) & POINTER);
    }
    return table + offsetOf(va, level);
  };
  return { load, store, addressOf };
}
