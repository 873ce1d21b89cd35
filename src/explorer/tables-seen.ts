/**
 * The page tables as an observer sees them: read from memory by the figures of the manual, never by the code under test.
 */
import type { Mapping } from './flat-map.ts';

const P = 1;
const RW = 2;
const US = 4;
const PS = 0x80;
const ENTRIES = 512;

/** Pages of an entry of a level. */
export const spanOf = (level: number): number => ENTRIES ** (level - 1);

/** Memory as the observer reads it. */
export interface SeenMemory {
  readonly words: Int32Array;
  /** Backing page of a frame, -1 where it is no RAM. */
  pageOf(frame: number): number;
}

export interface SeenEntry {
  readonly lo: number;
  readonly hi: number;
  readonly isPresent: boolean;
  readonly frame: number;
  /** 24 bits. */
  readonly flags: number;
}

export function entryAt({ words, pageOf }: SeenMemory, table: number, index: number): SeenEntry {
  const page = pageOf(table);
  const at = page * 1024 + 2 * index;
  return page < 0 ? decode(0, 0) : decode(words[at]!, words[at + 1]!);
}

export const decode = (lo: number, hi: number): SeenEntry => ({
  lo,
  hi,
  isPresent: (lo & P) !== 0,
  frame: (hi & 0xf_ffff) * 0x10_0000 + (lo >>> 12),
  flags: ((hi >>> 20) << 12) | (lo & 0xfff),
});

export const leadsToTable = (level: number, { isPresent, lo }: SeenEntry): boolean =>
  isPresent && (level === 4 || (level > 1 && (lo & PS) === 0));

export const indexOf = (page: number, level: number): number => Math.floor(page / spanOf(level)) % ENTRIES;

/** A walk for a page; the tables it went through by level, 0 where it did not get that far. */
export interface SeenWalk {
  readonly mapping: Mapping | undefined;
  /** Level of the entry that ended it. */
  readonly level: number;
  readonly tables: readonly number[];
  /** Frame of the page itself, and R/W, U/S, XD as the whole walk gives them; 0 where nothing is mapped. */
  readonly rights: number;
  /** The entry that ended it. */
  readonly entry: SeenEntry;
}

/** Rights of a walk as the TLB keeps them: writable 1, user 2, execute-disable 4. */
export function walkFor(memory: SeenMemory, root: number, page: number): SeenWalk {
  const tables = [0, 0, 0, 0, 0];
  let table = root;
  let rights = 3;
  for (let level = 4; ; level--) {
    tables[level] = table;
    const entry = entryAt(memory, table, indexOf(page, level));
    if (!entry.isPresent) return { mapping: undefined, level, tables, rights: 0, entry };
    rights = (rights & (((entry.lo & RW) >> 1) | ((entry.lo & US) >> 1) | 4)) | (entry.hi < 0 ? 4 : 0);
    if (leadsToTable(level, entry)) {
      table = entry.frame;
      continue;
    }
    const first = level > 1 ? entry.frame - (entry.frame % 2) : entry.frame; // bit 12 is PAT there
    const pat = level > 1 && entry.frame % 2 === 1 ? PS : 0;
    const flags = level > 1 ? (entry.flags & ~PS) | pat : entry.flags;
    return { mapping: { mfn: first + (page % spanOf(level)), flags }, level, tables, rights, entry };
  }
}

/** All tables below one, as frame, level and first page; a table that was met before is not entered again. */
export function* tablesBelow(
  memory: SeenMemory,
  table: number,
  level: number,
  page: number,
  met: Set<number> = new Set(),
): Generator<{ readonly frame: number; readonly level: number; readonly page: number }> {
  if (met.has(table)) return;
  met.add(table);
  yield { frame: table, level, page };
  const first = memory.pageOf(table) * 1024;
  for (let index = 0; level > 1 && first >= 0 && index < ENTRIES; index++) {
    if ((memory.words[first + 2 * index]! & P) === 0) continue; // most are empty
    const entry = entryAt(memory, table, index);
    if (leadsToTable(level, entry))
      yield* tablesBelow(memory, entry.frame, level - 1, page + index * spanOf(level), met);
  }
}
