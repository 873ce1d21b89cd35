/**
 * What freeing a table takes: a proof that nobody can reach it any more. There is no other way to free one.
 *
 * Proofs are numbers at run time, so that carrying one allocates nothing; the types keep them apart, and the heap checks
 * what the types cannot: that an allocation was really never published, that a flush began after the table was detached.
 */
import type { WordOperations } from '../mmu/word-operations.ts';
import { SHOOTDOWNS } from './control.ts';

declare const kind: unique symbol;

/** Comes with an allocation; lost when the table is published. */
export type NeverPublished = number & {
  /** Tells proofs apart; not there at run time. */
  readonly [kind]: 'never published';
};
/** The number of a shootdown that every online CPU has acknowledged. Only flush.ts makes one. */
export type Flushed = number & {
  /** Tells proofs apart; not there at run time. */
  readonly [kind]: 'flushed';
};
/** The number of a grace period that has ended: so has every operation that began before. Only grace.ts makes one. */
export type Retired = number & {
  /** Tells proofs apart; not there at run time. */
  readonly [kind]: 'retired';
};

/** What freeing a table takes: that nobody can reach it any more, and why. */
export type Proof = NeverPublished | Flushed | Retired;

/** Of every allocation until it is published. */
export const NEVER_PUBLISHED: NeverPublished = 0 as NeverPublished;

/** The number of a shootdown or grace period that begins now. Wraps, and leaves out the one that stands for neither. */
export function nextNumber(control: Int32Array, atomics: WordOperations = Atomics): number {
  const number = (atomics.add(control, SHOOTDOWNS, 1) + 1) | 0;
  return number === NEVER_PUBLISHED ? nextNumber(control, atomics) : number;
}
