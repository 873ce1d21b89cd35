/** The entries that a walk reads, found in any memory that can be read: without a CPU, and without judging rights. */
import { A, D, isPresent } from '../mmu/entry.ts';
import { isCanonical } from '../mmu/halves.ts';
import type { PagingFormat } from '../mmu/paging-mode.ts';
import { high, low } from './wide.ts';

/** An entry by its physical address; what it holds as bits 0 to 63. */
export interface EntryAt {
  readonly at: number;
  readonly value: bigint;
  /** Of its flags A and D, those that a walk through it may set and that are not set. */
  readonly settable: bigint;
}

/** Reads an entry; `bytes` is 4 or 8. */
export type ReadEntry = (at: number, bytes: number) => bigint;

/** Physical addresses of the four PDPTEs that a value of CR3 points to. */
export const pdpteAddresses = (cr3: bigint): number[] => [0, 1, 2, 3].map((at) => (low(cr3) & ~31) + 8 * at);

/**
 * From the root down to the leaf, or to the entry that stops a walk. Empty where an address is not canonical.
 * @param root    of PAE paging the four PDPTE registers, else the value of CR3
 * @param linear  0 to 2^64 - 1; in 32-bit modes the lower half counts
 */
export function entryPath(
  format: PagingFormat,
  root: bigint | readonly bigint[],
  linear: bigint,
  read: ReadEntry,
): EntryAt[] {
  const [lo, hi] = [low(linear), format.levels > 3 ? high(linear) : 0];
  if (format.levels > 3 && !isCanonical(hi, format.mode.linearBits)) return [];
  const first = typeof root === 'bigint' ? root : root[lo >>> 30]!;
  if (typeof root !== 'bigint' && !isPresent(low(first))) return [];
  const path: EntryAt[] = [];
  let table = format.tableFrame(low(first), format.entryBytes === 4 ? 0 : high(first));
  for (let level = format.levels; ; level--) {
    const at = table * 4096 + format.index(level, lo, hi) * format.entryBytes;
    const value = read(at, format.entryBytes);
    const [entryLo, entryHi] = [low(value), high(value)];
    const leaf = isPresent(entryLo) && format.isLeaf(level, entryLo);
    const stops = !isPresent(entryLo) || format.violatesReserved(level, leaf, entryLo, entryHi);
    const marks = leaf ? A | D : A;
    path.push({ at, value, settable: stops ? 0n : BigInt(marks & ~entryLo) });
    if (stops || leaf) return path;
    table = format.tableFrame(entryLo, entryHi);
  }
}
