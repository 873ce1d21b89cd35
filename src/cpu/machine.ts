/**
 * A machine: physical memory and the logical processors over it. Memory may be shared with other threads, each of which
 * then has a `Machine` of its own over the same buffers; a CPU's caches belong to the thread that runs it.
 */
import { HostMemory } from '../mmu/host-memory.ts';
import type { MemoryOptions, SharedMemory } from '../mmu/memory-options.ts';
import { PhysicalMemory } from '../mmu/physical-memory.ts';
import { Cpu } from './cpu.ts';
import type { CpuOptions } from './cpu-options.ts';
import { type CpuSnapshot, checkCpuFits, checkCpuSnapshot } from './cpu-snapshot.ts';
import { Mailboxes } from './mailboxes.ts';
import { type MemorySnapshot, restoreMemory, snapshotMemory } from './memory-snapshot.ts';

/** What a machine is made of. Memory that does not fit together, and an option of another value, is a RangeError. */
export interface MachineOptions extends CpuOptions {
  /** RAM: its size, its ranges, a buffer of yours, or sparse. */
  readonly memory: MemoryOptions;
  /** Logical processors, 1 or more; default 1. */
  readonly cpus?: number;
}

/** What a worker needs to open the same machine. Structured-cloneable; `busError` and devices are each thread's own. */
export interface SharedMachine extends CpuOptions {
  /** RAM and the flags of its pages. */
  readonly memory: SharedMemory;
  /** Logical processors of the machine, 1 or more. */
  readonly cpus: number;
  /** What the CPUs tell one another. */
  readonly mailboxes: ArrayBufferLike;
}

/** What `attach` adds to the options of a machine. */
interface Attachment {
  readonly mailboxes: ArrayBufferLike;
  readonly run: readonly number[];
}

/** A machine as plain data, from `snapshot()`. Structured-cloneable; devices and callbacks are not in it. */
export interface MachineSnapshot {
  /** Contents of RAM. */
  readonly memory: MemorySnapshot;
  /** Each CPU, in order. */
  readonly cpus: readonly CpuSnapshot[];
}

/** Who watches a running machine: sets observers on the seams of its CPUs. */
export interface MachineObserver {
  /** @returns what takes them off again */
  attach(machine: Machine): () => void;
}

/** Physical memory and the logical processors on it: where to start. */
export class Machine {
  /** RAM, ROM, devices; dirty pages and code pages. */
  readonly memory: PhysicalMemory;
  /** The host's reads and writes of guest memory. */
  readonly host: HostMemory;
  /** The CPUs that this thread runs: all, or those it was attached for. */
  readonly cpus: readonly Cpu[];
  /** What the CPUs tell one another. */
  readonly mailboxes: Mailboxes;
  readonly #options: CpuOptions;

  constructor(options: MachineOptions) {
    const { memory, cpus = 1, ...cpuOptions } = options;
    if (!Number.isInteger(cpus) || cpus < 1) throw new RangeError(`a machine has at least one CPU, not ${cpus}`);
    const { mailboxes, run, ...others } = cpuOptions as typeof cpuOptions & Partial<Attachment>;
    this.memory = new PhysicalMemory(memory);
    this.host = new HostMemory(this.memory);
    this.mailboxes = new Mailboxes(cpus, mailboxes, this.memory.isShared);
    this.#options = others;
    const indexes = run ?? Array.from({ length: cpus }, (_, index) => index);
    this.cpus = indexes.map((index) => new Cpu(this.memory, others, index, this.mailboxes));
  }

  /**
   * In another thread, the machine that `share()` told of, with the CPUs that this thread runs from now on. Devices and
   * callbacks are each thread's own. RangeError where there is no such CPU.
   */
  static attach(shared: SharedMachine, ...run: number[]): Machine {
    for (const index of run)
      if (!Number.isInteger(index) || index < 0 || index >= shared.cpus)
        throw new RangeError(`the machine has ${shared.cpus} CPUs, and none of number ${index}`);
    return new Machine({ ...shared, run } as SharedMachine);
  }

  /** Lets somebody watch it, until what is returned is called. RangeError where it is watched already. */
  observe(observer: MachineObserver): () => void {
    return observer.attach(this);
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
    this.cpus.forEach(({ translator }, index) => checkCpuFits(translator.features, cpus[index]!));
    restoreMemory(this.memory, memory);
    this.cpus.forEach((cpu, index) => cpu.restore(cpus[index]!));
  }

  /** For a worker: `Machine.attach(message, cpu)` there opens the same machine. RangeError where the buffer is not shared. */
  share(): SharedMachine {
    const { buffer, count } = this.mailboxes;
    return { ...this.#options, memory: this.memory.share(), cpus: count, mailboxes: buffer };
  }
}
