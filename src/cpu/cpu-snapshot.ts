/**
 * A CPU as plain data, and back: registers, TLB and structure caches, counters. JSON-safe. Hit views are derived and not
 * kept; watchpoints are the embedder's.
 */
import { MEMORY_TYPE_MSRS } from '../mmu/memory-type.ts';
import type { Counters } from './counters.ts';
import type { RegisterValues } from './registers.ts';
import type { Translator } from './translator.ts';

/** Changes whenever the meaning of a field does. */
export const CPU_SNAPSHOT_VERSION = 1;

export interface CpuSnapshot {
  readonly version: number;
  readonly registers: RegisterValues;
  readonly cr2: readonly [lo: number, hi: number];
  readonly a20Masked: boolean;
  /** [MSR, lo, hi] of IA32_PAT and the MTRRs. */
  readonly memoryTypes: readonly (readonly [msr: number, lo: number, hi: number])[];
  /** [lo, hi, context, level, frame, rights] of each TLB entry; context 4096 is global. */
  readonly tlb: readonly (readonly number[])[];
  /** [level, lo, hi, pcid, table, rights] of each structure-cache entry. */
  readonly structures: readonly (readonly number[])[];
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

/** Caches smaller than the snapshot's keep what fits. */
export function restoreCpu(translator: Translator, snapshot: CpuSnapshot): void {
  checkCpuSnapshot(snapshot);
  translator.enter(snapshot.registers);
  [translator.cr2Lo, translator.cr2Hi] = snapshot.cr2;
  translator.a20Masked = snapshot.a20Masked;
  for (const [msr, lo, hi] of snapshot.memoryTypes) translator.memoryTypes.writeMsr(msr, lo, hi);
  for (const [lo, hi, context, level, frame, rights] of snapshot.tlb)
    translator.tlb.fill(lo!, hi!, context!, level!, frame!, rights!);
  for (const [level, lo, hi, pcid, table, rights] of snapshot.structures)
    translator.structures.restore(level!, lo!, hi!, pcid!, table!, rights!);
  Object.assign(translator.counters, snapshot.counters);
}
