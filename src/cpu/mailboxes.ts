/**
 * What the CPUs of a machine tell one another: whether each runs, is parked or offline, and requests to drop
 * translations (IPIs), with their acknowledgement. One shared buffer, 256 bytes a CPU.
 *
 * A request is one bit per (target, sender) and a sequence number; its operand stays in the sender's mailbox until every
 * target has written the number back, which is the acknowledgement. Whoever waits serves its own requests meanwhile, so
 * that a CPU that waits for a lock and the lock's holder that waits for acknowledgements cannot block each other. For a
 * parked CPU the sender acknowledges by itself, after bumping its flush generation: such a CPU drops everything before it
 * runs again.
 */
import { bugOn } from '../bug.ts';
import { allocate, isSharedBuffer } from '../mmu/buffers.ts';

/** CPUs of one machine at most: the bits of a request word. */
export const MAX_CPUS = 32;

export const OFFLINE = 0;
export const RUNNING = 1;
/** Makes no access until `unpark`: its thread may return to an event loop. */
export const PARKED = 2;

// Words of a mailbox.
const STATE = 0;
/** Bit `sender` is set where that CPU has asked for something. */
const REQUESTS = 1;
/** What this CPU asks the others to drop: lo, hi, flags; and the number of the request. */
const OPERAND = 2;
const SEQUENCE = 5;
/** Counts the flushes that were left to this CPU while it was parked. */
const GENERATION = 6;
/** Rung when something changed that this CPU may wait for. */
const BELL = 7;
const ASLEEP = 8;
/** Which `Mailboxes` object runs this CPU. */
const OWNER = 9;
/** The CPUs that this one has asked last. */
const TARGETS = 11;
/** Counts instruction boundaries, where the CPU holds no pointer into tables. */
const QUIET = 10;
/** By sender: the number of the last request that this CPU has served. */
const SERVED = 32;
const WORDS = SERVED + MAX_CPUS;

/** The header: counts `Mailboxes` objects, so that each has a number; and the CPUs that sleep. */
const OBJECTS = 0;
const SLEEPERS = 1;
const HEADER = 16;

/** Turns of a wait before it sleeps. Threads that outnumber cores make pure spinning cost 7 to 50 ms an operation. */
const SPINS = 2000;
/** A sleeper looks by itself this often: no ring is lost for longer. */
const NAP_MS = 5;

/** Drops translations as another CPU asked. */
export type RequestHandler = (lo: number, hi: number, flags: number) => void;

/** A wait that lasted longer than it may: a CPU died or stopped serving requests. */
export class StuckError extends Error {
  override readonly name: string = 'StuckError';
}

export class Mailboxes {
  readonly buffer: ArrayBufferLike;
  readonly count: number;
  /** How long a wait may last before it is reported as a `StuckError`. */
  patienceMs = 5000;
  /** Says more of a wait that got stuck: who holds what. */
  explainStuck: (cpu: number) => string = () => '';

  readonly #words: Int32Array;
  readonly #self: number;
  /** By CPU, of those that this thread runs. */
  readonly #handlers: (RequestHandler | undefined)[];
  readonly #seenGeneration: Int32Array;
  /** Scratch of `serve`. */
  readonly #numbers: Int32Array;

  /** Opens the mailboxes of `count` CPUs, new ones where no buffer is given. */
  constructor(count: number, buffer?: ArrayBufferLike, shared = false) {
    if (!Number.isInteger(count) || count < 1 || count > MAX_CPUS)
      throw new RangeError(`a machine has 1 to ${MAX_CPUS} CPUs, not ${count}`);
    const bytes = 4 * (HEADER + count * WORDS);
    this.buffer = buffer ?? allocate(bytes, { shared });
    this.count = count;
    this.#words = new Int32Array(this.buffer);
    this.#self = Atomics.add(this.#words, OBJECTS, 1) + 1;
    this.#handlers = new Array(count);
    this.#seenGeneration = new Int32Array(count);
    this.#numbers = new Int32Array(count);
  }

  /** Makes this thread the one that runs a CPU. */
  adopt(cpu: number, handler: RequestHandler): void {
    this.#handlers[cpu] = handler;
    this.#seenGeneration[cpu] = Atomics.load(this.#words, at(cpu, GENERATION));
    Atomics.store(this.#words, at(cpu, OWNER), this.#self);
    Atomics.store(this.#words, at(cpu, STATE), RUNNING);
  }

  isLocal(cpu: number): boolean {
    return this.#handlers[cpu] !== undefined && Atomics.load(this.#words, at(cpu, OWNER)) === this.#self;
  }

  stateOf(cpu: number): number {
    return Atomics.load(this.#words, at(cpu, STATE));
  }

  stateName(cpu: number): 'offline' | 'running' | 'parked' {
    return (['offline', 'running', 'parked'] as const)[this.stateOf(cpu)]!;
  }

  isOnline(cpu: number): boolean {
    return this.stateOf(cpu) !== OFFLINE;
  }

  /** Bits of the CPUs that are running or parked. */
  get onlineMask(): number {
    let mask = 0;
    for (let cpu = 0; cpu < this.count; cpu++) if (this.isOnline(cpu)) mask |= 1 << cpu;
    return mask;
  }

  /** Before a CPU's thread does something else for a while: the others no longer wait for it. */
  park(cpu: number): void {
    this.serve(cpu);
    Atomics.store(this.#words, at(cpu, STATE), PARKED);
    this.#ringAll();
  }

  /** Runs again, whatever was to be dropped meanwhile dropped. */
  unpark(cpu: number): void {
    bugOn(this.stateOf(cpu) === OFFLINE, () => `CPU ${cpu} is offline and cannot be unparked`);
    Atomics.store(this.#words, at(cpu, STATE), RUNNING);
    this.serve(cpu);
  }

  /** A CPU that makes no access any more, as after its thread ended: nobody waits for it. */
  setOffline(cpu: number): void {
    Atomics.store(this.#words, at(cpu, STATE), OFFLINE);
    this.#ringAll();
  }

  /** Serves the requests to a CPU that this thread runs: drops first, then acknowledges. */
  serve(cpu: number): void {
    const words = this.#words;
    if (Atomics.load(words, at(cpu, REQUESTS)) === 0 && !this.#isBehind(cpu)) return;
    const handler = this.#handlers[cpu]!;
    bugOn(handler === undefined, () => `CPU ${cpu} is not run by this thread`);
    const senders = Atomics.exchange(words, at(cpu, REQUESTS), 0);
    const numbers = this.#numbers;
    for (let sender = 0; sender < this.count; sender++) {
      if ((senders & (1 << sender)) === 0) continue;
      numbers[sender] = Atomics.load(words, at(sender, SEQUENCE));
      const operand = at(sender, OPERAND);
      handler(words[operand]!, words[operand + 1]!, words[operand + 2]!);
    }
    // After the operands: a sender that acknowledged by itself may have re-used its operand, but bumped this before.
    if (this.#isBehind(cpu)) {
      this.#seenGeneration[cpu] = Atomics.load(words, at(cpu, GENERATION));
      handler(0, 0, 0);
    }
    for (let sender = 0; sender < this.count; sender++) {
      if ((senders & (1 << sender)) === 0) continue;
      Atomics.store(words, at(cpu, SERVED + sender), numbers[sender]!);
      this.ring(sender);
    }
  }

  /** Asks the CPUs in `mask` to drop what (lo, hi, flags) says, and returns when all have. `flags` 0 asks for everything. */
  request(sender: number, mask: number, lo: number, hi: number, flags: number): void {
    const words = this.#words;
    const operand = at(sender, OPERAND);
    words[operand] = lo;
    words[operand + 1] = hi;
    words[operand + 2] = flags;
    const number = (Atomics.load(words, at(sender, SEQUENCE)) + 1) | 0;
    Atomics.store(words, at(sender, SEQUENCE), number);
    const targets = mask & ~(1 << sender);
    Atomics.store(words, at(sender, TARGETS), targets);
    if (targets === 0) return;
    for (let target = 0; target < this.count; target++) {
      if ((targets & (1 << target)) === 0) continue;
      Atomics.or(words, at(target, REQUESTS), 1 << sender);
      if (this.stateOf(target) === RUNNING && this.isLocal(target)) this.serve(target);
      else this.ring(target);
    }
    this.waitUntil(sender, 'the acknowledgement of a flush', () => this.#isServed(targets, sender, number));
  }

  /**
   * Waits, serving the requests to `cpu`, until `condition` holds. Never spins for long: sleeps on its own bell, and never
   * where the platform forbids it. StuckError after `patienceMs`.
   */
  waitUntil(cpu: number, what: string, condition: () => boolean): void {
    for (let turn = 0; turn < SPINS; turn++) {
      if (condition()) return;
      this.serve(cpu);
    }
    const words = this.#words;
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
    Atomics.add(this.#words, at(cpu, BELL), 1);
    if (Atomics.load(this.#words, at(cpu, ASLEEP)) !== 0) Atomics.notify(this.#words, at(cpu, BELL));
  }

  /** Wakes every CPU that sleeps. */
  ringSleepers(): void {
    if (Atomics.load(this.#words, SLEEPERS) === 0) return;
    for (let cpu = 0; cpu < this.count; cpu++) if (Atomics.load(this.#words, at(cpu, ASLEEP)) !== 0) this.ring(cpu);
  }

  /** At an instruction boundary of a CPU. */
  noteQuiet(cpu: number): void {
    Atomics.add(this.#words, at(cpu, QUIET), 1);
  }

  /** Waits until every other CPU that another thread runs has passed an instruction boundary, or is parked or offline. */
  waitForQuiet(cpu: number): void {
    const words = this.#words;
    const before = Array.from({ length: this.count }, (_, other) => Atomics.load(words, at(other, QUIET)));
    this.waitUntil(cpu, 'an instruction boundary of every CPU', () =>
      before.every(
        (count, other) =>
          other === cpu ||
          this.isLocal(other) ||
          this.stateOf(other) !== RUNNING ||
          Atomics.load(words, at(other, QUIET)) !== count,
      ),
    );
  }

  /** The CPUs that have not yet served the last request of `sender`, for reports. */
  unserved(sender: number): number[] {
    const number = Atomics.load(this.#words, at(sender, SEQUENCE));
    const targets = Atomics.load(this.#words, at(sender, TARGETS));
    return Array.from({ length: this.count }, (_, cpu) => cpu).filter(
      (cpu) => (targets & (1 << cpu)) !== 0 && !this.#has(cpu, sender, number),
    );
  }

  #has(target: number, sender: number, number: number): boolean {
    return Atomics.load(this.#words, at(target, SERVED + sender)) === number;
  }

  #setAsleep(cpu: number, change: 1 | -1): void {
    Atomics.store(this.#words, at(cpu, ASLEEP), change === 1 ? 1 : 0);
    Atomics.add(this.#words, SLEEPERS, change);
  }

  #isBehind(cpu: number): boolean {
    return Atomics.load(this.#words, at(cpu, GENERATION)) !== this.#seenGeneration[cpu];
  }

  #ringAll(): void {
    for (let cpu = 0; cpu < this.count; cpu++) this.ring(cpu);
  }

  /** Whether all targets have served a request; for those that are parked or offline the sender does the bookkeeping. */
  #isServed(targets: number, sender: number, number: number): boolean {
    const words = this.#words;
    for (let target = 0; target < this.count; target++) {
      if ((targets & (1 << target)) === 0 || this.#has(target, sender, number)) continue;
      if (this.stateOf(target) === RUNNING) return false;
      Atomics.add(words, at(target, GENERATION), 1);
      Atomics.store(words, at(target, SERVED + sender), number);
    }
    return true;
  }
}

const at = (cpu: number, word: number): number => HEADER + cpu * WORDS + word;

/** A browser's main thread may not sleep. */
const CAN_SLEEP: boolean = typeof document === 'undefined';
