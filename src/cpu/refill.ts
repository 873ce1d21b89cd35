/**
 * The short way of a miss: an ordinary 4 KiB page, by a walk, into TLB and hit view. Nothing can fault here, nothing is
 * marked and nobody watches: wherever there is anything to decide, the answer is no, and the slow path, which knows all
 * rules, begins anew.
 *
 * The walk, the look into the TLB and the fill stand here once more, and in one function: each as a call of its own costs
 * 15 to 20 ns, of 75 (docs/performance.md).
 */
import { DIRTY, GLOBAL, narrow, patBit, WRITE, withLeaf } from '../mmu/access.ts';
import { ORDINARY } from '../mmu/entry.ts';
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import { type Frame, isCanonical, OFFSET_MASK, PAGE_SIZE } from '../mmu/halves.ts';
import { VIEW_PAGES } from '../mmu/hit-view.ts';
import { PAGE_DIRTY } from '../mmu/page-flags.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import {
  CONTEXT,
  FRAME,
  MARK_SHIFT,
  RIGHTS,
  SLOT_DOUBLES,
  SLOT_WORDS,
  STAMP,
  TAG_HI,
  TAG_LO,
} from '../mmu/translation-cache.ts';
import type { Translator } from './translator.ts';
import type { Views } from './views.ts';

const QUADS_PER_PAGE = PAGE_SIZE / 8;
const WORDS_PER_PAGE = PAGE_SIZE / 4;

export class Refill {
  readonly translator: Translator;
  readonly memory: PhysicalMemory;
  readonly views: Views;

  constructor(translator: Translator, memory: PhysicalMemory) {
    this.translator = translator;
    this.memory = memory;
    this.views = translator.views;
  }

  /**
   * Lets the hit path answer for the page of a READ, WRITE or FETCH. The views must be open, and nothing watched.
   * @returns index in the buffer of the word that (lo, hi) lies in; -1 where only the slow path can tell
   */
  find(access: number, lo: number, hi: number): number {
    const { translator, memory, views } = this;
    const { registers, tlb, structures, walker, counters } = translator;
    const { format, pcid } = registers;
    const { small } = tlb;
    const { port } = walker;
    if (translator.observer !== null || port.observer !== null || translator.a20Masked) return -1;
    if (!registers.is64Bit || !small.isFixed || !isCanonical(hi, format.mode.linearBits)) return -1;

    // The TLB: not here, or a matter for `#fromTlb`.
    const { words, doubles } = small;
    const tag = lo & ~OFFSET_MASK;
    const lastFlush = small.generations.lastFlush(pcid);
    const first = small.setOf((lo >>> 12) | (hi << 20), hi, pcid);
    let place = -1;
    for (let slot = first; slot < first + small.ways; slot++) {
      const word = slot * SLOT_WORDS;
      if (words[word + CONTEXT] !== pcid) {
        if (place < 0 && !small.isLive(slot)) place = slot;
      } else if (doubles[slot * SLOT_DOUBLES + STAMP]! <= lastFlush) {
        if (place < 0) place = slot;
      } else if (words[word + TAG_LO] === tag && words[word + TAG_HI] === hi) {
        return this.#fromTlb(slot, access, lo, hi);
      }
    }
    if (small.hasGlobal || tlb.hasLarge) {
      if (tlb.find(lo, hi, pcid)) return tlb.level === 1 ? this.#fromTlb(tlb.slot, access, lo, hi) : -1;
    }

    // The walk, of entries that are ordinary (mmu/paging-mode.ts).
    structures.find(format, registers.root, lo, hi, pcid);
    let table = structures.table | 0;
    if (table !== structures.table) return -1;
    let { rights } = structures;
    const top = structures.level;
    let entryLo = 0;
    let entryHi = 0;
    for (let level = top; level > 0; level--) {
      const page = memory.pageOf(table);
      if (page < 0) return -1;
      const at = page * QUADS_PER_PAGE + format.index(level, lo, hi);
      port.loadQuad(at);
      entryLo = port.lo;
      entryHi = port.hi;
      if ((entryLo & format.ordinaryLo[level]!) !== ORDINARY || (entryHi & format.ordinaryHi[level]!) !== 0) return -1;
      rights = narrow(rights, entryLo, entryHi);
      walker.tables[level] = table;
      walker.rightsSoFar[level] = rights;
      table = (entryHi << 20) | (entryLo >>> 12);
    }
    rights = withLeaf(rights, entryLo, entryHi, patBit(1));
    if (!this.#isAllowed(rights, access)) return -1;
    const at = this.wordOf(table, access);
    if (at < 0) return -1;

    // The fill.
    counters.misses += 1;
    counters.walks += 1;
    if (top > 1) {
      walker.top = top;
      walker.level = 1;
      structures.fill(walker, lo, hi, pcid);
    }
    const within = (lo & OFFSET_MASK) >>> 2;
    if ((rights & GLOBAL) !== 0 && registers.isGlobalEnabled) {
      const slot = small.add(lo, hi, GLOBAL_CONTEXT, table, rights); // in another set
      small.mark(slot, views.fill(access, lo, hi, at));
      return at + within;
    }
    if (place < 0) {
      place = first + small.victim();
      const word = place * SLOT_WORDS;
      views.dropMarked(words[word + TAG_LO]!, words[word + TAG_HI]!, words[word + RIGHTS]! >>> MARK_SHIFT);
    }
    const word = place * SLOT_WORDS;
    words[word + TAG_LO] = tag;
    words[word + TAG_HI] = hi;
    words[word + CONTEXT] = pcid;
    words[word + RIGHTS] = rights | (views.fill(access, lo, hi, at) << MARK_SHIFT);
    doubles[place * SLOT_DOUBLES + STAMP] = small.generations.now;
    doubles[place * SLOT_DOUBLES + FRAME] = table;
    small.isUsed = true;
    return at + within;
  }

  /** The page is in the TLB, and no view answers for this kind of access yet. */
  #fromTlb(slot: number, access: number, lo: number, hi: number): number {
    const { small } = this.translator.tlb;
    if (!this.#isAllowed(small.rightsAt(slot), access)) return -1;
    const at = this.wordOf(small.frameAt(slot), access);
    if (at < 0) return -1;
    this.translator.counters.hits += 1;
    small.mark(slot, this.views.fill(access, lo, hi, at));
    return at + ((lo & OFFSET_MASK) >>> 2);
  }

  #isAllowed(rights: number, access: number): boolean {
    const { registers } = this.translator;
    if ((access & WRITE) !== 0 && (rights & DIRTY) === 0) return false;
    return registers.regimes[registers.regime]!.denial(rights, access) === 0;
  }

  /**
   * Index of the first word of a frame that views may answer for, or -1: in RAM below 4 GiB of the buffer, and for stores
   * that need to say nothing, dirty already and no code.
   */
  wordOf(frame: Frame, access: number): number {
    const { memory } = this;
    const page = memory.pageOf(frame);
    if (page < 0 || page >= VIEW_PAGES) return -1;
    const isOpen = (access & WRITE) === 0 || memory.pages.bytes[page] === PAGE_DIRTY;
    return isOpen ? page * WORDS_PER_PAGE : -1;
  }
}
