/** Calls of Xen's mapping functions for scenarios, with what they mean on a flat map. Pages count from the directmap's start. */
import { INVALID_MFN, PAGE_HYPERVISOR } from '../hypervisor/flags.ts';
import { DIRECTMAP } from '../hypervisor/layout.ts';
import { mapPages } from '../hypervisor/map-pages.ts';
import { modifyPages } from '../hypervisor/modify-mappings.ts';
import { mapToMfn } from '../hypervisor/xen-map-to-mfn.ts';
import type { CpuOperation } from './scenario.ts';

/** Pages of 4 KiB in a 2 MiB page. */
export const M2 = 512;
/** Pages of 4 KiB in a 1 GiB page. */
export const G1: number = 512 ** 2;

/** The linear page number of a page of the directmap. */
export const pageAt = (page: number): number => DIRECTMAP.start + page;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** map_pages_to_xen(). */
export const map = (page: number, mfn: number, nr = 1, flags: number = PAGE_HYPERVISOR): CpuOperation => ({
  name: `map_pages_to_xen(${hex(page)}, ${hex(mfn)}, ${nr}, ${hex(flags)})`,
  run: (mm) => mapPages(mm, pageAt(page), mfn, nr, flags),
  meaning: (flat) => flat.map(pageAt(page), mfn, nr, flags),
});

/** map_pages_to_xen() with flags 0. */
export const unmap = (page: number, nr = 1): CpuOperation => ({
  name: `map_pages_to_xen(${hex(page)}, INVALID_MFN, ${nr}, 0)`,
  run: (mm) => mapPages(mm, pageAt(page), INVALID_MFN, nr, 0),
  meaning: (flat) => flat.map(pageAt(page), INVALID_MFN, nr, 0),
});

/** modify_xen_mappings(). */
export const modify = (first: number, until: number, nf: number): CpuOperation => ({
  name: `modify_xen_mappings(${hex(first)}, ${hex(until)}, ${hex(nf)})`,
  run: (mm) => modifyPages(mm, pageAt(first), pageAt(until), nf),
  meaning: (flat) => flat.modify(pageAt(first), pageAt(until), nf),
});

/** destroy_xen_mappings(). */
export const destroy = (first: number, until: number = first + 1): CpuOperation => ({
  ...modify(first, until, 0),
  name: `destroy_xen_mappings(${hex(first)}, ${hex(until)})`,
});

/** xen_map_to_mfn(). Its result is the frame, as a number that is judged by nobody. */
export const mapToFrame = (page: number): CpuOperation => ({
  name: `xen_map_to_mfn(${hex(page)})`,
  run: (mm) => mapToMfn(mm, pageAt(page)) | 0,
  meaning: () => {},
});
