/**
 * Every schedule, depth first: exhaustively, with states that were met before left out and sleep sets; or with at most so
 * many preemptions, with states left out that were met with as few.
 *
 * Sleep sets (Godefroid): after an actor's step was explored from a state, it sleeps in the schedules that begin with
 * another actor's, as long as what happens there commutes with it. With a state goes the sleep set it was met with: met
 * again, only what slept then and does not now is explored. With a bound on preemptions they would lose schedules, since
 * the equivalent schedule that is explored instead may have more preemptions; so they are never combined.
 */
import type { Explored } from './explored.ts';
import { conflict } from './footprint.ts';
import type { Want } from './programs.ts';
import { type Limits, Search } from './search.ts';
import { mixA, mixB } from './state.ts';
import { Visited } from './visited.ts';

export interface DepthFirstOptions extends Limits {
  /** Preemptions at most; undefined: any number. */
  readonly preemptions?: number;
  /** `off`: neither states nor sleep sets leave anything out. For tests of both. */
  readonly reductions?: 'on' | 'off';
  /** Explores the part `index` of `count` parts of the schedules, split by how they begin. */
  readonly shard?: { readonly index: number; readonly count: number };
}

/** Steps by which schedules are split into parts. */
const SHARD_DEPTH = 6;

/** A state on the way, and what is still to be tried from it. */
interface Branch {
  mark: number;
  todo: number;
  done: number;
  sleep: number;
  /** Who went last, and preemptions so far. */
  last: number;
  preemptions: number;
  enabled: number;
}

export class DepthFirst extends Search {
  readonly #bound: number | undefined;
  readonly #reduces: boolean;
  readonly #shard: DepthFirstOptions['shard'];
  readonly #visited = new Visited();
  readonly #branches: Branch[] = [];
  readonly #schedule: number[] = [];
  #phase: 'arrived' | 'choose' | 'stepping' = 'arrived';
  // Of the state that the step in hand leads to.
  #sleep = 0;
  #last = -1;
  #preemptions = 0;
  #leaves = 0;

  constructor(explored: Explored, options: DepthFirstOptions = {}) {
    super(explored, options);
    this.#bound = options.preemptions;
    this.#reduces = options.reductions !== 'off';
    this.#shard = options.shard;
  }

  advance(): Want | undefined {
    const { explored } = this;
    for (;;) {
      if (this.#phase === 'stepping') {
        const want = explored.proceed();
        if (want !== undefined) return want;
        this.#stepped();
      }
      if (this.#phase === 'arrived') this.#arrive();
      if (!this.#choose()) return undefined;
    }
  }

  #stepped(): void {
    const { explored } = this;
    if (explored.violations.length > 0) {
      this.noteFailures(explored.violations, this.#schedule, this.#preemptions);
      this.#phase = 'choose';
      return;
    }
    this.#sleep = this.#bound === undefined && this.#reduces ? this.#stillAsleep() : 0;
    this.#phase = 'arrived';
  }

  /** Of those that slept before the step, who commutes with it. */
  #stillAsleep(): number {
    const { explored } = this;
    let asleep = 0;
    for (let rest = this.#sleep; rest !== 0; rest &= rest - 1) {
      const actor = 31 - Math.clz32(rest & -rest);
      if (!conflict(explored.touched, explored.footprint(actor))) asleep |= 1 << actor;
    }
    return asleep;
  }

  /** In a state: what is to be tried from it, if it was not met before. */
  #arrive(): void {
    this.#phase = 'choose';
    const { explored } = this;
    const enabled = explored.enabled();
    const sleep = this.#sleep;
    let todo = this.#bound === undefined ? enabled & ~sleep : this.#withinBound(enabled);
    // The beginnings of schedules are the same in every part: what one part has met there must not change its others.
    const depth = this.#schedule.length;
    if (this.#shard !== undefined && depth === SHARD_DEPTH && !this.#isMine(this.#shard)) return;
    const remembers = this.#reduces && (this.#shard === undefined || depth >= SHARD_DEPTH);
    if (remembers) todo = this.#bound === undefined ? this.#notMet(todo, sleep) : this.#notMetWithin(todo);
    else this.states += 1;
    if (todo === -1) return;
    if (this.#isEnd(enabled)) this.#judgeEnd();
    if (todo === 0 || this.isOver(this.#schedule.length)) return;
    const { mark } = explored.world.state;
    const { last, preemptions } = { last: this.#last, preemptions: this.#preemptions };
    this.#branches.push({ mark, todo, done: 0, sleep, last, preemptions, enabled });
  }

  /** Whether nothing that could go on would change what the end is judged by; judged once, when that begins to be so. */
  #isEnd(enabled: number): boolean {
    const { explored } = this;
    if (enabled === 0) return true;
    if (!explored.hasEnded || !this.isSettled(enabled)) return false;
    const last = explored.actors[this.#schedule.at(-1) ?? 0]!.kind;
    return last === 'cpu' || last === 'interrupt' || last === 'drain';
  }

  #judgeEnd(): void {
    this.ends += 1;
    const violations = this.explored.judgeEnd();
    if (violations.length > 0) this.noteFailures(violations, this.#schedule, this.#preemptions);
  }

  /** What is left to do from a state, by the sleep sets that it was met with; -1 where nothing new is. */
  #notMet(todo: number, sleep: number): number {
    const { hashA, hashB } = this.explored.world.state;
    const met = this.#visited.get(hashA, hashB);
    if (met < 0) {
      this.#visited.set(hashA, hashB, sleep);
      this.states += 1;
      return todo;
    }
    const fresh = met & ~sleep & todo;
    if ((met & ~sleep) === 0) return -1;
    this.#visited.set(hashA, hashB, met & sleep);
    return fresh === 0 ? -1 : fresh;
  }

  #notMetWithin(todo: number): number {
    const { hashA, hashB } = this.explored.world.state;
    const a = hashA ^ mixA(-7, this.#last);
    const b = hashB ^ mixB(-7, this.#last);
    const met = this.#visited.get(a, b);
    if (met >= 0 && met <= this.#preemptions) return -1;
    if (met < 0) this.states += 1;
    this.#visited.set(a, b, this.#preemptions);
    return todo;
  }

  /** Switching away from code that could go on costs one preemption; what has no code costs none. */
  #withinBound(enabled: number): number {
    const last = this.#last;
    const isFree = last < 0 || (enabled & (1 << last)) === 0;
    if (isFree || this.#preemptions < this.#bound!) return enabled;
    return enabled & (~this.explored.code | (1 << last));
  }

  /** Begins the next step; false where the search is over. */
  #choose(): boolean {
    const { explored } = this;
    for (;;) {
      const branch = this.#branches.at(-1);
      if (branch === undefined || this.truncated !== undefined) return false;
      if (branch.todo === 0) {
        this.#branches.pop();
        continue;
      }
      const actor = next(branch);
      const bit = 1 << actor;
      branch.todo &= ~bit;
      explored.world.state.undo(branch.mark);
      this.#schedule.length = this.#branches.length - 1;
      this.#schedule.push(actor);
      this.#sleep = branch.sleep | branch.done;
      branch.done |= bit;
      const { last, enabled } = branch;
      this.#preemptions = branch.preemptions + (this.preempts(actor, last, enabled) ? 1 : 0);
      this.#last = this.isCode(actor) ? actor : last;
      explored.begin(actor);
      this.#phase = 'stepping';
      return true;
    }
  }

  #isMine({ index, count }: NonNullable<DepthFirstOptions['shard']>): boolean {
    this.#leaves += 1;
    return this.#leaves % count === index % count;
  }
}

/** Whoever went last goes on first: its code is at hand. */
function next({ todo, last }: Branch): number {
  if (last >= 0 && (todo & (1 << last)) !== 0) return last;
  return 31 - Math.clz32(todo & -todo);
}
