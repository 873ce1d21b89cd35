/**
 * Words that the CPUs of one Xen share besides tables and frame table: what vmap areas, mapcaches and lists of roots keep.
 *
 * They change in steps only. A step is one operation of the seam, whatever it reads and writes: its observer sees one event
 * with one outcome, and no CPU sees half of it. Between threads a lock sees to that, held for the step alone: within one,
 * nothing may be waited for and no other operation begun.
 */
import type { Mailboxes } from '../cpu/mailboxes.ts';
import { allocate } from '../mmu/buffers.ts';
import type { Seam } from '../mmu/seam.ts';

/** Whoever takes a step: one CPU's memory manager. Not in Xen: there it is the CPU that runs. */
export interface Stepper extends Seam {
  readonly cpu: { readonly index: number };
  readonly mailboxes: Mailboxes;
}

/** The lock in front of the words: 0, or the CPU + 1 that holds it. */
const LOCK_BYTES = 4;

/** Not in Xen: there, each such state is a structure with a spinlock in it. */
export class LockedWords {
  /** Of this thread and of those it was shared with. Written within `step` only. */
  readonly words: Int32Array;
  readonly buffer: ArrayBufferLike;
  /** Tells an observer which words these are. */
  readonly name: number;
  /** The second outcome of the last step, where it has one. Copy it at once. */
  second = 0;
  readonly #lock: Int32Array;

  /**
   * @param name     a number of its own for each of one Xen's
   * @param storage  the buffer of another thread's words; or whether threads may share new ones, which are zero
   */
  constructor(name: number, count: number, storage: ArrayBufferLike | { readonly shared: boolean }) {
    this.name = name;
    this.buffer = 'shared' in storage ? allocate(LOCK_BYTES + 4 * count, storage) : storage;
    this.#lock = new Int32Array(this.buffer, 0, 1);
    this.words = new Int32Array(this.buffer, LOCK_BYTES, count);
  }

  /** Lets `act` read and write the words, alone. Returns what it returns. */
  step(by: Stepper, operand: number, act: () => number): number {
    const { observer } = by;
    if (observer?.enter('step', this.name, operand, 0, 0)) {
      this.second = observer.frame;
      return observer.value;
    }
    this.second = 0;
    this.#acquire(by);
    try {
      const value = act();
      if (observer !== null) observer.leave(value, this.second);
      return value;
    } finally {
      Atomics.store(this.#lock, 0, 0);
      by.mailboxes.ringSleepers();
    }
  }

  #acquire(by: Stepper): void {
    const isFree = (): boolean => Atomics.compareExchange(this.#lock, 0, 0, by.cpu.index + 1) === 0;
    if (!isFree()) by.mailboxes.waitUntil(by.cpu.index, `shared words ${this.name}`, isFree);
  }
}
