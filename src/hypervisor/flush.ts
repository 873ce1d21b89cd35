/**
 * Flushes: of this CPU, of some, of all with acknowledgement. What a shootdown returns is the proof that frees a table.
 *
 * Order 0 drops one page (INVLPG); any other order drops everything, since what spans several pages need not be one
 * superpage. A full flush includes global pages and ticks the TLB clock. Nothing flushes a cache here: requests for that
 * are written to a log, with the decision whether by address or whole.
 * Xen: flush_area_local(), flush_area_mask(), flush_area_all().
 */
import { bug } from '../bug.ts';
import { CR4_PCIDE } from '../cpu/control-bits.ts';
import type { Cpu } from '../cpu/cpu.ts';
import type { Mailboxes } from '../cpu/mailboxes.ts';
import type { Seam } from '../mmu/seam.ts';
import { operationsOn, type WordOperations } from '../mmu/word-operations.ts';
import {
  FLUSH_CACHE_EVICT,
  FLUSH_CACHE_WRITEBACK,
  FLUSH_NO_ASSIST,
  FLUSH_ORDER_MASK,
  FLUSH_TLB,
  FLUSH_TLB_GLOBAL,
  FLUSH_VA_VALID,
} from './flags.ts';
import type { Locks } from './locks.ts';
import { type Flushed, nextNumber } from './proof.ts';
import type { TlbClock } from './tlb-clock.ts';

const XEN_PCIDS = 4;
const TLB_FLAGS = FLUSH_TLB | FLUSH_TLB_GLOBAL;
const CACHE_FLAGS = FLUSH_CACHE_EVICT | FLUSH_CACHE_WRITEBACK;

/** A request to write back (and evict) cache lines. */
export interface CacheFlush {
  /** Xen: FLUSH_CACHE_EVICT, FLUSH_CACHE_WRITEBACK. */
  readonly kind: 'evict' | 'write back';
  /** Lines of one area, by address; or the whole cache of every CPU concerned. */
  readonly scope: 'area' | 'whole';
  /** First page and order of the area. */
  readonly page: number;
  /** It is 2^order pages of 4 KiB. */
  readonly order: number;
}

/** A hypervisor below that flushes for us: true where it did. Xen: hypervisor_flush_tlb(). */
export type AssistedFlush = (mask: number, page: number, flags: number) => boolean;

export interface FlushOptions {
  /** Asked before any IPI; default: there is none. */
  readonly assistedFlush?: AssistedFlush;
  /** Bytes of the cache: areas as large are flushed whole. Default 32 MiB. */
  readonly cacheBytes?: number;
}

/** One CPU's flushes, its own and those it asks of others, counted. Xen: flush_area(), flush_area_mask(). */
export class Flush {
  /** Flushes asked for (calls of flush_area), and all their flags but the order. */
  requests = 0;
  /** All flags of those requests, ORed, but the order. */
  flags = 0;
  /** IPIs: one per other CPU and flush. */
  ipis = 0;
  /** Requests about cache lines, which have no effect here; the caller empties it. */
  readonly cacheFlushes: CacheFlush[] = [];
  /** Xen: tlbflush_clock. @internal */
  readonly clock: TlbClock;

  readonly #cpu: Cpu;
  readonly #index: number;
  readonly #seam: Seam;
  readonly #mailboxes: Mailboxes;
  readonly #control: Int32Array;
  readonly #atomics: WordOperations;
  readonly #locks: Locks;
  readonly #assisted: AssistedFlush | undefined;
  readonly #cacheBytes: number;

  constructor(
    cpu: Cpu,
    control: Int32Array,
    seam: Seam,
    mailboxes: Mailboxes,
    locks: Locks,
    clock: TlbClock,
    options: FlushOptions,
  ) {
    this.#cpu = cpu;
    this.#index = cpu.index;
    this.#control = control;
    this.#atomics = operationsOn(control.buffer);
    this.#seam = seam;
    this.#mailboxes = mailboxes;
    this.#locks = locks;
    this.clock = clock;
    this.#assisted = options.assistedFlush;
    this.#cacheBytes = options.cacheBytes ?? 32 << 20;
  }

  /** On every online CPU, acknowledged. Xen: flush_area_all(). */
  all(page: number, flags: number): Flushed {
    const proof = this.begin(page, flags);
    this.mask(this.#mailboxes.onlineMask, page, flags);
    return proof;
  }

  /** On the CPUs of a mask that are online. With interrupts off, only on this one. Xen: flush_area_mask(). */
  mask(mask: number, page: number, flags: number): void {
    this.requests += 1;
    this.flags |= flags & ~FLUSH_ORDER_MASK;
    const self = 1 << this.#index;
    const others = mask & this.#mailboxes.onlineMask & ~self;
    if (others !== 0 && !this.#locks.irqsOn) bug(`CPU ${this.#index} flushes others with interrupts off`);
    const remote = (mask & self) !== 0 ? this.local(page, flags) : flags;
    if (others !== 0 && (remote & ~FLUSH_ORDER_MASK & ~FLUSH_VA_VALID) !== 0) {
      const mayAssist = (remote & ~(TLB_FLAGS | FLUSH_ORDER_MASK | FLUSH_VA_VALID)) === 0;
      if (!mayAssist || !this.assist(others, page, remote)) {
        for (let cpu = 0; cpu < this.#mailboxes.count; cpu++) if ((others & (1 << cpu)) !== 0) this.ipis += 1;
        this.acknowledged(others, this.request(others, page, remote & ~FLUSH_NO_ASSIST));
      }
    }
    this.poll();
  }

  /** Has a hypervisor below drop on other CPUs: false where there is none, or it does not. Xen: hypervisor_flush_tlb(). */
  assist(others: number, page: number, flags: number): boolean {
    if (this.#assisted === undefined) return false;
    const { observer } = this.#seam;
    if (observer?.enter('assist', others, page, flags, 0)) return observer.value !== 0;
    const isDone = this.#assisted(others, page, flags);
    observer?.leave(isDone ? 1 : 0, 0);
    return isDone;
  }

  /** Asks other CPUs to drop, and returns the number of the request. */
  request(others: number, page: number, flags: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('request', others, page, flags, 0)) return observer.value;
    const number = this.#mailboxes.post(this.#index, others, (page * 4096) | 0, pageHi(page), flags);
    observer?.leave(number, 0);
    return number;
  }

  /** Waits until they have. */
  acknowledged(others: number, number: number): void {
    const { observer } = this.#seam;
    if (observer?.enter('acknowledge', others, number, 0, 0)) return;
    this.#mailboxes.awaitServed(this.#index, others, number);
    observer?.leave(0, 0);
  }

  /** On this CPU. Returns the flags that other CPUs still have to see to. Xen: flush_area_local(). */
  local(page: number, flags: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('flush', page, flags, 0, 0)) return observer.value;
    const remote = this.#drop(page, flags);
    observer?.leave(remote, 0);
    return remote;
  }

  /** As another CPU asked; everything where it asks for nothing in particular. */
  serve(lo: number, hi: number, flags: number): void {
    this.#drop((hi >>> 0) * 0x10_0000 + (lo >>> 12), flags === 0 ? TLB_FLAGS : flags);
  }

  #drop(page: number, flags: number): number {
    const order = (flags & FLUSH_ORDER_MASK) - 1;
    if ((flags & TLB_FLAGS) !== 0) {
      if (order === 0) this.#page((page * 4096) | 0, pageHi(page));
      else {
        const time = this.clock.beforeFlush();
        this.#cpu.translator.dropAll();
        this.clock.afterFlush(this.#index, time);
      }
    }
    if ((flags & CACHE_FLAGS) === 0) return flags;
    const byAddress = (flags & TLB_FLAGS) === 0 || (flags & FLUSH_VA_VALID) !== 0;
    const isArea = byAddress && order >= 0 && 4096 * 2 ** order < this.#cacheBytes;
    const kind = (flags & FLUSH_CACHE_EVICT) !== 0 ? 'evict' : 'write back';
    this.cacheFlushes.push({ kind, scope: isArea ? 'area' : 'whole', page, order });
    return isArea ? flags & ~CACHE_FLAGS : flags;
  }

  /** The time by the TLB clock, as a stamp for `filtered`. Xen: tlbflush_current_time(). */
  stamp(): number {
    const { observer } = this.#seam;
    if (observer?.enter('clock', 0, 0, 0, 0)) return observer.value >>> 0;
    const { now } = this.clock;
    observer?.leave(now | 0, 0);
    return now;
  }

  /** What a frame with this stamp still needs before it is used again. Xen: filtered_flush_tlb_mask(). */
  filtered(stamp: number): void {
    const mask = this.stale(this.#mailboxes.onlineMask, stamp);
    if (mask !== 0) this.mask(mask, 0, FLUSH_TLB | FLUSH_NO_ASSIST);
  }

  /** The CPUs of a mask that have not dropped everything since. Xen: tlbflush_filter(). */
  stale(mask: number, stamp: number): number {
    const { observer } = this.#seam;
    if (observer?.enter('filter', mask, stamp, 0, 0)) return observer.value;
    const left = this.clock.filter(mask, stamp);
    observer?.leave(left, 0);
    return left;
  }

  /** The number of a shootdown that begins now: the proof, once it has ended. */
  begin(page: number, flags: number): Flushed {
    const { observer } = this.#seam;
    if (observer?.enter('shootdown', page, flags, 0, 0)) return observer.value as Flushed;
    const number = nextNumber(this.#control, this.#atomics) as Flushed;
    observer?.leave(number, 0);
    return number;
  }

  /** INVLPG; with PCIDs on, for each of those that Xen uses (2 for user and privileged, times 2 with XPTI). */
  #page(lo: number, hi: number): void {
    this.#cpu.invlpg(lo, hi);
    if ((this.#cpu.registers.cr4 & CR4_PCIDE) === 0) return;
    for (let pcid = 0; pcid < XEN_PCIDS; pcid++) this.#cpu.translator.dropAddress(lo, hi, pcid);
  }

  /** At an instruction boundary: starts the clock anew where it wrapped while this CPU served others. */
  poll(): void {
    if (this.clock.hasWrapped && this.#locks.irqsOn) this.#startClock();
  }

  /** The clock has wrapped: all others are flushed, and time goes on. Xen: new_tlbflush_clock_period(). */
  #startClock(): void {
    this.clock.hasWrapped = false;
    this.mask(this.#mailboxes.onlineMask, 0, FLUSH_TLB_GLOBAL);
    this.clock.restart();
  }
}

/** High half of a page's address. */
const pageHi = (page: number): number => Math.floor(page / 0x10_0000) | 0;
