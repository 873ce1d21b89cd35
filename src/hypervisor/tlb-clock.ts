/**
 * The TLB clock: when each CPU last dropped everything, so that a frame that left use before that needs no flush. A 32-bit
 * counter; when it wraps to 0 every comparison says "flush", until everybody has been flushed and it starts at 1.
 * Xen: tlbflush_clock, tlbflush_time, pre_flush(), post_flush(), NEED_FLUSH(), tlbflush_filter().
 */

import type { Frame } from '../mmu/halves.ts';
import { operationsOn, type WordOperations } from '../mmu/word-operations.ts';
import { ofCpu, TLB_CLOCK, TLB_TIME } from './control.ts';
import { type FrameTable, STAMP } from './frame-table.ts';

export class TlbClock {
  /** The clock has wrapped: every CPU is to be flushed, then `restart` called. */
  hasWrapped = false;
  /** Whether stamps mean anything: flushes by a hypervisor below do not tick the clock. */
  readonly isRunning: boolean;
  readonly #control: Int32Array;
  readonly #atomics: WordOperations;
  readonly #last: number;

  /** @param bits  width of the clock, 32; fewer to see it wrap */
  constructor(control: Int32Array, isRunning: boolean, bits: number) {
    this.#control = control;
    this.#atomics = operationsOn(control.buffer);
    this.isRunning = isRunning;
    this.#last = 2 ** bits - 1;
  }

  /** Unsigned; 0 after a wrap. */
  get now(): number {
    return this.#atomics.load(this.#control, TLB_CLOCK) >>> 0;
  }

  /** Before a full flush: the time it will have. */
  beforeFlush(): number {
    if (!this.isRunning) return 0;
    for (;;) {
      const now = this.#atomics.load(this.#control, TLB_CLOCK);
      if (now === 0) return 0; // wrapped: time stands still
      const next = now >>> 0 === this.#last ? 0 : (now + 1) | 0;
      if (this.#atomics.compareExchange(this.#control, TLB_CLOCK, now, next) !== now) continue;
      if (next === 0) this.hasWrapped = true;
      return next >>> 0;
    }
  }

  afterFlush(cpu: number, time: number): void {
    if (this.isRunning) this.#atomics.store(this.#control, ofCpu(cpu, TLB_TIME), time | 0);
  }

  /** After every CPU was flushed because the clock had wrapped. */
  restart(): void {
    this.hasWrapped = false;
    this.#atomics.store(this.#control, TLB_CLOCK, 1);
  }

  /** When a frame leaves use. Xen: page_set_tlbflush_timestamp(). */
  stamp(frames: FrameTable, frame: Frame): void {
    frames.words[frames.at(frame) + STAMP] = this.#atomics.load(this.#control, TLB_CLOCK);
  }

  /** Whether a CPU may still hold translations to a frame with this stamp. Xen: NEED_FLUSH(). */
  needsFlush(cpu: number, stamp: number): boolean {
    const { now } = this;
    const time = this.#atomics.load(this.#control, ofCpu(cpu, TLB_TIME)) >>> 0;
    return !this.isRunning || now === 0 || (time <= stamp && stamp <= now);
  }

  /** The CPUs of a mask that need a flush before a frame with this stamp is used again. Xen: tlbflush_filter(). */
  filter(mask: number, stamp: number): number {
    let left = 0;
    for (let cpu = 0; cpu < 32; cpu++) if ((mask & (1 << cpu)) !== 0 && this.needsFlush(cpu, stamp)) left |= 1 << cpu;
    return left;
  }
}
