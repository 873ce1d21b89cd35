/**
 * The machine that is explored: memory, tables, CPUs and their caches, all of which can be taken back (state.ts). Each CPU
 * has two memory managers over the same state: one runs the code, with the replaying observer on its seam; the other one
 * executes single operations, whether or not the code that asked for them runs at that moment.
 */
import { at } from '../cpu/bells.ts';
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR3_NO_FLUSH,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  EFER_LME,
  EFER_NXE,
} from '../cpu/control-bits.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { INTEL } from '../cpu/features.ts';
import { Machine } from '../cpu/machine.ts';
import { OWN_WORDS, SERVED } from '../cpu/mailboxes.ts';
import { INSIDE, ofCpu, SHOOTDOWNS, TLB_CLOCK, TLB_TIME, wordOfCpu } from '../hypervisor/control.ts';
import { DETACHED, INFO_WORDS, STAMP } from '../hypervisor/frame-table.ts';
import { NO_FRAME } from '../hypervisor/heap.ts';
import type { XenMm } from '../hypervisor/mm.ts';
import { NEVER_PUBLISHED } from '../hypervisor/proof.ts';
import { Xen } from '../hypervisor/xen.ts';
import type { Frame } from '../mmu/halves.ts';
import { MemoryPort } from '../mmu/memory-port.ts';
import { type CachedList, cachedBy, putBack } from './cached.ts';
import type { Scenario } from './scenario.ts';
import { type Space, State } from './state.ts';

/** Low and high half of a page's address. */
export const loOfPage = (page: number): number => (page * 4096) | 0;
export const hiOfPage = (page: number): number => Math.floor(page / 0x10_0000) | 0;

/** Of each CPU, in the explorer's own words. */
export const CPU_WORDS = 16;
/** Bits of the CPUs that have not acknowledged its request. */
export const UNACKNOWLEDGED = 0;
/** Bits of the senders whose requests it has served and not acknowledged: it is in the middle of an interrupt. */
export const SERVING = 1;
/** What it asks others to drop, while somebody has not. */
export const OPERAND = 2;
/** CPUs that may still hold pointers from before its grace period began. */
export const NOT_QUIET = 4;
/** How often its caches may still be dropped for no reason. */
export const EVICTIONS = 5;
/** The numbers of its shootdowns and grace periods, by what the code knows them as; they grow, and are no part of the hash. */
export const PROOFS = 8;
export const PROOF_COUNT = 7;
/** The number of its last request; neither. */
export const REQUEST = 15;

export class World {
  readonly machine: Machine;
  readonly cpus: readonly Cpu[];
  /** Run the code. */
  readonly minds: readonly XenMm[];
  /** Execute its operations. */
  readonly hands: readonly XenMm[];
  readonly root: Frame;
  readonly control: Int32Array;
  /** Reads and marks entries for walks. */
  readonly port: MemoryPort;
  readonly state: State = new State();
  readonly memory: Space;
  readonly frames: Space;
  readonly shared: Space;
  readonly mailboxes: Space;
  readonly taken: Space;
  /** CPU_WORDS for each CPU. */
  readonly cpuWords: Space;
  /** What each CPU has cached now. */
  readonly cached: CachedList[];
  readonly usesPcids: boolean;
  /** Whether the TLB clock is part of what tells states apart. */
  readonly usesClock: boolean;

  constructor(scenario: Scenario) {
    const { machine: options = {}, cpus, walks = [], hardware = {} } = scenario;
    const { frames = 24, pool = 4, features = {}, policy = {}, pcids = false } = options;
    const count = Math.max(cpus.length, walks.length, options.cpus ?? 0);
    this.usesPcids = pcids;
    this.machine = new Machine({
      memory: { size: frames * 4096 },
      cpus: count,
      features: { ...INTEL, ...features },
      policy,
      caches: { tlb: 'everything', structures: 'everything', hitViews: 'off' },
    });
    this.cpus = this.machine.cpus;
    const xen = new Xen(this.machine, {
      heap: { start: 0, size: frames * 4096 },
      ...(options.locking === undefined ? {} : { locking: options.locking }),
      ...(options.behaviour === undefined ? {} : { behaviour: options.behaviour }),
      ...(options.assistedFlush === undefined ? {} : { assistedFlush: options.assistedFlush }),
    });
    const twin = xen.twin();
    this.minds = this.cpus.map(({ index }) => xen.on(index));
    this.hands = this.cpus.map(({ index }) => twin.on(index));
    this.root = xen.root;
    this.control = xen.control;
    this.port = new MemoryPort(this.machine.memory);
    for (const cpu of this.cpus)
      cpu.enter({
        cr0: (CR0_PG | CR0_WP | CR0_PE) >>> 0,
        cr3: this.root * 4096,
        cr4: CR4_PAE | (pcids ? CR4_PCIDE : CR4_PGE),
        efer: EFER_LME | EFER_NXE,
      });

    scenario.prepare?.(this.hands[0]!);
    this.#stockPools(pool);
    this.machine.mailboxes.servesAtOnce = false;

    const { usesClock = false } = options;
    this.usesClock = usesClock;
    const { memory, mailboxes } = this.machine;
    this.memory = this.state.add(memory.words);
    this.frames = this.state.add(
      xen.frames.words,
      (index) => index % INFO_WORDS === STAMP || index % INFO_WORDS === DETACHED,
    );
    const isClock = (index: number): boolean => index === TLB_CLOCK || wordOfCpu(index) === TLB_TIME;
    this.shared = this.state.add(
      this.control,
      (index) => index === SHOOTDOWNS || wordOfCpu(index) === INSIDE || (!usesClock && isClock(index)),
    );
    this.mailboxes = this.state.add(new Int32Array(mailboxes.buffer), () => true); // what counts of them is in `cpuWords`
    this.taken = this.state.add(mailboxes.taken, () => true);
    const words = new Int32Array(count * CPU_WORDS);
    for (let cpu = 0; cpu < count; cpu++) words[cpu * CPU_WORDS + EVICTIONS] = hardware.evictions ?? 0;
    this.cpuWords = this.state.add(words, (index) => index % CPU_WORDS >= PROOFS);
    for (const [cpu, accesses] of (scenario.warm ?? []).entries())
      for (const { page, access, pcid = 0 } of accesses) {
        this.#load(cpu, pcid);
        this.cpus[cpu]!.translator.translate(loOfPage(page), hiOfPage(page), access);
        this.#load(cpu, 0);
      }
    this.state.settle(this.memory, 0, memory.words.length); // A and D of those
    this.cached = this.cpus.map((cpu) => cachedBy(cpu.index, cpu.translator));
    for (const { hashA, hashB } of this.cached) {
      this.state.hashA ^= hashA;
      this.state.hashB ^= hashB;
    }
  }

  get count(): number {
    return this.cpus.length;
  }

  /** A backing page; all of memory is one range from 0. */
  pageOf(frame: Frame): number {
    return this.machine.memory.pageOf(frame);
  }

  wordOf(cpu: number, word: number): number {
    return this.cpuWords.words[cpu * CPU_WORDS + word]!;
  }

  /** The number of a shootdown or grace period, by what the code knows it as. */
  proofOf(cpu: number, token: number): number {
    return this.wordOf(cpu, PROOFS + (token % PROOF_COUNT));
  }

  /** CPUs whose code may hold pointers into tables. */
  insideMask(): number {
    let mask = 0;
    for (let cpu = 0; cpu < this.count; cpu++) if (this.control[ofCpu(cpu, INSIDE)] !== 0) mask |= 1 << cpu;
    return mask;
  }

  setWord(cpu: number, word: number, value: number): void {
    this.state.set(this.cpuWords, cpu * CPU_WORDS + word, value);
  }

  /** Notes what a CPU's caches hold after an event that may have changed that. */
  settleCaches(cpu: number): void {
    const before = this.cached[cpu]!;
    const after = cachedBy(cpu, this.cpus[cpu]!.translator);
    this.cached[cpu] = after;
    this.state.replaced({
      hashA: before.hashA ^ after.hashA,
      hashB: before.hashB ^ after.hashB,
      restore: () => {
        this.cached[cpu] = before;
        putBack(this.cpus[cpu]!.translator, before);
      },
    });
  }

  /** Notes what changed in a frame's page_info. */
  settleInfo(frame: Frame): void {
    const page = this.pageOf(frame);
    if (page >= 0) this.state.settle(this.frames, page * INFO_WORDS, (page + 1) * INFO_WORDS);
  }

  /** Notes what changed in the words of control.ts. */
  settleShared(): void {
    this.state.settle(this.shared, 0, ofCpu(this.count, 0));
  }

  settleMailboxes(): void {
    const { count, state, mailboxes } = this;
    for (let cpu = 0; cpu < count; cpu++) {
      const first = at(cpu, 0);
      state.settle(mailboxes, first, first + OWN_WORDS);
      state.settle(mailboxes, first + SERVED, first + SERVED + count);
    }
  }

  /** MOV CR3 with a PCID, nothing dropped. */
  #load(cpu: number, pcid: number): void {
    if (this.usesPcids) this.cpus[cpu]!.setCr3(this.root * 4096 + pcid, CR3_NO_FLUSH);
    else if (pcid !== 0) throw new RangeError(`PCID ${pcid} is loaded, and PCIDs are off`);
  }

  /** Gives each CPU frames of its own, so that which frame an allocation gets does not depend on other CPUs. */
  #stockPools(size: number): void {
    const stocks = this.hands.map(({ heap }) =>
      Array.from({ length: size }, () => heap.alloc()).filter((frame) => frame !== NO_FRAME),
    );
    for (const [cpu, stock] of stocks.entries())
      for (const frame of stock.reverse()) this.hands[cpu]!.heap.free(frame, NEVER_PUBLISHED);
  }
}
