/**
 * Device memory, mapped for a while: uncached, or write-combining. What lies below 1 MiB is in the directmap for ever and
 * takes no mapping.
 */
import type Long from 'long';
import { type Address, toHalves } from '../mmu/address.ts';
import { numberOf, PAGE_SIZE } from '../mmu/halves.ts';
import { PAGE_HYPERVISOR_UCMINUS, PAGE_HYPERVISOR_WC } from './flags.ts';
import { addressAt, DIRECTMAP, isIn, pageOf, type Region } from './layout.ts';
import type { XenMm } from './mm.ts';
import { type Unmapped, VMAP_DEFAULT, vmapChunks, vunmap } from './vmap.ts';

/** Physical memory below this is always mapped. */
const LOW_BYTES = 0x10_0000;
const LOW_DIRECTMAP: Region = { start: DIRECTMAP.start, end: DIRECTMAP.start + LOW_BYTES / PAGE_SIZE };

/**
 * Maps physical memory uncached (UC-).
 * @param paddr  first byte, anywhere in a page
 * @param bytes  at least 1
 * @returns the address of that byte; undefined where there is no room, or no memory for tables
 * Xen: ioremap(pa, len).
 */
export function ioremap(mm: XenMm, paddr: Address, bytes: number): Long | undefined {
  const physical = physicalOf(paddr, bytes);
  if (physical + bytes <= LOW_BYTES) return addressAt(DIRECTMAP.start).add(physical);
  return remap(mm, physical, bytes, PAGE_HYPERVISOR_UCMINUS);
}

/**
 * Maps physical memory write-combining, by 4 KiB pages: WC is a type that bit 7 selects, which says something else of a
 * superpage.
 * Xen: ioremap_wc(pa, len).
 */
export function ioremapWc(mm: XenMm, paddr: Address, bytes: number): Long | undefined {
  return remap(mm, physicalOf(paddr, bytes), bytes, PAGE_HYPERVISOR_WC);
}

/**
 * Unmaps what `ioremap` or `ioremapWc` has mapped; its address may be of any byte in the first page.
 * @returns as `vunmap`; `always mapped` for what takes no mapping
 * Xen: iounmap(va).
 */
export function iounmap(mm: XenMm, va: Address | undefined): Unmapped | 'always mapped' {
  if (va === undefined) return 'null';
  const page = pageOf(va);
  if (isIn(LOW_DIRECTMAP, page)) return 'always mapped';
  return vunmap(mm, addressAt(page));
}

function remap(mm: XenMm, physical: number, bytes: number, flags: number): Long | undefined {
  const offset = physical % PAGE_SIZE;
  const pages = Math.ceil((offset + bytes) / PAGE_SIZE);
  const area = vmapChunks(mm, [Math.floor(physical / PAGE_SIZE)], pages, 1, flags, VMAP_DEFAULT);
  // A failure stays one: the offset must not make an address of it.
  return area?.add(offset);
}

/** A physical address as a number, 0 to 2^52 - 1. */
function physicalOf(paddr: Address, bytes: number): number {
  const { low, high } = toHalves(paddr);
  if (high >>> 20 !== 0)
    throw new RangeError(`not a physical address (0 to 2^52 - 1): 0x${toHalves(paddr).toString(16)}`);
  if (!Number.isSafeInteger(bytes) || bytes < 1)
    throw new RangeError(`device memory has at least one byte, not ${bytes}`);
  return numberOf(low, high);
}
