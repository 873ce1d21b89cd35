/**
 * One paging-structure entry, as halves (lo, hi) or as (frame, 24-bit flags).
 *
 *   63  62..59  58..52   51..32        31..12       11..9 8 7  6 5 4   3   2  1  0
 *   XD  key     ignored  frame[39:20]  frame[19:0]  avl   G PS D A PCD PWT US RW P
 *   `---------------- hi ------------' `------------------- lo ------------------'
 *
 * Source: SDM 3A, "4-Level Paging and 5-Level Paging", tables "Format of a ... Entry".
 */
import type { Frame } from './halves.ts';

/** 5 = PML5, 4 = PML4, 3 = page-directory-pointer table, 2 = page directory, 1 = page table. */
export type Level = 1 | 2 | 3 | 4 | 5;

/** Present. */
export const P: number = 1 << 0;
/** Writes allowed. */
export const RW: number = 1 << 1;
/** User-mode accesses allowed. */
export const US: number = 1 << 2;
/** Page-level write-through. */
export const PWT: number = 1 << 3;
/** Page-level cache disable. */
export const PCD: number = 1 << 4;
/** Accessed: set by the processor when it uses the entry. */
export const A: number = 1 << 5;
/** Dirty: set by the processor when it writes to the page; only in a leaf. */
export const D: number = 1 << 6;
/** Maps a page (levels 2 and 3); at level 1 the same bit is PAT. */
export const PS: number = 1 << 7;
/** What an entry has set that is in use already. */
export const ORDINARY: number = P | A;
/** Global: the translation outlives MOV CR3 when CR4.PGE = 1; only in a leaf. */
export const G: number = 1 << 8;
/** PAT of a leaf at level 2 or 3. */
export const PAT_LARGE: number = 1 << 12;
/** Execute-disable (bit 63), as carried in 24-bit flags. */
export const NX: number = 1 << 23;

export const isPresent = (lo: number): boolean => (lo & P) !== 0;

/** The frame an entry points at, without regard to page size: the next table, or the page of a level-1 entry. */
export const frameOf = (lo: number, hi: number): Frame => ((hi << 12) >>> 12) * 0x100000 + (lo >>> 12);

/** All flags of an entry in 24 bits: entry bits 63:52 above bits 11:0. Xen: get_pte_flags(). */
export const flagsOf = (lo: number, hi: number): number => ((hi >>> 20) << 12) | (lo & 0xfff);

/** Low half of an entry. Xen: put_pte_flags(). */
export const entryLo = (frame: Frame, flags: number): number => (frame << 12) | (flags & 0xfff);

/** High half of an entry. Xen: put_pte_flags(). */
export const entryHi = (frame: Frame, flags: number): number => (frame / 0x100000) | ((flags >>> 12) << 20);

/** Protection key of a leaf, bits 62:59. */
export const keyOf = (hi: number): number => (hi >>> 27) & 15;

/** Flags of the low half by the names that people write; bit 7 is PAT in a level-1 entry. */
export const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [P, 'P'],
  [RW, 'RW'],
  [US, 'US'],
  [PWT, 'PWT'],
  [PCD, 'PCD'],
  [A, 'A'],
  [D, 'D'],
  [PS, 'PS'],
  [G, 'G'],
];

/** The names of the flags that are set, for people: `P RW A D PS G XD`; bit 7 of a level-1 entry is PAT. */
export function flagNames(level: Level, lo: number, hi: number): string {
  const names = FLAG_NAMES.filter(([bit]) => (lo & bit) !== 0).map(([bit, name]) =>
    bit === PS && level === 1 ? 'PAT' : name,
  );
  if (hi < 0) names.push('XD');
  return names.join(' ');
}
