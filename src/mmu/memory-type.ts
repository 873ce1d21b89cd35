/**
 * Memory types: what PAT, PCD, PWT, the MTRRs and CR0.CD make of an access. Reported when asked for; nothing here is on the
 * path of an access.
 *
 * Source: SDM 3A, "Memory Type Range Registers (MTRRs)", "Page Attribute Table (PAT)", "Selecting Memory Types".
 */
import type { Frame } from './halves.ts';

// Encodings of the PAT and of the MTRRs. UC- exists in the PAT only.
/** Uncacheable. */
export const UC: number = 0;
/** Write combining. */
export const WC: number = 1;
/** Write-through. */
export const WT: number = 4;
/** Write protected. */
export const WP: number = 5;
/** Write-back. */
export const WB: number = 6;
/** Uncacheable unless an MTRR says WC. */
export const UC_MINUS: number = 7;

/** The manual's abbreviation of each. */
export const MEMORY_TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'UC',
  1: 'WC',
  4: 'WT',
  5: 'WP',
  6: 'WB',
  7: 'UC-',
};

// MSR numbers.
export const IA32_PAT: number = 0x277;
export const IA32_MTRR_DEF_TYPE: number = 0x2ff;
/** Base and mask of variable range n: 0x200 + 2n and 0x201 + 2n. */
export const IA32_MTRR_PHYSBASE0: number = 0x200;
const VARIABLE_RANGES = 10;

/** MSR, first frame, frames of each of its eight bytes. */
const FIXED_RANGES: readonly [msr: number, first: Frame, each: number][] = [
  [0x250, 0x00, 16], // 64 KiB pieces from 0
  [0x258, 0x80, 4], // 16 KiB pieces from 0x80000
  [0x259, 0xa0, 4],
  ...Array.from({ length: 8 }, (_, at): [number, Frame, number] => [0x268 + at, 0xc0 + 8 * at, 1]), // 4 KiB pieces from 0xc0000
];

const FIXED_ENABLE = 1 << 10; // of IA32_MTRR_DEF_TYPE
const ENABLE = 1 << 11;
const VALID = 1 << 11; // of a mask

/** Every MSR that `MemoryTypeRegisters` holds. */
export const MEMORY_TYPE_MSRS: readonly number[] = [
  IA32_PAT,
  IA32_MTRR_DEF_TYPE,
  ...FIXED_RANGES.map(([msr]) => msr),
  ...Array.from({ length: 2 * VARIABLE_RANGES }, (_, at) => IA32_MTRR_PHYSBASE0 + at),
];

/** The manual's table: MTRR type down, PAT type across, with CR0.CD = 0. */
const EFFECTIVE: Readonly<Record<number, Readonly<Record<number, number>>>> = {
  [UC]: { [UC]: UC, [UC_MINUS]: UC, [WC]: WC, [WT]: UC, [WB]: UC, [WP]: UC },
  [WC]: { [UC]: UC, [UC_MINUS]: WC, [WC]: WC, [WT]: UC, [WB]: WC, [WP]: UC },
  [WT]: { [UC]: UC, [UC_MINUS]: UC, [WC]: WC, [WT]: WT, [WB]: WT, [WP]: WP },
  [WB]: { [UC]: UC, [UC_MINUS]: UC, [WC]: WC, [WT]: WT, [WB]: WB, [WP]: WP },
  [WP]: { [UC]: UC, [UC_MINUS]: WC, [WC]: WC, [WT]: WT, [WB]: WP, [WP]: WP },
};

/** The type that an MTRR type and a PAT type make together. */
export const combine = (mtrrType: number, patType: number): number => EFFECTIVE[mtrrType]![patType]!;

/** PAT index of a leaf: PAT, PCD and PWT. Entries that point to tables, and CR3, have no PAT bit. */
export const patIndex = (pat: number, pcd: number, pwt: number): number => (pat << 2) | (pcd << 1) | pwt;

const isMtrrType = (type: number): boolean => EFFECTIVE[type] !== undefined;
const isPatType = (type: number): boolean => isMtrrType(type) || type === UC_MINUS;

/** IA32_PAT and the MTRRs of one processor, as after reset: PAT WB, WT, UC-, UC twice; MTRRs disabled, so that all is UC. */
export class MemoryTypeRegisters {
  readonly #maxPhyAddr: number;
  readonly #pat: Uint8Array = Uint8Array.of(WB, WT, UC_MINUS, UC, WB, WT, UC_MINUS, UC);
  #defType = 0;
  readonly #fixed: Uint8Array = new Uint8Array(FIXED_RANGES.length * 8);
  /** Base (lo, hi) and mask (lo, hi) of each variable range. */
  readonly #variable: Int32Array = new Int32Array(VARIABLE_RANGES * 4);

  constructor(maxPhyAddr: number) {
    this.#maxPhyAddr = maxPhyAddr;
  }

  /** WRMSR of IA32_PAT or an MTRR. False where it raises #GP: a reserved encoding, a reserved bit, no such MSR. */
  writeMsr(msr: number, lo: number, hi: number): boolean {
    if (msr === IA32_PAT) return writeTypes(this.#pat, 0, lo, hi, isPatType);
    if (msr === IA32_MTRR_DEF_TYPE) {
      if (hi !== 0 || (lo & ~0xcff) !== 0 || !isMtrrType(lo & 0xff)) return false;
      this.#defType = lo;
      return true;
    }
    const fixed = FIXED_RANGES.findIndex(([number]) => number === msr);
    if (fixed >= 0) return writeTypes(this.#fixed, 8 * fixed, lo, hi, isMtrrType);
    const variable = msr - IA32_MTRR_PHYSBASE0;
    if (variable < 0 || variable >= 2 * VARIABLE_RANGES) return false;
    return this.#writeVariable(variable, lo, hi);
  }

  /** RDMSR of IA32_PAT or an MTRR: (lo, hi), or undefined where it raises #GP. */
  readMsr(msr: number): readonly [lo: number, hi: number] | undefined {
    if (msr === IA32_PAT) return readTypes(this.#pat, 0);
    if (msr === IA32_MTRR_DEF_TYPE) return [this.#defType, 0];
    const fixed = FIXED_RANGES.findIndex(([number]) => number === msr);
    if (fixed >= 0) return readTypes(this.#fixed, 8 * fixed);
    const variable = msr - IA32_MTRR_PHYSBASE0;
    if (variable < 0 || variable >= 2 * VARIABLE_RANGES) return undefined;
    return [this.#variable[2 * variable]!, this.#variable[2 * variable + 1]!];
  }

  /** The PAT's type at an index, 0 to 7. */
  patType(index: number): number {
    return this.#pat[index]!;
  }

  /**
   * The MTRRs' type of a frame. Fixed ranges come first, where they are enabled; of overlapping variable ranges UC wins, WT
   * wins over WB, and where the manual leaves it undefined, UC is taken.
   */
  mtrrType(frame: Frame): number {
    if ((this.#defType & ENABLE) === 0) return UC;
    if (frame < 0x100 && (this.#defType & FIXED_ENABLE) !== 0) return this.#fixedType(frame);
    let type = -1;
    for (let range = 0; range < VARIABLE_RANGES; range++) {
      if (!this.#covers(range, frame)) continue;
      const other = this.#variable[4 * range]! & 0xff;
      type = type < 0 || type === other ? other : overlapped(type, other);
    }
    return type < 0 ? this.#defType & 0xff : type;
  }

  /** What an access to `frame` through an entry with PAT index `index` has; -1 without paging, where the MTRRs decide alone. With CR0.CD = 1 everything is UC. */
  effectiveType(index: number, frame: Frame, cacheDisabled: boolean): number {
    if (cacheDisabled) return UC;
    return index < 0 ? this.mtrrType(frame) : combine(this.mtrrType(frame), this.patType(index));
  }

  #writeVariable(at: number, lo: number, hi: number): boolean {
    const isMask = at % 2 === 1;
    const beyond = hi >>> (this.#maxPhyAddr - 32);
    const reserved = isMask ? 0x7ff : 0xf00;
    if (beyond !== 0 || (lo & reserved) !== 0 || (!isMask && !isMtrrType(lo & 0xff))) return false;
    this.#variable[2 * at] = lo;
    this.#variable[2 * at + 1] = hi;
    return true;
  }

  #covers(range: number, frame: Frame): boolean {
    const [baseLo, baseHi, maskLo, maskHi] = this.#variable.subarray(4 * range, 4 * range + 4) as unknown as number[];
    if ((maskLo! & VALID) === 0) return false;
    const lo = (frame % 0x100000) << 12;
    const hi = Math.floor(frame / 0x100000);
    return ((lo ^ baseLo!) & maskLo! & ~0xfff) === 0 && ((hi ^ baseHi!) & maskHi!) === 0;
  }

  #fixedType(frame: Frame): number {
    const at = FIXED_RANGES.findIndex(([, first, each]) => frame >= first && frame < first + 8 * each);
    const [, first, each] = FIXED_RANGES[at]!;
    return this.#fixed[8 * at + Math.floor((frame - first) / each)]!;
  }
}

const overlapped = (a: number, b: number): number => ((a === WT && b === WB) || (a === WB && b === WT) ? WT : UC);

function readTypes(from: Uint8Array, at: number): [number, number] {
  const view = new DataView(from.buffer, from.byteOffset + at, 8);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

function writeTypes(
  target: Uint8Array,
  at: number,
  lo: number,
  hi: number,
  isType: (type: number) => boolean,
): boolean {
  const types = Array.from({ length: 8 }, (_, k) => ((k < 4 ? lo : hi) >>> (8 * (k % 4))) & 0xff);
  if (!types.every(isType)) return false;
  target.set(types, at);
  return true;
}
