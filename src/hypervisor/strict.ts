/** Requests that make no sense: what strict mode refuses with -EINVAL before anything has changed. */
import { type Address, toHalves } from '../mmu/address.ts';
import { isPresent, NX, RW } from '../mmu/entry.ts';
import { type Frame, OFFSET_MASK } from '../mmu/halves.ts';
import { INVALID_MFN } from './flags.ts';
import { END_OF_PAGES } from './layout.ts';
import type { XenMm } from './mm.ts';
import { leafAt } from './virt-to-xen.ts';

const CANONICAL_LOW_END = 2 ** 35;
const CANONICAL_HIGH = 2 ** 52 - 2 ** 35;

/** Whether pages `page` to `page + count` are all canonical (48 bits) and do not wrap. */
const isRange = (page: number, count: number): boolean =>
  page + count <= CANONICAL_LOW_END || (page >= CANONICAL_HIGH && page + count <= END_OF_PAGES);

const isWritableCode = (mm: XenMm, flags: number): boolean =>
  isPresent(flags) && (flags & RW) !== 0 && (flags & NX) === 0 && mm.options.nx;

/** Whether strict mode refuses an address for its low 12 bits, which are ignored elsewhere. */
export function refusesAddress(mm: XenMm, address: Address): boolean {
  if (mm.behaviour.requests === 'as-is' || (toHalves(address).low & OFFSET_MASK) === 0) return false;
  mm.pagesDone = 0;
  return true;
}

export function refusesMap(mm: XenMm, page: number, mfn: Frame, nrMfns: number, flags: number): boolean {
  mm.pagesDone = 0;
  if (!isRange(page, nrMfns) || isWritableCode(mm, flags)) return true;
  return isPresent(flags) && (mfn === INVALID_MFN || mfn + nrMfns > 2 ** (mm.options.maxPhyAddr - 12));
}

/** `nf` with P needs every page mapped: walks the range first. */
export function refusesModify(mm: XenMm, page: number, end: number, nf: number): boolean {
  mm.pagesDone = 0;
  if (end < page || !isRange(page, end - page) || isWritableCode(mm, nf)) return true;
  if (!isPresent(nf)) return false;
  for (let at = page; at < end; ) {
    const pages = leafAt(mm, at);
    if (pages === 0) return true;
    at += pages;
  }
  return false;
}
