/** What is explored: a small machine, what is mapped when it begins, and what each CPU and its hardware does. */

import type { Features, Policy } from '../cpu/features.ts';
import type { Behaviour, BehaviourName, Locking } from '../hypervisor/behaviour.ts';
import type { FlushOptions } from '../hypervisor/flush.ts';
import type { XenMm } from '../hypervisor/mm.ts';
import { READ, WRITE } from '../mmu/access.ts';
import type { FlatMap } from './flat-map.ts';
import type { RuleName } from './rules.ts';

/** One call that a CPU makes. */
export interface CpuOperation {
  /** For people: `map(0x10, 0x200)`. */
  readonly name: string;
  /** Plain synchronous code; whatever outlives it goes through the seam. Deterministic in the outcomes of that. */
  readonly run: (mm: XenMm) => number | undefined;
  /** What it does to a flat map of pages: the judge of updates that are lost. Without it, updates are not judged. */
  readonly meaning?: (map: FlatMap) => void;
  /** EFLAGS.IF = 0 from its beginning to its end: no IPI is served meanwhile. */
  readonly irqsOff?: boolean;
}

/** What the hardware of a CPU does by itself, at any time: a speculative walk, kept in the caches. */
export interface HardwareAccess {
  /** Linear page number. */
  readonly page: number;
  /** READ or WRITE; a write sets D. */
  readonly access: number;
}

/** An access before the start. */
export interface WarmAccess extends HardwareAccess {
  /** The PCID that was loaded then; default 0, which is loaded from the start on. */
  readonly pcid?: number;
}

/** The small machine that a scenario runs on. */
export interface ScenarioMachine {
  /** Frames of RAM, all of which may become tables; default 24. */
  readonly frames?: number;
  /** Tables that each CPU's pool holds at the start; default 4. */
  readonly pool?: number;
  /** CPUs, where there are more than have code: they only serve IPIs and walk. */
  readonly cpus?: number;
  /** What its processors can do; default as `INTEL`. */
  readonly features?: Partial<Features>;
  /** Where the manual leaves processors a choice. */
  readonly policy?: Partial<Policy>;
  /** Default `l3`. */
  readonly locking?: Locking;
  /** Default `pagewalk`. */
  readonly behaviour?: BehaviourName | Behaviour;
  /** The hypervisor below, where there is one that flushes. */
  readonly assistedFlush?: FlushOptions['assistedFlush'];
  /** CR4.PCIDE: PCIDs are on. Implies that CR4.PGE is off. */
  readonly pcids?: boolean;
  /** Whether the hash tells states apart that differ in the TLB clock alone; default false. */
  readonly usesClock?: boolean;
}

/** What adversarial hardware may do. */
export interface HardwareOptions {
  /** TLB or structure caches of a CPU are dropped at any time, so often; default 0: they keep everything. */
  readonly evictions?: number;
  /** x86-TSO: stores wait in a buffer, which drains at any time. */
  readonly storeBuffers?: boolean;
  /** `never`: a freed frame is not allocated again. `hostile`: it is the next one. Default never. */
  readonly reuse?: 'never' | 'hostile';
}

/** Mistakes that can be planted into whatever code runs: each must be found, or the rules judge nothing. */
export type Plant =
  /** Locks are not taken. */
  | 'no-lock'
  /** Nothing is dropped, here or where it is asked for. */
  | 'no-flush'
  /** Nobody waits for acknowledgements. */
  | 'no-ack'
  /** An interrupt acknowledges first and drops then. */
  | 'ack-before-flush';

/** What is explored: calls of each CPU, walks of its hardware, and what must hold in the end. Small: the schedules are many. */
export interface Scenario {
  /** In schedule strings and reports: lower case, digits and dashes. */
  readonly name: string;
  /** What it is about, in one sentence. */
  readonly about: string;
  /** The machine; small by default. */
  readonly machine?: ScenarioMachine;
  /** What hardware does by itself besides the walks. */
  readonly hardware?: HardwareOptions;
  /** By CPU: what it calls, one after the other. */
  readonly cpus: readonly (readonly CpuOperation[])[];
  /** By CPU: what its hardware walks, one after the other. */
  readonly walks?: readonly (readonly HardwareAccess[])[];
  /** Runs before, alone, on CPU 0. */
  readonly prepare?: (mm: XenMm) => void;
  /** By CPU: pages that its caches hold at the start. */
  readonly warm?: readonly (readonly WarmAccess[])[];
  /** Pages whose mappings are judged. */
  readonly pages?: readonly number[];
  /** A mistake made on purpose, to see that it is found. */
  readonly plant?: Plant;
  /** Rules that are not judged, with what that is good for. */
  readonly without?: readonly RuleName[];
  /**
   * Said of the machine at the end of each schedule: what is wrong with it, nothing where all is well.
   * @param results  by CPU, what its operations returned
   */
  readonly atEnd?: (mm: XenMm, results: readonly (readonly number[])[]) => readonly string[];
}

/** A walk of hardware that reads a page (linear address >> 12): it sets A. */
export const read = (page: number): HardwareAccess => ({ page, access: READ });
/** A walk of hardware that writes a page: it sets A and D. */
export const write = (page: number): HardwareAccess => ({ page, access: WRITE });
