/** Arbitrary entries of page tables: most are well-formed, and of the others it is said how many. */
import { type Arbitrary, bigInt, constantFrom, nat, oneof, tuple } from 'fast-check';
import { type Features, INTEL } from '../../cpu/features.ts';
import { maskIndex, PAGING_MODES, PagingFormat } from '../../mmu/paging-mode.ts';
import type { TableMode } from '../page-tables.ts';
import { joined, low } from '../wide.ts';

/** Which entries are made. */
export interface EntryOptions {
  /** Default `4-level`. */
  readonly mode?: TableMode;
  /** 1, the default, to the mode's number of levels; of PAE paging 1 or 2. */
  readonly level?: number;
  /** Whether it maps a page; default: where that can be, half of them do. */
  readonly kind?: 'page' | 'table';
  /** Frames that it may point to, below 2^20; default 0 to 255. Those of a superpage are multiples of its size. */
  readonly frames?: readonly number[];
  /** Decides what is reserved; default `INTEL`. */
  readonly features?: Partial<Features>;
}

/** Of 20 entries: how many are well-formed and present, are absent, have a reserved bit set, are any bits at all. */
export const ENTRY_MIX: Readonly<Record<'wellFormed' | 'absent' | 'reserved' | 'anything', number>> = {
  wellFormed: 15,
  absent: 2,
  reserved: 2,
  anything: 1,
};

/** RW, US, PWT, PCD, A, D, G and the three bits for software. */
const FLAGS = 0xf7en & ~0x80n;
const PS = 0x80n;

/**
 * Entries as 64 bits, or 32 with 32-bit paging, in the shares of `ENTRY_MIX`. Where no bit of such an entry is reserved,
 * those that should have one set are well-formed.
 */
export function entryArbitrary(options: EntryOptions = {}): Arbitrary<bigint> {
  const { mode = '4-level', level = 1, kind, features } = options;
  const frames = options.frames ?? Array.from({ length: 256 }, (_, frame) => frame);
  const shape = PAGING_MODES[mode];
  if (!Number.isInteger(level) || level < 1 || level > shape.levels)
    throw new RangeError(`tables of ${mode} paging have levels 1 to ${shape.levels}, not ${level}`);
  const format = new PagingFormat(shape, { ...INTEL, ...features, nxe: true, pse: true });
  const kinds = kindsOf(format, level, kind);
  const bits = shape.entryBytes === 8 ? 64n : 32n;
  const wellFormed = tuple(constantFrom(...kinds), constantFrom(...frames), nat(0xfff), nat(0xfff)).map(
    ([isLeaf, frame, flags, upper]) => {
      const size = isLeaf ? BigInt(format.pageFrames(level)) : 1n;
      const pointer = (BigInt(frame) - (BigInt(frame) % size)) << 12n;
      const others = (BigInt(flags) & FLAGS) | (BigInt(upper) << 52n) | (isLeaf && level > 1 ? PS : 0n) | 1n;
      return BigInt.asUintN(Number(bits), (pointer | others) & ~reservedIn(format, level, isLeaf));
    },
  );
  const reserved = tuple(wellFormed, nat(63)).map(([entry, nth]) => {
    const isLeaf = format.isLeaf(level, low(entry));
    const candidates = bitsIn(reservedIn(format, level, isLeaf));
    return candidates.length === 0 ? entry : entry | candidates[nth % candidates.length]!;
  });
  return oneof(
    { weight: ENTRY_MIX.wellFormed, arbitrary: wellFormed },
    { weight: ENTRY_MIX.absent, arbitrary: wellFormed.map((entry) => entry & ~1n) },
    { weight: ENTRY_MIX.reserved, arbitrary: reserved },
    { weight: ENTRY_MIX.anything, arbitrary: bigInt({ min: 0n, max: (1n << bits) - 1n }) },
  );
}

/** Which kinds there are at a level: whether it maps a page. RangeError where the one asked for is not. */
function kindsOf(format: PagingFormat, level: number, kind: 'page' | 'table' | undefined): boolean[] {
  const canBePage = level === 1 || (format.pageSizeLevels & (1 << level)) !== 0;
  const kinds = [...(canBePage ? [true] : []), ...(level > 1 ? [false] : [])];
  const chosen = kind === undefined ? kinds : kinds.filter((isLeaf) => isLeaf === (kind === 'page'));
  if (chosen.length === 0)
    throw new RangeError(`no entry of level ${level} is a ${kind} in ${format.mode.name} paging`);
  return chosen;
}

function reservedIn(format: PagingFormat, level: number, isLeaf: boolean): bigint {
  const at = maskIndex(level, isLeaf);
  const mask = joined(format.reservedLo[at]!, format.reservedHi[at]!);
  // PS of an entry above the leaf is what makes it one, where it is not reserved; it is never set by chance.
  return mask & ~(isLeaf && level > 1 ? PS : 0n);
}

const bitsIn = (mask: bigint): bigint[] =>
  Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).filter((bit) => (mask & bit) !== 0n);
