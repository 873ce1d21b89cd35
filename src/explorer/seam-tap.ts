/** Tells of each operation on one seam, before and after it, and lets all of them happen. */
import type { Operation, SeamObserver } from '../mmu/seam.ts';
import type { SeenEvent } from './watched.ts';

export interface TapListener {
  /** Before an operation. May throw, and then it does not happen. */
  before(event: SeenEvent): void;
  /** After it: its outcome. */
  after(event: SeenEvent, value: number): void;
}

/** An event that is used again for the next one. */
type ReusedEvent = { -readonly [Key in keyof SeenEvent]: SeenEvent[Key] };

export class SeamTap implements SeamObserver {
  readonly value = 0;
  readonly frame = 0;
  readonly #listener: TapListener;
  readonly #event: ReusedEvent;
  /** Operations on one seam do not contain one another, but one that throws has no end. */
  #isOpen = false;

  constructor(cpu: number, by: SeenEvent['by'], listener: TapListener) {
    this.#listener = listener;
    this.#event = { cpu, by, operation: 'read', a: 0, b: 0, c: 0, d: 0 };
  }

  enter(operation: Operation, a: number, b: number, c: number, d: number): boolean {
    const event = this.#event;
    event.operation = operation;
    event.a = a;
    event.b = b;
    event.c = c;
    event.d = d;
    this.#isOpen = false;
    this.#listener.before(event);
    this.#isOpen = true;
    return false;
  }

  leave(value: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#listener.after(this.#event, value);
  }
}
