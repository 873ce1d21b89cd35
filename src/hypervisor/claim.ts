/**
 * Lock-and-reverify, the locking `reverify`. Tables are read without a lock. Whoever wants to change an entry takes the lock
 * of the table that it lies in, and starts over where that table is stale or the entry no longer what was seen.
 *
 * Whoever unlinks a table marks it stale, with its lock: before the entry above is free for others again, and top-down where
 * tables hang below it. So nobody changes a table that nothing links, whatever he has read before; and a table is freed
 * when nobody reads it any more (grace.ts). What is read in a stale table was right when it was unlinked.
 *
 * One lock is held at a time, from the first change in a table to the first in another one; what was changed is flushed in
 * between. Below it, one table's lock at a time may be taken while its entry is exchanged.
 *
 * With the other choices of locking, whoever comes here holds the lock of the L3 table, and all of this is granted.
 */
import type { Frame } from '../mmu/halves.ts';
import { type Entry, tableOf } from './entry-words.ts';
import type { XenMm } from './mm.ts';

/** Makes `entry`, just read as (frame, flags), this CPU's to change. False where another CPU was faster: starts over. */
export function claim(mm: XenMm, entry: Entry, frame: Frame, flags: number): boolean {
  const { locks, tables } = mm;
  if (!locks.isPerTable || locks.holds(tableOf(entry))) return true;
  return claimTable(mm, entry) && tables.read(entry) === flags && tables.frame === frame;
}

/** The same for the table that `entry` lies in, whatever the entry says now. */
export function claimTable(mm: XenMm, entry: Entry): boolean {
  const { locks, gather } = mm;
  if (!locks.isPerTable || locks.holds(tableOf(entry))) return true;
  gather.complete(); // nobody may map here again while an old translation is left
  locks.unlockBelow();
  return locks.lockTable(tableOf(entry));
}
