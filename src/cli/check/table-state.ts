/**
 * Page tables as a trace of a booting Xen tells them, change by change, and their comparison with tables in memory: up to
 * the numbers of the tables' frames, and with nothing at all for a table that maps nothing.
 */
import { LINEAR_PT, l4Slot } from '../../hypervisor/layout.ts';
import { flagsOf, frameOf, isPresent, PS } from '../../mmu/entry.ts';
import { type Frame, hex64, hexNumber, PAGE_SIZE } from '../../mmu/halves.ts';
import type { PhysicalMemory } from '../../mmu/physical-memory.ts';
import type { RamRange } from '../../mmu/ram-layout.ts';
import { UsageError } from '../failure.ts';
import type { TableDiff } from './xen-format.ts';

/** The words of a table, or undefined where there is none. */
type Tables = (table: Frame) => Int32Array | undefined;

const WORDS = 1024;
/** Traces leave it out: the tables themselves. */
const SELF_MAP = 2 * l4Slot(LINEAR_PT.start);

export const frameAt = (address: string): Frame => Number(address) / PAGE_SIZE;

export class TableState {
  readonly #tables = new Map<Frame, Int32Array>();

  readonly tables: Tables = (table) => this.#tables.get(table);

  /** UsageError where it changes what is not there. */
  apply({ pages = {}, gone = [] }: TableDiff): void {
    for (const address of gone) this.#tables.delete(frameAt(address));
    for (const [address, { new: isNew, set }] of Object.entries(pages)) {
      const words = isNew === true ? new Int32Array(WORDS) : this.#tables.get(frameAt(address));
      if (words === undefined) throw new UsageError(`a change of ${address}, which is no table`);
      this.#tables.set(frameAt(address), words);
      for (const [index, count, value, step] of set)
        for (let nth = 0; nth < count; nth++) {
          const entry = BigInt(value) + BigInt(step) * BigInt(nth);
          words[2 * (index + nth)] = Number(BigInt.asIntN(32, entry));
          words[2 * (index + nth) + 1] = Number(BigInt.asIntN(32, entry >> 32n));
        }
    }
  }

  /** The frames of the tables, as ranges of RAM. */
  ranges(): RamRange[] {
    const ranges: { start: number; size: number }[] = [];
    for (const frame of [...this.#tables.keys()].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last !== undefined && last.start + last.size === frame * PAGE_SIZE) last.size += PAGE_SIZE;
      else ranges.push({ start: frame * PAGE_SIZE, size: PAGE_SIZE });
    }
    return ranges;
  }

  writeTo(memory: PhysicalMemory): void {
    for (const [frame, words] of this.#tables) memory.words.set(words, memory.pageOf(frame) * WORDS);
  }
}

export const tablesIn =
  (memory: PhysicalMemory): Tables =>
  (table) => {
    const page = memory.pageOf(table);
    return page < 0 ? undefined : memory.words.subarray(page * WORDS, (page + 1) * WORDS);
  };

/** The first difference below two roots, in words; or undefined. */
export function tablesDiffer(expected: Tables, expectedRoot: Frame, actual: Tables, root: Frame): string | undefined {
  return new Comparison(expected, actual).tables(expectedRoot, root, 4);
}

class Comparison {
  readonly #expected: Tables;
  readonly #actual: Tables;
  /** Which table is which. */
  readonly #names = new Map<Frame, Frame>();
  readonly #expectedNames = new Map<Frame, Frame>();

  constructor(expected: Tables, actual: Tables) {
    this.#expected = expected;
    this.#actual = actual;
  }

  tables(expected: Frame, actual: Frame, level: number): string | undefined {
    const [name, expectedName] = [this.#names.get(expected), this.#expectedNames.get(actual)];
    if (name === actual && expectedName === expected) return undefined; // reached twice
    if (name !== undefined || expectedName !== undefined)
      return `table ${hexNumber(actual)} stands for ${hexNumber(expected)}, and one of them for another`;
    this.#names.set(expected, actual);
    this.#expectedNames.set(actual, expected);
    const [wanted, got] = [this.#expected(expected), this.#actual(actual)];
    if (wanted === undefined) throw new UsageError(`an entry leads to ${hexNumber(expected)}, which is no table`);
    if (got === undefined) return `an entry leads to ${hexNumber(actual)}, which is no RAM`;
    for (let at = 0; at < WORDS; at += 2) {
      if (level === 4 && at === SELF_MAP) continue;
      const differs = this.#entries(wanted, got, at, level);
      if (differs !== undefined) return differs;
    }
    return undefined;
  }

  #entries(wanted: Int32Array, got: Int32Array, at: number, level: number): string | undefined {
    const [wantedLo, wantedHi, lo, hi] = [wanted[at]!, wanted[at + 1]!, got[at]!, got[at + 1]!];
    const isWanted = mapsAnything(this.#expected, wantedLo, wantedHi, level);
    const isThere = mapsAnything(this.#actual, lo, hi, level);
    if (!isWanted && !isThere) return undefined;
    const areTables = isWanted && isThere && isTable(wantedLo, level) && isTable(lo, level);
    if (areTables && flagsOf(lo, hi) === flagsOf(wantedLo, wantedHi))
      return this.tables(frameOf(wantedLo, wantedHi), frameOf(lo, hi), level - 1);
    if (isWanted && isThere && !areTables && lo === wantedLo && hi === wantedHi) return undefined;
    return `level ${level}, entry ${at / 2}: ${hex64(lo, hi)}, expected ${hex64(wantedLo, wantedHi)}`;
  }
}

const isTable = (lo: number, level: number): boolean => level === 4 || (level > 1 && (lo & PS) === 0);

/** Whether an entry is present and, of a table, anything below it. */
function mapsAnything(tables: Tables, lo: number, hi: number, level: number): boolean {
  if (!isPresent(lo) || !isTable(lo, level)) return isPresent(lo);
  const words = tables(frameOf(lo, hi));
  if (words === undefined) return true; // to be reported
  for (let at = 0; at < WORDS; at += 2) if (mapsAnything(tables, words[at]!, words[at + 1]!, level - 1)) return true;
  return false;
}
