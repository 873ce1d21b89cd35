/**
 * A CPU as plain data, and back: registers, TLB and structure caches, counters. JSON-safe. Hit views are derived and not
 * kept; watchpoints are the embedder's.
 */

import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import { hexNumber } from '../mmu/halves.ts';
import { MEMORY_TYPE_MSRS, MemoryTypeRegisters } from '../mmu/memory-type.ts';
import { cr4Lacking, eferLacking } from './control-bits.ts';
import type { Counters } from './counters.ts';
import type { Features } from './features.ts';
import type { RegisterValues } from './registers.ts';
import type { Translator } from './translator.ts';

/** Changes whenever the meaning of a field does. */
export const CPU_SNAPSHOT_VERSION = 1;

/** A CPU as plain data: registers, and what it has cached. `JSON.stringify` keeps it. */
export interface CpuSnapshot {
  /** CPU_SNAPSHOT_VERSION when it was taken; another one is refused with a RangeError. */
  readonly version: number;
  /** CR0 to CR4, EFER and what else decides over accesses. */
  readonly registers: RegisterValues;
  /** CR2, as int32 halves. */
  readonly cr2: readonly [lo: number, hi: number];
  /** Whether A20M# is asserted: bit 20 of physical addresses is 0. */
  readonly a20Masked: boolean;
  /** [MSR, lo, hi] of IA32_PAT and the MTRRs. */
  readonly memoryTypes: readonly (readonly [msr: number, lo: number, hi: number])[];
  /** [lo, hi, context, level, frame, rights] of each TLB entry; context 4096 is global. */
  readonly tlb: readonly (readonly number[])[];
  /** [level, lo, hi, pcid, table, rights] of each structure-cache entry. */
  readonly structures: readonly (readonly number[])[];
  /** What the CPU did so far. */
  readonly counters: Pick<Counters, 'hits' | 'misses' | 'walks' | 'faults' | 'invalidations'>;
}

export function snapshotCpu(translator: Translator): CpuSnapshot {
  const tlb: number[][] = [];
  const structures: number[][] = [];
  translator.tlb.forEach((...entry) => tlb.push(entry));
  translator.structures.forEach((...entry) => structures.push(entry));
  const { hits, misses, walks, faults, invalidations } = translator.counters;
  return {
    version: CPU_SNAPSHOT_VERSION,
    registers: translator.registers.values(),
    cr2: [translator.cr2Lo, translator.cr2Hi],
    a20Masked: translator.a20Masked,
    memoryTypes: MEMORY_TYPE_MSRS.map((msr) => [msr, ...translator.memoryTypes.readMsr(msr)!]),
    tlb,
    structures,
    counters: { hits, misses, walks, faults, invalidations },
  };
}

/** RangeError for a version this package does not know. */
export function checkCpuSnapshot({ version }: CpuSnapshot): void {
  if (version !== CPU_SNAPSHOT_VERSION)
    throw new RangeError(`CPU snapshot of version ${version}; this package reads version ${CPU_SNAPSHOT_VERSION}`);
}

/** RangeError for a value that no CPU with these features has, as in the snapshot of a CPU with others. */
export function checkCpuFits(features: Features, snapshot: CpuSnapshot): void {
  const { registers, memoryTypes, tlb, structures } = snapshot;
  const bounds = boundsFor(features);
  const types = new MemoryTypeRegisters(features.maxPhyAddr);
  const parts: readonly (readonly [name: string, fits: boolean])[] = [
    ...REGISTERS.map((name) => [name, isWithin(registers[name], bounds.registers[name])] as const),
    ['cr4', (registers.cr4 & cr4Lacking(features)) === 0],
    ['efer', (registers.efer & eferLacking(features)) === 0],
    ['pdptes', registers.pdptes === undefined || isRow(registers.pdptes, bounds.pdptes)],
    ['tlb', tlb.every((entry) => isRow(entry, bounds.tlb))],
    ['structures', structures.every((entry) => isRow(entry, bounds.structures))],
    ...memoryTypes.map(([msr, lo, hi]) => [`MSR ${hexNumber(msr)}`, types.writeMsr(msr, lo, hi)] as const),
  ];
  const misfit = parts.find(([, fits]) => !fits);
  if (misfit !== undefined) throw new RangeError(`the snapshot's ${misfit[0]} is nothing that this CPU can have`);
}

/** Caches smaller than the snapshot's keep what fits. RangeError, and nothing changed, where `checkCpuFits` throws one. */
export function restoreCpu(translator: Translator, snapshot: CpuSnapshot): void {
  checkCpuSnapshot(snapshot);
  checkCpuFits(translator.features, snapshot);
  if (!translator.enter(snapshot.registers))
    throw new RangeError('the snapshot has no PDPTE registers, and memory has malformed ones');
  [translator.cr2Lo, translator.cr2Hi] = snapshot.cr2;
  translator.a20Masked = snapshot.a20Masked;
  for (const [msr, lo, hi] of snapshot.memoryTypes) translator.memoryTypes.writeMsr(msr, lo, hi);
  translator.tlb.small.reserve(2 * snapshot.tlb.length); // not all sets are as full as others
  for (const [lo, hi, context, level, frame, rights] of snapshot.tlb)
    translator.tlb.fill(lo!, hi!, context!, level!, frame!, rights!);
  for (const [level, lo, hi, pcid, table, rights] of snapshot.structures)
    translator.structures.restore(level!, lo!, hi!, pcid!, table!, rights!);
  const { hits, walks, faults, invalidations } = snapshot.counters;
  Object.assign(translator.counters, { hits, walks, faults, invalidations });
}

/** Least and greatest value of a number. */
type Bounds = readonly [least: number, most: number];

/** 32 bits, signed or unsigned. */
const WORD: Bounds = [-(2 ** 31), 2 ** 32 - 1];
const REGISTERS = ['cr0', 'cr3Lo', 'cr3Hi', 'cr4', 'efer', 'cpl', 'ac', 'csL', 'pkru', 'pkrs'] as const;

/** Of each register, and of the numbers of each list in the order that `CpuSnapshot` gives. */
interface SnapshotBounds {
  readonly registers: Readonly<Record<(typeof REGISTERS)[number], Bounds>>;
  readonly pdptes: readonly Bounds[];
  readonly tlb: readonly Bounds[];
  readonly structures: readonly Bounds[];
}

function boundsFor({ maxPhyAddr }: Features): SnapshotBounds {
  const addressHi: Bounds = [0, 2 ** (maxPhyAddr - 32) - 1];
  const frame: Bounds = [0, 2 ** (maxPhyAddr - 12) - 1];
  const words = { cr0: WORD, cr3Lo: WORD, cr4: WORD, efer: WORD, pkru: WORD, pkrs: WORD };
  return {
    registers: { ...words, cr3Hi: addressHi, cpl: [0, 3], ac: [0, 1], csL: [0, 1] },
    pdptes: [WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD],
    tlb: [WORD, WORD, [0, GLOBAL_CONTEXT], [1, 3], frame, WORD],
    structures: [[2, 5], WORD, WORD, [0, GLOBAL_CONTEXT - 1], frame, WORD],
  };
}

const isWithin = (value: unknown, [least, most]: Bounds): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

const isRow = (row: readonly number[], bounds: readonly Bounds[]): boolean =>
  row.length === bounds.length && row.every((value, at) => isWithin(value, bounds[at]!));
