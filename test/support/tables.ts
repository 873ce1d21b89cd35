/**
 * Paging structures by hand: `map` makes a page and the tables above it, `access` tries it and says in a few characters
 * how it went. Addresses are hex strings, frames are numbers, flags are names: `map('0x400000', 1, 0x300, 'P RW US')`.
 */
import {
  type CacheOptions,
  type Cpu,
  FETCH,
  type Features,
  IMPLICIT,
  Machine,
  type Policy,
  READ,
  READ_MODIFY_WRITE,
  STACK,
  WRITE,
} from '../../src/index.ts';
import { CR0, CR4, EFER } from './control-bits.ts';
import { bitsOf, entries, type Flags, LEVELS, type Mode, POINTER, ROOT } from './entries.ts';

export { CR0, CR4, EFER };

type Who = '' | 'user ' | 'supervisor ';
/** `user` and `supervisor` set the CPL to 3 and 0 first; without them it stays. */
export type Kind = `${Who}${'' | 'implicit ' | 'stack '}${'read' | 'write' | 'rmw' | 'fetch'}`;

/** Both extremes: nothing leaves a cache but by invalidation, and nothing is ever cached. For `describe.each`. */
export const CACHES: readonly (readonly [string, CacheOptions])[] = [
  ['caches of everything', { tlb: 'everything', structures: 'everything' }],
  ['no caches', { tlb: 'off', structures: 'off' }],
];

export interface SetupOptions {
  readonly features?: Partial<Features>;
  readonly policy?: Partial<Policy>;
  readonly caches?: CacheOptions;
  /** Besides PE and PG; default WP. */
  readonly cr0?: number;
  /** Besides PAE and LA57; default 0. */
  readonly cr4?: number;
  /** Besides LME; default NXE. */
  readonly efer?: number;
  readonly cpl?: number;
  readonly pkru?: number;
  readonly pkrs?: number;
  /** RAM at every address instead of the first 16 MiB. */
  readonly sparse?: boolean;
}

export interface Setup {
  readonly machine: Machine;
  readonly cpu: Cpu;
  /** Maps the page of `va` by a leaf at `level`, with PS where the level needs it. Returns the entry's physical address. */
  map(va: string, level: number, frame: number, flags: Flags, extra?: { readonly key?: number }): number;
  /** The entry that `va` selects at `level`. In PAE paging 3 is the PDPTE in memory. */
  entry(va: string, level: number): bigint;
  setEntry(va: string, level: number, value: bigint): void;
  /** Gives an entry above the leaf these flags and no others; it points where it did. */
  upper(va: string, level: number, flags: Flags): void;
  /** `ok`, or vector and error code: `#PF 0D`. Of 4 bytes unless said; a write stores zeros. */
  access(kind: Kind, va: string, size?: 1 | 2 | 4 | 8): string;
  /** The same of whatever the CPU did last. */
  outcome(): string;
  /** The physical address that a read reaches, in hex; or how it faults, as `access` says. */
  translate(va: string): string;
}

const VECTORS: Readonly<Record<number, string>> = { 6: '#UD', 10: '#TS', 12: '#SS', 13: '#GP', 14: '#PF', 17: '#AC' };
const KINDS: Readonly<Record<string, number>> = {
  ...{ read: READ, write: WRITE, fetch: FETCH, rmw: READ_MODIFY_WRITE, implicit: IMPLICIT, stack: STACK },
};
const WIDTHS = { 1: 8, 2: 16, 4: 32, 8: 64 } as const;

export const lo = (address: string): number => Number(BigInt.asIntN(32, BigInt(address)));
export const hi = (address: string): number => Number(BigInt.asIntN(32, BigInt(address) >> 32n));

/** A CPU in a paging mode, at CPL 0, its tables empty. */
export function setup(mode: Mode, options: SetupOptions = {}): Setup {
  const { cr0 = CR0.WP, cr4 = 0, efer = EFER.NXE, cpl = 0, pkru = 0, pkrs = 0, sparse = false, ...rest } = options;
  const machine = new Machine({ memory: sparse ? { sparse: {} } : { size: 16 << 20 }, ...rest });
  const cpu = machine.cpus[0]!;
  const { load, store, addressOf } = entries(machine.host, mode);
  // PDPTEs count when CR3 is loaded, so all four are there before.
  if (mode === 'pae') for (const gib of ['0x0', '0x40000000', '0x80000000', '0xc0000000']) addressOf(gib, 2);

  const modeCr4 = (mode === '32-bit' ? 0 : CR4.PAE) | (mode === '5-level' ? CR4.LA57 : 0);
  const modeEfer = LEVELS[mode] > 3 ? EFER.LME : 0;
  const controls = { cr0: (cr0 | CR0.PE | CR0.PG) >>> 0, cr3: ROOT, cr4: cr4 | modeCr4, efer: efer | modeEfer };
  cpu.enter({ ...controls, cpl, pkru, pkrs });

  const outcome = (): string =>
    cpu.faulted === 0
      ? 'ok'
      : `${VECTORS[cpu.faulted]} ${cpu.fault.errorCode.toString(16).toUpperCase().padStart(2, '0')}`;
  const setEntry = (va: string, level: number, value: bigint): void => store(addressOf(va, level), value);
  const entry = (va: string, level: number): bigint => load(addressOf(va, level));
  return {
    machine,
    cpu,
    entry,
    setEntry,
    outcome,
    map(va, level, frame, flags, { key = 0 } = {}) {
      const size = level > 1 ? bitsOf('PS') : 0n;
      setEntry(va, level, (BigInt(frame) << 12n) | (BigInt(key) << 59n) | bitsOf(flags) | size);
      return addressOf(va, level);
    },
    upper: (va, level, flags) => setEntry(va, level, (entry(va, level) & POINTER) | bitsOf(flags)),
    access(kind, va, size = 4) {
      perform(cpu, kind, va, size);
      return outcome();
    },
    translate(va) {
      cpu.translate(lo(va), hi(va));
      const { physicalHi, physicalLo } = cpu;
      return cpu.faulted === 0 ? `0x${(physicalHi * 2 ** 32 + (physicalLo >>> 0)).toString(16)}` : outcome();
    },
  };
}

function perform(cpu: Cpu, kind: Kind, va: string, size: 1 | 2 | 4 | 8): void {
  const words = kind.split(' ');
  if (words.includes('user')) cpu.setCpl(3);
  if (words.includes('supervisor')) cpu.setCpl(0);
  const access = words.reduce((bits, word) => bits | (KINDS[word] ?? 0), 0);
  const [l, h, bits] = [lo(va), hi(va), WIDTHS[size]];
  // Plain accesses as an emulator makes them, so that hits are answered on the hit path.
  if (access === READ) cpu[`read${bits}`](l, h);
  else if (access === FETCH) cpu[`fetch${bits}`](l, h);
  else if (access === WRITE) cpu[`write${bits}`](l, h, 0, 0);
  else if ((access & READ_MODIFY_WRITE) === WRITE) cpu.store(access, l, h, size, 0, 0);
  else cpu.load(access, l, h, size);
}
