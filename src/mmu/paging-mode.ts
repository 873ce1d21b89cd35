/**
 * Paging modes as data. `PagingMode` is the shape of the tables; `PagingFormat` adds what depends on the processor and
 * on CR4 and EFER: which entries map a page, and which bits are reserved.
 *
 * Source: SDM 3A, "Paging Modes and Control Bits" and the entry formats of each mode.
 */
import { G, ORDINARY, PS } from './entry.ts';
import { type Frame, frameFrom } from './halves.ts';

/** The paging modes; `pae` is PAE paging, `none` is CR0.PG = 0. */
export type PagingModeName = 'none' | '32-bit' | 'pae' | '4-level' | '5-level';

export interface PagingMode {
  readonly name: PagingModeName;
  /** Levels of tables in memory. PAE has two: its four PDPTEs are registers. */
  readonly levels: number;
  /** Linear bits that index one table. */
  readonly indexBits: number;
  /** Bytes of an entry, 4 or 8. */
  readonly entryBytes: number;
  /** Bits of a linear address: 32, 48 or 57. */
  readonly linearBits: number;
  /** log2 of the number of root tables: 2 in PAE (the PDPTE registers), 0 elsewhere. */
  readonly rootBits: number;
}

const mode = (
  name: PagingModeName,
  levels: number,
  indexBits: number,
  linearBits: number,
  rootBits = 0,
): PagingMode => ({
  name,
  levels,
  indexBits,
  entryBytes: indexBits === 10 ? 4 : 8,
  linearBits,
  rootBits,
});

export const PAGING_MODES: Readonly<Record<PagingModeName, PagingMode>> = {
  none: mode('none', 0, 9, 32),
  '32-bit': mode('32-bit', 2, 10, 32),
  pae: mode('pae', 2, 9, 32, 2),
  '4-level': mode('4-level', 4, 9, 48),
  '5-level': mode('5-level', 5, 9, 57),
};

/** What of a processor and its control registers decides the format of entries. */
export interface FormatOptions {
  /** MAXPHYADDR, 32 to 52. */
  readonly maxPhyAddr: number;
  /** EFER.NXE. Where it is 0, bit 63 is reserved. */
  readonly nxe: boolean;
  /** CR4.PSE; only 32-bit paging asks for it. */
  readonly pse: boolean;
  /** CPUID.PSE-36: 4 MiB pages above 4 GiB. */
  readonly pse36: boolean;
  /** CPUID.PAT. Where it is 0, the PAT bit of a leaf is reserved. */
  readonly pat: boolean;
  /** CPUID.Page1GB. Where it is 0, PS of a PDPTE is reserved. */
  readonly page1gb: boolean;
  /** AMD reserves bit 8 of PML4E and PML5E. */
  readonly vendor: 'intel' | 'amd';
}

/** Bits `from` to `to` inclusive of one half; none when `from > to`. */
const bits = (to: number, from: number): number => {
  let mask = 0;
  for (let bit = from; bit <= to; bit++) mask |= 1 << bit;
  return mask;
};

/** Bits of a high half that are set in the frame numbers 2^31 and up. */
const FRAMES_FROM_2_31 = 0xff800;

/** Reserved masks are looked up by level and by whether the entry maps a page. */
export const maskIndex = (level: number, leaf: boolean): number => (leaf ? 8 : 0) | level;

export class PagingFormat {
  readonly mode: PagingMode;
  readonly levels: number;
  readonly entryBytes: number;
  /** Bit `level` is set where PS = 1 makes an entry of that level map a page. Level 1 always does. */
  readonly pageSizeLevels: number;
  /** Bits of the low half that must be zero in a present entry, by `maskIndex`. */
  readonly reservedLo: Int32Array;
  /** The same for the high half. */
  readonly reservedHi: Int32Array;
  /** Bits of the high half that are frame number: physical address bits 51:32. */
  readonly frameMaskHi: number;
  // Entries of 8 bytes about which there is nothing to decide: the low half, under the mask of upper entries or of those of
  // level 1, is ORDINARY (no larger page, nothing reserved), and of the high half nothing under its mask is set (nothing
  // reserved, a frame below 2^31).
  readonly ordinaryUpper: number;
  readonly ordinaryLeaf: number;
  readonly ordinaryHi: number;
  readonly #indexMask: number = 0;

  constructor(mode: PagingMode, options: FormatOptions, frameMaskHi: number = 0xf_ffff) {
    this.mode = mode;
    this.frameMaskHi = frameMaskHi;
    this.levels = mode.levels;
    this.entryBytes = mode.entryBytes;
    this.#indexMask = (1 << mode.indexBits) - 1;
    this.reservedLo = new Int32Array(16);
    this.reservedHi = new Int32Array(16);
    if (mode.entryBytes === 4) {
      this.pageSizeLevels = options.pse ? 1 << 2 : 0;
      this.#reserve32Bit(options);
    } else {
      this.pageSizeLevels = (1 << 2) | (mode.levels >= 4 && options.page1gb ? 1 << 3 : 0);
      this.#reserve64Bit(options);
    }
    this.ordinaryUpper = ORDINARY | PS | (options.vendor === 'amd' ? G : 0);
    this.ordinaryLeaf = ORDINARY | this.reservedLo[maskIndex(1, true)]!;
    this.ordinaryHi = this.reservedHi[maskIndex(1, true)]! | FRAMES_FROM_2_31;
  }

  /** Lowest linear bit that indexes a table of `level`: also log2 of the bytes that an entry of it spans. */
  shift(level: number): number {
    return 12 + (level - 1) * this.mode.indexBits;
  }

  /** Index of the entry that a linear address selects in a table of `level`. */
  index(level: number, lo: number, hi: number): number {
    const shift = 12 + (level - 1) * this.mode.indexBits;
    return (shift < 32 ? (lo >>> shift) | (hi << (32 - shift)) : hi >> (shift - 32)) & this.#indexMask;
  }

  /** Whether a present entry maps a page. */
  isLeaf(level: number, lo: number): boolean {
    return level === 1 || ((lo & PS) !== 0 && (this.pageSizeLevels & (1 << level)) !== 0);
  }

  /** Frames (4 KiB) of a page that a leaf of `level` maps. */
  pageFrames(level: number): number {
    return 2 ** (this.shift(level) - 12);
  }

  /** The table that an entry points to. */
  tableFrame(lo: number, hi: number): Frame {
    return frameFrom(lo, hi & this.frameMaskHi);
  }

  /** First frame of the page that a leaf maps. */
  pageFrame(level: number, lo: number, hi: number): Frame {
    if (level === 1) return this.tableFrame(lo, hi);
    // PSE-36: bits 20:13 of a 4 MiB PDE are physical address bits 39:32.
    if (this.entryBytes === 4) return frameFrom(lo & 0xffc0_0000, (lo >>> 13) & 0xff);
    return frameFrom(lo & -(1 << this.shift(level)), hi & this.frameMaskHi);
  }

  /** Whether a present entry has a reserved bit set. */
  violatesReserved(level: number, leaf: boolean, lo: number, hi: number): boolean {
    const at = maskIndex(level, leaf);
    return ((lo & this.reservedLo[at]) | (hi & this.reservedHi[at])) !== 0;
  }

  #reserve32Bit(options: FormatOptions): void {
    const width = options.pse36 ? Math.min(options.maxPhyAddr, 40) : 32;
    this.reservedLo[maskIndex(2, true)] = bits(21, width - 19) | this.#patMask(2, options);
    this.reservedLo[maskIndex(1, true)] = this.#patMask(1, options);
  }

  #reserve64Bit(options: FormatOptions): void {
    const ignoredAbove = this.mode.name === 'pae' ? bits(30, 20) : 0; // 62:52 are ignored except in PAE
    const hi = bits(19, options.maxPhyAddr - 32) | ignoredAbove | (options.nxe ? 0 : 1 << 31);
    this.reservedHi.fill(hi);
    const { reservedLo } = this;
    for (let level = 1; level <= 3; level++) {
      reservedLo[maskIndex(level, true)] = bits(this.shift(level) - 1, 13) | this.#patMask(level, options);
    }
    if (!options.page1gb) reservedLo[maskIndex(3, false)] = PS;
    for (let level = 4; level <= 5; level++) {
      reservedLo[maskIndex(level, false)] = PS | (options.vendor === 'amd' ? G : 0);
    }
  }

  #patMask(level: number, options: FormatOptions): number {
    if (options.pat) return 0;
    return level === 1 ? PS : 1 << 12;
  }
}
