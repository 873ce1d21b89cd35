/**
 * Random schedules, for what is too large to see whole: uniform choices, or priorities with so many points where they
 * change (PCT), which finds a mistake of depth d among n actors and k steps in one run with probability 1/(n k^(d-1)).
 */
import type { Explored } from './explored.ts';
import type { Want } from './programs.ts';
import { type Limits, Search } from './search.ts';

export interface RandomOptions extends Limits {
  /** PCT by default: priorities with few changes; `uniform` draws each step. */
  readonly strategy?: 'pct' | 'uniform';
  /** 32 bits; the same seed gives the same schedules. */
  readonly seed?: number;
  /** How many schedules; default 1000. */
  readonly runs?: number;
  /** Of PCT: points where priorities change, plus 1; default 3. */
  readonly depth?: number;
  /** Runs `index`, `index` + `count`, ... only. */
  readonly shard?: { readonly index: number; readonly count: number };
}

/** Steps of a run at most: the search ends where one goes on longer, which is no schedule seen to its end. */
const MAX_STEPS = 100_000;

export class RandomSearch extends Search {
  runs = 0;
  readonly #options: Required<Pick<RandomOptions, 'strategy' | 'seed' | 'runs' | 'depth'>>;
  readonly #shard: { readonly index: number; readonly count: number };
  #start: number | undefined;
  #random = 1;
  #schedule: number[] = [];
  #preemptions = 0;
  #last = -1;
  #priorities: number[] = [];
  #changes: number[] = [];
  /** Steps of the longest run so far: where changes of priority may lie. */
  #length = 100;
  #isStepping = false;
  #isRunning = false;

  constructor(explored: Explored, options: RandomOptions = {}) {
    super(explored, options);
    const { strategy = 'pct', seed = 1, runs = 1000, depth = 3, shard = { index: 0, count: 1 } } = options;
    this.#options = { strategy, seed, runs, depth };
    this.#shard = shard;
    this.runs = shard.index;
  }

  advance(): Want | undefined {
    const { explored } = this;
    for (;;) {
      if (this.#isStepping) {
        const want = explored.proceed();
        if (want !== undefined) return want;
        this.#isStepping = false;
        this.states += 1;
        if (explored.violations.length > 0) {
          this.noteFailures(explored.violations, this.#schedule, this.#preemptions);
          this.#endRun();
        }
      }
      if (!this.#isRunning && !this.#beginRun()) return undefined;
      if (this.#schedule.length >= MAX_STEPS) {
        this.truncated = `a run of more than ${MAX_STEPS} steps`;
        return undefined;
      }
      const actor = this.#next(explored.enabled());
      if (actor === undefined) {
        const violations = explored.judgeEnd();
        if (violations.length > 0) this.noteFailures(violations, this.#schedule, this.#preemptions);
        this.ends += 1;
        this.#endRun();
        continue;
      }
      this.#schedule.push(actor);
      explored.begin(actor);
      this.#isStepping = true;
    }
  }

  #beginRun(): boolean {
    const { seed, runs, depth } = this.#options;
    if (this.runs >= runs || this.isOver(0)) return false;
    const { state } = this.explored.world;
    this.#start ??= state.mark;
    state.undo(this.#start);
    this.#random = (Math.imul(seed, 0x9e37_79b1) ^ Math.imul(this.runs + 1, 0x85eb_ca6b)) | 1;
    for (let warm = 0; warm < 4; warm++) this.#draw(2);
    this.#schedule = [];
    this.#preemptions = 0;
    this.#last = -1;
    this.#priorities = this.explored.actors.map(() => this.#draw(1 << 20) + depth);
    this.#changes = Array.from({ length: depth - 1 }, () => this.#draw(this.#length));
    this.#isRunning = true;
    return true;
  }

  #endRun(): void {
    this.#length = Math.max(this.#length, this.#schedule.length);
    this.runs += this.#shard.count;
    this.#isRunning = false;
  }

  /** Who goes next; undefined at the end. */
  #next(enabled: number): number | undefined {
    const { explored } = this;
    const step = this.#schedule.length;
    if (enabled === 0 || (explored.hasEnded && this.isSettled(enabled))) return undefined;
    const actor = this.#options.strategy === 'uniform' ? this.#uniform(enabled) : this.#byPriority(enabled, step);
    if (this.preempts(actor, this.#last, enabled)) this.#preemptions += 1;
    if (this.isCode(actor)) this.#last = actor;
    return actor;
  }

  #uniform(enabled: number): number {
    let nth = this.#draw(bitsOf(enabled));
    let rest = enabled;
    for (; nth > 0; nth--) rest &= rest - 1;
    return 31 - Math.clz32(rest & -rest);
  }

  #byPriority(enabled: number, step: number): number {
    let best = -1;
    for (let rest = enabled; rest !== 0; rest &= rest - 1) {
      const actor = 31 - Math.clz32(rest & -rest);
      if (best < 0 || this.#priorities[actor]! > this.#priorities[best]!) best = actor;
    }
    const change = this.#changes.indexOf(step);
    if (change >= 0) this.#priorities[best] = change;
    return best;
  }

  /** 0 to `below` - 1. From the high bits of a xorshift generator. */
  #draw(below: number): number {
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    return Math.floor(((Math.imul(this.#random, 0x2c1b_3c6d) >>> 0) / 2 ** 32) * below);
  }
}

function bitsOf(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
