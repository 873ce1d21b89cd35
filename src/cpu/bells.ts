/**
 * How a CPU waits for what others do: it spins, serving their requests, then sleeps on its own bell, which whoever changes
 * something rings. One shared buffer, 256 bytes a CPU, of which mailboxes.ts has the rest.
 */
import { isSharedBuffer } from '../mmu/buffers.ts';

/** CPUs of one machine at most: the bits of a request word. */
export const MAX_CPUS = 32;

const WORDS = 32 + MAX_CPUS;
const HEADER = 16;
/** In the header: how many CPUs sleep. */
const SLEEPERS = 1;
/** Rung when something changed that this CPU may wait for. */
const BELL = 7;
const ASLEEP = 8;

/** Index of a word of a CPU's mailbox. */
export const at = (cpu: number, word: number): number => HEADER + cpu * WORDS + word;
export const mailboxBytes = (cpus: number): number => 4 * at(cpus, 0);

/** Turns of a wait before it sleeps. Threads that outnumber cores make pure spinning cost 7 to 50 ms an operation. */
const SPINS = 2000;
/** A sleeper looks by itself this often: no ring is lost for longer. */
const NAP_MS = 5;

/** A wait that lasted longer than it may: a CPU died or stopped serving requests. */
export class StuckError extends Error {
  /** Always `StuckError`. */
  override readonly name: string = 'StuckError';
}

export abstract class Bells {
  /** The words of all CPUs, for `attach` in another thread; 256 bytes a CPU. */
  readonly buffer: ArrayBufferLike;
  /** CPUs of the machine. */
  readonly count: number;
  /** How long a wait may last before it is reported as a `StuckError`. */
  patienceMs = 5000;
  /** Says more of a wait that got stuck: who holds what. */
  explainStuck: (cpu: number) => string = () => '';

  protected readonly words: Int32Array;

  constructor(count: number, buffer: ArrayBufferLike) {
    this.buffer = buffer;
    this.count = count;
    this.words = new Int32Array(buffer);
  }

  /** Serves the requests to a CPU that this thread runs. */
  abstract serve(cpu: number): void;

  /**
   * Waits, serving the requests to `cpu`, until `condition` holds. Never spins for long: sleeps on its own bell, and never
   * where the platform forbids it. StuckError after `patienceMs`.
   */
  waitUntil(cpu: number, what: string, condition: () => boolean): void {
    for (let turn = 0; turn < SPINS; turn++) {
      if (condition()) return;
      this.serve(cpu);
    }
    const words = this.words;
    const start = Date.now();
    this.#setAsleep(cpu, 1);
    for (;;) {
      const bell = Atomics.load(words, at(cpu, BELL));
      this.serve(cpu);
      if (condition()) break;
      if (CAN_SLEEP && isSharedBuffer(this.buffer)) Atomics.wait(words, at(cpu, BELL), bell, NAP_MS);
      if (Date.now() - start > this.patienceMs) {
        this.#setAsleep(cpu, -1);
        throw new StuckError(`CPU ${cpu} waited ${this.patienceMs} ms for ${what}${this.explainStuck(cpu)}`);
      }
    }
    this.#setAsleep(cpu, -1);
  }

  /** Wakes a CPU that may wait for what has just changed. */
  ring(cpu: number): void {
    Atomics.add(this.words, at(cpu, BELL), 1);
    if (Atomics.load(this.words, at(cpu, ASLEEP)) !== 0) Atomics.notify(this.words, at(cpu, BELL));
  }

  /** Wakes every CPU that sleeps. */
  ringSleepers(): void {
    if (Atomics.load(this.words, SLEEPERS) === 0) return;
    for (let cpu = 0; cpu < this.count; cpu++) if (Atomics.load(this.words, at(cpu, ASLEEP)) !== 0) this.ring(cpu);
  }

  protected ringAll(): void {
    for (let cpu = 0; cpu < this.count; cpu++) this.ring(cpu);
  }

  #setAsleep(cpu: number, change: 1 | -1): void {
    Atomics.store(this.words, at(cpu, ASLEEP), change === 1 ? 1 : 0);
    Atomics.add(this.words, SLEEPERS, change);
  }
}

/** A browser's main thread may not sleep. */
const CAN_SLEEP: boolean = typeof document === 'undefined';
