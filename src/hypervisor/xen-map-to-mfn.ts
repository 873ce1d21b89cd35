import { bugOn } from '../bug.ts';
import type { Address } from '../mmu/address.ts';
import { isPresent } from '../mmu/entry.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import { INVALID_MFN, pagesOf } from './flags.ts';
import { pageOf } from './layout.ts';
import type { XenMm } from './mm.ts';
import { isLeaf, pageFrame } from './superpage.ts';
import { ENTRIES } from './tables.ts';
import { HOLE, indexAt, l3Entry } from './virt-to-xen.ts';

/**
 * The frame that an address is mapped to, by a page of any size. INVALID_MFN where it is not mapped.
 * Xen: xen_map_to_mfn().
 */
export function xenMapToMfn(mm: XenMm, virt: Address): Frame {
  return mapToMfn(mm, pageOf(virt));
}

/**
 * The same by page number. Reads under the L3 table's lock, or without one where tables are freed after a grace period:
 * what it follows cannot be freed meanwhile. Xen: xen_map_to_mfn().
 */
export function mapToMfn(mm: XenMm, page: number): Frame {
  const { locks, tables } = mm;
  mm.begin();
  try {
    const pl3e = l3Entry(mm, page, mm.behaviour.holes === 'allocate' ? 'add' : 'skip');
    bugOn(pl3e === -1, () => `xen_map_to_mfn(${hexNumber(page)}000): no memory for an L3 table`);
    if (pl3e === HOLE) return INVALID_MFN;
    locks.lockBelow(Math.floor(pl3e / ENTRIES));
    let entry = pl3e;
    for (let level = 3; ; level--) {
      const flags = tables.read(entry);
      const { frame } = tables;
      if (!isPresent(flags)) return INVALID_MFN;
      if (isLeaf(level, flags)) return pageFrame(mm, level, frame) + (page % pagesOf(level));
      entry = frame * ENTRIES + indexAt(page, level - 1);
    }
  } finally {
    locks.unlockBelow();
    mm.end();
  }
}
