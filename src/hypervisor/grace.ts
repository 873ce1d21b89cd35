/**
 * Grace periods: a table that was unlinked is freed when every operation that may still hold a pointer to it has ended, so
 * that reading tables without a lock is safe.
 *
 * An operation writes down the number of the last shootdown or grace period before it reads, and clears it when it ends. A
 * grace period takes the next number, and is over when no CPU is inside an operation with a lower one. Whoever waits for
 * it has ended its own operation: two CPUs that wait at once do not wait for each other. Nor does anybody wait for a CPU
 * that is parked or offline.
 * Not in Xen, whose tables are freed under the lock that their readers take.
 */
import { type Mailboxes, RUNNING } from '../cpu/mailboxes.ts';
import type { Seam } from '../mmu/seam.ts';
import { INSIDE, ofCpu, SHOOTDOWNS } from './control.ts';
import { nextNumber, type Retired } from './proof.ts';

export class Grace {
  readonly #control: Int32Array;
  readonly #cpu: number;
  readonly #seam: Seam;
  readonly #mailboxes: Mailboxes;

  constructor(control: Int32Array, cpu: number, seam: Seam, mailboxes: Mailboxes) {
    this.#control = control;
    this.#cpu = cpu;
    this.#seam = seam;
    this.#mailboxes = mailboxes;
    Atomics.store(control, ofCpu(cpu, INSIDE), 0); // whoever ran this CPU before may have died inside
  }

  /** An operation begins: no table that it reads from now on is freed before it ends. */
  enter(): void {
    const { observer } = this.#seam;
    if (observer?.enter('begin', 0, 0, 0, 0)) return;
    const last = Atomics.load(this.#control, SHOOTDOWNS);
    // 0 means outside; -1 comes before it, so that at worst somebody waits for longer.
    Atomics.store(this.#control, ofCpu(this.#cpu, INSIDE), last === 0 ? -1 : last);
    observer?.leave(0, 0);
  }

  /** It ends: whatever it read is forgotten. */
  leave(): void {
    const { observer } = this.#seam;
    if (observer?.enter('end', 0, 0, 0, 0)) return;
    Atomics.store(this.#control, ofCpu(this.#cpu, INSIDE), 0);
    this.#mailboxes.ringSleepers();
    observer?.leave(0, 0);
  }

  /** Waits until every operation of another CPU that has begun has ended. To be called outside, with no lock held. */
  period(): Retired {
    const number = this.#begin();
    const { observer } = this.#seam;
    if (observer?.enter('graceEnd', number, 0, 0, 0)) return number;
    if (!this.isOver(number))
      this.#mailboxes.waitUntil(this.#cpu, 'the end of all operations that read tables', () => this.isOver(number));
    observer?.leave(0, 0);
    return number;
  }

  /** Whether no other CPU is inside an operation that began before a grace period. */
  isOver(number: number): boolean {
    for (let cpu = 0; cpu < this.#mailboxes.count; cpu++) {
      const entered = Atomics.load(this.#control, ofCpu(cpu, INSIDE));
      const isBefore = entered !== 0 && ((entered - number) | 0) < 0;
      if (isBefore && cpu !== this.#cpu && this.#mailboxes.stateOf(cpu) === RUNNING) return false;
    }
    return true;
  }

  #begin(): Retired {
    const { observer } = this.#seam;
    if (observer?.enter('graceBegin', 0, 0, 0, 0)) return observer.value as Retired;
    const number = nextNumber(this.#control) as Retired;
    observer?.leave(number, 0);
    return number;
  }
}
