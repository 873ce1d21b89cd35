/**
 * pagewalk/hypervisor: Xen's mapping layer on a `Machine`. Start with `Xen`; docs/xen-names.md lists names and deviations.
 * @module pagewalk/hypervisor
 */

export type { Frame } from '../mmu/halves.ts';
export type { Operation, Seam, SeamObserver } from '../mmu/seam.ts';
export {
  BEHAVIOURS,
  type Behaviour,
  type BehaviourName,
  type Locking,
  PAGEWALK_BEHAVIOUR,
  XEN_BEHAVIOUR,
} from './behaviour.ts';
export {
  SYS_STATE_ACTIVE,
  SYS_STATE_BOOT,
  SYS_STATE_EARLY_BOOT,
  SYS_STATE_RESUME,
  SYS_STATE_SMP_BOOT,
  SYS_STATE_SUSPEND,
} from './control.ts';
export {
  domainPageMapToMfn,
  MAPCACHE_PAGE,
  MapCache,
  type MapCacheOptions,
  mapDomainPage,
  type SharedMapCache,
  unmapDomainPage,
  type Vcpu,
} from './domain-page.ts';
export {
  allocStubPage,
  clearFixmap,
  clearFixmapX,
  FIXADDR_START_PAGE,
  FIXADDR_X_TOP_PAGE,
  FIXED_ADDRESSES,
  FIXED_X_ADDRESSES,
  fixToVirt,
  fixXToVirt,
  STUBS_START_PAGE,
  setFixmap,
  setFixmapX,
} from './fixmap.ts';
export * from './flags.ts';
export type { AssistedFlush, CacheFlush, Flush } from './flush.ts';
export { FrameTable, type PageInfo, type Provenance } from './frame-table.ts';
export type { Heap } from './heap.ts';
export { ioremap, ioremapWc, iounmap } from './ioremap.ts';
export * from './layout.ts';
export type { Locks } from './locks.ts';
export { mapPages, mapPagesToXen, populatePtRange } from './map-pages.ts';
export { MAPCACHE_VCPU_ENTRIES, MAPHASH_ENTRIES } from './mapcache.ts';
export { EINVAL, ENOMEM, type L4Hook, XenMm } from './mm.ts';
export { modifyXenMappingsLite } from './modify-lite.ts';
export { destroyXenMappings, modifyPages, modifyXenMappings } from './modify-mappings.ts';
export type { Flushed, NeverPublished, Proof, Retired } from './proof.ts';
export { type Reach, Roots, type SharedRoots } from './roots.ts';
export type { Tables } from './tables.ts';
export { lookUp, type Slot, virtToXenL1e, virtToXenL2e, virtToXenL3e } from './virt-to-xen.ts';
export {
  type SharedVmapAreas,
  shareVmap,
  type Unmapped,
  VMAP_DEFAULT,
  VMAP_XEN,
  type VmapAreas,
  type VmapRegion,
  vmap,
  vmapAreas,
  vmapChunks,
  vmapToMfn,
  vmInit,
  vunmap,
} from './vmap.ts';
export { type SharedXen, Xen, type XenOptions } from './xen.ts';
export { mapToMfn, xenMapToMfn } from './xen-map-to-mfn.ts';
