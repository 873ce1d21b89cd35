/**
 * The memory manager as one CPU sees it: the page tables under one root, and everything that changing them takes. All
 * state that outlives an operation is shared (xen.ts); what stands here is this CPU's way to it, and scratch.
 */
import { bug } from '../bug.ts';
import type { Cpu } from '../cpu/cpu.ts';
import type { Mailboxes } from '../cpu/mailboxes.ts';
import { NX } from '../mmu/entry.ts';
import { type Frame, narrow } from '../mmu/halves.ts';
import type { Seam, SeamObserver } from '../mmu/seam.ts';
import { type Behaviour, choicesOf, type Locking } from './behaviour.ts';
import { SYS_STATE_BOOT, SYSTEM_STATE } from './control.ts';
import { Flush, type FlushOptions } from './flush.ts';
import type { FrameTable } from './frame-table.ts';
import { Gather } from './gather.ts';
import { Grace } from './grace.ts';
import { Heap, NO_FRAME } from './heap.ts';
import { Locks } from './locks.ts';
import { MapRequest } from './map-request.ts';
import { type Entry, Tables } from './tables.ts';
import { TlbClock } from './tlb-clock.ts';

// Errnos, as Xen's functions return them: 0 or negative.
/** Xen: ENOMEM. */
export const ENOMEM = 12;
/** Xen: EINVAL. */
export const EINVAL = 22;

export interface MmOptions extends FlushOptions {
  /** Where it does better than Xen. */
  readonly behaviour: Behaviour;
  readonly locking: Locking;
  /** The processor maps 1 GiB pages. */
  readonly page1gb: boolean;
  /** Without NX, flags lose it everywhere. */
  readonly nx: boolean;
  readonly maxPhyAddr: number;
  /** First frame of the heap. */
  readonly heapFirst: Frame;
  readonly checks: 'light' | 'full';
  /** Bits of the TLB clock, 32; fewer make it wrap sooner. */
  readonly tlbClockBits: number;
}

function refuseNested(locks: Locks): never {
  return bug(`an operation begins while this CPU holds ${locks.held()}`);
}

/** Told of each new L4 entry, for roots that copy it. Xen: the EFI page tables' copy; guests' and XPTI's roots. */
export type L4Hook = (slot: number, table: Frame, flags: number) => void;

/** Not in Xen: there the memory manager is global, and a CPU's part of it per-CPU data. */
export class XenMm implements Seam {
  /** The CPU that it belongs to. */
  readonly cpu: Cpu;
  /** page_info of each frame. Xen: frame_table. */
  readonly frames: FrameTable;
  /** Frames for tables. */
  readonly heap: Heap;
  /** Locks of L3 tables, or of all tables, and map_pgdir_lock. */
  readonly locks: Locks;
  /** Reading and writing of entries. */
  readonly tables: Tables;
  /** Flushes of this CPU and of others. */
  readonly flush: Flush;
  /** Flushes and frees that are still due. @internal */
  readonly gather: Gather;
  /** Who may still read what was unlinked. @internal */
  readonly grace: Grace;
  /** Where it does better than Xen. */
  readonly behaviour: Behaviour;
  /** The same as bits, where it is asked often. @internal */
  readonly choices: number;
  /** As it was made. @internal */
  readonly options: MmOptions;
  /** What the CPUs tell one another. @internal */
  readonly mailboxes: Mailboxes;
  /** Largest level of pages: 3 where the processor maps 1 GiB pages. @internal */
  readonly topLevel: number;
  /** Flags that pages may have: without NX, they lose it. @internal */
  readonly flagsMask: number;
  /** Frame of the L4 table. Xen: idle_pg_table. */
  readonly root: Frame;
  /** Scratch of `mapPages`. @internal */
  readonly request: MapRequest = new MapRequest();
  /** The entry of each level on the way down. Scratch of `modifyPages`. @internal */
  readonly path: Entry[] = [0, 0, 0, 0];
  /** The page that a way down came to. @internal */
  reached = 0;
  /** Told of each operation on what CPUs share, and may answer for it; null: nobody. */
  observer: SeamObserver | null = null;
  /** Called with each L4 entry that was added. */
  onL4Entry: L4Hook | undefined = undefined;
  /** Pages (4 KiB) of the last request that were done, counted from its start: all of them where it returned 0. */
  pagesDone = 0;
  /** Superpages split so far. */
  splits = 0;
  /** Tables that became a superpage so far. */
  coalesces = 0;

  readonly #control: Int32Array;

  constructor(
    cpu: Cpu,
    frames: FrameTable,
    control: Int32Array,
    mailboxes: Mailboxes,
    root: Frame,
    options: MmOptions,
  ) {
    const { behaviour, locking, heapFirst, checks } = options;
    this.cpu = cpu;
    this.frames = frames;
    this.mailboxes = mailboxes;
    this.root = narrow(root);
    this.options = options;
    this.behaviour = behaviour;
    this.choices = choicesOf(behaviour);
    this.topLevel = options.page1gb ? 3 : 2;
    this.flagsMask = options.nx ? -1 : ~NX;
    this.#control = control;
    this.locks = new Locks(frames, control, cpu.index, this, mailboxes, locking);
    this.heap = new Heap(frames, control, cpu.index, this, mailboxes, heapFirst, checks);
    this.tables = new Tables(frames, this, behaviour);
    const clock = new TlbClock(control, options.assistedFlush === undefined, options.tlbClockBits);
    this.flush = new Flush(cpu, control, this, mailboxes, this.locks, clock, options);
    this.grace = new Grace(control, cpu.index, this, mailboxes);
    this.gather = new Gather(this.flush, this.heap, frames, control, this, this.locks, this.grace, behaviour.flush);
    mailboxes.adopt(cpu.index, (lo, hi, flags) => this.flush.serve(lo, hi, flags));
    cpu.onPoll = () => this.flush.poll();
  }

  /** SYS_STATE_*. */
  get systemState(): number {
    return this.observer === null ? this.#control[SYSTEM_STATE]! : this.#watchedState(this.observer);
  }

  #watchedState(observer: SeamObserver): number {
    if (observer.enter('systemState', 0, 0, 0, 0)) return observer.value;
    const state = this.#control[SYSTEM_STATE]!;
    observer.leave(state, 0);
    return state;
  }

  /**
   * Between two steps of a long request: what other CPUs ask for, as an interrupt would serve it, so that nobody waits for the
   * whole of it. Whoever observes decides by itself when requests are served.
   */
  serveOthers(): void {
    const { mailboxes, cpu } = this;
    if (mailboxes.seemsAsked(cpu.index) && this.observer === null && this.locks.irqsOn) mailboxes.serve(cpu.index);
  }

  /** At the start of each operation: whether it locks, decided once, so that a change meanwhile cannot unbalance it. */
  begin(): void {
    if (this.locks.isHolding === true) refuseNested(this.locks);
    this.locks.begin(this.systemState > SYS_STATE_BOOT);
    this.pagesDone = 0;
    if (this.locks.isPerTable === true) this.grace.enter();
  }

  /** At the end of each, whatever came of it: this CPU holds no pointer into tables. Frees what waited for that. */
  end(): void {
    if (this.locks.isPerTable !== true) return;
    this.grace.leave();
    this.gather.retire();
  }

  /**
   * Between two steps of an operation that found no frame for a table: ends it and begins it again, if that frees tables.
   * Not needed where tables are freed with their flush.
   */
  reclaim(): boolean {
    if (!this.locks.isPerTable) return false;
    this.grace.leave();
    const hasFreed = this.gather.retire();
    this.grace.enter();
    return hasFreed;
  }

  /**
   * After an observer has unwound an operation in order to execute it again: this CPU's scratch is as before it. What is
   * shared stays as it is.
   */
  abandon(): void {
    this.locks.abandon();
    this.gather.abandon();
    this.heap.abandon();
  }

  /** A frame for a table, or NO_FRAME. Where there is none, tables that wait for their flush are freed first. */
  newTable(): Frame {
    const frame = this.heap.alloc();
    if (frame !== NO_FRAME || !this.gather.hasTables || this.locks.isPerTable) return frame;
    this.gather.complete();
    return this.heap.alloc();
  }

  /** Whether a page of `level` exists: 1 GiB pages only where the processor has them. */
  hasPages(level: number): boolean {
    return level <= this.topLevel;
  }
}
