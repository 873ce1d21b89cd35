/**
 * Rollback without an undo: a request that may run out of tables reserves all it could need before it changes anything.
 *
 * Counts are upper bounds by one look at the tables. Where another CPU changes the same range meanwhile, more may be
 * needed; what was done then stays, as without rollback.
 * Not in Xen: there, what was done before a failure stays.
 */
import { isPresent, P, PS } from '../mmu/entry.ts';
import { pagesOf } from './flags.ts';
import type { XenMm } from './mm.ts';
import { isLeaf } from './superpage.ts';
import { ENTRIES, type Entry } from './tables.ts';
import { indexAt } from './virt-to-xen.ts';

// Entries of tables that do not exist yet: of one that would be added, of one that a superpage would be split into.
const ABSENT = -1;
const PIECE = -2;
/** The frame of such an entry: even, and so far below 0 that no page inside a superpage there has a frame of a request. */
const NOWHERE = -(2 ** 40);

/** Whether a walk for a page ends at an entry of a level and adds nothing below. */
export type EndsAt = (level: number, flags: number, frame: number, page: number) => boolean;

/** Tables that a request for `count` pages from `first` may add or split off. Every walk ends at level 1. */
export function tablesNeeded(mm: XenMm, first: number, count: number, endsAt: EndsAt): number {
  const end = first + count;
  /** By level, the number of the entry below which a table was counted last: pages come in ascending order. */
  const counted = [-1, -1, -1, -1, -1];
  let needed = 0;
  let page = first;
  while (page < end) {
    let entry: Entry = mm.root * ENTRIES + indexAt(page, 4);
    for (let level = 4; ; level--) {
      const flags = entry === ABSENT ? 0 : entry === PIECE ? P | PS : mm.tables.read(entry);
      const frame = entry < 0 ? NOWHERE : mm.tables.frame;
      if (level === 1 || endsAt(level, flags, frame, page)) {
        page += pagesOf(level) - (page % pagesOf(level));
        break;
      }
      if (isPresent(flags) && (level === 4 || !isLeaf(level, flags))) {
        entry = frame * ENTRIES + indexAt(page, level - 1);
        continue;
      }
      const number = Math.floor(page / pagesOf(level));
      if (counted[level] !== number) needed += 1;
      counted[level] = number;
      entry = isPresent(flags) ? PIECE : ABSENT;
    }
  }
  return needed;
}
