/**
 * A word of memory that CPUs share. It lies in an entry of the root that maps nothing, so that what is done to it goes
 * through the seam like all else. Values are even: P stays 0. A scenario that uses one does not judge `owner-lock`.
 */
import type { XenMm } from '../../hypervisor/mm.ts';
import { ENTRIES } from '../../hypervisor/tables.ts';

/** L4 slots that Xen's layout leaves to guests. */
const FIRST_SLOT = 300;

export class SharedWord {
  readonly #slot: number;

  /** @param nth  which of them */
  constructor(nth: number) {
    this.#slot = FIRST_SLOT + nth;
  }

  load(mm: XenMm): number {
    return mm.tables.read(this.#entry(mm));
  }

  store(mm: XenMm, value: number): void {
    mm.tables.write(this.#entry(mm), 4, 0, value);
  }

  /** XCHG. Returns what was there. */
  exchange(mm: XenMm, value: number): number {
    return mm.tables.exchange(this.#entry(mm), 4, 0, value);
  }

  /** LOCK CMPXCHG. Whether it stored. */
  compareExchange(mm: XenMm, expected: number, value: number): boolean {
    return mm.cpu.translator.port.compareExchange(mm.root, this.#slot, 8, expected, 0, value);
  }

  #entry(mm: XenMm): number {
    return mm.root * ENTRIES + this.#slot;
  }
}
