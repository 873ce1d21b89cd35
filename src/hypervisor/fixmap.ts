/**
 * Fixed addresses: pages that are known by a small number before anything can be allocated. They grow down from the top of
 * the VMAP region; those that hold code, and a stub for each CPU behind them, from the top of Xen's image.
 *
 * Setting an address replaces what it held, clearing it leaves a hole; either way no CPU keeps the old translation.
 */
import type Long from 'long';
import { bugOn } from '../bug.ts';
import { MAX_CPUS } from '../cpu/mailboxes.ts';
import type { Frame } from '../mmu/halves.ts';
import { MAP_SMALL_PAGES, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RX } from './flags.ts';
import { addressAt, FIXADDR_TOP_PAGE, XEN_VIRT } from './layout.ts';
import { mapPages } from './map-pages.ts';
import type { XenMm } from './mm.ts';

/**
 * How many fixed addresses there are: one L1 table of them. Xen: __end_of_fixed_addresses, which depends on how it was
 * configured.
 */
export const FIXED_ADDRESSES = 512;
/** How many of them hold code. Xen: __end_of_fixed_x_addresses. */
export const FIXED_X_ADDRESSES = 16;
/** The highest page of the executable fixmap. Xen: FIXADDR_X_TOP. */
export const FIXADDR_X_TOP_PAGE: number = XEN_VIRT.end - 1;

/** The lowest page of the fixmap. Xen: FIXADDR_START. */
export const FIXADDR_START_PAGE: number = FIXADDR_TOP_PAGE - FIXED_ADDRESSES + 1;
/** The lowest page of the stubs, one for each CPU there can be. Not in Xen: there it is an expression where it is used. */
export const STUBS_START_PAGE: number = FIXADDR_X_TOP_PAGE - FIXED_X_ADDRESSES - MAX_CPUS + 1;

/** The address of a fixed address's page. A bug where there is none of that index. Xen: fix_to_virt(idx). */
export function fixToVirt(index: number): Long {
  return addressAt(fixedPage(index));
}

/**
 * Maps a fixed address to a frame.
 * @param index  0 to FIXED_ADDRESSES - 1
 * @returns 0; -ENOMEM, which Xen ignores: its tables are there from the start
 * Xen: __set_fixmap(idx, mfn, flags), set_fixmap().
 */
export function setFixmap(mm: XenMm, index: number, mfn: Frame, flags: number = PAGE_HYPERVISOR): number {
  return mapPages(mm, fixedPage(index), mfn, 1, flags);
}

/** Unmaps a fixed address. Xen: clear_fixmap(idx). */
export function clearFixmap(mm: XenMm, index: number): number {
  return mapPages(mm, fixedPage(index), 0, 1, 0);
}

/** The address of an executable fixed address's page. Xen: fix_x_to_virt(idx). */
export function fixXToVirt(index: number): Long {
  return addressAt(fixedXPage(index));
}

/**
 * Maps an executable fixed address to a frame, by a page that never becomes part of a superpage.
 * @param index  0 to FIXED_X_ADDRESSES - 1
 * Xen: __set_fixmap_x(idx, mfn, flags).
 */
export function setFixmapX(mm: XenMm, index: number, mfn: Frame, flags: number = PAGE_HYPERVISOR_RX): number {
  return mapPages(mm, fixedXPage(index), mfn, 1, flags | MAP_SMALL_PAGES);
}

/** Unmaps an executable fixed address. Xen: clear_fixmap_x(idx). */
export function clearFixmapX(mm: XenMm, index: number): number {
  return mapPages(mm, fixedXPage(index), 0, 1, 0);
}

/**
 * Maps the page of a CPU's stubs, small pieces of code that Xen writes at run time.
 * @param cpu  0 to MAX_CPUS - 1
 * @returns its address; undefined where there is no memory for tables
 * Xen: alloc_stub_page(cpu, mfn), which takes a frame where it is given none.
 */
export function allocStubPage(mm: XenMm, cpu: number, mfn: Frame): Long | undefined {
  checkIndex(cpu, MAX_CPUS, 'CPU');
  const page = FIXADDR_X_TOP_PAGE - FIXED_X_ADDRESSES - cpu;
  if (mapPages(mm, page, mfn, 1, PAGE_HYPERVISOR_RX | MAP_SMALL_PAGES) !== 0) return undefined;
  return addressAt(page);
}

function fixedPage(index: number): number {
  checkIndex(index, FIXED_ADDRESSES, 'fixed address');
  return FIXADDR_TOP_PAGE - index;
}

function fixedXPage(index: number): number {
  checkIndex(index, FIXED_X_ADDRESSES, 'executable fixed address');
  return FIXADDR_X_TOP_PAGE - index;
}

function checkIndex(index: number, count: number, what: string): void {
  bugOn(!Number.isInteger(index) || index < 0 || index >= count, () => `there is no ${what} ${index}`);
}
