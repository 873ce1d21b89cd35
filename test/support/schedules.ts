/**
 * Every schedule of a few CPUs, by re-execution: a CPU that is switched away from is unwound, and executed again later
 * against the log of what its operations returned, live from the next one on. Preemptions are bounded; waiting for a lock
 * costs none.
 */
import type { Operation, SeamObserver, XenMm } from '../../src/hypervisor/index.ts';

/** Thrown to unwind a CPU. Not an `Error`: nothing may take it for one. */
const UNWIND = Symbol('unwind');

interface Logged {
  readonly operation: Operation;
  readonly a: number;
  readonly value: number;
  readonly frame: number;
}

class ExploredCpu implements SeamObserver {
  value = 0;
  frame = 0;
  /** Operations done, as they were. */
  readonly log: Logged[] = [];
  isDone = false;
  failure: string | undefined = undefined;
  /** Whether what it waits for has come: a lock, the end of a grace period. */
  isReady: () => boolean = () => true;
  isUnwinding = false;
  #at = 0;
  #operation: Operation = 'read';
  #a = 0;
  readonly #index: number;
  readonly #run: () => void;
  readonly #mm: XenMm;
  readonly #schedule: Schedule;

  constructor(index: number, mm: XenMm, run: () => void, schedule: Schedule) {
    this.#index = index;
    this.#mm = mm;
    this.#run = run;
    this.#schedule = schedule;
    mm.observer = this;
  }

  /** Goes on from where it was, until it is switched away from, or ends. */
  resume(): void {
    this.#at = 0;
    this.isUnwinding = false;
    this.#mm.abandon();
    try {
      this.#run();
      this.isDone = true;
    } catch (thrown) {
      if (thrown === UNWIND) return;
      this.isDone = true;
      this.failure = (thrown as Error).message;
    }
  }

  enter(operation: Operation, a: number): boolean {
    if (this.isUnwinding) throw UNWIND;
    const logged = this.log[this.#at];
    if (logged !== undefined) {
      if (logged.operation !== operation || logged.a !== a)
        throw new Error(`diverged: ${operation} ${a}, and was ${logged.operation} ${logged.a}`);
      this.#at += 1;
      this.value = logged.value;
      this.frame = logged.frame;
      return true;
    }
    const { held } = this.#schedule;
    this.isReady = () => {
      if (operation === 'lock') return !held.has(a);
      return operation !== 'graceEnd' || this.#mm.grace.isOver(a);
    };
    if (!this.isReady() || !this.#schedule.mayGoOn(this.#index)) {
      this.isUnwinding = true;
      throw UNWIND;
    }
    if (operation === 'unlock' || operation === 'retire') held.delete(a);
    this.#operation = operation;
    this.#a = a;
    return false;
  }

  leave(value: number, frame: number): void {
    if (this.#operation === 'lock' && value === 0) this.#schedule.held.add(this.#a);
    this.log.push({ operation: this.#operation, a: this.#a, value, frame });
    this.#at += 1;
  }
}

/** One run: who is switched to, at which step. */
class Schedule {
  readonly held = new Set<number>();
  steps = 0;
  /** Steps at which a running CPU could have been switched away from, after the last switch. */
  readonly #switches: readonly number[];
  #next = 0;
  #justResumed = false;

  constructor(switches: readonly number[]) {
    this.#switches = switches;
  }

  /** Whether the running CPU executes its next operation, or is switched away from before it. */
  mayGoOn(_index: number): boolean {
    if (!this.#justResumed && this.#switches[this.#next] === this.steps) {
      this.#next += 1;
      return false;
    }
    this.#justResumed = false;
    this.steps += 1;
    return true;
  }

  resumed(): void {
    this.#justResumed = true;
  }
}

export interface Explored {
  readonly schedules: number;
  /** What went wrong, and the switches of the first schedule in which it did. */
  readonly failures: ReadonlyMap<string, readonly number[]>;
}

export interface Scenario {
  /** The CPUs, and what each does. */
  readonly cpus: readonly { readonly mm: XenMm; readonly run: () => void }[];
  /** What is wrong at the end, nothing if all is well. */
  readonly check: () => readonly string[];
}

/** Runs a scenario under every schedule with at most so many preemptions. `make` starts afresh each time. */
export function exploreSchedules(make: () => Scenario, preemptions: number): Explored {
  const failures = new Map<string, readonly number[]>();
  let schedules = 0;
  const visit = (switches: readonly number[]): void => {
    schedules += 1;
    const { steps, wrong } = runOnce(make(), switches);
    for (const what of wrong) if (!failures.has(what)) failures.set(what, switches);
    if (switches.length === preemptions) return;
    for (let step = (switches.at(-1) ?? -1) + 1; step < steps; step++) visit([...switches, step]);
  };
  visit([]);
  return { schedules, failures };
}

function runOnce({ cpus, check }: Scenario, switches: readonly number[]): { steps: number; wrong: readonly string[] } {
  const schedule = new Schedule(switches);
  const explored = cpus.map(({ mm, run }, index) => new ExploredCpu(index, mm, run, schedule));
  let last = -1;
  for (;;) {
    // Round robin: whoever was switched away from comes last.
    const order = explored.map((_, at) => (last + 1 + at) % explored.length);
    const next = order.find((index) => !explored[index]!.isDone && explored[index]!.isReady());
    if (next === undefined) break;
    last = next;
    schedule.resumed();
    explored[next]!.resume();
    if (explored[next]!.failure !== undefined) break; // after a BUG nothing is certain
  }
  for (const { mm } of cpus) mm.observer = null;
  const failed = explored.flatMap(({ failure }) => (failure === undefined ? [] : [failure]));
  if (failed.length > 0) return { steps: schedule.steps, wrong: failed };
  const waiting = explored.filter(({ isDone }) => !isDone).length;
  return { steps: schedule.steps, wrong: waiting > 0 ? [`deadlock of ${waiting} CPUs`] : check() };
}
