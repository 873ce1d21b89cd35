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
import { allocate } from '../mmu/buffers.ts';
import { operationsOn, type WordOperations } from '../mmu/word-operations.ts';
import { at, Bells, MAX_CPUS, mailboxBytes } from './bells.ts';

export { MAX_CPUS, StuckError } from './bells.ts';

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
// 7 and 8: bells.ts
/** Which `Mailboxes` object runs this CPU. */
const OWNER = 9;
/** The CPUs that this one has asked last. */
const TARGETS = 10;
/** Words of a mailbox before those by sender. */
export const OWN_WORDS = 11;
/** By sender: the number of the last request that this CPU has served. */
export const SERVED = 32;

/** In the header: counts `Mailboxes` objects, so that each has a number. */
const OBJECTS = 0;

/** Drops translations as another CPU asked. */
export type RequestHandler = (lo: number, hi: number, flags: number) => void;

/** What the CPUs of a machine tell one another: who runs, requests to drop translations, acknowledgements. */
export class Mailboxes extends Bells {
  /** Whether a request to a CPU that this thread runs too is served at once; off where somebody else decides when. */
  servesAtOnce = true;
  readonly #self: number;
  readonly #atomics: WordOperations;
  /** By CPU, of those that this thread runs. */
  readonly #handlers: (RequestHandler | undefined)[];
  readonly #seenGeneration: Int32Array;
  /** By sender: the number of its request that `drop` has taken and `acknowledge` is yet to tell it of. */
  readonly taken: Int32Array;

  /** Opens the mailboxes of `count` CPUs, new ones where no buffer is given. */
  constructor(count: number, buffer?: ArrayBufferLike, shared = false) {
    if (!Number.isInteger(count) || count < 1 || count > MAX_CPUS)
      throw new RangeError(`a machine has 1 to ${MAX_CPUS} CPUs, not ${count}`);
    super(count, buffer ?? allocate(mailboxBytes(count), { shared }));
    this.#atomics = operationsOn(this.buffer);
    this.#self = Atomics.add(this.words, OBJECTS, 1) + 1;
    this.#handlers = new Array(count);
    this.#seenGeneration = new Int32Array(count);
    this.taken = new Int32Array(count);
  }

  /** Makes this thread the one that runs a CPU. */
  adopt(cpu: number, handler: RequestHandler): void {
    this.#handlers[cpu] = handler;
    this.#seenGeneration[cpu] = Atomics.load(this.words, at(cpu, GENERATION));
    Atomics.store(this.words, at(cpu, OWNER), this.#self);
    Atomics.store(this.words, at(cpu, STATE), RUNNING);
  }

  /** Whether this thread runs the CPU. */
  isLocal(cpu: number): boolean {
    return this.#handlers[cpu] !== undefined && Atomics.load(this.words, at(cpu, OWNER)) === this.#self;
  }

  /** OFFLINE 0, RUNNING 1 or PARKED 2. */
  stateOf(cpu: number): number {
    return this.#atomics.load(this.words, at(cpu, STATE));
  }

  /** The same as a word. */
  stateName(cpu: number): 'offline' | 'running' | 'parked' {
    return (['offline', 'running', 'parked'] as const)[this.stateOf(cpu)]!;
  }

  /** Whether it runs or is parked. */
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
    Atomics.store(this.words, at(cpu, STATE), PARKED);
    this.ringAll();
  }

  /** Runs again, whatever was to be dropped meanwhile dropped. */
  unpark(cpu: number): void {
    bugOn(this.stateOf(cpu) === OFFLINE, () => `CPU ${cpu} is offline and cannot be unparked`);
    Atomics.store(this.words, at(cpu, STATE), RUNNING);
    this.serve(cpu);
  }

  /** A CPU that makes no access any more, as after its thread ended: nobody waits for it. */
  setOffline(cpu: number): void {
    Atomics.store(this.words, at(cpu, STATE), OFFLINE);
    this.ringAll();
  }

  /** Whether somebody waits for this CPU, or it slept through something. */
  isAsked(cpu: number): boolean {
    return Atomics.load(this.words, at(cpu, REQUESTS)) !== 0 || this.#isBehind(cpu);
  }

  /** The same by an ordinary load, which may see it later: where it is asked all the time (27 instead of 320 instructions with `serve`). */
  seemsAsked(cpu: number): boolean {
    return this.words[at(cpu, REQUESTS)] !== 0;
  }

  /** Serves the requests to a CPU that this thread runs: drops first, then acknowledges. */
  serve(cpu: number): void {
    if (this.isAsked(cpu)) this.acknowledge(cpu, this.drop(cpu));
  }

  /** The first half of `serve`: drops what was asked for. Returns the bits of those who asked. */
  drop(cpu: number): number {
    const words = this.words;
    const handler = this.#handlers[cpu]!;
    bugOn(handler === undefined, () => `CPU ${cpu} is not run by this thread`);
    const senders = Atomics.exchange(words, at(cpu, REQUESTS), 0);
    for (let sender = 0; sender < this.count; sender++) {
      if ((senders & (1 << sender)) === 0) continue;
      this.taken[sender] = Atomics.load(words, at(sender, SEQUENCE));
      const operand = at(sender, OPERAND);
      handler(words[operand]!, words[operand + 1]!, words[operand + 2]!);
    }
    // After the operands: a sender that acknowledged by itself may have re-used its operand, but bumped this before.
    if (this.#isBehind(cpu)) {
      this.#seenGeneration[cpu] = Atomics.load(words, at(cpu, GENERATION));
      handler(0, 0, 0);
    }
    return senders;
  }

  /** The second half of `serve`: tells those who asked. */
  acknowledge(cpu: number, senders: number): void {
    for (let sender = 0; sender < this.count; sender++) {
      if ((senders & (1 << sender)) === 0) continue;
      Atomics.store(this.words, at(cpu, SERVED + sender), this.taken[sender]!);
      this.ring(sender);
    }
  }

  /** Asks the CPUs in `mask` to drop what (lo, hi, flags) says, and returns when all have. `flags` 0 asks for everything. */
  request(sender: number, mask: number, lo: number, hi: number, flags: number): void {
    this.awaitServed(sender, mask, this.post(sender, mask, lo, hi, flags));
  }

  /** The first half of `request`: asks. Returns the number of the request. */
  post(sender: number, mask: number, lo: number, hi: number, flags: number): number {
    const words = this.words;
    const operand = at(sender, OPERAND);
    words[operand] = lo;
    words[operand + 1] = hi;
    words[operand + 2] = flags;
    const number = (Atomics.load(words, at(sender, SEQUENCE)) + 1) | 0;
    Atomics.store(words, at(sender, SEQUENCE), number);
    const targets = mask & ~(1 << sender);
    Atomics.store(words, at(sender, TARGETS), targets);
    for (let target = 0; target < this.count; target++) {
      if ((targets & (1 << target)) === 0) continue;
      Atomics.or(words, at(target, REQUESTS), 1 << sender);
      if (this.servesAtOnce && this.stateOf(target) === RUNNING && this.isLocal(target)) this.serve(target);
      else this.ring(target);
    }
    return number;
  }

  /** The second half: waits until all have dropped it. */
  awaitServed(sender: number, mask: number, number: number): void {
    if (this.isServed(sender, mask, number)) return;
    this.waitUntil(sender, 'the acknowledgement of a flush', () => this.isServed(sender, mask, number));
  }

  /** Whether all targets have served a request; for those that are parked or offline the sender does the bookkeeping. */
  isServed(sender: number, mask: number, number: number): boolean {
    const words = this.words;
    const targets = mask & ~(1 << sender);
    for (let target = 0; target < this.count; target++) {
      if ((targets & (1 << target)) === 0 || this.#has(target, sender, number)) continue;
      if (this.stateOf(target) === RUNNING) return false;
      Atomics.add(words, at(target, GENERATION), 1);
      Atomics.store(words, at(target, SERVED + sender), number);
    }
    return true;
  }

  /** The CPUs that have not yet served the last request of `sender`, for reports. */
  unserved(sender: number): number[] {
    const number = Atomics.load(this.words, at(sender, SEQUENCE));
    const targets = Atomics.load(this.words, at(sender, TARGETS));
    return Array.from({ length: this.count }, (_, cpu) => cpu).filter(
      (cpu) => (targets & (1 << cpu)) !== 0 && !this.#has(cpu, sender, number),
    );
  }

  #has(target: number, sender: number, number: number): boolean {
    return Atomics.load(this.words, at(target, SERVED + sender)) === number;
  }

  #isBehind(cpu: number): boolean {
    return Atomics.load(this.words, at(cpu, GENERATION)) !== this.#seenGeneration[cpu];
  }
}
