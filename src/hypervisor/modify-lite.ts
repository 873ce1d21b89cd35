/**
 * `modify_xen_mappings_lite`: changes the rights of Xen's own image while nothing else may run: for alternatives and
 * live patches. No locks, no allocation, no flush: whoever calls flushes, and is the only one to change these tables.
 */
import { bugOn } from '../bug.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { isPresent } from '../mmu/entry.ts';
import { hexNumber } from '../mmu/halves.ts';
import { MODIFY_MASK, pagesOf } from './flags.ts';
import { pageOf, XEN_VIRT } from './layout.ts';
import type { XenMm } from './mm.ts';
import { isLeaf } from './superpage.ts';
import { childOf, HOLE, l3Entry } from './virt-to-xen.ts';

/**
 * Changes the flags of what is mapped from `s` to `e`, within XEN_VIRT. Splits nothing: the whole page that holds the byte
 * before `e` changes, be it of 4 KiB or of 2 MiB.
 * @param s   first byte, at the start of a page; of a superpage, where one maps it
 * @param e   one past the last byte, anywhere
 * @param nf  new flags, with P: NX, D, A, RW and P count
 * Xen: modify_xen_mappings_lite(s, e, nf).
 */
export function modifyXenMappingsLite(mm: XenMm, s: Address, e: Address, nf: number): void {
  const { tables } = mm;
  const end = pageOf(e) + (isPageAligned(e) ? 0 : 1);
  let page = pageOf(s);
  const fails = (what: string) => (): string => `modify_xen_mappings_lite, page ${hexNumber(page)}: ${what}`;
  bugOn(!isPresent(nf), fails('the new flags lack P'));
  bugOn(!isPageAligned(s), fails('the start is not aligned to a page'));
  bugOn(page < XEN_VIRT.start || end > XEN_VIRT.end, fails("not within Xen's image"));
  const flags = nf & MODIFY_MASK & mm.flagsMask;

  while (page < end) {
    const pl3e = l3Entry(mm, page, 'skip');
    bugOn(pl3e === HOLE || !isPresent(tables.read(pl3e)), fails('nothing is mapped'));
    let level = 2;
    let entry = childOf(mm, pl3e, 3, page);
    let old = tables.read(entry);
    if (isPresent(old) && !isLeaf(level, old)) {
      level = 1;
      entry = childOf(mm, entry, 2, page);
      old = tables.read(entry);
    }
    bugOn(!isPresent(old), fails('nothing is mapped'));
    bugOn(page % pagesOf(level) !== 0, fails('the start lies inside a superpage'));
    tables.write(entry, level, tables.frame, (old & ~MODIFY_MASK) | flags);
    page += pagesOf(level);
  }
}

const isPageAligned = (address: Address): boolean => (toHalves(address).low & 0xfff) === 0;
