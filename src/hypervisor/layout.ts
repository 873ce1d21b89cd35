/**
 * Xen's virtual layout on x86-64 (4-level paging, without BIGMEM), as linear page numbers: address >> 12, sign bits
 * kept, 0 to 2^52 - 1. Ends are exclusive.
 */
import Long from 'long';
import { type Address, toHalves } from '../mmu/address.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';

/** Linear page number of an address; its low 12 bits are ignored. Xen: paddr_to_pfn() for linear addresses. */
export function pageOf(address: Address): number {
  const { low, high } = toHalves(address);
  return (high >>> 0) * 0x10_0000 + (low >>> 12);
}

/** The address of a linear page's first byte, unsigned. Not in Xen: there, addresses are numbers. */
export function addressAt(page: number): Long {
  return new Long((page * PAGE_SIZE) | 0, Math.floor(page / 0x10_0000) | 0, true);
}

/**
 * The low 32 bits of a page or frame number: indexes below level 4, and alignment. `%` is a call for doubles, and takes 15
 * instead of 2 ns.
 * Not in Xen: C has 64-bit integers.
 */
export const lowBits = (number: number): number => number | 0;

/** Linear page numbers end here: no request wraps to 0. Not in Xen: there they do. */
export const END_OF_PAGES: number = 2 ** 52;

/** The L4 slot of a page. Xen: l4_table_offset(). */
export const l4Slot = (page: number): number => Math.floor(page / 512 ** 3) % 512;

/** A part of Xen's address space, in pages (linear address >> 12, 0 to 2^52 - 1). */
export interface Region {
  /** First page. */
  readonly start: number;
  /** One past the last page. */
  readonly end: number;
}

const region = (start: string, end: string): Region => ({ start: pageOf(`0x${start}`), end: pageOf(`0x${end}`) });

/** Reserved for Xen in every PV guest's address space. Xen: HYPERVISOR_VIRT_START, _END. */
export const HYPERVISOR_VIRT: Region = region('ffff800000000000', 'ffff880000000000');
/** Machine-to-physical table, readable by guests. Xen: RO_MPT_VIRT_START, _END. */
export const RO_MPT: Region = region('ffff800000000000', 'ffff804000000000');
/** Xen: PCI_MCFG_VIRT_START, _END. */
export const PCI_MCFG: Region = region('ffff808000000000', 'ffff810000000000');
/** The tables themselves, through the root's entry for itself. Xen: LINEAR_PT_VIRT_START, _END. */
export const LINEAR_PT: Region = region('ffff810000000000', 'ffff818000000000');
/** Xen: SH_LINEAR_PT_VIRT_START, _END. */
export const SH_LINEAR_PT: Region = region('ffff818000000000', 'ffff820000000000');
/** Xen: PERDOMAIN_VIRT_START. */
export const PERDOMAIN: Region = region('ffff820000000000', 'ffff8200c0000000');
/** Xen: RDWR_MPT_VIRT_START, _END. */
export const RDWR_MPT: Region = region('ffff828000000000', 'ffff82c000000000');
/** Xen: VMAP_VIRT_START, _END. */
export const VMAP: Region = region('ffff82c000000000', 'ffff82d000000000');
/** Xen: RDWR_COMPAT_MPT_VIRT_START, _END. */
export const RDWR_COMPAT_MPT: Region = region('ffff82d000000000', 'ffff82d040000000');
/** Xen's own image. Xen: XEN_VIRT_START, _END. */
export const XEN_VIRT: Region = region('ffff82d040000000', 'ffff82d080000000');
/** Xen: FRAMETABLE_VIRT_START. */
export const FRAMETABLE: Region = region('ffff82e000000000', 'ffff830000000000');
/** Xen: DIRECTMAP_VIRT_START, _END. */
export const DIRECTMAP: Region = region('ffff830000000000', 'ffffff8000000000');

/** The highest page of the fixmap, which grows down from it. Xen: FIXADDR_TOP. */
export const FIXADDR_TOP_PAGE: number = VMAP.end - 1;

/** Not in Xen: it compares at each place. */
export const isIn = ({ start, end }: Region, page: number): boolean => page >= start && page < end;
