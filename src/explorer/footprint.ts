/**
 * What an event touches: pairs of an object and a part of it, read or written. Two events of different actors commute, in
 * any state, where no footprint writes what the other one touches; on this rest the reductions of the search.
 */

/** Triples: object, part (ALL: the whole), 1 where it is written. */
export interface Footprint {
  readonly touched: Int32Array;
  /** The end of an operation: its result is judged by all tables and all TLBs. */
  readonly readsAll: boolean;
  /** Depends on everything. */
  readonly isGlobal: boolean;
}

export const ALL = -1;

// Objects. Pages of memory are objects by their backing page; the others begin here.
const LIVES = 1 << 20;
const LOCKS = 2 << 20;
const POOLS = 3 << 20;
const REQUESTS = 4 << 20;
const ACKNOWLEDGEMENTS = 5 << 20;
const CACHES = 6 << 20;
const BUFFERS = 7 << 20;
const CLOCK = 8 << 20;
const LINKS = 9 << 20;
const IRQS = 10 << 20;
const INSIDES = 11 << 20;

/** The entries of a backing page. Parts are entries. */
export const entriesOf = (page: number): number => page;
/** Whether a page is a table, and free. */
export const lifeOf = (page: number): number => LIVES + page;
/** The lock in a page's page_info; -1: map_pgdir_lock. */
export const lockOf = (page: number): number => LOCKS + 1 + page;
export const poolOf = (cpu: number): number => POOLS + cpu;
/** Requests to a CPU. */
export const requestsTo = (cpu: number): number => REQUESTS + cpu;
/** Acknowledgements that a CPU waits for. */
export const acknowledgementsTo = (cpu: number): number => ACKNOWLEDGEMENTS + cpu;
/** TLB and structure caches of a CPU. */
export const cachesOf = (cpu: number): number => CACHES + cpu;
/** Whether a CPU is inside an operation that reads tables. */
export const insideOf = (cpu: number): number => INSIDES + cpu;
/** Whether a page is a table that the root leads to: what a store to it is judged by. */
export const linkOf = (page: number): number => LINKS + page;
/** Store buffer of a CPU. */
export const bufferOf = (cpu: number): number => BUFFERS + cpu;
/** Whether a CPU's code has switched interrupts off. */
export const irqsOf = (cpu: number): number => IRQS + cpu;
/** The TLB clock, and when each CPU has flushed last. */
export const clockOf = (): number => CLOCK;

export const footprint = (...touched: number[]): Footprint => ({
  touched: Int32Array.from(touched),
  readsAll: false,
  isGlobal: false,
});

/** Commutes with everything. */
export const NOTHING: Footprint = footprint();
/** Commutes with nothing. */
export const EVERYTHING: Footprint = { touched: new Int32Array(0), readsAll: true, isGlobal: true };

/** Whether two events may not be exchanged. */
export function conflict(one: Footprint, other: Footprint): boolean {
  if (one.isGlobal || other.isGlobal) return true;
  if ((one.readsAll && writes(other)) || (other.readsAll && writes(one))) return true;
  const a = one.touched;
  const b = other.touched;
  for (let i = 0; i < a.length; i += 3)
    for (let j = 0; j < b.length; j += 3) {
      if (a[i] !== b[j] || (a[i + 2] === 0 && b[j + 2] === 0)) continue;
      if (a[i + 1] === b[j + 1] || a[i + 1] === ALL || b[j + 1] === ALL) return true;
    }
  return false;
}

/** Whether an event changes what the end of an operation is judged by: tables, lives, caches, acknowledgements. */
function writes({ touched }: Footprint): boolean {
  for (let at = 0; at < touched.length; at += 3) {
    const object = touched[at]!;
    if (touched[at + 2] === 1 && (object < LOCKS || (object >= ACKNOWLEDGEMENTS && object < BUFFERS))) return true;
  }
  return false;
}

/** The footprint of an event that ends its operation. */
export const endingIn = ({ touched, isGlobal }: Footprint): Footprint => ({ touched, readsAll: true, isGlobal });
