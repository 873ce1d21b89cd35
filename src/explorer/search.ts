/**
 * What every search shares: the explored machine, the schedule in hand, the failures found, and the driver that runs code
 * where the search needs it. A search is a loop that can stop wherever code has to run, also deep inside other code that
 * waits for it, and goes on when it did.
 */
import type { Explored } from './explored.ts';
import type { Want } from './programs.ts';
import { type ErrorKind, RULES, type Violation } from './rules.ts';

export interface Failure {
  readonly violation: Violation;
  /** Actors, one a step, the last of which broke the rule; all of them where the rule is about the end. */
  readonly schedule: readonly number[];
  readonly preemptions: number;
}

/** How far a search has come. */
export interface Progress {
  /** States met so far. */
  readonly states: number;
  /** Events that happened so far. */
  readonly events: number;
  /** Steps of the schedule in hand. */
  readonly depth: number;
}

/** When a search ends though there is more to see: its coverage says so then. */
export interface Limits {
  /** States at most, where known; default 5 million. */
  readonly maxStates?: number;
  /** Milliseconds at most. */
  readonly maxMs?: number;
  /** Called now and then, from within the search. */
  readonly onProgress?: (progress: Progress) => void;
}

/** What tells kinds of failures apart: the rule, who broke it, and how in words without numbers. */
export const failureKey = ({ rule, by, what }: Violation): string =>
  `${rule} ${by} ${what.replace(/0x[0-9a-f]+|\d+/g, '#')}`;

export abstract class Search {
  readonly explored: Explored;
  /** By kind, the failure with the fewest preemptions, and of those the shortest. */
  readonly failures: Map<string, Failure> = new Map();
  states = 0;
  /** Why not everything was seen; undefined where it was. */
  truncated: string | undefined = undefined;
  /** Schedules that came to an end. */
  ends = 0;
  protected readonly limits: Limits;
  readonly #started: number = performance.now();
  #sinceLook = 0;

  constructor(explored: Explored, limits: Limits) {
    this.explored = explored;
    this.limits = limits;
  }

  /** Goes on until code has to run; undefined where the search is over. */
  abstract advance(): Want | undefined;

  /** Runs the search to its end. */
  run(): void {
    this.discoverFirst();
    this.runToEnd();
  }

  /** Finds out how each program begins. */
  protected discoverFirst(): void {
    for (const want of this.explored.programs.firstWants()) this.#discover(want);
  }

  protected runToEnd(): void {
    let want = this.advance();
    while (want !== undefined) want = this.#runCode(want);
  }

  protected noteFailures(violations: readonly Violation[], schedule: readonly number[], preemptions: number): void {
    for (const violation of violations) {
      const key = failureKey(violation);
      const known = this.failures.get(key);
      const isBetter =
        known === undefined ||
        preemptions < known.preemptions ||
        (preemptions === known.preemptions && schedule.length < known.schedule.length);
      if (isBetter) this.failures.set(key, { violation, schedule: [...schedule], preemptions });
    }
  }

  /** Whether of those that can go on none ends anything: only caches may be dropped, and walks may go on. */
  protected isSettled(enabled: number): boolean {
    const { actors } = this.explored;
    for (let rest = enabled; rest !== 0; rest &= rest - 1) {
      const { kind } = actors[31 - Math.clz32(rest & -rest)]!;
      if (kind === 'interrupt' || kind === 'drain') return false;
    }
    return true;
  }

  /** Whether code goes on in place of other code that could: of those enabled, after `last`, an actor's step is next. */
  protected preempts(actor: number, last: number, enabled: number): boolean {
    return this.isCode(actor) && last >= 0 && last !== actor && (enabled & (1 << last)) !== 0;
  }

  /** Whether an actor's steps are those of a program. */
  protected isCode(actor: number): boolean {
    return (this.explored.code & (1 << actor)) !== 0;
  }

  /** Whether limits are reached; tells of progress now and then. */
  protected isOver(depth: number): boolean {
    if (this.truncated !== undefined) return true;
    const { maxStates = 5_000_000, maxMs, onProgress } = this.limits;
    if (this.states >= maxStates) this.truncated = `stopped at ${maxStates} states`;
    if (++this.#sinceLook < 4096) return this.truncated !== undefined;
    this.#sinceLook = 0;
    onProgress?.({ states: this.states, events: this.explored.events, depth });
    if (maxMs !== undefined && performance.now() - this.#started > maxMs) this.truncated = `stopped after ${maxMs} ms`;
    return this.truncated !== undefined;
  }

  /** Runs code for what is wanted, and goes on searching inside it; returns what is wanted next. */
  #runCode(want: Want): Want | undefined {
    let next: Want | undefined;
    let isUnwound = false;
    this.explored.programs.execute(want, (node) => {
      next = this.advance();
      // What is wanted next comes right here: no need to unwind.
      if (next !== undefined && next.actor === want.actor && next.node.parent === node) return next.node;
      isUnwound = true;
      return undefined;
    });
    return isUnwound ? next : this.advance();
  }

  #discover(want: Want): void {
    const { explored } = this;
    if (want.node.pending === 'unknown') explored.programs.execute(want, () => undefined);
    explored.beginDiscovered(want.actor);
    for (let more = explored.proceed(); more !== undefined; more = explored.proceed())
      explored.programs.execute(more, () => undefined);
    if (explored.violations.length > 0) this.noteFailures(explored.violations, [], 0);
  }
}

export const kindOf = ({ rule }: Violation): ErrorKind => RULES[rule].kind;
