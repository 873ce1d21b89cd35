/**
 * `vmap`: frames from anywhere, mapped one after another at addresses that are free, with a guard page before each area.
 *
 * What fails is undone as a whole. `vunmap` unmaps by `map_pages_to_xen` without P and not by `destroy`: tables stay, except
 * where a whole aligned 2 MiB or 1 GiB of an area lay below one entry. An area is mapped throughout and nothing outside it
 * by the same superpage, so that unmapping it takes no table and cannot fail; where it fails all the same (a superpage was
 * put over it by hand), the area keeps its addresses, so that nobody gets them with old mappings in them, and can be
 * unmapped again. Xen frees the addresses then.
 */
import type Long from 'long';
import { bug } from '../bug.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { type Frame, OFFSET_MASK } from '../mmu/halves.ts';
import { FIXADDR_START_PAGE, STUBS_START_PAGE } from './fixmap.ts';
import { INVALID_MFN, PAGE_HYPERVISOR } from './flags.ts';
import { addressAt, isIn, pageOf, type Region, VMAP, XEN_VIRT } from './layout.ts';
import { mapPages } from './map-pages.ts';
import { ENOMEM, type XenMm } from './mm.ts';
import { NO_AREA, type SharedVmapArea, VmapArea } from './vmap-area.ts';
import { xenMapToMfn } from './xen-map-to-mfn.ts';

/** The region for everything. Xen: VMAP_DEFAULT. */
export const VMAP_DEFAULT = 'default';
/** The region next to Xen's image, for live patches: code reaches it by 32-bit offsets. Xen: VMAP_XEN. */
export const VMAP_XEN = 'xen';
/** Xen: enum vmap_region. */
export type VmapRegion = typeof VMAP_DEFAULT | typeof VMAP_XEN;

/** The areas of each region: one object for all CPUs of a thread. Not in Xen: there, they are arrays by region. */
export type VmapAreas = Readonly<Record<VmapRegion, VmapArea>>;
/** What another thread needs to open the same. Structured-cloneable. Not in Xen: there, all CPUs share all memory. */
export type SharedVmapAreas = Readonly<Record<VmapRegion, SharedVmapArea>>;

/** What became of an area that was to be unmapped. Not in Xen: there, what is no area is warned of and left. */
export type Unmapped =
  | 'unmapped'
  /** The address was undefined or 0. */
  | 'null'
  /** The address is not at the start of a page. */
  | 'misaligned'
  /** No area begins there: none ever did, or it was unmapped before. */
  | 'no area'
  /** Some of it may still be mapped, for want of a table. The area stays and can be unmapped again. */
  | 'failed';

/** Pages of Xen's image before the region behind it: 16 MiB. */
const IMAGE_PAGES = 4096;

/** Where the regions lie: below the fixmap, one page free between; between Xen's image and the stubs. */
const REGIONS: Readonly<Record<VmapRegion, Region>> = {
  default: { start: VMAP.start, end: FIXADDR_START_PAGE - 1 },
  xen: { start: XEN_VIRT.start + IMAGE_PAGES, end: STUBS_START_PAGE - 1 },
};

const areasByMm = new WeakMap<XenMm, VmapAreas>();

/**
 * Makes the regions, empty; or opens those of another thread.
 * @param from  what that thread's `shareVmap` gave; or whether threads may share new ones
 * Xen: vm_init_type(type, start, end).
 */
export function vmapAreas(from: SharedVmapAreas | { readonly shared: boolean }): VmapAreas {
  if ('shared' in from)
    return { default: new VmapArea(REGIONS.default, 0, from), xen: new VmapArea(REGIONS.xen, 1, from) };
  return { default: VmapArea.attach(from.default), xen: VmapArea.attach(from.xen) };
}

/** For `vmapAreas` in another thread. Not in Xen: there, all CPUs share all memory. */
export function shareVmap(areas: VmapAreas): SharedVmapAreas {
  return { default: areas.default.share(), xen: areas.xen.share() };
}

/** Gives a CPU's memory manager the areas that all of them use. Xen: vm_init(). */
export function vmInit(mm: XenMm, areas: VmapAreas): void {
  areasByMm.set(mm, areas);
}

/**
 * Maps frames to free addresses of the default region.
 * @param mfns         first frame of each chunk
 * @param granularity  frames of a chunk
 * @returns the first byte's address; undefined where there is no room, or no memory for tables, and nothing is mapped
 * Xen: vmap(mfn, nr).
 */
export function vmap(mm: XenMm, mfns: readonly Frame[], granularity = 1): Long | undefined {
  return vmapChunks(mm, mfns, granularity, 1, PAGE_HYPERVISOR, VMAP_DEFAULT);
}

/**
 * The same with everything to choose.
 * @param align  pages that the first is a multiple of: a power of two, or its lowest bit set counts
 * @param flags  24 bits
 * Xen: __vmap(mfn, granularity, nr, align, flags, type).
 */
export function vmapChunks(
  mm: XenMm,
  mfns: readonly Frame[],
  granularity: number,
  align: number,
  flags: number,
  type: VmapRegion,
): Long | undefined {
  const pages = mfns.length * granularity;
  if (!Number.isInteger(pages) || pages < 1) throw new RangeError(`an area has at least one page, not ${pages}`);
  const area = areasOf(mm)[type];
  const first = area.reserve(mm, pages, align);
  if (first === NO_AREA) return undefined;
  let page = first;
  for (const mfn of mfns) {
    const error = mapPages(mm, page, mfn, granularity, flags);
    if (error !== 0) {
      area.claim(mm, first);
      takeBack(mm, area, first, pages, page - first + (error === -ENOMEM ? mm.pagesDone : 0));
      return undefined;
    }
    page += granularity;
  }
  return addressAt(first);
}

/**
 * Unmaps an area and frees its addresses.
 * @param va  the address that `vmap` gave, or undefined
 * Xen: vunmap(va).
 */
export function vunmap(mm: XenMm, va: Address | undefined): Unmapped {
  if (va === undefined) return 'null';
  const { low, high } = toHalves(va);
  if ((low | high) === 0) return 'null';
  if ((low & OFFSET_MASK) !== 0) return 'misaligned';
  const page = pageOf(va);
  const area = Object.values(areasOf(mm)).find(({ region }) => isIn(region, page));
  const pages = area?.claim(mm, page) ?? 0;
  if (area === undefined || pages === 0) return 'no area';
  return takeBack(mm, area, page, pages, pages);
}

/** The frame that an address of an area is mapped to; INVALID_MFN where it is not. Xen: vmap_to_mfn(va). */
export function vmapToMfn(mm: XenMm, va: Address): Frame {
  return xenMapToMfn(mm, va);
}

/** Unmaps an area that was claimed, of which the first `mapped` pages are mapped at most; then frees its addresses. */
function takeBack(mm: XenMm, area: VmapArea, first: number, pages: number, mapped: number): Unmapped {
  const error = mapPages(mm, first, INVALID_MFN, pages, 0);
  // In the behaviour `xen` the holes behind what was mapped may want tables: they hold nothing that must go.
  if (error !== 0 && mm.pagesDone < mapped) {
    area.keep(mm, first);
    return 'failed';
  }
  area.release(mm, first, pages);
  return 'unmapped';
}

function areasOf(mm: XenMm): VmapAreas {
  const areas = areasByMm.get(mm);
  if (areas === undefined) bug(`CPU ${mm.cpu.index} has no vmap areas: vm_init() comes first`);
  return areas;
}
