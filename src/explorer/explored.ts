/**
 * A scenario that goes on one step at a time. A step is one event of one actor, and whatever follows in its code that no
 * other actor could tell from not having happened yet. Between steps, what comes next in each program is known.
 */
import { type Actor, actorsOf } from './actors.ts';
import { Effects } from './effects.ts';
import { EVERYTHING, endingIn, type Footprint, NOTHING } from './footprint.ts';
import { Interrupts } from './interrupts.ts';
import { ghostWords, type Lives } from './lives.ts';
import { isLocal } from './operation-footprint.ts';
import { Oracle } from './oracle.ts';
import type { LogNode } from './program.ts';
import { Programs, type Want } from './programs.ts';
import { conflictsIn, Ranges, type Splits } from './ranges.ts';
import type { RuleName, Violation } from './rules.ts';
import type { Scenario } from './scenario.ts';
import { Serial } from './serial.ts';
import { StoreBuffers } from './store-buffer.ts';
import { Turns } from './turns.ts';
import type { SeenEvent, Watched } from './watched.ts';
import { EVICTIONS, SERVING, UNACKNOWLEDGED, World } from './world.ts';

/** Told of each event, in a replay. */
export type Witness = (
  event: SeenEvent,
  actor: number,
  node: LogNode | undefined,
  value: number,
  frame: number,
) => void;

export class Explored {
  readonly scenario: Scenario;
  readonly world: World;
  readonly actors: readonly Actor[];
  readonly programs: Programs;
  /** Events that happened, since construction; and steps begun. */
  events = 0;
  steps = 0;
  /** Rules that the last step broke. */
  violations: Violation[] = [];
  /** What it touched. */
  touched: Footprint = EVERYTHING;
  witness: Witness | undefined;

  readonly #effects: Effects;
  readonly #interrupts: Interrupts;
  readonly #buffers: StoreBuffers | undefined;
  readonly #oracle: Oracle;
  readonly #turns: Turns;
  readonly #ranges: Ranges;
  readonly #serial: Serial;
  readonly #reuse: 'never' | 'hostile';
  /** Bits of the actors that are CPUs' code. */
  readonly code: number;
  #actor = 0;
  #isBegun = false;

  /** @param splits  where operations on whole tables are more than one event */
  constructor(scenario: Scenario, splits: Splits = new Map()) {
    const { hardware = {}, walks = [], plant } = scenario;
    const { evictions = 0, storeBuffers = false, reuse = 'never' } = hardware;
    this.scenario = scenario;
    const world = new World(scenario);
    this.world = world;
    this.#reuse = reuse;
    this.actors = actorsOf({
      cpus: world.count,
      hasWalks: (cpu) => (walks[cpu]?.length ?? 0) > 0,
      evicts: evictions > 0,
      buffersStores: storeBuffers,
    });
    this.code = (1 << world.count) - 1;
    this.programs = new Programs(scenario, world, this.actors);
    this.#effects = new Effects(world, reuse, plant);
    this.#interrupts = new Interrupts(world, plant);
    this.#buffers = storeBuffers ? new StoreBuffers(world.state, world.count) : undefined;
    this.#ranges = new Ranges(world, this.#effects, splits);
    this.#turns = new Turns(world, this.actors, this.programs, this.#effects, this.#buffers, this.#ranges, {
      reuse,
      plant,
    });
    this.#serial = new Serial(scenario, world);
    const pages = world.machine.memory.bytes.length / 4096;
    const ghost = world.state.add(new Int32Array(ghostWords(pages)));
    const kept = {
      pages,
      get: (index: number): number => ghost.words[index]!,
      set: (index: number, value: number): void => world.state.set(ghost, index, value),
    };
    this.#oracle = new Oracle(this.#watched(), kept, scenario.without);
  }

  /** The lives of frames as the oracle knows them. */
  get lives(): Lives {
    return this.#oracle.lives;
  }

  /** Bits of the actors that can go on. */
  enabled(): number {
    return this.#turns.enabled();
  }

  /** What the next step of an actor touches, as far as that is known before it. */
  footprint(actor: number): Footprint {
    return this.#turns.footprint(actor);
  }

  /** Whether every CPU's code has ended; hardware need not. */
  get hasEnded(): boolean {
    for (let cpu = 0; cpu < this.world.count; cpu++) if (!this.programs.isFinished(cpu)) return false;
    return true;
  }

  /** Begins a step of an actor that is enabled; `proceed` does it. */
  begin(actor: number): void {
    this.#actor = actor;
    this.steps += 1;
    this.#isBegun = false;
    this.violations = [];
  }

  /** Begins what follows the discovery of a program's first operation. */
  beginDiscovered(actor: number): void {
    this.begin(actor);
    this.#isBegun = true;
    this.touched = NOTHING;
  }

  /** Goes on with the step; returns what has to be discovered before it can be ended, undefined when it has ended. */
  proceed(): Want | undefined {
    const actor = this.#actor;
    const { kind, cpu } = this.actors[actor]!;
    if (kind === 'cpu' || kind === 'walker') return this.#proceedProgram(actor, cpu, kind);
    this.touched = this.footprint(actor);
    this.events += 1;
    const { world } = this;
    if (kind === 'interrupt') {
      this.#interrupts.goOn(cpu);
      this.#tell('hardware', cpu, world.wordOf(cpu, SERVING) !== 0 ? 'dropAll' : 'acknowledge');
    } else if (kind === 'drain') this.#drain(cpu);
    else {
      world.setWord(cpu, EVICTIONS, world.wordOf(cpu, EVICTIONS) - 1);
      this.#effects.evict(cpu, kind === 'evict-pages' ? 'pages' : 'tables');
      this.#tell('hardware', cpu, 'dropNonGlobal');
    }
    this.violations.push(...this.#oracle.take());
    return undefined;
  }

  /** What is wrong at the end: deadlocks where somebody has not ended, else what is lost or leaked. */
  judgeEnd(): Violation[] {
    if (!this.hasEnded) {
      const stuck = this.actors.flatMap(({ kind, cpu }, actor) =>
        kind === 'cpu' && !this.programs.isFinished(actor)
          ? [`CPU ${cpu} waits in ${this.programs.node(actor).operation}`]
          : [],
      );
      return [{ rule: 'goes-on', what: stuck.join(', '), by: 'nobody' }];
    }
    this.#oracle.atEnd();
    const lost = this.#isJudged('keeps-updates') ? this.#serial.wrongAtEnd() : [];
    const said = this.scenario.atEnd?.(this.world.hands[0]!, this.programs.results()) ?? [];
    return [
      ...this.#oracle.take(),
      ...lost.map((what): Violation => ({ rule: 'keeps-updates', what, by: 'nobody' })),
      ...said.map((what): Violation => ({ rule: 'as-declared', what, by: 'nobody' })),
    ];
  }

  #proceedProgram(actor: number, cpu: number, kind: 'cpu' | 'walker'): Want | undefined {
    for (;;) {
      const node = this.programs.node(actor);
      if (node.pending === 'unknown') return { actor, node };
      if (node.pending === 'thrown') {
        if (this.#isJudged('no-bug'))
          this.violations.push({
            rule: 'no-bug',
            what: withoutPrefix(node.message),
            by: kind === 'cpu' ? 'cpu' : 'hardware',
          });
        return undefined;
      }
      if (node.pending === 'end') {
        this.#end(actor, cpu, kind, node);
        if (this.programs.isFinished(actor)) return undefined;
        continue;
      }
      const local = isLocal(this.world, cpu, node, this.#reuse);
      if (this.#isBegun && !local) return undefined;
      if (!this.#isBegun) this.touched = this.#turns.ofOperation(cpu, kind, node);
      this.#isBegun = true;
      if (!this.#perform(actor, cpu, kind, node)) return undefined;
    }
  }

  /** One operation of a program; false where it broke a rule, after which nothing more is known. */
  #perform(actor: number, cpu: number, by: 'cpu' | 'walker', node: LogNode): boolean {
    const { operation, a, b, c, d } = node;
    const event: SeenEvent = { cpu, by: by === 'cpu' ? 'cpu' : 'hardware', operation, a, b, c, d };
    this.events += 1;
    const effects = this.#effects;
    if (this.#buffers !== undefined && by === 'cpu' && operation === 'write') {
      this.#buffers.push(cpu, node);
      this.programs.goOn(actor, node, 0, 0);
      this.witness?.(event, actor, node, 0, 0);
      return true;
    }
    this.#oracle.before(event);
    const broken = this.#oracle.take();
    if (broken.length > 0) {
      this.violations.push(...broken);
      this.witness?.(event, actor, node, 0, 0);
      return false;
    }
    if (by === 'cpu' && this.#ranges.doPiece(cpu, node)) {
      this.witness?.(event, actor, node, 0, 0);
      return true;
    }
    const forwarded = by === 'cpu' && operation === 'read' ? this.#buffers?.newestTo(cpu, a) : undefined;
    try {
      if (forwarded === undefined) this.#ranges.perform(cpu, node);
      else {
        effects.value = forwarded.flags;
        effects.frame = forwarded.frame;
      }
    } catch (failure) {
      if (!(failure instanceof Error) || !failure.message.startsWith('BUG: ')) throw failure;
      if (this.#isJudged('no-bug'))
        this.violations.push({ rule: 'no-bug', what: withoutPrefix(failure.message), by: event.by });
      this.witness?.(event, actor, node, 0, 0);
      return false;
    }
    const { value, frame } = effects;
    this.programs.goOn(actor, node, value, frame);
    this.witness?.(event, actor, node, value, frame);
    this.#oracle.after(event, value);
    this.violations.push(...this.#oracle.take());
    return this.violations.length === 0;
  }

  /** Where operations on whole tables must be split, by all that programs were seen to do. */
  conflicts(): Splits {
    return conflictsIn(
      this.programs.logs.nodes,
      (node) => this.programs.actorOf(node),
      (frame) => this.world.pageOf(frame),
    );
  }

  #end(actor: number, cpu: number, kind: 'cpu' | 'walker', node: LogNode): void {
    if (kind === 'cpu') {
      this.#oracle.ended(cpu);
      this.violations.push(...this.#oracle.take());
      this.touched = endingIn(this.touched);
    }
    this.programs.end(actor, node.result);
  }

  #drain(cpu: number): void {
    const { entry, frame, flags, level } = this.#buffers!.oldest(cpu);
    const event: SeenEvent = { cpu, by: 'cpu', operation: 'write', a: entry, b: frame, c: flags, d: level };
    this.#oracle.before(event);
    this.witness?.(event, this.#actor, undefined, 0, 0);
    if (this.violations.push(...this.#oracle.take()) > 0) return;
    this.#effects.store(cpu, entry, level, frame, flags);
    this.#buffers!.drop(cpu);
    this.#oracle.after(event, 0);
  }

  #isJudged(rule: RuleName): boolean {
    return this.scenario.without?.includes(rule) !== true;
  }

  #tell(by: 'cpu' | 'hardware', cpu: number, operation: SeenEvent['operation']): void {
    this.witness?.({ cpu, by, operation, a: 0, b: 0, c: 0, d: 0 }, this.#actor, undefined, 0, 0);
  }

  #watched(): Watched {
    const { world, scenario } = this;
    const { memory } = world.machine;
    return {
      words: memory.words,
      pageOf: (frame) => memory.pageOf(frame),
      root: world.root,
      cpus: world.count,
      locking: scenario.machine?.locking ?? 'l3',
      locksAreTaken: () => true,
      cachedBy: (cpu) => world.cached[cpu]!.entries,
      lastRead: (cpu, entry) => this.programs.lastRead(cpu, entry),
      isUnacknowledged: (cpu) => world.wordOf(cpu, UNACKNOWLEDGED) !== 0,
      isAllowed: this.#serial.isJudging ? (page, mapping) => this.#serial.isAllowed(page, mapping) : undefined,
      pages: scenario.pages ?? [],
    };
  }
}

const withoutPrefix = (message: string): string => message.replace(/^BUG: /, '');
