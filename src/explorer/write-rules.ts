/** Rules about single stores to tables that others can see. */
import type { Lives } from './lives.ts';
import { entryAt, indexOf, leadsToTable, type SeenEntry } from './tables-seen.ts';
import type { SeenEvent, Watched } from './watched.ts';

const P = 1;
const D = 0x40;

/** I14: whether a CPU holds the lock that covers a table, by the locking that was chosen. */
export function isCovered(watched: Watched, lives: Lives, cpu: number, page: number): boolean {
  const { locking } = watched;
  if (locking === 'none-prefix' || !watched.locksAreTaken()) return true;
  if (lives.levelOf(page) === 4 || locking === 'pgdir') return lives.holderOf(-1) === cpu;
  const locked = locking === 'l3' ? l3Above(watched, lives, page) : page;
  return locked >= 0 && lives.holderOf(locked) === cpu;
}

/** The L3 table that covers what a table maps; -1 where the root leads to none. */
function l3Above(watched: Watched, lives: Lives, page: number): number {
  const entry = entryAt(watched, watched.root, indexOf(lives.firstPage(page), 4));
  return entry.isPresent ? watched.pageOf(entry.frame) : -1;
}

/** I18: whether hardware set D after the code read the entry, and the code's store, which leaves the page, takes it away. */
export function losesDirty(watched: Watched, event: SeenEvent, old: SeenEntry): boolean {
  const { a, b, c, d: level, cpu, operation } = event;
  const wasDirty = old.isPresent && (old.flags & D) !== 0 && !leadsToTable(level, old);
  if (!wasDirty || operation === 'exchange' || (c & P) === 0) return false;
  const seen = watched.lastRead(cpu, a);
  if (seen === undefined || (seen & P) === 0 || (seen & D) !== 0) return false;
  if (operation === 'publish') return (entryAt(watched, b, 0).flags & D) === 0;
  return b === old.frame && (c & D) === 0;
}
