/** Tables of one address: where its entries lie, and what is wrong with at most one or two of them. */

import type { Chooser } from './digits.ts';
import type { CpuModel, Mode } from './driver.ts';

export interface Write {
  readonly pa: bigint;
  readonly value: bigint;
  readonly bytes: 4 | 8;
}

/** What is changed in one entry. */
export interface Spoiler {
  readonly level: number;
  readonly set: bigint;
  readonly clear: bigint;
}

const bit = (n: number): bigint => 1n << BigInt(n);

/** Changes worth a case, on any level: each right, presence, each bit that is reserved or ignored somewhere. */
const CHANGES: readonly { readonly set: bigint; readonly clear: bigint }[] = [
  ...Array<{ set: bigint; clear: bigint }>(12).fill({ set: 0n, clear: 0n }),
  { set: 0n, clear: bit(0) },
  { set: 0n, clear: bit(1) },
  { set: 0n, clear: bit(2) },
  { set: 0n, clear: bit(1) | bit(2) },
  { set: bit(63), clear: 0n },
  { set: 0n, clear: bit(5) },
  ...[3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 20, 21, 25, 29, 30, 31].map((n) => ({ set: bit(n), clear: 0n })),
  ...[32, 35, 36, 39, 40, 44, 45, 46, 51, 52, 57, 58, 59, 61, 62].map((n) => ({ set: bit(n), clear: 0n })),
];

export const chooseSpoiler = (choose: Chooser, levels: number): Spoiler => ({
  level: choose.each(Array.from({ length: levels }, (_, at) => at + 1)),
  ...choose.each(CHANGES),
});

export const levelsOf = (mode: Mode): number => ({ none: 0, '32-bit': 2, pae: 2, '4-level': 4, '5-level': 5 })[mode];

export interface Tables {
  readonly root: bigint;
  readonly writes: readonly Write[];
  /** Address of the entry of each level, index 1 to 5. */
  readonly entryAt: readonly bigint[];
}

/** First frame of tables; each root takes eight. */
const TABLE_FRAME = 0x200n;

/**
 * Tables that map `va` by a leaf of `leafLevel` to somewhere in a few frames, spoiled by `spoilers`. `which` keeps the
 * tables of several roots or addresses apart.
 */
export function buildTables(
  choose: Chooser,
  mode: Mode,
  model: CpuModel,
  va: bigint,
  leafLevel: number,
  spoilers: readonly Spoiler[],
  which = 0,
): Tables {
  const bytes = mode === '32-bit' ? 4 : 8;
  const indexBits = mode === '32-bit' ? 10 : 9;
  const levels = levelsOf(mode);
  const frameOf = (level: number): bigint => TABLE_FRAME + BigInt(which * 8 + level);
  const writes: Write[] = [];
  const entryAt: bigint[] = [];
  for (let level = levels; level >= leafLevel; level--) {
    const shift = BigInt(12 + indexBits * (level - 1));
    const pa = (frameOf(level) << 12n) + ((va >> shift) & (bit(indexBits) - 1n)) * BigInt(bytes);
    entryAt[level] = pa;
    let value =
      level === leafLevel ? leaf(choose, mode, model, Number(shift), level) : upper(choose, frameOf(level - 1));
    for (const spoiler of spoilers) if (spoiler.level === level) value = (value | spoiler.set) & ~spoiler.clear;
    writes.push({ pa, value: BigInt.asUintN(bytes * 8, value), bytes });
  }
  if (mode !== 'pae') return { root: frameOf(levels) << 12n, writes, entryAt };
  const root = (frameOf(6) << 12n) | 0x40n;
  for (let index = 0n; index < 4n; index++) {
    const selected = index === (va >> 30n) % 4n;
    const present = selected ? !choose.oneIn(20) : choose.oneIn(2);
    writes.push({ pa: root + 8n * index, value: (frameOf(2) << 12n) | (present ? 1n : 0n), bytes: 8 });
  }
  return { root, writes, entryAt };
}

/** Present, writable, user; A mostly clear so that setting it is tested; keys and ignored bits at random. */
function upper(choose: Chooser, frame: bigint): bigint {
  const accessed = choose.oneIn(2) ? bit(5) : 0n;
  const ignored = choose.oneIn(8) ? bit(6) | bit(9) | bit(11) : 0n;
  return (frame << 12n) | 7n | accessed | ignored;
}

function leaf(choose: Chooser, mode: Mode, model: CpuModel, shift: number, level: number): bigint {
  const bytes = mode === '32-bit' ? 4 : 8;
  const rights = choose.any([7n, 7n, 7n, 3n, 5n, 1n]);
  const marks = choose.any([0n, 0n, bit(5), bit(5) | bit(6), bit(6)]);
  const size = level > 1 ? bit(7) : 0n;
  const global = choose.oneIn(3) ? bit(8) : 0n;
  const width = bytes === 4 ? 32 : Math.min(model.maxPhyAddr, 40);
  // A few frames near the bottom and the top of what the processor reaches.
  const places = [bit(shift) * 3n, bit(width) - bit(shift), bit(Math.max(shift + 1, width - 3))].filter(
    (place) => place < bit(width) && place % bit(shift) === 0n && place >= bit(22),
  );
  let value = choose.any(places.length > 0 ? places : [bit(width - 1)]) | rights | marks | size | global;
  if (levelsOf(mode) >= 4) value |= choose.bits(4) << 59n; // a key; reserved in PAE
  if (bytes === 8 && choose.oneIn(8)) value |= bit(63);
  if (bytes === 4 && level === 2 && choose.oneIn(3)) value |= choose.bits(4) << 13n;
  return value;
}
