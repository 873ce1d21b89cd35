/**
 * Accesses, access rights, and which rights an access needs.
 *
 * Rights are raw: what the entries of a walk said, not what the current control registers make of it. WP, SMEP, SMAP,
 * EFLAGS.AC, CPL, NXE, PKRU and PKRS are applied at each access through a `Regime`, so that changing them needs no
 * flush.
 * Source: SDM 3A, "Determination of Access Rights" and "Protection Keys".
 */
import { keyOf, PS } from './entry.ts';

/** No access: asks where an address leads and not whether one may go there. For debuggers, which rights do not bind. */
export const EXAMINE: number = 0;
/** What an access does; kinds combine into a read-modify-write. */
export const READ: number = 1;
/** A store. */
export const WRITE: number = 2;
/** An instruction fetch. */
export const FETCH: number = 4;
/** Judged and reported as a write, even when nothing is stored in the end. */
export const READ_MODIFY_WRITE: number = READ | WRITE;
/** Modifier: a supervisor-mode access whatever the CPL (descriptor tables, TSS); EFLAGS.AC does not help it. */
export const IMPLICIT: number = 8;
/** Modifier: through SS, so that a non-canonical address is #SS and not #GP. */
export const STACK: number = 16;

const KINDS = READ | WRITE | FETCH;

// Rights, as one small integer. Bits 0 and 1 are entry bits 1 and 2, ANDed over the walk; bit 2 is XD, ORed over it.
export const WRITABLE: number = 1 << 0;
export const USER: number = 1 << 1;
export const NO_EXECUTE: number = 1 << 2;
/** The leaf's D flag. */
export const DIRTY: number = 1 << 3;
/** The leaf's G flag; means something only where CR4.PGE = 1. */
export const GLOBAL: number = 1 << 4;
/** The leaf's protection key, 4 bits from here. */
export const KEY_SHIFT: number = 5;
const KEY = 15 << KEY_SHIFT;
/** PAT index of the leaf, 3 bits from here: PAT, PCD, PWT. */
export const PAT_SHIFT: number = 9;

/** The rights before the first entry of a walk. */
export const ALL_RIGHTS: number = WRITABLE | USER;

/** Rights after one more entry: R/W and U/S at every level, XD at any. */
export const narrow = (rights: number, lo: number, hi: number): number =>
  (rights & ((lo >>> 1) | ~(WRITABLE | USER))) | ((hi >>> 31) << 2);

/** Rights of a translation, from the combined rights and its leaf. `patBit` is the leaf's PAT flag: bit 7, or 12 of a superpage. */
export const withLeaf = (rights: number, lo: number, hi: number, patBit: number): number =>
  rights |
  ((lo >>> D_TO_DIRTY) & DIRTY) |
  ((lo >>> G_TO_GLOBAL) & GLOBAL) |
  (keyOf(hi) << KEY_SHIFT) |
  ((((lo & patBit) !== 0 ? 4 : 0) | ((lo >>> 3) & 3)) << PAT_SHIFT);

// The short way of a miss gets here: shifts instead of questions.
const D_TO_DIRTY = 3;
const G_TO_GLOBAL = 4;

/** The PAT flag of a leaf at `level`. */
export const patBit = (level: number): number => (level === 1 ? PS : 1 << 12);

// Page-fault error code. SDM 3A, "Page-Fault Exceptions".
/** The page was present: its rights, its key or a reserved bit stopped the access. */
export const PF_P: number = 1 << 0;
/** The access was a write. */
export const PF_WR: number = 1 << 1;
/** It was a user-mode access. */
export const PF_US: number = 1 << 2;
/** A reserved bit was set in an entry. */
export const PF_RSVD: number = 1 << 3;
/** It was a fetch, where SMEP or NXE make that known. */
export const PF_ID: number = 1 << 4;
/** The protection key forbade it. */
export const PF_PK: number = 1 << 5;

// What decides over rights besides the rights: one bit each, above the three rights bits.
const USER_MODE = 1 << 3;
const WP = 1 << 4;
const SMEP = 1 << 5;
const SMAP = 1 << 6; // CR4.SMAP, and EFLAGS.AC does not lift it
const NXE = 1 << 7;

/** The manual's rules in prose; `ALLOWED` is generated from it. `kind` is READ, WRITE or FETCH. */
export function decideAccess(rightsAndMode: number, kind: number): boolean {
  const has = (bit: number): boolean => (rightsAndMode & bit) !== 0;
  const executable = !(has(NO_EXECUTE) && has(NXE));

  if (has(USER_MODE)) {
    if (!has(USER)) return false;
    if (kind === WRITE) return has(WRITABLE);
    return kind === READ || executable;
  }
  if (kind === FETCH) return executable && !(has(USER) && has(SMEP));
  if (has(USER) && has(SMAP)) return false;
  return kind === READ || has(WRITABLE) || !has(WP);
}

/** `ALLOWED[mode | rights]` is the set of kinds that `decideAccess` grants. */
const ALLOWED: Uint8Array = Uint8Array.from({ length: 256 }, (_, key) =>
  [READ, WRITE, FETCH].reduce((granted, kind) => granted | (decideAccess(key, kind) ? kind : 0), 0),
);

/** What a `Regime` is made of. */
export interface RegimeOptions {
  /** A user-mode access: CPL 3 and explicit. */
  readonly userMode: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  /** CR4.SMAP = 1 and EFLAGS.AC does not lift it for this access. */
  readonly smap: boolean;
  readonly nxe: boolean;
  /** PKRU where CR4.PKE = 1 and EFER.LMA = 1, else 0. */
  readonly pkru: number;
  /** IA32_PKRS where CR4.PKS = 1 and EFER.LMA = 1, else 0. */
  readonly pkrs: number;
  /** Whether error codes report fetches: CR4.SMEP = 1, or CR4.PAE = 1 and EFER.NXE = 1. */
  readonly reportsFetch: boolean;
}

/** Everything besides rights and kind that decides over an access. One object per class of access, refreshed in place. */
export class Regime {
  #mode = 0;
  #userReadDenied = 0;
  #userWriteDenied = 0;
  #supervisorReadDenied = 0;
  #supervisorWriteDenied = 0;
  #fetchCode = 0;
  /** Kinds that pages of key 0 grant, three bits for each of the eight combinations of R/W, U/S and XD. */
  #grants = 0;

  set(options: RegimeOptions): void {
    const { userMode, wp, pkru, pkrs } = options;
    this.#mode =
      (userMode ? USER_MODE : 0) |
      (wp ? WP : 0) |
      (options.smep ? SMEP : 0) |
      (options.smap ? SMAP : 0) |
      (options.nxe ? NXE : 0);
    this.#fetchCode = options.reportsFetch ? PF_ID : 0;
    // One bit per key. AD denies all data accesses; WD denies writes, of the supervisor only with WP.
    this.#userReadDenied = everySecondBit(pkru);
    this.#userWriteDenied = this.#userReadDenied | (userMode || wp ? everySecondBit(pkru >>> 1) : 0);
    this.#supervisorReadDenied = everySecondBit(pkrs);
    this.#supervisorWriteDenied = this.#supervisorReadDenied | (wp ? everySecondBit(pkrs >>> 1) : 0);
    this.#grants = 0;
    for (let rights = 0; rights < 8; rights++)
      for (const kind of [READ, WRITE, FETCH])
        if (this.denial(rights, kind) === 0) this.#grants |= kind << (3 * rights);
  }

  /** Whether an access to a page with these rights is allowed. */
  allows(rights: number, access: number): boolean {
    if ((rights & KEY) !== 0) return this.denial(rights, access) === 0;
    const kinds = access & KINDS;
    return ((this.#grants >>> (3 * (rights & 7))) & kinds) === kinds;
  }

  /**
   * Why an access to a page with these rights is denied: error-code bits P and PK, 0 where it is allowed.
   * A key that denies is reported even when another right denies too.
   */
  denial(rights: number, access: number): number {
    const kinds = access & KINDS;
    const granted = ALLOWED[this.#mode | (rights & 7)]! & kinds;
    const isData = (kinds & READ_MODIFY_WRITE) !== 0;
    if (isData && ((this.#deniedKeys(rights, kinds) >>> ((rights >>> KEY_SHIFT) & 15)) & 1) !== 0) return PF_P | PF_PK;
    return granted === kinds ? 0 : PF_P;
  }

  /** Error code of a page fault: `cause` (P, RSVD, PK) and what the access was. */
  errorCode(cause: number, access: number): number {
    return (
      cause |
      ((access & WRITE) !== 0 ? PF_WR : 0) |
      ((this.#mode & USER_MODE) !== 0 ? PF_US : 0) |
      ((access & FETCH) !== 0 ? this.#fetchCode : 0)
    );
  }

  #deniedKeys(rights: number, kinds: number): number {
    const write = (kinds & WRITE) !== 0;
    if ((rights & USER) !== 0) return write ? this.#userWriteDenied : this.#userReadDenied;
    return write ? this.#supervisorWriteDenied : this.#supervisorReadDenied;
  }
}

/** Gathers bits 0, 2, 4, ... 30 of a word into 16 bits. */
function everySecondBit(word: number): number {
  let gathered = 0;
  for (let key = 0; key < 16; key++) gathered |= ((word >>> (2 * key)) & 1) << key;
  return gathered;
}
