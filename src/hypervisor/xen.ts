/**
 * The mapping layer over a machine: what its CPUs share (frame table, heap, locks, clocks, state), and each CPU's own view
 * of it. `share()` and `Xen.attach()` open the same in a worker.
 */
import type { Cpu } from '../cpu/cpu.ts';
import type { Machine, SharedMachine } from '../cpu/machine.ts';
import { isPresent, PS } from '../mmu/entry.ts';
import { type Frame, PAGE_SIZE } from '../mmu/halves.ts';
import { MemoryPort } from '../mmu/memory-port.ts';
import { checkRange } from '../mmu/ram-layout.ts';
import { BEHAVIOURS, type Behaviour, type BehaviourName, type Locking } from './behaviour.ts';
import {
  CONTROL_WORDS,
  FRESH,
  FRESH_END,
  HARDWARE_DOMAIN,
  SYS_STATE_ACTIVE,
  SYSTEM_STATE,
  TLB_CLOCK,
} from './control.ts';
import type { FlushOptions } from './flush.ts';
import { FrameTable } from './frame-table.ts';
import { type MmOptions, XenMm } from './mm.ts';

export interface XenOptions extends FlushOptions {
  /** Guest-physical bytes that tables are taken from: within one RAM range, multiples of 4096. */
  readonly heap: { readonly start: number; readonly size: number };
  /** Frame of an L4 table that is there already; its tables are adopted. Default: a new, empty one. */
  readonly root?: Frame;
  /** A preset, or a preset with some fields changed. Default `pagewalk`. */
  readonly behaviour?: BehaviourName | Behaviour;
  /** Default `l3`. `none-prefix` implies the behaviour `xen`. */
  readonly locking?: Locking;
  /** SYS_STATE_*; default active. */
  readonly systemState?: number;
  /** Whether the hardware domain exists, so that allocations may fail. Default true. */
  readonly hardwareDomain?: boolean;
  /** `full` also fills freed frames, and finds writes to them when they are used again. Default `light`. */
  readonly checks?: 'light' | 'full';
  /** Width of the TLB clock, 32 bits; fewer make it wrap sooner. */
  readonly tlbClockBits?: number;
}

/** What a worker needs to open the same. Structured-cloneable. */
export interface SharedXen {
  readonly machine: SharedMachine;
  readonly control: ArrayBufferLike;
  readonly frames: ArrayBufferLike;
  readonly root: Frame;
  readonly options: Omit<MmOptions, 'assistedFlush'>;
}

export class Xen {
  readonly machine: Machine;
  readonly frames: FrameTable;
  readonly root: Frame;
  /** By CPU index; only of the CPUs that this thread runs. */
  readonly mms: readonly (XenMm | undefined)[];
  readonly #control: Int32Array;
  readonly #options: MmOptions;

  /** RangeError where the heap is no RAM. */
  constructor(machine: Machine, options: XenOptions) {
    const { heap, locking = 'l3', checks = 'light', tlbClockBits = 32 } = options;
    const chosen = options.behaviour ?? (locking === 'none-prefix' ? 'xen' : 'pagewalk');
    const behaviour = typeof chosen === 'string' ? BEHAVIOURS[chosen] : chosen;
    if (locking === 'none-prefix' && behaviour.flush !== 'each')
      throw new RangeError(
        'the locking none-prefix is for demonstrations of Xen before its fix: it takes the behaviour xen',
      );
    const { memory } = machine;
    checkRange('heap', heap.start, heap.size);
    const heapFirst = heap.start / PAGE_SIZE;
    const heapPages = heap.size / PAGE_SIZE;
    if (heapPages < 1 || !memory.isContiguous(heapFirst, heapPages))
      throw new RangeError(`the heap, ${heapPages} frames from ${heapFirst}, does not lie in one range of RAM`);
    this.machine = machine;
    this.frames = new FrameTable(memory);
    const bytes = 4 * CONTROL_WORDS;
    this.#control = new Int32Array(memory.isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
    this.#control[SYSTEM_STATE] = options.systemState ?? SYS_STATE_ACTIVE;
    this.#control[HARDWARE_DOMAIN] = (options.hardwareDomain ?? true) ? 1 : 0;
    this.#control[TLB_CLOCK] = 1;
    const firstPage = memory.pageOf(heapFirst);
    this.#control[FRESH] = firstPage;
    this.#control[FRESH_END] = firstPage + heapPages;
    const { features } = machine.cpus[0]!.translator;
    this.#options = {
      behaviour,
      locking,
      checks,
      tlbClockBits,
      heapFirst,
      page1gb: features.page1gb,
      nx: features.nx,
      maxPhyAddr: features.maxPhyAddr,
      ...(options.assistedFlush === undefined ? {} : { assistedFlush: options.assistedFlush }),
      ...(options.cacheBytes === undefined ? {} : { cacheBytes: options.cacheBytes }),
    };
    this.root = options.root ?? this.#newRoot(firstPage);
    if (options.root !== undefined) this.#adoptTables(this.root, 4);
    this.mms = machine.cpus.map((cpu) => this.#open(cpu));
  }

  /** One CPU's memory manager. RangeError where another thread runs that CPU. */
  on(index: number): XenMm {
    const mm = this.mms[index];
    if (mm === undefined) throw new RangeError(`CPU ${index} is not run by this thread`);
    return mm;
  }

  /** SYS_STATE_*. Locks are taken from smp_boot on. */
  get systemState(): number {
    return Atomics.load(this.#control, SYSTEM_STATE);
  }

  set systemState(state: number) {
    Atomics.store(this.#control, SYSTEM_STATE, state);
  }

  set hardwareDomain(exists: boolean) {
    Atomics.store(this.#control, HARDWARE_DOMAIN, exists ? 1 : 0);
  }

  #open(cpu: Cpu): XenMm {
    return new XenMm(cpu, this.frames, this.#control, this.machine.mailboxes, this.root, this.#options);
  }

  /** The first frame of the heap, zeroed, as an L4 table. */
  #newRoot(page: number): Frame {
    this.#control[FRESH] = page + 1;
    const root = this.#options.heapFirst;
    this.machine.memory.bytes.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    this.frames.adopt(root, 'boot');
    return root;
  }

  /** Takes over the tables below one; a table met before (a self-map) is not entered again. */
  #adoptTables(table: Frame, level: number): void {
    if (this.frames.isTable(table)) return;
    this.frames.adopt(table, 'boot');
    if (level === 1) return;
    const port = new MemoryPort(this.machine.memory);
    for (let index = 0; index < 512; index++) {
      const flags = port.read(table * 512 + index);
      if (isPresent(flags) && (level === 4 || (flags & PS) === 0)) this.#adoptTables(port.frame, level - 1);
    }
  }
}
