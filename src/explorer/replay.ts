/** Goes along given schedules, as often as asked, over one explored machine that is taken back in between. */
import type { Explored, Witness } from './explored.ts';
import type { Footprint } from './footprint.ts';
import type { Want } from './programs.ts';
import type { Violation } from './rules.ts';
import { Search } from './search.ts';

export interface Replayed {
  /** Actors, one a step, that really went; longer than asked for where it went on to the end. */
  readonly schedule: readonly number[];
  /** What each step touched. */
  readonly touched: readonly Footprint[];
  readonly violations: readonly Violation[];
  /** Preemptions of code by code. */
  readonly preemptions: number;
  /** The first step whose actor could not go; the replay ends there. */
  readonly stuckAt: number | undefined;
}

/** What to do when the schedule ends and nothing is wrong yet. */
export type Afterwards =
  /** Whoever went last goes on, then the next one, to the end; what is wrong there counts. */
  'go on' | 'stop';

export class Replayer extends Search {
  readonly #start: number;
  #asked: readonly number[] = [];
  #afterwards: Afterwards = 'stop';
  #schedule: number[] = [];
  #touched: Footprint[] = [];
  #violations: readonly Violation[] = [];
  #preemptions = 0;
  #stuckAt: number | undefined;
  #isStepping = false;
  #last = -1;

  constructor(explored: Explored) {
    super(explored, {});
    this.discoverFirst();
    this.#start = explored.world.state.mark;
  }

  /** @param witness  is told of each event */
  replay(schedule: readonly number[], afterwards: Afterwards, witness?: Witness): Replayed {
    const { explored } = this;
    explored.world.state.undo(this.#start);
    this.#asked = schedule;
    this.#afterwards = afterwards;
    this.#schedule = [];
    this.#touched = [];
    this.#violations = [];
    this.#preemptions = 0;
    this.#stuckAt = undefined;
    this.#isStepping = false;
    this.#last = -1;
    explored.witness = witness;
    this.runToEnd();
    explored.witness = undefined;
    return {
      schedule: this.#schedule,
      touched: this.#touched,
      violations: this.#violations,
      preemptions: this.#preemptions,
      stuckAt: this.#stuckAt,
    };
  }

  advance(): Want | undefined {
    const { explored } = this;
    for (;;) {
      if (this.#isStepping) {
        const want = explored.proceed();
        if (want !== undefined) return want;
        this.#isStepping = false;
        this.#touched.push(explored.touched);
        this.#violations = explored.violations;
        if (this.#violations.length > 0) return undefined;
      }
      const actor = this.#next();
      if (actor === undefined) return undefined;
      this.#schedule.push(actor);
      explored.begin(actor);
      this.#isStepping = true;
    }
  }

  #next(): number | undefined {
    const { explored } = this;
    const enabled = explored.enabled();
    const asked = this.#asked[this.#schedule.length];
    if (asked !== undefined && (enabled & (1 << asked)) === 0) {
      this.#stuckAt = this.#schedule.length;
      return undefined;
    }
    const actor = asked ?? (this.#afterwards === 'go on' ? this.#afterLast(enabled) : undefined);
    if (actor === undefined) {
      if (this.#afterwards === 'go on' || enabled === 0) this.#violations = explored.judgeEnd();
      return undefined;
    }
    if (this.preempts(actor, this.#last, enabled)) this.#preemptions += 1;
    if (this.isCode(actor)) this.#last = actor;
    return actor;
  }

  /** Code goes on where it was; interrupts and stores are not left waiting; hardware need not walk. */
  #afterLast(enabled: number): number | undefined {
    if (this.#last >= 0 && (enabled & (1 << this.#last)) !== 0) return this.#last;
    const { actors } = this.explored;
    for (const kind of ['cpu', 'interrupt', 'drain'] as const)
      for (const [actor, one] of actors.entries())
        if (one.kind === kind && (enabled & (1 << actor)) !== 0) return actor;
    // A walk in the middle may hold up an interrupt.
    const isHeldUp = !this.explored.hasEnded;
    for (const [actor, { kind }] of actors.entries())
      if (isHeldUp && kind === 'walker' && (enabled & (1 << actor)) !== 0) return actor;
    return undefined;
  }
}
