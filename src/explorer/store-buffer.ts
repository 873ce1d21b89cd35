/**
 * x86-TSO: a CPU's plain stores wait in a buffer, in order, and reach memory when it drains. Its own reads see them at
 * once. Locked operations, and whatever tells other CPUs something, wait until the buffer is empty.
 * Source: SDM 3A, "Memory Ordering in P6 and More Recent Processor Families".
 */
import type { LogNode } from './program.ts';
import type { Space, State } from './state.ts';

/** Stores that a buffer holds at most. */
const DEPTH = 6;
const STORE_WORDS = 6;
const WORDS = 1 + DEPTH * STORE_WORDS;

/** A store of a leaf or a clear. */
export interface BufferedStore {
  readonly entry: number;
  readonly frame: number;
  readonly flags: number;
  readonly level: number;
}

export class StoreBuffers {
  readonly #state: State;
  readonly #space: Space;

  constructor(state: State, cpus: number) {
    this.#state = state;
    this.#space = state.add(new Int32Array(cpus * WORDS));
  }

  count(cpu: number): number {
    return this.#space.words[cpu * WORDS]!;
  }

  isFull(cpu: number): boolean {
    return this.count(cpu) === DEPTH;
  }

  push(cpu: number, { a: entry, b: frame, c: flags, d: level }: LogNode): void {
    const count = this.count(cpu);
    this.#put(cpu, count, { entry, frame, flags, level });
    this.#state.set(this.#space, cpu * WORDS, count + 1);
  }

  /** The store that drains next. */
  oldest(cpu: number): BufferedStore {
    return this.#at(cpu, 0);
  }

  /** The newest store to an entry, which the CPU itself reads. */
  newestTo(cpu: number, entry: number): BufferedStore | undefined {
    for (let nth = this.count(cpu) - 1; nth >= 0; nth--) {
      const store = this.#at(cpu, nth);
      if (store.entry === entry) return store;
    }
    return undefined;
  }

  drop(cpu: number): void {
    const count = this.count(cpu);
    for (let nth = 1; nth < count; nth++) this.#put(cpu, nth - 1, this.#at(cpu, nth));
    this.#put(cpu, count - 1, { entry: 0, frame: 0, flags: 0, level: 0 });
    this.#state.set(this.#space, cpu * WORDS, count - 1);
  }

  #at(cpu: number, nth: number): BufferedStore {
    const { words } = this.#space;
    const at = cpu * WORDS + 1 + nth * STORE_WORDS;
    return {
      entry: (words[at + 1]! >>> 0) * 2 ** 32 + (words[at]! >>> 0),
      frame: (words[at + 3]! >>> 0) * 2 ** 32 + (words[at + 2]! >>> 0),
      flags: words[at + 4]!,
      level: words[at + 5]!,
    };
  }

  #put(cpu: number, nth: number, { entry, frame, flags, level }: BufferedStore): void {
    const at = cpu * WORDS + 1 + nth * STORE_WORDS;
    const values = [entry | 0, Math.floor(entry / 2 ** 32), frame | 0, Math.floor(frame / 2 ** 32), flags, level];
    for (const [word, value] of values.entries()) this.#state.set(this.#space, at + word, value);
  }
}
