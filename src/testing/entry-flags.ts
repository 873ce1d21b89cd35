/** Flags of an entry as people write them: names, `P RW US XD`. */
import { FLAG_NAMES } from '../mmu/entry.ts';

/** Names with blanks between them: P RW US PWT PCD A D PS PAT G XD, `key5`, and `bit9` for any other; or the bits. */
export type Flags = string | bigint;

const BITS: ReadonlyMap<string, bigint> = new Map([
  ...FLAG_NAMES.map(([bit, name]) => [name, BigInt(bit)] as const),
  ['XD', 1n << 63n],
]);

/**
 * The bits, 0 to 2^64 - 1. RangeError for a name that is none.
 * @param level  of the entry: PAT is bit 7 at level 1, bit 12 above
 */
export function bitsOfFlags(flags: Flags, level: number): bigint {
  if (typeof flags !== 'string') return BigInt.asUintN(64, flags);
  const names = flags.split(/\s+/).filter((name) => name !== '');
  return names.reduce((bits, name) => bits | bitOf(name, level), 0n);
}

function bitOf(name: string, level: number): bigint {
  const bit = BITS.get(name);
  if (bit !== undefined) return bit;
  if (name === 'PAT') return level === 1 ? 1n << 7n : 1n << 12n;
  const [, kind, digits] = /^(bit|key)(\d{1,2})$/.exec(name) ?? [];
  const number = BigInt(digits ?? 64);
  if (kind === 'bit' && number < 64n) return 1n << number;
  if (kind === 'key' && number < 16n) return number << 59n;
  throw new RangeError(`no flag of an entry: ${JSON.stringify(name)}`);
}
