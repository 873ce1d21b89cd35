/**
 * Who watches, re-orders and replays what a CPU does to shared state: its walker (memory-port.ts), its TLB and structure
 * caches (cpu/translator.ts), and its mapping code (hypervisor: tables.ts, heap.ts, locks.ts, flush.ts, grace.ts). Each
 * operation asks its observer first, and tells it the outcome; without one, an operation costs one comparison more. An entry
 * is named by one number: its table's frame * entries of a table + its index.
 */

/** What the walker does. */
export type WalkerOperation =
  /** entry, its size in bytes; value and frame: its low and high half */
  | 'load'
  /** entry, low and high half expected, new low half; value: 1 where it was stored */
  | 'compareExchange';

/** What a CPU does to its own TLB and structure caches. Pages are addresses as (lo, hi). */
export type CacheOperation =
  /** lo, hi; value: -1, or level of the page + 4 * rights; frame: its first frame */
  | 'tlbFind'
  /** lo, hi; value: level of the deepest table known + 8 * rights; frame: that table's */
  | 'structuresFind'
  /** lo, hi, level and first frame of the page: a walk's end is kept, with the tables it went through */
  | 'tlbFill'
  /** lo, hi: INVLPG */
  | 'dropPage'
  /** lo, hi: what a hit that was denied drops, before the tables are asked */
  | 'dropTranslation'
  /** lo, hi: what a page fault drops */
  | 'dropFaulting'
  /** lo, hi, PCID: INVPCID of one address */
  | 'dropAddress'
  /** PCID: not global */
  | 'dropPcid'
  | 'dropNonGlobal'
  | 'dropAll';

/** What mapping code does. */
export type MappingOperation =
  /** entry; value: flags; frame */
  | 'read'
  /** entry, frame, flags, level */
  | 'write'
  /** entry, frame, flags, level; value and frame: what was there */
  | 'exchange'
  /** entry, frame, flags, level: links a table */
  | 'publish'
  /** table, first frame, flags, step: all 512 entries of a table that is not linked yet */
  | 'fill'
  /** entry, frame, flags, entries at most; value: entries written */
  | 'writeRun'
  /** table, level, flags; value: base frame or -1 */
  | 'scan'
  /** entry, level; value: 1 where its table may be one run */
  | 'counters'
  /** table, level; value: 1 where no entry is present */
  | 'scanEmpty'
  /** table, level, flags; value: traits of all leaves */
  | 'scanTraits'
  /** table, level, first index; value: index of the next entry that leads to a table, or -1; frame: of that table */
  | 'nextTable'
  /** value: frame or -1 */
  | 'alloc'
  /** frame: a table is no longer linked */
  | 'detach'
  /** frame, proof */
  | 'free'
  /** frame of the table, or LOCK_PGDIR; value: 0, or 1 where the table is stale and its lock not to be had */
  | 'lock'
  | 'unlock'
  /** table: gives its lock up for good; the table is stale */
  | 'retire'
  /** table: it stays when it becomes empty */
  | 'keep'
  /** table; value: 1 where it does */
  | 'isKept'
  /** page, flags: a shootdown begins; value: its number, which is the proof once it has ended */
  | 'shootdown'
  /** page, flags: drops on this CPU; value: the flags that other CPUs still have to see to */
  | 'flush'
  /** mask of CPUs, page, flags: asks them to drop; value: the number of the request */
  | 'request'
  /** mask of CPUs, number of the request: waits until all have done so */
  | 'acknowledge'
  /** mask of CPUs, page, flags: a hypervisor below drops on them, at once; value: 1 where it does */
  | 'assist'
  /** value: the TLB clock */
  | 'clock'
  /** mask of CPUs, time by the TLB clock; value: those that have not dropped everything since */
  | 'filter'
  /** an operation begins: until it ends, no table that it reads is freed */
  | 'begin'
  | 'end'
  /** value: the number of a grace period that begins */
  | 'graceBegin'
  /** number: waits until every operation that began before has ended */
  | 'graceEnd'
  /** which words, operand; value and frame: the outcome of a step of locked-words.ts */
  | 'step'
  /** value: the state */
  | 'systemState';

/** What CPUs do to state that outlives the operation: of a walker, of its caches, of mapping code. */
export type Operation = WalkerOperation | CacheOperation | MappingOperation;

/** Watches each operation on shared state; may delay it, refuse it, or answer from a log. */
export interface SeamObserver {
  /**
   * Before an operation. False: it happens now, and `leave` follows. True: it happened before, with the outcome `value` and
   * `frame`, and is not repeated. May throw, to unwind a CPU that is switched away from.
   */
  enter(operation: Operation, a: number, b: number, c: number, d: number): boolean;
  /** After an operation that happened: its outcome. */
  leave(value: number, frame: number): void;
  /** After `enter` returned true: the outcome, as the operation has it. */
  readonly value: number;
  /** The second half of that outcome, where there is one. */
  readonly frame: number;
}

/** One CPU's seam, or its walker's. */
export interface Seam {
  /** Told of each operation; null: nobody. */
  observer: SeamObserver | null;
}
