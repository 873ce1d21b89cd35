/**
 * Where this mapping layer does better than Xen, one field each, and two presets. docs/xen-names.md, "Deviations", says
 * what each is good for.
 */

/** What protects the lower three levels of tables. docs/decisions/0008-lock-and-reverify.md compares. */
export type Locking =
  /** The lock of the L3 table, 512 GiB each: the fix of XSA-345. */
  | 'l3'
  /** One lock for everything. */
  | 'pgdir'
  /**
   * A lock per table, taken only to change an entry in it, with a second look at the entry; tables are read without any
   * and freed after a grace period. The alternative to the fix that its authors left for later.
   */
  | 'reverify'
  /** As before the fix: `map_pgdir_lock` for tables only. It races; for demonstrations. Implies the preset `xen`. */
  | 'none-prefix';

/** Where pagewalk may do better than Xen: a field a deviation. docs/xen-names.md has the reasons. Not in Xen. */
export interface Behaviour {
  /** How a coalescible or an empty table is noticed: 512 reads, or counters that each write of an entry keeps. */
  readonly detection: 'scan' | 'counters';
  /** Whether PAT moves between bit 7 and bit 12 when a page is split or coalesced. */
  readonly pat: 'verbatim' | 'moved';
  /** What a request without P writes: its frame and flags, or zero. */
  readonly absentEntries: 'verbatim' | 'zero';
  /** Whether unmapping a hole allocates the tables on the way to it, and looking up an address its L3 table. */
  readonly holes: 'allocate' | 'skip';
  /** Whether `modifyXenMappings` leaves an L2 empty that it reached through a hole. */
  readonly emptyL2: 'leak' | 'free';
  /** Whether a `modifyXenMappings` that fails flushes what it has changed. */
  readonly failedModify: 'unflushed' | 'flushed';
  /** Whether a split by `modifyXenMappings` is flushed before anything inside changes. */
  readonly modifySplit: 'unflushed' | 'flushed';
  /** One shootdown per replaced entry, or one per L3 table for all that no other flush must come between. */
  readonly flush: 'each' | 'gather';
  /** What coalesces: mappings with exactly the flags PAGE_HYPERVISOR, or any uniform ones. */
  readonly coalesce: 'hypervisor' | 'uniform';
  /** Whether `modifyXenMappings` coalesces what it made uniform. */
  readonly coalesceAfterModify: 'no' | 'yes';
  /** `strict`: requests that make no sense get -EINVAL and change nothing. */
  readonly requests: 'as-is' | 'strict';
  /** `rollback`: a request that runs out of tables changes nothing. */
  readonly onFailure: 'keep' | 'rollback';
}

/** Not in Xen: what it does, by name. */
export const XEN_BEHAVIOUR: Behaviour = {
  detection: 'scan',
  pat: 'verbatim',
  absentEntries: 'verbatim',
  holes: 'allocate',
  emptyL2: 'leak',
  failedModify: 'unflushed',
  modifySplit: 'unflushed',
  flush: 'each',
  coalesce: 'hypervisor',
  coalesceAfterModify: 'no',
  requests: 'as-is',
  onFailure: 'keep',
};

/** Not in Xen: the default here. */
export const PAGEWALK_BEHAVIOUR: Behaviour = {
  ...XEN_BEHAVIOUR,
  detection: 'counters',
  pat: 'moved',
  absentEntries: 'zero',
  holes: 'skip',
  emptyL2: 'free',
  failedModify: 'flushed',
  modifySplit: 'flushed',
  flush: 'gather',
};

// What is asked at each step, as bits: a comparison of strings takes 2 ns, and there were seven per call.
export const IS_STRICT: number = 1 << 0;
export const ROLLS_BACK: number = 1 << 1;
export const ALLOCATES_HOLES: number = 1 << 2;
export const FLUSHES_EACH: number = 1 << 3;
export const COALESCES_UNIFORM: number = 1 << 4;
export const MOVES_PAT: number = 1 << 5;

/** Not in Xen: the choices that are asked at each step, as bits. */
export const choicesOf = (behaviour: Behaviour): number =>
  (behaviour.requests === 'strict' ? IS_STRICT : 0) |
  (behaviour.onFailure === 'rollback' ? ROLLS_BACK : 0) |
  (behaviour.holes === 'allocate' ? ALLOCATES_HOLES : 0) |
  (behaviour.flush === 'each' ? FLUSHES_EACH : 0) |
  (behaviour.coalesce === 'uniform' ? COALESCES_UNIFORM : 0) |
  (behaviour.pat === 'moved' ? MOVES_PAT : 0);

/** The presets: all as Xen does it, or all better. Not in Xen. */
export type BehaviourName = 'xen' | 'pagewalk';

/** Not in Xen: presets of its deviations. */
export const BEHAVIOURS: Readonly<Record<BehaviourName, Behaviour>> = {
  xen: XEN_BEHAVIOUR,
  pagewalk: PAGEWALK_BEHAVIOUR,
};
