/**
 * What freeing a table takes: a proof that nobody can reach it any more. There is no other way to free one.
 *
 * Proofs are numbers at run time, so that carrying one allocates nothing; the types keep them apart, and the heap checks
 * what the types cannot: that an allocation was really never published, that a flush began after the table was detached.
 */
declare const kind: unique symbol;

/** Comes with an allocation; lost when the table is published. */
export type NeverPublished = number & { readonly [kind]: 'never published' };
/** The number of a shootdown that every online CPU has acknowledged. Only flush.ts makes one. */
export type Flushed = number & { readonly [kind]: 'flushed' };
/** The number of a grace period that has ended: every CPU has passed a `poll()` since. */
export type Retired = number & { readonly [kind]: 'retired' };

export type Proof = NeverPublished | Flushed | Retired;

/** Of every allocation until it is published. */
export const NEVER_PUBLISHED: NeverPublished = 0 as NeverPublished;
