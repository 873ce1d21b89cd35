/**
 * The slots of all hit views of a program, in one table (of each thread): constants, so that compiled code knows where they
 * lie and how long they are wherever it has put a hit (a sixth of a hit, a quarter of MOV CR3).
 *
 * A view has a page in slot (number of the page ^ key). As long as no key is given away twice, an entry is met under the
 * key that it was filled under and under no other: under that one, the slot belongs to another page, whose tag differs. So
 * a view is emptied by taking its next key. Keys come in homes, 32 for each regime. A home that a view is through with is
 * let again after the table was emptied; other views need not be told, theirs is to miss once a page.
 * Memory: 12 MiB of address space, of which 4 MiB are in use at once, and the rest as slots are.
 */

/** The number of a 4 KiB page below 4 GiB selects a slot. */
export const SLOTS: number = 1 << 20;

/** A tag no access has: bits 11:6 never take part in a comparison. */
export const EMPTY_TAG: number = 1 << 11;

/** Of each slot: low half of the page's address, high half, and what makes `lo` a position in the buffer, in bytes. */
export const TAGS: Int32Array = new Int32Array(SLOTS).fill(EMPTY_TAG);
export const HIGHS: Int32Array = new Int32Array(SLOTS);
export const PLACES: Int32Array = new Int32Array(SLOTS);

// A key: two bits of regime, 13 of home, five of generation.
export const GENERATIONS: number = 1 << 5;
const HOME_BITS = 13;
/** So many views can have entries at the same time: a CPU has two to five of them. */
export const HOMES: number = 1 << HOME_BITS;
export const REGIME_SHIFT: number = 18;
/** A regime that nothing is ever filled under: while it is used, every access misses. */
export const NO_REGIME: number = 3;
/** The first of its keys; also where a view lives that has no home. */
export const NOWHERE: number = NO_REGIME << REGIME_SHIFT;

/** Homes that must have been left before the table is emptied: 4 MiB are written then. */
const WORTHWHILE = 64;

/** The home of one view: its first key under regime 0, or NOWHERE. It outlives the view, to be let again. */
export interface Tenancy {
  home: number;
}

/** Neighbours in the order of letting are far apart in the table: the same pages of two views meet in no slot then. */
function homeAt(nth: number): number {
  let home = 0;
  for (let bit = 0; bit < HOME_BITS; bit++) home |= ((nth >>> bit) & 1) << (HOME_BITS - 1 - bit);
  return home * GENERATIONS;
}

/** Who lives where. */
class Homes {
  #free: number[] = Array.from({ length: HOMES }, (_, nth) => homeAt(HOMES - 1 - nth));
  /** Given up since the table was emptied: entries are left in them. */
  #left: number[] = [];
  readonly #collected = new FinalizationRegistry<Tenancy>((tenancy) => this.leave(tenancy));

  /** That of a new view, without a home yet. It ends when the view is garbage. */
  tenancyOf(view: object): Tenancy {
    const tenancy = { home: NOWHERE };
    this.#collected.register(view, tenancy);
    return tenancy;
  }

  /** A home for one who has none; there may be none left, where 8192 views are in use, or garbage that was not collected yet. */
  enter(tenancy: Tenancy): void {
    if (this.#free.length === 0) this.#empty();
    tenancy.home = this.#free.pop() ?? NOWHERE;
  }

  /** Gives a home up. */
  leave(tenancy: Tenancy): void {
    if (tenancy.home !== NOWHERE) this.#left.push(tenancy.home);
    tenancy.home = NOWHERE;
  }

  #empty(): void {
    if (this.#left.length < WORTHWHILE) return;
    TAGS.fill(EMPTY_TAG);
    [this.#free, this.#left] = [this.#left, this.#free];
  }
}

export const homes: Homes = new Homes();
