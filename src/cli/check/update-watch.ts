/** Watches one CPU's mapping code through its seam: the order of what it does always, each step where they are wanted. */

import { entryHi, entryLo } from '../../mmu/entry.ts';
import type { Operation, SeamObserver } from '../../mmu/seam.ts';
import type { UpdateOrder } from './update-order.ts';
import type { UpdateSteps } from './update-steps.ts';

const ENTRIES = 512;

export class UpdateWatch implements SeamObserver {
  readonly value = 0;
  readonly frame = 0;
  /** Where steps go. */
  steps: UpdateSteps | undefined;
  readonly #order: UpdateOrder;
  // The operation under way; none contains another.
  #operation: Operation = 'read';
  #a = 0;
  #b = 0;
  #c = 0;

  constructor(order: UpdateOrder) {
    this.#order = order;
  }

  enter(operation: Operation, a: number, b: number, c: number, d: number): boolean {
    this.#operation = operation;
    if (operation === 'read') return false; // nine of ten
    this.#a = a;
    this.#b = b;
    this.#c = c;
    if (operation === 'write' || operation === 'publish') this.#write(operation, a, b, c);
    else if (operation === 'fill') this.#fill(a, b, c, d);
    else if (operation === 'writeRun') this.#order.changes(a);
    else if (operation === 'free') {
      this.#order.freed(a);
      this.steps?.free(a);
    }
    return false;
  }

  leave(value: number): void {
    const operation = this.#operation;
    if (operation === 'read' || operation === 'write') return;
    if (operation === 'writeRun' && value > 0) this.#writeRun(value);
    else if (operation === 'alloc' && value >= 0) {
      this.#order.allocated(value);
      this.steps?.allocate(value);
    } else if (operation === 'shootdown') {
      this.#order.flushed(this.#a, this.#b);
      this.steps?.flush(this.#a, this.#b);
    }
  }

  #write(operation: Operation, entry: number, frame: number, flags: number): void {
    if (operation === 'publish') this.#order.links(entry, frame);
    else this.#order.changes(entry);
    if (this.steps === undefined) return;
    this.steps.write(Math.floor(entry / ENTRIES), entry % ENTRIES, entryLo(frame, flags), entryHi(frame, flags));
  }

  /** Clearing a table is no step. */
  #fill(table: number, frame: number, flags: number, step: number): void {
    this.#order.filled(table);
    if (flags !== 0) this.steps?.writeRun(table, 0, entryLo(frame, flags), entryHi(frame, flags), ENTRIES, step * 4096);
  }

  /** Leaves where nothing was present, each of 4 KiB. */
  #writeRun(count: number): void {
    if (this.steps === undefined) return;
    const [entry, frame, flags] = [this.#a, this.#b, this.#c];
    const [lo, hi] = [entryLo(frame, flags), entryHi(frame, flags)];
    this.steps.writeRun(Math.floor(entry / ENTRIES), entry % ENTRIES, lo, hi, count, 4096);
  }
}
