/**
 * Several roots over the same lower tables. The memory manager works on one root; guests' and EFI's have L4 entries of their
 * own that lead to the same L3 tables, so that whatever changes below is there at once. A new L4 entry is not: it is copied
 * to each root that is registered here, under `map_pgdir_lock`, before whoever added it goes on.
 *
 * No flush is due: an entry that was not present is in no TLB and in no structure cache, and a present one never changes.
 * Xen: the EFI root gets new L4 entries in virt_to_xen_l3e(); guests' roots get theirs once, in init_xen_l4_slots(), and
 * would miss new ones, were the L3 tables not all there from the start.
 */
import { bugOn } from '../bug.ts';
import { isPresent } from '../mmu/entry.ts';
import { type Frame, hexNumber, hiOf, loOf, numberOf } from '../mmu/halves.ts';
import { HYPERVISOR_VIRT, LINEAR_PT, l4Slot, PERDOMAIN, SH_LINEAR_PT } from './layout.ts';
import { LockedWords } from './locked-words.ts';
import type { XenMm } from './mm.ts';
import { ENTRIES } from './tables.ts';

/** Which of Xen's L4 entries a root gets: all, or those in a PV guest's reserved range. Xen: ROOT_PAGETABLE_PV_XEN_SLOTS. */
export type Reach = 'all' | 'guest';

/** What another thread needs to open the same. Structured-cloneable. Not in Xen: there, all CPUs share all memory. */
export interface SharedRoots {
  /** Of its words, a number of its own for each of one Xen's. */
  readonly name: number;
  /** Roots at most. */
  readonly capacity: number;
  /** Its words: how many roots, and their frames. */
  readonly buffer: ArrayBufferLike;
}

const FIRST_SLOT = l4Slot(HYPERVISOR_VIRT.start);
/** One past the last slot. */
const ENDS: Readonly<Record<Reach, number>> = { all: ENTRIES, guest: l4Slot(HYPERVISOR_VIRT.end) };
/** Slots in which each root has its own: windows on its tables, and its domain's area. */
const OWN_SLOTS: readonly number[] = [LINEAR_PT, SH_LINEAR_PT, PERDOMAIN].map(({ start }) => l4Slot(start));

// Words: how many roots there are; of each its frame, low and high, and one past the last slot it gets.
const COUNT = 0;
const FIRST_ROOT = 1;
const ROOT_WORDS = 3;
const FULL = -1;

/** Roots that follow the memory manager's. Xen: efi_l4_pgtable, and guests' root tables as domains keep them. */
export class Roots {
  readonly #capacity: number;
  readonly #state: LockedWords;

  /**
   * @param capacity  roots at most
   * @param name      of its words, a number of its own for each of one Xen's; see LockedWords
   */
  constructor(capacity: number, name: number, storage: ArrayBufferLike | { readonly shared: boolean }) {
    this.#capacity = capacity;
    this.#state = new LockedWords(name, FIRST_ROOT + ROOT_WORDS * capacity, storage);
  }

  /** In another thread, the roots that `share()` told of. Its memory managers are yet to `follow`. */
  static attach({ capacity, name, buffer }: SharedRoots): Roots {
    return new Roots(capacity, name, buffer);
  }

  /** What `Roots.attach` takes in another thread. */
  share(): SharedRoots {
    return { name: this.#state.name, capacity: this.#capacity, buffer: this.#state.buffer };
  }

  /** From now on, copies each L4 entry that this memory manager adds; after whatever its hook did before. */
  follow(mm: XenMm): void {
    const before = mm.onL4Entry;
    mm.onL4Entry = (slot, table, flags) => {
      before?.(slot, table, flags);
      this.#copyToAll(mm, slot, table, flags);
    };
  }

  /**
   * Gives a root all L4 entries there are, and each new one until it is unregistered. The root is an L4 table in RAM whose
   * slots for them are empty, or hold just that. RangeError where there are as many roots as there can be.
   * Xen: init_xen_l4_slots(l4t, l4mfn, d, sl4mfn, ro_mpt).
   */
  register(mm: XenMm, root: Frame, reach: Reach = 'all'): void {
    mm.begin();
    mm.locks.lockPgdir(); // no entry is added between the copy and the first look at the list
    try {
      if (this.#add(mm, root, ENDS[reach]) === FULL)
        throw new RangeError(`there are ${this.#capacity} other roots already`);
      for (let slot = FIRST_SLOT; slot < ENDS[reach]; slot++) {
        const flags = mm.tables.read(mm.root * ENTRIES + slot);
        const { frame } = mm.tables;
        if (isPresent(flags) && !OWN_SLOTS.includes(slot)) copy(mm, root, slot, frame, flags);
      }
    } finally {
      mm.locks.unlockPgdir();
      mm.end();
    }
  }

  /** Copies nothing more to a root: before it is freed. What it has got stays. */
  unregister(mm: XenMm, root: Frame): void {
    mm.begin();
    mm.locks.lockPgdir();
    try {
      this.#remove(mm, root);
    } finally {
      mm.locks.unlockPgdir();
      mm.end();
    }
  }

  /** Other roots, in the order of their registration but for gaps that were filled. */
  list(mm: XenMm): Frame[] {
    return Array.from({ length: this.#count(mm) }, (_, nth) => this.#at(mm, nth).root);
  }

  /** With `map_pgdir_lock` held. */
  #copyToAll(mm: XenMm, slot: number, table: Frame, flags: number): void {
    if (slot < FIRST_SLOT || OWN_SLOTS.includes(slot)) return;
    const count = this.#count(mm);
    for (let nth = 0; nth < count; nth++) {
      const { root, end } = this.#at(mm, nth);
      if (slot < end) copy(mm, root, slot, table, flags);
    }
  }

  #count(mm: XenMm): number {
    return this.#state.step(mm, 0, () => this.#state.words[COUNT]!);
  }

  #at(mm: XenMm, nth: number): { readonly root: Frame; readonly end: number } {
    const root = this.#state.step(mm, nth, () => {
      this.#state.second = this.#state.words[at(nth) + 2]!;
      return this.#rootAt(nth);
    });
    return { root, end: this.#state.second };
  }

  /** Adds a root, or widens what it gets. FULL where there is no place. */
  #add(mm: XenMm, root: Frame, end: number): number {
    const { words } = this.#state;
    return this.#state.step(mm, root, () => {
      const nth = this.#find(root);
      if (nth === this.#capacity) return FULL;
      if (nth === words[COUNT]) words[COUNT] = nth + 1;
      words.set([loOf(root), hiOf(root), Math.max(end, words[at(nth) + 2]!)], at(nth));
      return nth;
    });
  }

  #remove(mm: XenMm, root: Frame): void {
    const { words } = this.#state;
    this.#state.step(mm, root, () => {
      const nth = this.#find(root);
      if (nth === words[COUNT]) return FULL;
      const last = words[COUNT]! - 1;
      words.copyWithin(at(nth), at(last), at(last) + ROOT_WORDS);
      words.fill(0, at(last), at(last) + ROOT_WORDS);
      words[COUNT] = last;
      return last;
    });
  }

  /** The place of a root in the list; the end of the list where it has none. */
  #find(root: Frame): number {
    const count = this.#state.words[COUNT]!;
    for (let nth = 0; nth < count; nth++) if (this.#rootAt(nth) === root) return nth;
    return count;
  }

  #rootAt(nth: number): Frame {
    const { words } = this.#state;
    return numberOf(words[at(nth)]!, words[at(nth) + 1]!);
  }
}

const at = (nth: number): number => FIRST_ROOT + ROOT_WORDS * nth;

/** One L4 entry. A bug where another one is there: exchanging it would take a flush. */
function copy(mm: XenMm, root: Frame, slot: number, table: Frame, flags: number): void {
  const { tables } = mm;
  const entry = root * ENTRIES + slot;
  if (isPresent(tables.read(entry))) {
    const { frame } = tables;
    bugOn(frame !== table, () => `L4 slot ${slot} of root ${hexNumber(root)} leads to ${hexNumber(frame)} already`);
    return;
  }
  tables.publish(entry, 4, table, flags);
}
