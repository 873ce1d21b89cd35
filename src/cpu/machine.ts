/**
 * A machine: physical memory and the logical processors over it. Memory may be shared with other threads, each of which
 * then has a `Machine` of its own over the same buffers; a CPU's caches belong to the thread that runs it.
 */
import { HostMemory } from '../mmu/host-memory.ts';
import { type MemoryOptions, PhysicalMemory, type SharedMemory } from '../mmu/physical-memory.ts';
import { Cpu } from './cpu.ts';
import { type CpuSnapshot, checkCpuSnapshot } from './cpu-snapshot.ts';
import { type MemorySnapshot, restoreMemory, snapshotMemory } from './memory-snapshot.ts';
import type { CpuOptions } from './slow-path.ts';

export interface MachineOptions extends CpuOptions {
  readonly memory: MemoryOptions;
  /** Logical processors, 1 or more; default 1. */
  readonly cpus?: number;
}

/** What a worker needs to open the same machine. Structured-cloneable; `busError` and devices are each thread's own. */
export interface SharedMachine extends CpuOptions {
  readonly memory: SharedMemory;
  readonly cpus: number;
}

export interface MachineSnapshot {
  readonly memory: MemorySnapshot;
  readonly cpus: readonly CpuSnapshot[];
}

export class Machine {
  readonly memory: PhysicalMemory;
  /** The host's reads and writes of guest memory. */
  readonly host: HostMemory;
  readonly cpus: readonly Cpu[];
  readonly #options: CpuOptions;

  constructor(options: MachineOptions) {
    const { memory, cpus = 1, ...cpuOptions } = options;
    if (!Number.isInteger(cpus) || cpus < 1) throw new RangeError(`a machine has at least one CPU, not ${cpus}`);
    this.memory = new PhysicalMemory(memory);
    this.host = new HostMemory(this.memory);
    this.#options = cpuOptions;
    this.cpus = Array.from({ length: cpus }, () => new Cpu(this.memory, cpuOptions));
  }

  /** Memory and CPUs as plain data, with version numbers. Devices and watchpoints are the embedder's. */
  snapshot(): MachineSnapshot {
    return { memory: snapshotMemory(this.memory), cpus: this.cpus.map((cpu) => cpu.snapshot()) };
  }

  /** RangeError, and nothing changed, for a snapshot of another version, layout or number of CPUs. */
  restore(snapshot: MachineSnapshot): void {
    const { memory, cpus } = snapshot;
    if (cpus.length !== this.cpus.length)
      throw new RangeError(`the snapshot has ${cpus.length} CPUs, this machine ${this.cpus.length}`);
    for (const cpu of cpus) checkCpuSnapshot(cpu);
    restoreMemory(this.memory, memory);
    this.cpus.forEach((cpu, index) => cpu.restore(cpus[index]!));
  }

  /** For a worker: `new Machine(message)` there opens the same memory. RangeError where the buffer is not shared. */
  share(): SharedMachine {
    return { ...this.#options, memory: this.memory.share(), cpus: this.cpus.length };
  }
}
