/**
 * Flushes of any size in O(1). The time between two flushes of a context is a generation of it, and each generation of each
 * context has a number of its own: an entry that carries the present number of its context is live, by one comparison.
 * Memory: 16 KiB.
 */

/** The context of entries that all PCIDs use. PCIDs are 0 to 4095. */
export const GLOBAL_CONTEXT: number = 4096;

/** Numbers stay below 2^31; those kept back are for contexts that were not asked about since the last flush. */
const LAST = 0x7fff_ffff - 2 * GLOBAL_CONTEXT;

/** Which generation each context is in: shared by the caches that one operation flushes together. */
export class Generations {
  readonly #numbers: Int32Array = new Int32Array(GLOBAL_CONTEXT + 1);
  /** The number given last. */
  #last = 0;
  /** Numbers up to this one are over, except that of GLOBAL_CONTEXT. */
  #over = 0;
  readonly #empty: (() => void)[] = [];
  readonly #limit: number;

  /** @param limit  number from which on they begin anew; smaller in tests */
  constructor(limit: number = LAST) {
    this.#limit = limit;
    this.#begin(GLOBAL_CONTEXT);
  }

  /** Is called when numbers begin anew, perhaps once in 2^31 flushes: no entry may be left. */
  subscribe(empty: () => void): void {
    this.#empty.push(empty);
  }

  /** The number of a context's generation, 1 to 2^31 - 1; entries filled now carry it. */
  of(context: number): number {
    const number = this.#numbers[context]!;
    return number > this.#over || context === GLOBAL_CONTEXT ? number : this.#begin(context);
  }

  /** Whether a number is still that of its context. */
  isPresent(number: number, context: number): boolean {
    return number === this.#numbers[context] && (number > this.#over || context === GLOBAL_CONTEXT);
  }

  /** Drops all entries of one context. */
  flush(context: number): void {
    if (this.#last >= this.#limit) this.#beginAnew();
    this.#begin(context);
  }

  /** Drops all entries of all PCIDs, keeping global ones. */
  flushNonGlobal(): void {
    if (this.#last >= this.#limit) this.#beginAnew();
    this.#over = this.#last;
  }

  flushAll(): void {
    this.flushNonGlobal();
    this.flush(GLOBAL_CONTEXT);
  }

  /** Low bits of 0 are for entries that were dropped. */
  #begin(context: number): number {
    this.#last += (this.#last & 0xfff) === 0xfff ? 2 : 1;
    this.#numbers[context] = this.#last;
    return this.#last;
  }

  #beginAnew(): void {
    for (const empty of this.#empty) empty();
    this.#numbers.fill(0);
    this.#last = 0;
    this.#over = 0;
    this.#begin(GLOBAL_CONTEXT);
  }
}
