/**
 * pagewalk: an exact x86-64 MMU to embed. Start with `Machine`; docs/architecture.md tells the way of an access.
 * @module pagewalk
 */
export type { CacheOptions } from './cpu/cache-options.ts';
export type { Counters } from './cpu/counters.ts';
export { Cpu, type CpuState, type MappedRun } from './cpu/cpu.ts';
export type { CpuOptions } from './cpu/cpu-options.ts';
export { CPU_SNAPSHOT_VERSION, type CpuSnapshot } from './cpu/cpu-snapshot.ts';
export type { ExplainedWalk, Step } from './cpu/explain.ts';
export { AC, type Fault, FaultError, GP, NONE, PF, SS, TS, UD } from './cpu/fault.ts';
export { AMD, DEFAULT_POLICY, type Features, INTEL, type Policy } from './cpu/features.ts';
export type { LongAccess } from './cpu/long-access.ts';
export {
  Machine,
  type MachineObserver,
  type MachineOptions,
  type MachineSnapshot,
  type SharedMachine,
} from './cpu/machine.ts';
export { MAX_CPUS, type Mailboxes, StuckError } from './cpu/mailboxes.ts';
export {
  type FrameSnapshot,
  MEMORY_SNAPSHOT_VERSION,
  type MemorySnapshot,
  restoreMemory,
  snapshotMemory,
} from './cpu/memory-snapshot.ts';
export type { RegisterValues } from './cpu/registers.ts';
export type { Watch, WatchCallback } from './cpu/watchpoints.ts';
export {
  EXAMINE,
  FETCH,
  IMPLICIT,
  PF_ID,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_US,
  PF_WR,
  READ,
  READ_MODIFY_WRITE,
  STACK,
  WRITE,
} from './mmu/access.ts';
export type { Address, Halves } from './mmu/address.ts';
export type { Replacement } from './mmu/cache-shape.ts';
export type { HostMemory } from './mmu/host-memory.ts';
export type { Leaf } from './mmu/leaves.ts';
export type { BusError, Device, MemoryListener, MemoryOptions, SharedMemory } from './mmu/memory-options.ts';
export type { MemoryPort } from './mmu/memory-port.ts';
export {
  combine,
  MEMORY_TYPE_NAMES,
  MemoryTypeRegisters,
  patIndex,
  UC,
  UC_MINUS,
  WB,
  WC,
  WP,
  WT,
} from './mmu/memory-type.ts';
export { PhysicalMemory } from './mmu/physical-memory.ts';
export type { RamRange } from './mmu/ram-layout.ts';
export type { CacheOperation, MappingOperation, Operation, SeamObserver, WalkerOperation } from './mmu/seam.ts';
export type { SparseOptions } from './mmu/sparse-pages.ts';
export type { AccessedOnFault } from './mmu/walk.ts';
