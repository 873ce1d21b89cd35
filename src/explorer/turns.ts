/** Which actors can go on in a state, and what their next step touches. */
import { ENTRIES } from '../hypervisor/tables.ts';
import type { Actor } from './actors.ts';
import type { Effects } from './effects.ts';
import {
  ALL,
  acknowledgementsTo,
  bufferOf,
  cachesOf,
  clockOf,
  EVERYTHING,
  endingIn,
  entriesOf,
  type Footprint,
  footprint,
  irqsOf,
  lifeOf,
  linkOf,
  requestsTo,
} from './footprint.ts';
import { footprintOf, isLocal, withUnlinked } from './operation-footprint.ts';
import type { LogNode } from './program.ts';
import type { Programs } from './programs.ts';
import type { Ranges } from './ranges.ts';
import type { Plant } from './scenario.ts';
import type { StoreBuffers } from './store-buffer.ts';
import { EVICTIONS, NOT_QUIET, SERVING, UNACKNOWLEDGED, type World } from './world.ts';

export class Turns {
  readonly #world: World;
  readonly #actors: readonly Actor[];
  readonly #programs: Programs;
  readonly #effects: Effects;
  readonly #buffers: StoreBuffers | undefined;
  readonly #ranges: Ranges;
  readonly #reuse: 'never' | 'hostile';
  readonly #plant: Plant | undefined;
  /** By CPU, the actor that walks for it; -1 where none does. */
  readonly #walkers: readonly number[];
  /** By interrupt: what it touches. */
  readonly #interrupts: readonly Footprint[];

  constructor(
    world: World,
    actors: readonly Actor[],
    programs: Programs,
    effects: Effects,
    buffers: StoreBuffers | undefined,
    ranges: Ranges,
    { reuse, plant }: { readonly reuse: 'never' | 'hostile'; readonly plant: Plant | undefined },
  ) {
    this.#world = world;
    this.#actors = actors;
    this.#programs = programs;
    this.#effects = effects;
    this.#buffers = buffers;
    this.#ranges = ranges;
    this.#reuse = reuse;
    this.#plant = plant;
    this.#walkers = world.cpus.map((_, cpu) =>
      actors.findIndex((actor) => actor.kind === 'walker' && actor.cpu === cpu),
    );
    const senders = world.cpus.flatMap((_, sender) => [acknowledgementsTo(sender), ALL, 1]);
    const clock = world.usesClock ? [clockOf(), ALL, 1] : [];
    this.#interrupts = world.cpus.map((_, cpu) =>
      footprint(
        requestsTo(cpu),
        ALL,
        1,
        cachesOf(cpu),
        ALL,
        1,
        bufferOf(cpu),
        ALL,
        0,
        irqsOf(cpu),
        ALL,
        0,
        ...senders,
        ...clock,
      ),
    );
  }

  /** Bits of the actors that can go on. */
  enabled(): number {
    let mask = 0;
    for (let actor = 0; actor < this.#actors.length; actor++) if (this.#isEnabled(actor)) mask |= 1 << actor;
    return mask;
  }

  /** What the next step of an actor touches, as far as that is known before it. */
  footprint(actor: number): Footprint {
    const { kind, cpu } = this.#actors[actor]!;
    switch (kind) {
      case 'cpu':
      case 'walker': {
        const node = this.#programs.node(actor);
        const own = this.ofOperation(cpu, kind, node);
        return kind === 'cpu' && this.#mayEnd(cpu, node) ? endingIn(own) : own;
      }
      case 'interrupt':
        return this.#interrupts[cpu]!;
      case 'drain': {
        const { entry, level } = this.#buffers!.oldest(cpu);
        const page = this.#world.pageOf(Math.floor(entry / ENTRIES));
        const about = [entriesOf(page), entry % ENTRIES, 1, lifeOf(page), ALL, 0, linkOf(page), ALL, 0];
        return withUnlinked(this.#world, footprint(bufferOf(cpu), ALL, 1, ...about), entry, level);
      }
      default:
        return footprint(cachesOf(cpu), ALL, 1);
    }
  }

  /** What an operation of a program touches. */
  ofOperation(cpu: number, kind: 'cpu' | 'walker', node: LogNode): Footprint {
    const piece = kind === 'cpu' ? this.#ranges.pieceFootprint(cpu, node) : undefined;
    const own = piece ?? footprintOf(this.#world, cpu, node, this.#reuse);
    if (kind === 'walker') return own;
    // Whoever holds a lock that is not really taken is whoever took it last.
    if (this.#plant === 'no-lock' && (node.operation === 'lock' || node.operation === 'unlock')) return EVERYTHING;
    const irqs = this.#programs.usesIrqsOff(cpu) ? [irqsOf(cpu), ALL, 1] : [];
    const buffer = this.#buffers === undefined ? [] : [bufferOf(cpu), ALL, 0];
    if (irqs.length + buffer.length === 0) return own;
    if (buffer.length > 0 && node.operation === 'write') return footprint(bufferOf(cpu), ALL, 1, ...irqs);
    return { ...own, touched: Int32Array.of(...own.touched, ...buffer, ...irqs) };
  }

  /** Whether a step that begins with an operation may end its call, as far as it has been seen to. */
  #mayEnd(cpu: number, node: LogNode): boolean {
    if (node.mayEnd) return true;
    for (const child of node.children)
      if (child.pending === 'operation' && isLocal(this.#world, cpu, child, this.#reuse) && this.#mayEnd(cpu, child))
        return true;
    return false;
  }

  #isEnabled(actor: number): boolean {
    const { kind, cpu } = this.#actors[actor]!;
    const world = this.#world;
    switch (kind) {
      case 'cpu':
      case 'walker':
        return !this.#programs.isFinished(actor) && this.#canGoOn(cpu, kind, this.#programs.node(actor));
      case 'interrupt':
        // What drops translations is serializing: the interrupted code's stores are done before it, and so before the
        // acknowledgement.
        if (this.#buffers !== undefined && this.#buffers.count(cpu) > 0) return false;
        if (world.wordOf(cpu, SERVING) !== 0) return true;
        return world.machine.mailboxes.isAsked(cpu) && !this.#programs.hasIrqsOff(cpu) && !this.#isWalking(cpu);
      case 'drain':
        return this.#buffers!.count(cpu) > 0;
      default: {
        if (world.wordOf(cpu, EVICTIONS) === 0) return false;
        const evicted = kind === 'evict-pages' ? 'page' : 'table';
        return world.cached[cpu]!.entries.some((entry) => entry.kind === evicted);
      }
    }
  }

  #canGoOn(cpu: number, kind: 'cpu' | 'walker', node: LogNode): boolean {
    if (node.pending !== 'operation') return true;
    if (this.#buffers !== undefined && kind === 'cpu' && !this.#canBuffer(cpu, node)) return false;
    const world = this.#world;
    switch (node.operation) {
      case 'lock':
        return this.#plant === 'no-lock' || this.#effects.isLockFree(node.a);
      case 'acknowledge':
        return this.#plant === 'no-ack' || (world.wordOf(cpu, UNACKNOWLEDGED) & node.a) === 0;
      case 'graceEnd':
        return world.wordOf(cpu, NOT_QUIET) === 0;
      case 'assist':
        return world.cpus.every((_, other) => (node.a & (1 << other)) === 0 || !this.#isWalking(other));
      case 'flush':
      case 'dropPage':
      case 'dropAddress':
      case 'dropPcid':
      case 'dropNonGlobal':
      case 'dropAll':
        return !this.#isWalking(cpu);
      default:
        return true;
    }
  }

  /** Plain stores and loads go on with stores under way; everything else waits until they are done. */
  #canBuffer(cpu: number, node: LogNode): boolean {
    switch (node.operation) {
      case 'write':
        return !this.#buffers!.isFull(cpu);
      case 'read':
      case 'load':
      case 'compareExchange':
      case 'tlbFind':
      case 'tlbFill':
      case 'dropFaulting':
      case 'dropTranslation':
        return true;
      default:
        return isLocal(this.#world, cpu, node, this.#reuse) || this.#buffers!.count(cpu) === 0;
    }
  }

  /** Whether a CPU's hardware is in the middle of a walk, for itself or its code: what drops translations waits for its end. */
  #isWalking(cpu: number): boolean {
    const walker = this.#walkers[cpu]!;
    const code = !this.#programs.isFinished(cpu) && isWithinWalk(this.#programs.node(cpu));
    return code || (walker >= 0 && this.#programs.isMidway(walker));
  }
}

/** Whether an operation goes on with a walk: the instruction that it is for has not ended. */
function isWithinWalk({ pending, operation, parent }: LogNode): boolean {
  if (pending !== 'operation') return false;
  switch (operation) {
    case 'load':
    case 'tlbFill':
    case 'dropFaulting':
    case 'dropTranslation':
      return true;
    case 'compareExchange': // of A and D; by itself, it is a locked instruction of the code
      return parent?.operation === 'load' || (parent?.operation === 'compareExchange' && isWithinWalk(parent));
    default:
      return false;
  }
}
