/**
 * A walk of 4-level page tables of one's own, written from the manual's figures: which frames are tables, what they map,
 * and what in them no mapping code should leave behind. Imports nothing from src.
 */

export interface WalkedTable {
  readonly frame: number;
  /** 4 down to 1: of the table, so that one of level 1 has entries for 4 KiB. */
  readonly level: number;
  /** First page (address >> 12, sign bits kept), and pages that its 512 entries span. */
  readonly page: number;
  readonly span: number;
  /** No entry is present; all are zero. */
  readonly isEmpty: boolean;
  readonly isZero: boolean;
  /** Flags, as of a 4 KiB page, where all entries are leaves of one aligned run with the very same flags; else -1. */
  readonly run: number;
}

/** Leaves of one size that continue one another. */
export interface WalkedRun {
  readonly page: number;
  readonly count: number;
  readonly mfn: number;
  /** As of a 4 KiB page: PS gone, PAT in bit 7. */
  readonly flags: number;
  readonly level: number;
}

export interface Walked {
  readonly tables: readonly WalkedTable[];
  readonly runs: readonly WalkedRun[];
  readonly problems: readonly string[];
}

/** What may stand in the tables. */
export interface Rules {
  /** Entries that are not present are zero. */
  readonly absentIsZero: boolean;
  readonly nx: boolean;
}

const P = 0x1;
const PS = 0x80;
/** P, R/W, A, D: what Xen gives entries that lead to tables. */
const TABLE_FLAGS = 0x63;

/**
 * @param words  the memory that holds the tables, as 32-bit words
 * @param at     the index in it of a frame's first word
 */
export function walkTables(
  words: Int32Array,
  at: (frame: number) => number | undefined,
  root: number,
  rules: Rules,
): Walked {
  const tables: WalkedTable[] = [];
  const runs: { page: number; count: number; mfn: number; flags: number; level: number }[] = [];
  const problems: string[] = [];
  const seen = new Set<number>();

  function walk(frame: number, level: number, page: number): void {
    const first = at(frame);
    if (first === undefined) {
      problems.push(`${frame.toString(16)} is no frame for a table`);
      return;
    }
    if (seen.has(frame)) problems.push(`table ${frame.toString(16)} is linked twice`);
    seen.add(frame);
    const pages = 512 ** (level - 1);
    let present = 0;
    let zero = 0;
    let inRun = 0;
    let base = 0;
    let runFlags = -1;
    const below: [number, number][] = [];
    for (let index = 0; index < 512; index++) {
      const lo = words[first + 2 * index]!;
      const hi = words[first + 2 * index + 1]!;
      if (lo === 0 && hi === 0) zero += 1;
      if ((lo & P) === 0) {
        if (rules.absentIsZero && (lo !== 0 || hi !== 0))
          problems.push(`entry ${index} of a table is absent, not zero`);
        continue;
      }
      present += 1;
      const target = (hi & 0xf_ffff) * 2 ** 20 + (lo >>> 12);
      const entryPage = page + index * pages;
      const isLeaf = level === 1 || (level < 4 && (lo & PS) !== 0);
      if (!isLeaf) {
        if ((lo & 0xfff) !== TABLE_FLAGS || hi >>> 20 !== 0)
          problems.push(`flags of a table: ${(lo & 0xfff).toString(16)}`);
        below.push([target, entryPage]);
        continue;
      }
      if (!rules.nx && hi < 0) problems.push('XD is set, and reserved');
      const pat = level > 1 ? target % 2 : 0;
      const mfn = target - pat;
      const low = level > 1 ? (lo & 0xf7f) | (pat * 0x80) : lo & 0xfff;
      const flags = ((hi >>> 20) << 12) | low;
      if (mfn % pages !== 0) problems.push(`frame ${mfn.toString(16)} of a page of level ${level} is not aligned`);
      if (index === 0) {
        base = mfn;
        runFlags = flags;
      }
      if (mfn === base + index * pages && flags === runFlags) inRun += 1;
      const last = runs.at(-1);
      if (
        last !== undefined &&
        last.level === level &&
        last.flags === flags &&
        last.page + last.count === entryPage &&
        last.mfn + last.count === mfn
      )
        last.count += pages;
      else runs.push({ page: entryPage, count: pages, mfn, flags, level });
    }
    tables.push({
      frame,
      level,
      page,
      span: 512 * pages,
      isEmpty: present === 0,
      isZero: zero === 512,
      run: inRun === 512 && base % (512 * pages) === 0 ? runFlags : -1,
    });
    for (const [target, entryPage] of below) walk(target, level - 1, entryPage + signBits(level, entryPage));
  }
  walk(root, 4, 0);
  runs.sort((a, b) => a.page - b.page);
  return { tables, runs, problems };
}

/** What a page number in the upper half has above its 36 bits. */
const signBits = (level: number, page: number): number => (level === 4 && page >= 2 ** 35 ? 2 ** 52 - 2 ** 36 : 0);
