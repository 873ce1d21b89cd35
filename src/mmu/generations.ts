/**
 * Flushes of any size in O(1): each entry carries the clock of its fill, each context the clock of its last flush.
 * Memory: 32 KiB.
 */

/** The context of entries that all PCIDs use. PCIDs are 0 to 4095. */
export const GLOBAL_CONTEXT: number = 4096;

/** When what was flushed: shared by the caches that one operation flushes together. */
export class Generations {
  #clock = 1;
  #allFlushed = 0; // all contexts but GLOBAL_CONTEXT
  readonly #flushed: Float64Array = new Float64Array(GLOBAL_CONTEXT + 1);

  /** The stamp of an entry filled now. A double: it does not wrap. */
  get now(): number {
    return this.#clock;
  }

  /** Clock of the last flush of a context: entries with a later stamp are live. */
  lastFlush(context: number): number {
    const own = this.#flushed[context]!;
    return own > this.#allFlushed || context === GLOBAL_CONTEXT ? own : this.#allFlushed;
  }

  /** Drops all entries of one context. */
  flush(context: number): void {
    this.#flushed[context] = this.#clock++;
  }

  /** Drops all entries of all PCIDs, keeping global ones. */
  flushNonGlobal(): void {
    this.#allFlushed = this.#clock++;
  }

  flushAll(): void {
    this.flushNonGlobal();
    this.flush(GLOBAL_CONTEXT);
  }
}
