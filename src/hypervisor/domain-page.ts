/**
 * `map_domain_page`: any frame, mapped for a moment. Cheap because nothing is flushed when it is unmapped (mapcache.ts), and
 * private to a domain because its slots lie in an L3 table of its own, in L4 slot 260 of its vCPUs' roots.
 *
 * Mappings belong to one vCPU, whose tables must be those that its CPU has loaded (XSA-494): another vCPU's, a domain's that
 * is not loaded, or an address that is not mapped is a bug, as is a mapcache whose slots are all in use. They are not
 * global: a vCPU moves to another CPU by loading CR3 there, which drops them. No lock of an L3 table is taken: an entry of
 * the area changes by whoever has its slot, and mapping code keeps off it.
 */
import type Long from 'long';
import { bugOn } from '../bug.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { G, isPresent } from '../mmu/entry.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import { FLUSH_ORDER, FLUSH_TLB, PAGE_HYPERVISOR_RW, PAGE_HYPERVISOR_TABLE } from './flags.ts';
import { MARK_COUNTED, MARKS, PGT_PINNED_HI, TYPE_HI } from './frame-table.ts';
import { NO_FRAME } from './heap.ts';
import { addressAt, DIRECTMAP, isIn, l4Slot, PERDOMAIN, pageOf } from './layout.ts';
import { MapCacheSlots, NO_SLOT, SLOT_IS_STALE, SLOT_KINDS, SLOT_MAPS } from './mapcache.ts';
import type { XenMm } from './mm.ts';
import { NEVER_PUBLISHED } from './proof.ts';
import { ENTRIES, type Entry } from './tables.ts';

/** The first page of the mapcache: the second GiB of the per-domain area. Xen: MAPCACHE_VIRT_START. */
export const MAPCACHE_PAGE: number = PERDOMAIN.start + ENTRIES ** 2;
const MAPCACHE_INDEX = 1;
/** One GiB of slots. */
const MAX_VCPUS = 8192;

/** Not in Xen: there, they follow from the domain and how Xen was built. */
export interface MapCacheOptions {
  /** vCPUs of the domain, 1 to 8192. */
  readonly vcpus: number;
  /** Frames below this are reached through the directmap, which must map them; default 0, none. */
  readonly directmapFrames?: number;
  /** Of its words, a number of its own for each of one Xen's; see LockedWords. Default 16. */
  readonly name?: number;
}

/** What another thread needs to open the same. Structured-cloneable. Not in Xen: there, all CPUs share all memory. */
export interface SharedMapCache {
  /** As it was made. */
  readonly options: Required<MapCacheOptions>;
  /** The L3 table, and the L1 tables by slot. */
  readonly l3: Frame;
  /** By slot / 512. */
  readonly l1s: readonly Frame[];
  /** Which slots are taken, and by whom. */
  readonly buffer: ArrayBufferLike;
}

/** A vCPU on the CPU that it runs on. Xen: struct vcpu. */
export interface Vcpu {
  /** The memory manager of the CPU that it runs on. */
  readonly mm: XenMm;
  /** Its domain's area. */
  readonly cache: MapCache;
  /** 0 to the domain's number of vCPUs - 1. */
  readonly id: number;
}

/** One domain's area: its tables and slots. Xen: d->arch.perdomain_l3_pg, struct mapcache_domain. */
export class MapCache {
  /** Frame of the L3 table that L4 slot 260 of the domain's roots leads to. */
  readonly l3: Frame;
  /** Which slots hold which frames. @internal */
  readonly slots: MapCacheSlots;
  /** Frames below this need no slot: the directmap has them. */
  readonly directmapFrames: number;
  readonly #shared: SharedMapCache;

  /** Opens what another thread has made and told of by `share()`. */
  constructor(shared: SharedMapCache) {
    const { vcpus, name, directmapFrames } = shared.options;
    this.#shared = shared;
    this.l3 = shared.l3;
    this.directmapFrames = directmapFrames;
    this.slots = new MapCacheSlots(vcpus, name, shared.buffer);
  }

  /** A domain's mapcache; undefined where there is no memory for its tables. Xen: mapcache_domain_init(d). */
  static create(mm: XenMm, options: MapCacheOptions): MapCache | undefined {
    const { vcpus, directmapFrames = 0, name = 16 } = options;
    if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS)
      throw new RangeError(`a domain has 1 to ${MAX_VCPUS} vCPUs, not ${vcpus}`);
    const { buffer, count } = new MapCacheSlots(vcpus, name, { shared: mm.frames.memory.isShared });
    const tables = allocateAll(mm, 2 + Math.ceil(count / ENTRIES));
    if (tables === undefined) return undefined;
    const [l3, l2, ...l1s] = tables as [Frame, Frame, ...Frame[]];
    mm.tables.publish(l3 * ENTRIES + MAPCACHE_INDEX, 3, l2, PAGE_HYPERVISOR_TABLE);
    l1s.forEach((l1, nth) => mm.tables.publish(l2 * ENTRIES + nth, 2, l1, PAGE_HYPERVISOR_TABLE));
    return new MapCache({ options: { vcpus, directmapFrames, name }, l3, l1s, buffer });
  }

  /** What `new MapCache` takes in another thread. */
  share(): SharedMapCache {
    return this.#shared;
  }

  /** Gives a root of the domain its area. Xen: L4 slot PERDOMAIN, in init_xen_l4_slots(). */
  install(mm: XenMm, root: Frame): void {
    const entry = areaEntry(root);
    mm.begin();
    mm.locks.lockPgdir();
    try {
      const isTaken = isPresent(mm.tables.read(entry)) && mm.tables.frame !== this.l3;
      bugOn(isTaken, () => `root ${hexNumber(root)} has another domain's area`);
      mm.tables.publish(entry, 4, this.l3, PAGE_HYPERVISOR_TABLE);
    } finally {
      mm.locks.unlockPgdir();
      mm.end();
    }
  }

  /** A vCPU that runs on a CPU from now on, with a root of its domain loaded there. Xen: mapcache_vcpu_init(v). */
  vcpu(mm: XenMm, id: number): Vcpu {
    const { vcpus } = this.#shared.options;
    bugOn(!Number.isInteger(id) || id < 0 || id >= vcpus, () => `a domain of ${vcpus} vCPUs has none of number ${id}`);
    this.slots.move(mm, id);
    return { mm, cache: this, id };
  }

  /** The L1 entry of a slot. */
  entryOf(slot: number): Entry {
    return this.#shared.l1s[Math.floor(slot / ENTRIES)]! * ENTRIES + (slot % ENTRIES);
  }
}

/**
 * Maps a frame until it is unmapped as often as it was mapped.
 * @returns the address of its first byte
 * Xen: map_domain_page(mfn).
 */
export function mapDomainPage(vcpu: Vcpu, mfn: Frame): Long {
  const { mm, cache, id } = vcpu;
  if (mfn < cache.directmapFrames) return addressAt(DIRECTMAP.start + mfn);
  checkLoaded(vcpu);
  const taken = cache.slots.take(mm, id, mfn);
  const { pushedOut } = cache.slots;
  const slot = Math.floor(taken / SLOT_KINDS);
  const kind = taken % SLOT_KINDS;
  const page = MAPCACHE_PAGE + slot;
  if (kind !== SLOT_MAPS) mm.tables.write(cache.entryOf(slot), 1, mfn, slotFlags(mm));
  // Only this vCPU has used what the slot held.
  if (kind === SLOT_IS_STALE) mm.flush.local(page, FLUSH_TLB | FLUSH_ORDER(0));
  clear(vcpu, pushedOut);
  return addressAt(page);
}

/**
 * Unmaps what this vCPU has mapped, by any address in its page.
 * Xen: unmap_domain_page(ptr).
 */
export function unmapDomainPage(vcpu: Vcpu, address: Address): void {
  const { mm, cache, id } = vcpu;
  if (isShortcut(cache, pageOf(address))) return;
  checkLoaded(vcpu);
  clear(vcpu, cache.slots.drop(mm, id, slotAt(cache, address)));
}

/** The frame behind an address that `mapDomainPage` gave. Xen: domain_page_map_to_mfn(ptr). */
export function domainPageMapToMfn(vcpu: Vcpu, address: Address): Frame {
  const { mm, cache } = vcpu;
  const page = pageOf(address);
  if (isShortcut(cache, page)) return page - DIRECTMAP.start;
  const slot = slotAt(cache, address);
  const isMapped = isPresent(mm.tables.read(cache.entryOf(slot)));
  bugOn(!isMapped, () => `slot ${slot} of the mapcache maps nothing`);
  return mm.tables.frame;
}

/** Clears the entry of a slot that was pushed out. Nobody flushes: it is not used again before the next epoch. */
function clear({ mm, cache }: Vcpu, slot: number): void {
  if (slot === NO_SLOT) return;
  mm.tables.write(cache.entryOf(slot), 1, 0, 0);
  cache.slots.discard(mm, slot);
}

/** Not global, so that loading CR3 drops it. */
const slotFlags = (mm: XenMm): number => PAGE_HYPERVISOR_RW & ~G & mm.flagsMask;

const isShortcut = ({ directmapFrames }: MapCache, page: number): boolean =>
  isIn(DIRECTMAP, page) && page - DIRECTMAP.start < directmapFrames;

function slotAt(cache: MapCache, address: Address): number {
  const slot = pageOf(address) - MAPCACHE_PAGE;
  bugOn(slot < 0 || slot >= cache.slots.count, () => `0x${toHalves(address).toString(16)} is not in the mapcache`);
  return slot;
}

/** The slots can be reached through what the CPU has loaded. */
function checkLoaded({ mm, cache, id }: Vcpu): void {
  const { root } = mm.cpu.translator.registers;
  const isLoaded = isPresent(mm.tables.read(areaEntry(root))) && mm.tables.frame === cache.l3;
  bugOn(!isLoaded, () => `CPU ${mm.cpu.index} has the tables of another domain loaded than vCPU ${id}'s`);
}

const areaEntry = (root: Frame): Entry => root * ENTRIES + l4Slot(PERDOMAIN.start);

/** Empty tables that mapping code leaves as they are; or none at all. */
function allocateAll(mm: XenMm, count: number): Frame[] | undefined {
  const { heap, tables, frames } = mm;
  const taken: Frame[] = [];
  while (taken.length < count) {
    const table = heap.alloc();
    if (table === NO_FRAME) {
      for (const unused of taken) heap.free(unused, NEVER_PUBLISHED);
      return undefined;
    }
    tables.fill(table, 0, 0, 0);
    taken.push(table);
  }
  for (const table of taken) {
    // Several vCPUs write to one L1 table at once, without a lock: what is counted would be wrong.
    const at = frames.at(table);
    frames.words[at + MARKS]! &= ~MARK_COUNTED;
    frames.words[at + TYPE_HI]! |= PGT_PINNED_HI;
  }
  return taken;
}
