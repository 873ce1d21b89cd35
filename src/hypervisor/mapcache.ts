/**
 * Which slots of a domain's area hold which frames: 16 slots for each of its vCPUs, any of which may use any. A slot that
 * no one refers to any more stays as it is while its vCPU may want the frame again; what is pushed out is garbage, and is
 * collected only when the search for a free slot has come to the end. That takes one flush of the CPU at hand, and starts
 * an epoch. A vCPU that sees a new epoch flushes its own CPU before it takes a slot, unless that was flushed since.
 *
 * A slot is: free; taken, with references; remembered in one of its vCPU's 8 places, with or without references; pushed out,
 * its entry being cleared; or garbage. Only a vCPU changes its own slots' references and its places.
 * Xen: struct mapcache_domain, struct mapcache_vcpu.
 */
import { bugOn } from '../bug.ts';
import { type Frame, hiOf, loOf, numberOf } from '../mmu/halves.ts';
import { FLUSH_TLB } from './flags.ts';
import { LockedWords } from './locked-words.ts';
import type { XenMm } from './mm.ts';

/** Slots for each vCPU. Xen: MAPCACHE_VCPU_ENTRIES. */
export const MAPCACHE_VCPU_ENTRIES = 16;
/** Places in which a vCPU remembers slots, by frame number. Xen: MAPHASH_ENTRIES. */
export const MAPHASH_ENTRIES = 8;

/** No slot. Not in Xen: there it is one past the last. */
export const NO_SLOT = -1;

/** How `take` came by a slot, in the low bits of what it returns: kinds there can be. Not in Xen: it tells them by branches. */
export const SLOT_KINDS = 4;
/** It maps the frame already. Not in Xen: see SLOT_KINDS. */
export const SLOT_MAPS = 0;
/** It maps nothing. Not in Xen: see SLOT_KINDS. */
export const SLOT_IS_FREE = 1;
/** It maps another frame, which nobody refers to. Not in Xen: see SLOT_KINDS. */
export const SLOT_IS_STALE = 2;

// Words: where the search goes on; epochs so far; the TLB clock when the last began. Then two bitmaps, vCPUs, slots.
const CURSOR = 0;
const EPOCH = 1;
const STAMP = 2;
const BITMAPS = 3;
// Of a vCPU: CPU + 1 it runs on, the epoch it has seen, its places (slot + 1).
const RUNS_ON = 0;
const SEEN = 1;
const PLACES = 2;
const VCPU_WORDS: number = PLACES + MAPHASH_ENTRIES;
// Of a slot: vCPU + 1 that took it, its references, its frame.
const OWNER = 0;
const REFERENCES = 1;
const FRAME = 2;
const SLOT_WORDS = 4;

/** One domain's slots. Xen: struct mapcache_domain. */
export class MapCacheSlots {
  readonly count: number;
  readonly buffer: ArrayBufferLike;
  readonly #state: LockedWords;
  readonly #words: Int32Array;
  readonly #garbage: number;
  readonly #vcpus: number;
  readonly #slots: number;

  /** @param name  of its words, a number of its own for each of one Xen's; see LockedWords */
  constructor(vcpus: number, name: number, storage: ArrayBufferLike | { readonly shared: boolean }) {
    this.count = vcpus * MAPCACHE_VCPU_ENTRIES;
    const bitmap = Math.ceil(this.count / 32);
    this.#garbage = BITMAPS + bitmap;
    this.#vcpus = this.#garbage + bitmap;
    this.#slots = this.#vcpus + vcpus * VCPU_WORDS;
    this.#state = new LockedWords(name, this.#slots + this.count * SLOT_WORDS, storage);
    this.#words = this.#state.words;
    this.buffer = this.#state.buffer;
  }

  /** A vCPU runs on the CPU of a memory manager from now on. */
  move(mm: XenMm, vcpu: number): void {
    this.#state.step(mm, vcpu, () => {
      this.#words[this.#vcpu(vcpu) + RUNS_ON] = mm.cpu.index + 1;
      return 0;
    });
  }

  /**
   * Takes a slot for a frame. A bug where all are in use.
   * @returns slot * SLOT_KINDS + how it was come by; in `pushedOut` a slot whose entry is to be cleared before `discard`
   */
  take(mm: XenMm, vcpu: number, mfn: Frame): number {
    return this.#state.step(mm, mfn, () => {
      const words = this.#words;
      const about = this.#vcpu(vcpu);
      bugOn(words[about + RUNS_ON] !== mm.cpu.index + 1, () => `vCPU ${vcpu} does not run on CPU ${mm.cpu.index}`);
      this.#state.second = NO_SLOT;
      const place = about + PLACES + (mfn % MAPHASH_ENTRIES);
      const known = words[place]! - 1;
      if (known !== NO_SLOT && this.#frameOf(known) === mfn) {
        words[this.#slot(known) + REFERENCES]! += 1;
        return known * SLOT_KINDS + SLOT_MAPS;
      }
      let kind = SLOT_IS_FREE;
      let slot = this.#findFree(mm, about);
      if (slot === NO_SLOT) {
        kind = SLOT_IS_STALE;
        slot = this.#forget(about);
      } else this.#keepUp(mm, about);
      bugOn(slot === NO_SLOT, () => `all ${this.count} slots of the mapcache are in use`);
      this.#use(slot, vcpu, mfn);
      if (this.#isIdle(words[place]! - 1)) this.#state.second = this.#remember(place, slot);
      return slot * SLOT_KINDS + kind;
    });
  }

  /**
   * Drops one reference. A bug where the slot has none, or another vCPU's.
   * @returns a slot whose entry is to be cleared before `discard`; NO_SLOT
   */
  drop(mm: XenMm, vcpu: number, slot: number): number {
    return this.#state.step(mm, slot, () => {
      const words = this.#words;
      const about = this.#slot(slot);
      const owner = words[about + OWNER]! - 1;
      const named = (): string => `slot ${slot} of the mapcache`;
      bugOn(words[about + REFERENCES]! < 1, () => `${named()} is unmapped, and nobody has it mapped`);
      bugOn(owner !== vcpu, () => `vCPU ${vcpu} unmaps ${named()}, which vCPU ${owner} has mapped`);
      words[about + REFERENCES]! -= 1;
      if (words[about + REFERENCES] !== 0) return NO_SLOT;
      const place = this.#vcpu(vcpu) + PLACES + (this.#frameOf(slot) % MAPHASH_ENTRIES);
      if (words[place]! - 1 === slot) return NO_SLOT; // stays for the next time
      return this.#isIdle(words[place]! - 1) ? this.#remember(place, slot) : slot;
    });
  }

  /** After `take`: the slot that was pushed out for the one taken. */
  get pushedOut(): number {
    return this.#state.second;
  }

  /** What was pushed out is garbage: its entry is clear, and translations of it may linger. */
  discard(mm: XenMm, slot: number): void {
    this.#state.step(mm, slot, () => {
      this.#words[this.#garbage + (slot >>> 5)]! |= 1 << (slot & 31);
      return 0;
    });
  }

  /** Slots that hold or held something, and those of them that are garbage. Not in Xen: for tests and tools. */
  usage(mm: XenMm): { readonly used: number; readonly garbage: number; readonly epoch: number } {
    const counts = { used: 0, garbage: 0, epoch: 0 };
    this.#state.step(mm, 0, () => {
      for (let slot = 0; slot < this.count; slot++) {
        if (this.#has(BITMAPS, slot)) counts.used += 1;
        if (this.#has(this.#garbage, slot)) counts.garbage += 1;
      }
      counts.epoch = this.#words[EPOCH]!;
      return 0;
    });
    return counts;
  }

  /** The next slot that was never used since the last collection; else collects, and begins anew. */
  #findFree(mm: XenMm, vcpu: number): number {
    const slot = this.#nextFree(this.#words[CURSOR]!);
    if (slot !== NO_SLOT) return slot;
    this.#collect(mm, vcpu);
    return this.#nextFree(0);
  }

  /** Frees what is garbage, and sees to it that this CPU has no translation of it. */
  #collect(mm: XenMm, vcpu: number): void {
    const words = this.#words;
    let found = 0;
    for (let at = 0; BITMAPS + at < this.#garbage; at++) {
      found |= words[this.#garbage + at]!;
      words[BITMAPS + at]! &= ~words[this.#garbage + at]!;
      words[this.#garbage + at] = 0;
    }
    words[CURSOR] = 0;
    if (found === 0) return;
    words[STAMP] = mm.flush.clock.now | 0;
    words[EPOCH]! += 1;
    mm.flush.local(0, FLUSH_TLB);
    words[vcpu + SEEN] = words[EPOCH]!;
  }

  /** Slots were collected since this vCPU looked last: its CPU may have translations of what they held. */
  #keepUp(mm: XenMm, vcpu: number): void {
    const words = this.#words;
    if (words[vcpu + SEEN] === words[EPOCH]) return;
    words[vcpu + SEEN] = words[EPOCH]!;
    if (mm.flush.clock.needsFlush(mm.cpu.index, words[STAMP]! >>> 0)) mm.flush.local(0, FLUSH_TLB);
  }

  #use(slot: number, vcpu: number, mfn: Frame): void {
    const words = this.#words;
    words[CURSOR] = slot + 1;
    words[BITMAPS + (slot >>> 5)]! |= 1 << (slot & 31);
    words.set([vcpu + 1, 1, loOf(mfn), hiOf(mfn)], this.#slot(slot));
  }

  /** Puts a slot into a place. Returns what it pushes out. */
  #remember(place: number, slot: number): number {
    const before = this.#words[place]! - 1;
    this.#words[place] = slot + 1;
    return before;
  }

  /** Empties a place whose slot nobody refers to, and returns that slot. */
  #forget(vcpu: number): number {
    const words = this.#words;
    for (let place = vcpu + PLACES; place < vcpu + VCPU_WORDS; place++) {
      const slot = words[place]! - 1;
      if (slot === NO_SLOT || !this.#isIdle(slot)) continue;
      words[place] = 0;
      return slot;
    }
    return NO_SLOT;
  }

  /** Whether a place's slot may be pushed out, or there is none. */
  #isIdle(slot: number): boolean {
    return slot === NO_SLOT || this.#words[this.#slot(slot) + REFERENCES] === 0;
  }

  #nextFree(from: number): number {
    for (let slot = from; slot < this.count; slot++) if (!this.#has(BITMAPS, slot)) return slot;
    return NO_SLOT;
  }

  #has(bitmap: number, slot: number): boolean {
    return (this.#words[bitmap + (slot >>> 5)]! & (1 << (slot & 31))) !== 0;
  }

  #frameOf(slot: number): Frame {
    const at = this.#slot(slot) + FRAME;
    return numberOf(this.#words[at]!, this.#words[at + 1]!);
  }

  #vcpu(vcpu: number): number {
    return this.#vcpus + vcpu * VCPU_WORDS;
  }

  #slot(slot: number): number {
    return this.#slots + slot * SLOT_WORDS;
  }
}
