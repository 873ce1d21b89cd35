/** Mappings as a flat list of pages: what mapping operations mean, without tables. Judges what they leave behind. */

import { INVALID_MFN, MODIFY_MASK } from '../hypervisor/flags.ts';
import { A, D, P, PS } from '../mmu/entry.ts';

/** What a page is mapped to; `undefined` where it is not. */
export interface Mapping {
  /** The frame, 0 to 2^40 - 1. */
  readonly mfn: number;
  /** 24 bits, as of a 4 KiB page; A and D as hardware may set them are left out. */
  readonly flags: number;
}

/** Flags in which mappings may differ: hardware sets A and D, and PS tells of a size. */
const IGNORED = A | D | PS;

/**
 * What mapping operations mean: pages and what each is mapped to, without tables. The independent model that the oracle
 * compares with.
 */
export class FlatMap {
  readonly #pages: Map<number, Mapping>;
  readonly #asked: readonly number[];

  /** @param asked  the pages that it keeps; others are of no interest */
  constructor(asked: readonly number[], pages: ReadonlyMap<number, Mapping> = new Map()) {
    this.#asked = asked;
    this.#pages = new Map(pages);
  }

  /** Another one, equal. */
  copy(): FlatMap {
    return new FlatMap(this.#asked, this.#pages);
  }

  /** What a page (linear address >> 12) is mapped to. */
  at(page: number): Mapping | undefined {
    return this.#pages.get(page);
  }

  /** Maps a page, or unmaps it. */
  set(page: number, mapping: Mapping | undefined): void {
    if (mapping === undefined) this.#pages.delete(page);
    else this.#pages.set(page, mapping);
  }

  /** map_pages_to_xen(). */
  map(page: number, mfn: number, count: number, flags: number): void {
    const isMapped = (flags & P) !== 0 && mfn !== INVALID_MFN;
    for (const asked of this.#within(page, page + count))
      this.set(asked, isMapped ? { mfn: mfn + (asked - page), flags } : undefined);
  }

  /** modify_xen_mappings(), destroy_xen_mappings(). */
  modify(first: number, until: number, nf: number): void {
    for (const asked of this.#within(first, until)) {
      const old = this.at(asked);
      if (old === undefined) continue;
      const flags = (old.flags & ~MODIFY_MASK) | (nf & MODIFY_MASK);
      this.set(asked, (nf & P) === 0 ? undefined : { mfn: old.mfn, flags });
    }
  }

  #within(first: number, until: number): number[] {
    return this.#asked.filter((page) => page >= first && page < until);
  }
}

export const sameMapping = (one: Mapping | undefined, other: Mapping | undefined): boolean =>
  one === undefined || other === undefined
    ? one === other
    : one.mfn === other.mfn && ((one.flags ^ other.flags) & ~IGNORED) === 0;

/** For people. */
export const mappingText = (mapping: Mapping | undefined): string =>
  mapping === undefined ? 'nothing' : `frame 0x${mapping.mfn.toString(16)} (flags 0x${mapping.flags.toString(16)})`;
