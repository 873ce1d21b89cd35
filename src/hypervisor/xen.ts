/**
 * The mapping layer over a machine: what its CPUs share (frame table, heap, locks, clocks, state), and each CPU's own view
 * of it. `share()` and `Xen.attach()` open the same in a worker.
 */
import type { Cpu } from '../cpu/cpu.ts';
import { Machine, type SharedMachine } from '../cpu/machine.ts';
import { allocate } from '../mmu/buffers.ts';
import { frameOf, isPresent, PS } from '../mmu/entry.ts';
import { type Frame, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { MemoryPort } from '../mmu/memory-port.ts';
import { checkRange } from '../mmu/ram-layout.ts';
import { BEHAVIOURS, type Behaviour, type BehaviourName, type Locking } from './behaviour.ts';
import {
  CONTROL_WORDS,
  FRESH,
  FRESH_END,
  HARDWARE_DOMAIN,
  PGDIR_LOCK,
  SYS_STATE_ACTIVE,
  SYSTEM_STATE,
  TLB_CLOCK,
} from './control.ts';
import type { FlushOptions } from './flush.ts';
import { FrameTable } from './frame-table.ts';
import { lockName } from './locks.ts';
import { type MmOptions, XenMm } from './mm.ts';
import { ENTRIES } from './tables.ts';
import { type SharedVmapAreas, shareVmap, type VmapAreas, vmapAreas, vmInit } from './vmap.ts';

/** What a Xen is made of. A value that does not fit is a RangeError. Not in Xen: there, the boot decides. */
export interface XenOptions extends FlushOptions {
  /** Guest-physical bytes that tables are taken from: within one RAM range, multiples of 4096. */
  readonly heap: {
    /** First byte. */
    readonly start: number;
    /** Bytes. */
    readonly size: number;
  };
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

/** What a worker needs to open the same with `Xen.attach`. Structured-cloneable; hooks and callbacks are each thread's own. */
export interface SharedXen {
  /** What `Machine.attach` takes. */
  readonly machine: SharedMachine;
  /** What the CPUs of one Xen share. @internal */
  readonly state: SharedState;
}

/** What the CPUs of one Xen share. */
interface SharedState {
  readonly control: ArrayBufferLike;
  readonly frames: ArrayBufferLike;
  readonly root: Frame;
  readonly options: MmOptions;
  /** Where `vmInit` was called before. */
  readonly vmap?: SharedVmapAreas;
}

/** Not in Xen: it is all of it. */
export class Xen {
  /** Memory and CPUs. */
  readonly machine: Machine;
  /** page_info of each frame. Xen: frame_table. */
  readonly frames: FrameTable;
  /** Frame of the L4 table. Xen: idle_pg_table. */
  readonly root: Frame;
  readonly #mms: ReadonlyMap<number, XenMm>;
  readonly #control: Int32Array;
  readonly #options: MmOptions;
  #areas: VmapAreas | undefined = undefined;

  /** RangeError where the heap or a table to adopt is no RAM, or a choice makes no sense. */
  constructor(machine: Machine, options: XenOptions | SharedState) {
    const state = 'control' in options ? options : newState(machine, options);
    this.machine = machine;
    this.frames = new FrameTable(machine.memory, state.frames);
    this.root = state.root;
    this.#control = new Int32Array(state.control);
    this.#options = state.options;
    this.#mms = new Map(machine.cpus.map((cpu) => [cpu.index, this.#open(cpu)]));
    if ('vmap' in state && state.vmap !== undefined) this.#useVmap(vmapAreas(state.vmap));
    machine.mailboxes.explainStuck = (cpu) => this.#explainStuck(cpu);
  }

  /** In another thread, the Xen that `share()` told of, with the CPUs that this thread runs from now on. */
  static attach(shared: SharedXen, ...run: number[]): Xen {
    return new Xen(Machine.attach(shared.machine, ...run), shared.state);
  }

  /**
   * Makes `vmap` possible on all CPUs, here and in workers that are given a handle from now on. 4 MiB of bitmaps.
   * Xen: vm_init().
   */
  vmInit(): void {
    if (this.#areas === undefined) this.#useVmap(vmapAreas({ shared: this.machine.memory.isShared }));
  }

  /** For a worker. RangeError where memory is not shared. */
  share(): SharedXen {
    const { assistedFlush: _, ...options } = this.#options;
    const machine = this.machine.share();
    const state = { control: this.#control.buffer, frames: this.frames.buffer, root: this.root, options };
    return { machine, state: this.#areas === undefined ? state : { ...state, vmap: shareVmap(this.#areas) } };
  }

  /** The words that its CPUs share besides tables and frame table; control.ts names them. */
  get control(): Int32Array {
    return this.#control;
  }

  /** A second set of memory managers over the same state: for whoever executes operations in place of the first. */
  twin(): Xen {
    const { frames, root } = this;
    return new Xen(this.machine, {
      control: this.#control.buffer,
      frames: frames.buffer,
      root,
      options: this.#options,
    });
  }

  /** One CPU's memory manager. RangeError where another thread runs that CPU. */
  on(index: number): XenMm {
    const mm = this.#mms.get(index);
    if (mm === undefined) throw new RangeError(`CPU ${index} is not run by this thread`);
    return mm;
  }

  /** SYS_STATE_*. Locks are taken from smp_boot on. */
  get systemState(): number {
    return Atomics.load(this.#control, SYSTEM_STATE);
  }

  /** Seen by all CPUs when their next operation begins. */
  set systemState(state: number) {
    Atomics.store(this.#control, SYSTEM_STATE, state);
  }

  /** Whether the hardware domain (dom0) exists: allocations may fail from then on. Xen: hardware_domain. */
  set hardwareDomain(exists: boolean) {
    Atomics.store(this.#control, HARDWARE_DOMAIN, exists ? 1 : 0);
  }

  #useVmap(areas: VmapAreas): void {
    this.#areas = areas;
    for (const mm of this.#mms.values()) vmInit(mm, areas);
  }

  #open(cpu: Cpu): XenMm {
    return new XenMm(cpu, this.frames, this.#control, this.machine.mailboxes, this.root, this.#options);
  }

  /** Who holds what and who does not answer, for a wait that got stuck. */
  #explainStuck(cpu: number): string {
    const { mailboxes } = this.machine;
    const named = (other: number): string => `CPU ${other} (${mailboxes.stateName(other)})`;
    const said = mailboxes.unserved(cpu).map((other) => `${named(other)} does not answer`);
    for (const table of this.frames.tables()) {
      const { isLocked, holder } = this.frames.info(table);
      if (isLocked) said.push(`${named(holder)} holds ${lockName(table, this.#options.locking)}`);
    }
    const pgdir = Atomics.load(this.#control, PGDIR_LOCK) - 1;
    if (pgdir >= 0) said.push(`${named(pgdir)} holds map_pgdir_lock`);
    return said.map((what) => `; ${what}`).join('');
  }
}

function newState(machine: Machine, options: XenOptions): SharedState {
  const { heap, locking = 'l3', checks = 'light', tlbClockBits = 32 } = options;
  const chosen = options.behaviour ?? (locking === 'none-prefix' ? 'xen' : 'pagewalk');
  const behaviour = typeof chosen === 'string' ? BEHAVIOURS[chosen] : chosen;
  if (locking === 'none-prefix' && behaviour.flush !== 'each')
    throw new RangeError('the locking none-prefix demonstrates Xen before its fix: it takes the behaviour xen');
  const { memory } = machine;
  checkRange('heap', heap.start, heap.size);
  const heapFirst = heap.start / PAGE_SIZE;
  const heapPages = heap.size / PAGE_SIZE;
  if (heapPages < 1 || !memory.isContiguous(heapFirst, heapPages))
    throw new RangeError(
      `the heap, ${heapPages} frames from ${hexNumber(heapFirst)}, does not lie in one range of RAM`,
    );

  const frames = new FrameTable(memory);
  const control = new Int32Array(allocate(4 * CONTROL_WORDS, { shared: memory.isShared }));
  const firstPage = memory.pageOf(heapFirst);
  control[SYSTEM_STATE] = options.systemState ?? SYS_STATE_ACTIVE;
  control[HARDWARE_DOMAIN] = (options.hardwareDomain ?? true) ? 1 : 0;
  control[TLB_CLOCK] = 1;
  control[FRESH] = options.root === undefined ? firstPage + 1 : firstPage;
  control[FRESH_END] = firstPage + heapPages;
  if (options.root === undefined) {
    memory.bytes.fill(0, firstPage * PAGE_SIZE, (firstPage + 1) * PAGE_SIZE);
    frames.adopt(heapFirst, 'boot');
  } else adoptTables(frames, options.root, 4, new Set());

  const { features } = machine.cpus[0]!.translator;
  return {
    control: control.buffer,
    frames: frames.buffer,
    root: options.root ?? heapFirst,
    options: {
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
    },
  };
}

/** Takes over the tables below one. What was entered at the same level before (a self-map, a shared table) is not again. */
function adoptTables(frames: FrameTable, table: Frame, level: number, entered: Set<number>): void {
  const key = table * 8 + level;
  if (entered.has(key)) return;
  entered.add(key);
  if (frames.memory.pageOf(table) < 0)
    throw new RangeError(`the tables lead to frame ${hexNumber(table)}, as a table of level ${level}: that is no RAM`);
  if (!frames.isTable(table)) frames.adopt(table, 'boot');
  if (level === 1) return;
  const port = new MemoryPort(frames.memory);
  for (let index = 0; index < ENTRIES; index++) {
    port.load(table, index, 8);
    const { lo, hi } = port;
    if (isPresent(lo) && (level === 4 || (lo & PS) === 0)) adoptTables(frames, frameOf(lo, hi), level - 1, entered);
  }
}
