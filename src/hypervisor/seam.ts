/**
 * Who watches, re-orders and replays what a CPU's mapping code does to shared state. Each operation of the seam (tables.ts,
 * heap.ts, locks.ts, flush.ts) asks its observer first, and tells it the outcome; without one, an operation costs one
 * comparison more.
 */

export type Operation =
  /** entry */
  | 'read'
  /** entry, frame, flags */
  | 'write'
  /** entry, frame, flags: links a table */
  | 'publish'
  /** table, first frame, flags, step: all 512 entries of a table that is not linked yet */
  | 'fill'
  /** entry, frame, flags, entries at most; value: entries written */
  | 'writeRun'
  /** table, level; value: base frame or -1 */
  | 'scan'
  /** entry, level; value: 1 where its table may be one run */
  | 'counters'
  /** table; value: 1 where no entry is present */
  | 'scanEmpty'
  /** table, flags; value: traits of all entries */
  | 'scanTraits'
  /** value: frame or -1 */
  | 'alloc'
  /** frame: a table is no longer linked */
  | 'detach'
  /** frame, proof */
  | 'free'
  /** frame of the table, or LOCK_PGDIR */
  | 'lock'
  | 'unlock'
  /** page, flags; value: the proof */
  | 'shootdown'
  /** which words, operand; value and frame: the outcome of a step of locked-words.ts */
  | 'step'
  /** value: the state */
  | 'systemState';

export interface SeamObserver {
  /**
   * Before an operation. False: it happens now, and `leave` follows. True: it happened before, with the outcome `value` and
   * `frame`, and is not repeated. May throw, to unwind a CPU that is switched away from.
   */
  enter(operation: Operation, a: number, b: number, c: number, d: number): boolean;
  /** After an operation that happened: its outcome. */
  leave(value: number, frame: number): void;
  readonly value: number;
  readonly frame: number;
}

/** One CPU's seam. */
export interface Seam {
  observer: SeamObserver | null;
}
