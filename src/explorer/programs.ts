/**
 * The programs of an explored machine: what each CPU calls, and what its hardware walks; where each of them stands, as words
 * that can be taken back; and the one place where their code is executed.
 */
import { READ } from '../mmu/access.ts';
import type { Actor } from './actors.ts';
import { keepWalk } from './kept-walk.ts';
import { type LogNode, Logs } from './program.ts';
import { type AtEnd, ReplayObserver } from './replay-observer.ts';
import type { Scenario } from './scenario.ts';
import type { Space } from './state.ts';
import { hiOfPage, loOfPage, type World } from './world.ts';

/** A program whose next operation is not known: its code has to run. */
export interface Want {
  readonly actor: number;
  readonly node: LogNode;
}

interface Call {
  readonly name: string;
  readonly run: () => number;
  readonly irqsOff: boolean;
}

interface Program {
  readonly calls: readonly Call[];
  /** Of each call, the log in which nothing has happened yet. */
  readonly roots: readonly LogNode[];
  readonly usesIrqsOff: boolean;
}

/** Results that are kept for the end. */
const RESULTS = 12;
// Words of an actor.
const NODE = 0;
const CALL = 1;
const FIRST_RESULT = 2;
const WORDS = FIRST_RESULT + RESULTS;

export class Programs {
  readonly observer: ReplayObserver = new ReplayObserver();
  readonly logs: Logs = new Logs();
  readonly #world: World;
  readonly #actors: readonly Actor[];
  readonly #programs: readonly (Program | undefined)[];
  readonly #words: Space;

  constructor({ cpus, walks = [] }: Scenario, world: World, actors: readonly Actor[]) {
    this.#world = world;
    this.#actors = actors;
    this.#words = world.state.add(new Int32Array(actors.length * WORDS));
    this.#programs = actors.map(({ kind, cpu }) => {
      if (kind === 'cpu') {
        const mm = world.minds[cpu]!;
        const calls = (cpus[cpu] ?? []).map(({ name, run, irqsOff = false }) => ({
          name,
          irqsOff,
          run: () => run(mm) ?? 0,
        }));
        return this.#program(calls);
      }
      if (kind !== 'walker') return undefined;
      const { translator } = world.cpus[cpu]!;
      const calls = walks[cpu]!.map(({ page, access }) => ({
        name: `${access === READ ? 'read' : 'write'} page 0x${page.toString(16)}`,
        irqsOff: false,
        run: () => translator.translate(loOfPage(page), hiOfPage(page), access),
      }));
      return this.#program(calls);
    });
    for (const [actor, program] of this.#programs.entries())
      if (program !== undefined && program.roots.length > 0) this.#set(actor, NODE, program.roots[0]!.id);
  }

  /** The first call of each program: to be discovered before the first step. */
  firstWants(): Want[] {
    return this.#programs.flatMap((program, actor) =>
      program === undefined || program.roots.length === 0 ? [] : [{ actor, node: program.roots[0]! }],
    );
  }

  /** The log of the call that a program is in. */
  node(actor: number): LogNode {
    return this.logs.nodes[this.#word(actor, NODE)]!;
  }

  /** Whose log it is. */
  actorOf(node: LogNode): number {
    const root = rootOf(node);
    return this.#programs.findIndex((program) => program?.roots.includes(root));
  }

  /** Whether a program is within a call, and not between two. */
  isMidway(actor: number): boolean {
    return !this.isFinished(actor) && this.node(actor).parent !== undefined;
  }

  /** Whether no call is left. */
  isFinished(actor: number): boolean {
    const program = this.#programs[actor];
    return program === undefined || this.#word(actor, CALL) >= program.calls.length;
  }

  /** Whether the call in hand has switched interrupts off. */
  hasIrqsOff(actor: number): boolean {
    return this.isMidway(actor) && this.#programs[actor]!.calls[this.#word(actor, CALL)]!.irqsOff;
  }

  /** Whether some call switches interrupts off. */
  usesIrqsOff(actor: number): boolean {
    return this.#programs[actor]?.usesIrqsOff === true;
  }

  /** For people: the call in hand. */
  nameOf(actor: number): string {
    return this.#programs[actor]?.calls[this.#word(actor, CALL)]?.name ?? '';
  }

  /** A program's operation had an outcome. */
  goOn(actor: number, node: LogNode, value: number, frame: number): void {
    this.#set(actor, NODE, this.logs.after(node, value, frame).id);
  }

  /** A program's call has returned. */
  end(actor: number, result: number): void {
    const call = this.#word(actor, CALL);
    if (call < RESULTS) this.#set(actor, FIRST_RESULT + call, result);
    this.#set(actor, CALL, call + 1);
    this.#set(actor, NODE, this.#programs[actor]!.roots[call + 1]?.id ?? 0);
  }

  /** By CPU, what its calls returned. */
  results(): number[][] {
    return this.#programs.flatMap((program, actor) => {
      if (this.#actors[actor]!.kind !== 'cpu') return [];
      const first = actor * WORDS + FIRST_RESULT;
      return [[...this.#words.words.subarray(first, first + Math.min(RESULTS, program!.calls.length))]];
    });
  }

  /** Flags that the call in hand read last from an entry. */
  lastRead(actor: number, entry: number): number | undefined {
    if (this.isFinished(actor)) return undefined;
    for (let node = this.node(actor); node.parent !== undefined; node = node.parent)
      if (node.parent.operation === 'read' && node.parent.a === entry) return node.value;
    return undefined;
  }

  /** Runs a program's code against a log, up to the operation that is to be discovered. */
  execute({ actor, node }: Want, atEnd: AtEnd): void {
    const { cpu } = this.#actors[actor]!;
    const { observer } = this;
    const mind = this.#world.minds[cpu]!;
    const { translator } = this.#world.cpus[cpu]!;
    mind.abandon();
    mind.observer = observer;
    translator.observer = observer;
    translator.port.observer = observer;
    const { calls, roots } = this.#programs[actor]!;
    const { run } = calls[roots.indexOf(rootOf(node))]!;
    try {
      observer.run(node, run, atEnd, (operation) =>
        operation === 'tlbFill' ? keepWalk(translator.walker) : undefined,
      );
    } finally {
      mind.observer = null;
      translator.observer = null;
      translator.port.observer = null;
    }
  }

  #program(calls: readonly Call[]): Program {
    const usesIrqsOff = calls.some(({ irqsOff }) => irqsOff);
    return { calls, roots: calls.map(() => this.logs.add(undefined, 0, 0)), usesIrqsOff };
  }

  #word(actor: number, word: number): number {
    return this.#words.words[actor * WORDS + word]!;
  }

  #set(actor: number, word: number, value: number): void {
    this.#world.state.set(this.#words, actor * WORDS + word, value);
  }
}

function rootOf(node: LogNode): LogNode {
  let root = node;
  while (root.parent !== undefined) root = root.parent;
  return root;
}
