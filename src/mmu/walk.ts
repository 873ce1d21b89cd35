/**
 * The page walk: a linear address becomes a frame and rights, or a fault. It knows no TLB, only where to start.
 *
 * Source: SDM 3A, "4-Level Paging and 5-Level Paging", "Accessed and Dirty Flags", "Page-Fault Exceptions".
 */
import { ALL_RIGHTS, narrow, PF_P, PF_RSVD, patBit, READ, type Regime, WRITE, withLeaf } from './access.ts';
import { A, D, isPresent } from './entry.ts';
import type { Frame } from './halves.ts';
import type { MemoryPort } from './memory-port.ts';
import type { PagingFormat } from './paging-mode.ts';

/** Results of `walk`: a translation, a fault (see `cause`), or a lost race. */
export const MAPPED = 0;
export const FAULTED = 1;

/** What a walk may do to the tables. */
export type Marking =
  /** Sets A in the entries it used and D in the leaf it writes through. */
  | 'mark'
  /** Changes nothing: debuggers, explained walks. */
  | 'leave';

/**
 * Which A flags a walk that ends in a fault sets; the SDM leaves it open.
 * `none`: a walk that faults writes nothing (recent Intel). `upper`: the present, well-formed entries above the one
 * that stopped it are marked.
 */
export type AccessedOnFault = 'none' | 'upper';

/** Levels 1 to 5, and 0 unused. */
const PATH = 6;

export class Walker {
  readonly port: MemoryPort;
  accessedOnFault: AccessedOnFault = 'none';

  // Result of the last walk.
  /** First frame of the page. */
  pageFrame: Frame = 0;
  /** Combined rights and the leaf's D, G, key and PAT index: access.ts. */
  rights = 0;
  /** Level of the leaf, or of the entry that stopped the walk. */
  level = 0;
  /** Error-code bits of a fault: 0, P|RSVD, P, or P|PK. */
  cause = 0;
  /** Walks that a lost compare-and-set made start again, since construction. */
  restarts = 0;

  // The path of the last walk by level, down to `level`: table and index of each entry, the entry as it was checked, and
  // the rights so far. Preallocated; dead at the next walk.
  readonly tables: Float64Array = new Float64Array(PATH);
  readonly indexes: Int32Array = new Int32Array(PATH);
  readonly los: Int32Array = new Int32Array(PATH);
  readonly his: Int32Array = new Int32Array(PATH);
  readonly rightsSoFar: Int32Array = new Int32Array(PATH);
  /** Level the last walk started at. */
  top = 0;

  constructor(port: MemoryPort) {
    this.port = port;
  }

  /**
   * Walks from `table`, a table of level `top` reached with `rights` (ALL_RIGHTS at the root), to the leaf.
   * @returns MAPPED or FAULTED; details in the fields.
   */
  walk(
    format: PagingFormat,
    regime: Regime,
    top: number,
    table: Frame,
    rights: number,
    lo: number,
    hi: number,
    access: number,
    marking: Marking,
  ): number {
    this.top = top;
    for (;;) {
      const result = this.#descend(format, regime, top, table, rights, lo, hi, access);
      if (marking === 'leave') return result;
      if (result === MAPPED ? this.#markUsed(format, access) : this.#markAboveFault(format)) return result;
      this.restarts += 1; // an entry changed since it was checked
    }
  }

  /** Whether A was set already in every entry that the last walk used. */
  get wasMarked(): boolean {
    for (let level = this.top; level >= this.level; level--) if ((this.los[level]! & A) === 0) return false;
    return true;
  }

  /** A walk that only looks: from the root, for a supervisor read, changing nothing. */
  probe(format: PagingFormat, regime: Regime, root: Frame, lo: number, hi: number, access: number = READ): number {
    return this.walk(format, regime, format.levels, root, ALL_RIGHTS, lo, hi, access, 'leave');
  }

  /** The order of the checks is the manual's: present, then reserved, at each level; rights after the whole walk. */
  #descend(
    format: PagingFormat,
    regime: Regime,
    top: number,
    root: Frame,
    startRights: number,
    lo: number,
    hi: number,
    access: number,
  ): number {
    const { port } = this;
    let table = root;
    let rights = startRights;
    for (let level = top; ; level--) {
      const index = format.index(level, lo, hi);
      port.load(table, index, format.entryBytes);
      const entryLo = port.lo;
      const entryHi = port.hi;
      this.#note(level, table, index, entryLo, entryHi);

      if (!isPresent(entryLo)) return this.#fault(level, 0);
      const leaf = format.isLeaf(level, entryLo);
      if (format.violatesReserved(level, leaf, entryLo, entryHi)) return this.#fault(level, PF_P | PF_RSVD);

      rights = narrow(rights, entryLo, entryHi);
      this.rightsSoFar[level] = rights;
      if (!leaf) {
        table = format.tableFrame(entryLo, entryHi);
        continue;
      }
      rights = withLeaf(rights, entryLo, entryHi, patBit(level));
      const denial = regime.denial(rights, access);
      if (denial !== 0) return this.#fault(level, denial);

      this.level = level;
      this.rights = rights;
      this.pageFrame = format.pageFrame(level, entryLo, entryHi);
      return MAPPED;
    }
  }

  #note(level: number, table: Frame, index: number, lo: number, hi: number): void {
    this.tables[level] = table;
    this.indexes[level] = index;
    this.los[level] = lo;
    this.his[level] = hi;
  }

  #fault(level: number, cause: number): number {
    this.level = level;
    this.cause = cause;
    return FAULTED;
  }

  /** Sets A in every entry used and, for a write, D in the leaf. False where an entry is no longer what was checked. */
  #markUsed(format: PagingFormat, access: number): boolean {
    const leaf = this.level;
    for (let level = this.top; level > leaf; level--) if (!this.#mark(format, level, A)) return false;
    if ((access & WRITE) === 0) return this.#mark(format, leaf, A);
    this.rights = withLeaf(this.rights, D, 0, 0);
    return this.#mark(format, leaf, A | D);
  }

  #markAboveFault(format: PagingFormat): boolean {
    if (this.accessedOnFault === 'none') return true;
    for (let level = this.top; level > this.level; level--) if (!this.#mark(format, level, A)) return false;
    return true;
  }

  /** Nothing is written where nothing changes: tables in ROM work. */
  #mark(format: PagingFormat, level: number, flags: number): boolean {
    const lo = this.los[level]!;
    const hi = this.his[level]!;
    if ((lo & flags) === flags) return true;
    return this.port.compareExchange(this.tables[level]!, this.indexes[level]!, format.entryBytes, lo, hi, lo | flags);
  }
}
