/** What an oracle is told, and what it may look at. */
import type { Locking } from '../hypervisor/behaviour.ts';
import type { Operation } from '../mmu/seam.ts';
import type { CachedEntry } from './cached.ts';
import type { Mapping } from './flat-map.ts';
import type { PageRange } from './lives.ts';
import type { SeenMemory } from './tables-seen.ts';

/** An event, as the seam tells of it. */
export interface SeenEvent {
  readonly cpu: number;
  readonly by: 'cpu' | 'hardware';
  readonly operation: Operation;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** What of a CPU's caches is asked for: what translates some of these pages, or what leads to this table. */
export type About =
  | { readonly pages: readonly PageRange[]; readonly table?: undefined }
  | { readonly table: number; readonly pages?: undefined };

/** What the oracle may look at. */
export interface Watched extends SeenMemory {
  readonly root: number;
  readonly cpus: number;
  readonly locking: Locking;
  /** Locks are taken: the system state is above boot. */
  locksAreTaken(): boolean;
  /** All that a CPU has cached, or at least what was asked for. */
  cachedBy(cpu: number, about: About): readonly CachedEntry[];
  /** Flags that a CPU's operation read last from an entry; undefined where it did not. */
  lastRead(cpu: number, entry: number): number | undefined;
  /** Whether somebody has not acknowledged a CPU's last request. */
  isUnacknowledged(cpu: number): boolean;
  /** What may be mapped at a page at some time; undefined where that is not judged. */
  isAllowed: ((page: number, mapping: Mapping | undefined) => boolean) | undefined;
  /** Pages whose mappings are judged. */
  readonly pages: readonly number[];
}
