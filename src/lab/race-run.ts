/** One schedule of a scenario, at any of its steps: forward, back, and wherever else somebody wants to go from there. */
import type { Variant } from '../explorer/declared.ts';
import { EventText } from '../explorer/event-text.ts';
import { Explored } from '../explorer/explored.ts';
import type { Splits } from '../explorer/ranges.ts';
import { Replayer } from '../explorer/replay.ts';
import { RULES, type Violation } from '../explorer/rules.ts';
import { parseSchedule, scheduleText } from '../explorer/schedule.ts';
import { type RaceState, stateOf } from './race-state.ts';

/** One event, in words. */
export interface LaneRow {
  /** From 1; events of one step have one number. */
  readonly step: number;
  readonly cpu: number;
  readonly actor: string;
  readonly text: string;
}

/** An actor that may go next, or why it may not. */
export interface Choice {
  readonly actor: number;
  readonly name: string;
  readonly what: string;
  readonly canGo: boolean;
}

/** Where a run stands. */
export interface Standing {
  readonly at: number;
  readonly state: RaceState;
  /** What was cached and linked one step before, for comparison. */
  readonly before: RaceState;
  readonly choices: readonly Choice[];
  /** What the oracle says of the last step, or of the end; rules and words. */
  readonly verdicts: readonly string[];
  readonly hasEnded: boolean;
}

export class RaceRun {
  readonly variant: Variant;
  /** What happened, over all of the schedule. */
  rows: readonly LaneRow[] = [];
  #steps: readonly number[] = [];
  readonly #splits: Splits;
  readonly #explored: Explored;
  readonly #replayer: Replayer;
  readonly #text: EventText;

  /** @throws ScheduleError  where the schedule is not one of this variant */
  constructor(variant: Variant, schedule?: string) {
    this.variant = variant;
    const { scenario } = variant;
    const parsed =
      schedule === undefined ? undefined : parseSchedule(scenario, new Explored(scenario).actors, schedule);
    this.#splits = parsed?.splits ?? new Map();
    this.#explored = new Explored(scenario, this.#splits);
    this.#replayer = new Replayer(this.#explored);
    const { world } = this.#explored;
    this.#text = new EventText(this.#explored.lives, (frame) => world.pageOf(frame));
    this.#take(parsed?.steps ?? []);
  }

  /** Steps of the schedule. */
  get length(): number {
    return this.#steps.length;
  }

  get cpus(): number {
    return this.#explored.world.count;
  }

  /** The schedule as text: what `pagewalk race --replay` takes. */
  get schedule(): string {
    return scheduleText(this.variant.scenario, this.#explored.actors, this.#splits, this.#steps);
  }

  /** Names of the actors, one a step. */
  get actors(): readonly string[] {
    return this.#steps.map((actor) => this.#explored.actors[actor]!.name);
  }

  /** Back to the beginning, where nothing has happened; operations stay split as they are. */
  clear(): void {
    this.#take([]);
  }

  /** Forgets what comes after step `at`, and lets an actor go instead. */
  choose(at: number, actor: number): void {
    this.#take([...this.#steps.slice(0, at), actor]);
  }

  /** From step `at` on, whoever went last goes on, then the next one, to the end. */
  runToEnd(at: number): void {
    this.#take(this.#replayer.replay(this.#steps.slice(0, at), 'go on').schedule);
  }

  /**
   * The turns of another run, as far as these actors can take them: who has to wait is passed over. Then on to the end.
   * @returns how many turns were passed over
   */
  follow(actors: readonly string[]): number {
    const steps: number[] = [];
    let passed = 0;
    for (const name of actors) {
      const actor = this.#explored.actors.findIndex((one) => one.name === name);
      const { violations } = this.#replayer.replay(steps, 'stop');
      if (violations.length > 0) break;
      if (actor >= 0 && (this.#explored.enabled() & (1 << actor)) !== 0) steps.push(actor);
      else passed += 1;
    }
    this.#take(this.#replayer.replay(steps, 'go on').schedule);
    return passed;
  }

  /** Goes to a step, 0 to `length`. */
  standAt(at: number): Standing {
    const explored = this.#explored;
    this.#replayer.replay(this.#steps.slice(0, Math.max(0, at - 1)), 'stop');
    const before = stateOf(explored);
    const { violations } = this.#replayer.replay(this.#steps.slice(0, at), 'stop');
    const isBroken = violations.length > 0;
    const state = stateOf(explored);
    const choices = isBroken ? [] : this.#choices();
    const { hasEnded } = explored;
    const isOver = isBroken || hasEnded || choices.every(({ canGo }) => !canGo);
    const said = isBroken || !isOver ? violations : explored.judgeEnd();
    return { at, state, before, choices, verdicts: said.map(verdictText), hasEnded: isOver };
  }

  #take(steps: readonly number[]): void {
    const rows: LaneRow[] = [];
    const explored = this.#explored;
    const start = explored.steps;
    const replayed = this.#replayer.replay(steps, 'stop', (event, actor, _node, value, frame) => {
      const { name } = explored.actors[actor]!;
      rows.push({
        step: explored.steps - start,
        cpu: event.cpu,
        actor: name,
        text: this.#text.of(event, value, frame),
      });
    });
    this.rows = rows;
    this.#steps = replayed.schedule;
  }

  #choices(): Choice[] {
    const { actors, programs } = this.#explored;
    const enabled = this.#explored.enabled();
    return actors.flatMap(({ kind, cpu, name }, actor): Choice[] => {
      const canGo = (enabled & (1 << actor)) !== 0;
      if (kind !== 'cpu' && kind !== 'walker') return canGo ? [{ actor, name, canGo, what: HARDWARE[kind](cpu) }] : [];
      if (programs.isFinished(actor)) return [];
      const { pending, operation } = programs.node(actor);
      const next = pending === 'operation' ? (OPERATIONS[operation] ?? operation) : 'goes on';
      const who = kind === 'cpu' ? `CPU ${cpu}` : `CPU ${cpu}’s hardware`;
      return [{ actor, name, canGo, what: `${who}, ${programs.nameOf(actor)}: ${canGo ? next : `waits: ${next}`}` }];
    });
  }
}

/** What hardware does without code. */
const HARDWARE = {
  interrupt: (cpu: number): string => `CPU ${cpu}: serves a request, or acknowledges it`,
  'evict-pages': (cpu: number): string => `CPU ${cpu}: its TLB drops everything for no reason`,
  'evict-tables': (cpu: number): string => `CPU ${cpu}: its structure caches drop everything for no reason`,
  drain: (cpu: number): string => `CPU ${cpu}: its oldest store becomes visible`,
} as const;

/** Operations of the seam that say little by name. */
const OPERATIONS: Readonly<Record<string, string>> = {
  read: 'reads an entry',
  write: 'writes an entry',
  publish: 'links a table',
  load: 'walks an entry',
  compareExchange: 'marks an entry',
  alloc: 'allocates a table',
  fill: 'fills a table',
  free: 'frees a table',
  detach: 'notes a table to be freed',
  lock: 'takes a lock',
  unlock: 'drops a lock',
  flush: 'flushes its own TLB',
  shootdown: 'begins a shootdown',
  request: 'asks other CPUs to flush',
  acknowledge: 'waits for acknowledgements',
  scan: 'scans a table',
  counters: 'looks at a table’s counters',
  systemState: 'looks at the system state',
  tlbFind: 'looks into the TLB',
  structuresFind: 'looks into the structure caches',
  tlbFill: 'fills the TLB',
  begin: 'begins to read tables',
  end: 'forgets what it read',
};

const verdictText = ({ rule, what }: Violation): string => `${RULES[rule].kind}: ${what} (rule: ${RULES[rule].text})`;
