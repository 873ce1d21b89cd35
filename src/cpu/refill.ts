/**
 * The short way of a miss: an ordinary 4 KiB page, by a walk, into TLB and hit view. Nothing can fault here, nothing is
 * marked and nobody watches: wherever there is anything to decide, the answer is no, and the slow path, which knows all
 * rules, begins anew.
 *
 * The walk, the looks into TLB and structure caches and the fill stand here once more, and in one function: V8 puts 920 bytes
 * of bytecode into a function, so that here only the small calls and those on the way are free (80 ns before, 51 now). For the
 * same reason flags are compared with `true`: of a field that may be no boolean V8 asks four questions (2 ns).
 */
import { ALL_RIGHTS, DIRTY, GLOBAL, narrow, patBit, WRITE, withLeaf } from '../mmu/access.ts';
import { ORDINARY } from '../mmu/entry.ts';
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import { type Frame, isCanonical, OFFSET_MASK, PAGE_SIZE } from '../mmu/halves.ts';
import { VIEW_PAGES } from '../mmu/hit-view.ts';
import { PAGE_DIRTY } from '../mmu/page-flags.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import {
  CONTEXT,
  FRAME,
  GENERATION,
  MARK_SHIFT,
  RIGHTS,
  SLOT_DOUBLES,
  SLOT_WORDS,
  TAG_HI,
  TAG_LO,
} from '../mmu/translation-cache.ts';
import type { Translator } from './translator.ts';
import type { Views } from './views.ts';

const QUADS_PER_PAGE = PAGE_SIZE / 8;
const WORDS_PER_PAGE = PAGE_SIZE / 4;
/** The bits of a low half that a PDE is found by. */
const PDE_TAG = ~0x1f_ffff;

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
    const { small } = tlb;
    const { pdes } = structures;
    const { port } = walker;
    const { format, pcid } = registers;
    if (translator.observer !== null || port.observer !== null || translator.a20Masked) return -1;
    if (registers.is64Bit !== true || small.isFixed !== true || !isCanonical(hi, format.mode.linearBits)) return -1;

    // The TLB: not here, or a matter for `#fromTlb`.
    const { words, ways } = small;
    const tag = lo & ~OFFSET_MASK;
    const generation = small.generations.of(pcid);
    const pageNumber = (lo >>> 12) | (hi << 20); // its low 32 bits
    const first = small.setOf(pageNumber, hi, pcid);
    let place = -1;
    for (let slot = first; slot < first + ways; slot++) {
      const word = slot * SLOT_WORDS;
      if (words[word + GENERATION] !== generation) {
        if (place < 0 && !small.isLive(slot)) place = slot;
      } else if (words[word + TAG_LO] === tag && words[word + TAG_HI] === hi) {
        return this.#fromTlb(slot, access, lo, hi);
      }
    }
    if (small.hasGlobal === true || tlb.hasLarge === true) {
      if (tlb.find(lo, hi, pcid)) return tlb.level === 1 ? this.#fromTlb(tlb.slot, access, lo, hi) : -1;
    }

    // Where the walk starts. The first place of its set is where a PDE nearly always is.
    let found = registers.root;
    let rights = ALL_RIGHTS;
    let top = format.levels;
    const keeps = structures.isOn;
    if (keeps) {
      const { words: pdeWords } = pdes;
      const slot = pdes.setOf((lo >>> 21) | (hi << 11), hi, pcid);
      const word = slot * SLOT_WORDS;
      const isFirst =
        pdeWords[word + TAG_LO] === (lo & PDE_TAG) &&
        pdeWords[word + TAG_HI] === hi &&
        pdeWords[word + GENERATION] === pdes.generations.of(pcid);
      if (!isFirst) structures.find(format, found, lo, hi, pcid);
      found = isFirst ? pdes.frameAt(slot) : structures.table;
      rights = isFirst ? pdes.rightsAt(slot) : structures.rights;
      top = isFirst ? 1 : structures.level;
    }
    let table = found | 0;
    if (table !== found) return -1;

    // The walk, of entries that are ordinary (mmu/paging-mode.ts).
    let entryLo = 0;
    let entryHi = 0;
    const { ordinaryUpper, ordinaryLeaf, ordinaryHi } = format;
    const ram = memory.words;
    for (let level = top; level > 0; level--) {
      const page = memory.pageOf(table);
      if (page < 0) return -1;
      const index = level > 3 ? hi >>> (9 * level - 29) : pageNumber >>> (9 * level - 9);
      const at = page * QUADS_PER_PAGE + (index & 511);
      if (memory.isShared) {
        port.loadQuad(at);
        entryLo = port.lo;
        entryHi = port.hi;
      } else {
        entryLo = ram[2 * at]!;
        entryHi = ram[2 * at + 1]!;
      }
      if ((entryLo & (level > 1 ? ordinaryUpper : ordinaryLeaf)) !== ORDINARY || (entryHi & ordinaryHi) !== 0)
        return -1;
      rights = narrow(rights, entryLo, entryHi);
      if (keeps) {
        walker.tables[level] = table;
        walker.rightsSoFar[level] = rights;
      }
      table = (entryHi << 20) | (entryLo >>> 12);
    }
    rights = withLeaf(rights, entryLo, entryHi, patBit(1));
    const at = this.wordOf(table, rights, access);
    if (at < 0 || !registers.current.allows(rights, access)) return -1;

    // The fill.
    counters.misses += 1;
    counters.walks += 1;
    if (top > 1 && keeps) {
      walker.top = top;
      walker.level = 1;
      structures.fill(walker, lo, hi, pcid);
    }
    const within = (lo & OFFSET_MASK) >>> 2;
    if ((rights & GLOBAL) !== 0 && registers.isGlobalEnabled === true) {
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
    words[word + GENERATION] = generation;
    words[word + CONTEXT] = pcid;
    words[word + RIGHTS] = rights | (views.fill(access, lo, hi, at) << MARK_SHIFT);
    small.doubles[place * SLOT_DOUBLES + FRAME] = table;
    small.isUsed = true;
    return at + within;
  }

  /** The page is in the TLB, and no view answers for this kind of access yet. */
  #fromTlb(slot: number, access: number, lo: number, hi: number): number {
    const { tlb, registers, counters } = this.translator;
    const { small } = tlb;
    const rights = small.rightsAt(slot);
    const at = this.wordOf(small.frameAt(slot), rights, access);
    if (at < 0 || !registers.current.allows(rights, access)) return -1;
    counters.hits += 1;
    small.mark(slot, this.views.fill(access, lo, hi, at));
    return at + ((lo & OFFSET_MASK) >>> 2);
  }

  /**
   * Index of the first word of a frame that views may answer for, or -1: in RAM below 4 GiB of the buffer, and for stores
   * that need to say nothing: D is set, the page dirty already and no code.
   */
  wordOf(frame: Frame, rights: number, access: number): number {
    const { memory } = this;
    const page = memory.pageOf(frame);
    if (page < 0 || page >= VIEW_PAGES) return -1;
    const isOpen = (access & WRITE) === 0 || ((rights & DIRTY) !== 0 && memory.pages.bytes[page] === PAGE_DIRTY);
    return isOpen ? page * WORDS_PER_PAGE : -1;
  }
}
