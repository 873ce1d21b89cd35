/**
 * Interrupts that serve requests, in two events: a CPU drops what it was asked to, then it acknowledges. Others go on in
 * between, and so does its hardware.
 */
import { putBack } from './cached.ts';
import type { Plant } from './scenario.ts';
import { OPERAND, SERVING, UNACKNOWLEDGED, type World } from './world.ts';

export class Interrupts {
  readonly #world: World;
  readonly #plant: Plant | undefined;

  constructor(world: World, plant: Plant | undefined) {
    this.#world = world;
    this.#plant = plant;
  }

  /** The next half of an interrupt of a CPU. */
  goOn(cpu: number): void {
    const { translator } = this.#world.cpus[cpu]!;
    // The CPU's code may be at an operation: it is not to be told of this.
    const watching = translator.observer;
    translator.observer = null;
    const isFirst = this.#world.wordOf(cpu, SERVING) === 0;
    const isLate = this.#plant === 'ack-before-flush';
    if (isFirst) this.#take(cpu, !isLate && this.#plant !== 'no-flush');
    else if (isLate) this.#dropAll(cpu);
    if (isFirst === isLate) this.#acknowledge(cpu);
    if (!isFirst) this.#world.setWord(cpu, SERVING, 0);
    translator.observer = watching;
  }

  /** Takes the requests to a CPU, and drops what they ask for. */
  #take(cpu: number, drops: boolean): void {
    const world = this.#world;
    const { mailboxes } = world.machine;
    world.setWord(cpu, SERVING, mailboxes.drop(cpu));
    world.state.settle(world.taken, 0, world.count);
    world.settleMailboxes();
    world.settleShared();
    if (drops) world.settleCaches(cpu);
    else putBack(world.cpus[cpu]!.translator, world.cached[cpu]!);
  }

  #dropAll(cpu: number): void {
    this.#world.cpus[cpu]!.translator.dropAll();
    this.#world.settleCaches(cpu);
  }

  #acknowledge(cpu: number): void {
    const world = this.#world;
    const senders = world.wordOf(cpu, SERVING);
    world.machine.mailboxes.acknowledge(cpu, senders);
    for (let sender = 0; sender < world.count; sender++) {
      if ((senders & (1 << sender)) === 0) continue;
      const left = world.wordOf(sender, UNACKNOWLEDGED) & ~(1 << cpu);
      world.setWord(sender, UNACKNOWLEDGED, left);
      if (left !== 0) continue;
      world.setWord(sender, OPERAND, 0);
      world.setWord(sender, OPERAND + 1, 0);
    }
    world.settleMailboxes();
  }
}
