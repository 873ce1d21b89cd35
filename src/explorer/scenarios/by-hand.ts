/** What scenarios do to tables themselves, where they are about other mapping code than this one. */
import type { XenMm } from '../../hypervisor/mm.ts';
import { ENTRIES, type Entry } from '../../hypervisor/tables.ts';
import { indexAt } from '../../hypervisor/virt-to-xen.ts';
import type { CpuOperation } from '../scenario.ts';

/** No entry: nothing leads so far down. */
const NOWHERE = -1;
const P = 1;
const PS = 0x80;

/** Reads entries from the root down to that of a page at `level`, and no lock. Returns its number, or NOWHERE. */
export function follow(mm: XenMm, page: number, level: number): Entry {
  let entry = mm.root * ENTRIES + indexAt(page, 4);
  for (let above = 4; above > level; above--) {
    const flags = mm.tables.read(entry);
    if ((flags & P) === 0 || (above < 4 && (flags & PS) !== 0)) return NOWHERE;
    entry = mm.tables.frame * ENTRIES + indexAt(page, above - 1);
  }
  return entry;
}

/** Does `act` to the entry of a page at `level`, under the lock of its L3 table. */
export function underLock(mm: XenMm, page: number, level: number, act: (entry: Entry) => void): void {
  mm.begin();
  mm.locks.lockBelow(Math.floor(follow(mm, page, 3) / ENTRIES));
  try {
    act(follow(mm, page, level));
  } finally {
    mm.locks.unlockBelow();
  }
}

/** Looks a page up without a lock, as Xen's page-fault handler does to tell whether a fault was spurious. */
export const walkWithoutLock = (page: number): CpuOperation => ({
  name: 'a walk without a lock',
  run: (mm) => {
    mm.grace.enter();
    const entry = follow(mm, page, 1);
    const isMapped = entry === NOWHERE ? 0 : mm.tables.read(entry) & P;
    mm.grace.leave();
    return isMapped;
  },
  meaning: () => {},
});
