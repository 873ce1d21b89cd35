/**
 * The short way of a miss: an ordinary page, by a walk, into TLB and hit view. Nothing can fault here, nothing is
 * marked and nobody watches: wherever there is anything to decide, the answer is no, and the slow path, which knows all
 * rules, begins anew.
 *
 * For 4 KiB pages the walk, the looks into TLB and structure caches and the fill stand here once more, and in one function:
 * V8 puts 920 bytes of bytecode into a function, so that here only the small calls and those on the way are free (80 ns
 * before, 37 to 40 now). For the same reason flags are compared with `true`: of a field that may be no boolean V8 asks four
 * questions (2 ns).
 */
import { ALL_RIGHTS, DIRTY, GLOBAL, narrow, WRITE, withLeaf } from '../mmu/access.ts';
import {
  CONTEXT,
  FRAME,
  GENERATION,
  KEY,
  KEY_GENERATION,
  MARK_SHIFT,
  RIGHTS,
  SLOT_WORDS,
  TAG_HI,
} from '../mmu/cache-slot.ts';
import { ORDINARY, PS } from '../mmu/entry.ts';
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import { type Frame, isCanonical, OFFSET_MASK, PAGE_SIZE } from '../mmu/halves.ts';
import { LARGE_SHIFT, VIEW_PAGES } from '../mmu/hit-view.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';
import { PAGE_DIRTY } from '../mmu/page-flags.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { StructureCaches } from '../mmu/structure-cache.ts';
import type { Tlb } from '../mmu/tlb.ts';
import type { TranslationCache } from '../mmu/translation-cache.ts';
import { MAPPED, type Walker } from '../mmu/walk.ts';
import type { Counters } from './counters.ts';
import type { Registers } from './registers.ts';
import type { Translator } from './translator.ts';
import type { Views } from './views.ts';

const WORDS_PER_PAGE = PAGE_SIZE / 4;
const LARGE_FRAMES = 1 << (LARGE_SHIFT - 12);
/** The last word that a piece of a large page may begin at, to end in pages that views may hold. */
const LAST_LARGE = (VIEW_PAGES - LARGE_FRAMES) * WORDS_PER_PAGE;
/** What an entry has set that maps a large page in use already. */
const LARGE = ORDINARY | PS;
/** The bits of a low half that a PDE is found by. */
const PDE_TAG = ~0x1f_ffff;

export class Refill {
  readonly translator: Translator;
  readonly memory: PhysicalMemory;
  readonly views: Views;
  // Parts of the translator, one load away instead of two or three.
  readonly registers: Registers;
  readonly tlb: Tlb;
  readonly small: TranslationCache;
  readonly structures: StructureCaches;
  readonly walker: Walker;
  readonly port: MemoryPort;
  readonly counters: Counters;

  constructor(translator: Translator, memory: PhysicalMemory) {
    this.translator = translator;
    this.memory = memory;
    this.views = translator.views;
    this.registers = translator.registers;
    this.tlb = translator.tlb;
    this.small = translator.tlb.small;
    this.structures = translator.structures;
    this.walker = translator.walker;
    this.port = translator.port;
    this.counters = translator.counters;
  }

  /** Whether `find` may be asked, as registers and caches are. */
  get isPossible(): boolean {
    return this.registers.is64Bit && this.small.hasSets && !this.translator.a20Masked;
  }

  /**
   * Lets the hit path answer for the page of a READ, WRITE or FETCH. The views must be open, nothing watched, and `isPossible`.
   * @returns index in the buffer of the word that (lo, hi) lies in; -1 where only the slow path can tell
   */
  find(access: number, lo: number, hi: number): number {
    const { translator, memory, registers, small, port } = this;
    const { format, pcid } = registers;
    if (translator.observer !== null || port.observer !== null || !isCanonical(hi, format.mode.linearBits)) return -1;

    // The TLB: not here, or a matter for `#fromTlb`.
    const { words, ways } = small;
    const generation = small.generations.of(pcid);
    const key = (lo & ~OFFSET_MASK) | (generation & KEY_GENERATION);
    const pageNumber = (lo >>> 12) | (hi << 20); // its low 32 bits: the indices of levels 1 to 3
    const first = small.setOf(pageNumber, hi, pcid) * SLOT_WORDS;
    const end = first + ways * SLOT_WORDS;
    let free = -1;
    for (let word = first; word < end; word += SLOT_WORDS) {
      const differs = words[word + KEY]! ^ key;
      if ((differs & KEY_GENERATION) !== 0) free = word;
      else if (differs === 0 && words[word + TAG_HI] === hi && words[word + GENERATION] === generation)
        return this.#fromTlb(word / SLOT_WORDS, access, lo, hi);
    }
    const { tlb, structures, walker } = this;
    if (small.hasGlobal === true || tlb.hasLarge === true) {
      if (tlb.find(lo, hi, pcid))
        return tlb.level === 1 ? this.#fromTlb(tlb.slot, access, lo, hi) : this.#fromLarge(access, lo, hi);
    }

    // Where the walk starts. The first place of its set is where a PDE nearly always is.
    let found = registers.root;
    let above = ALL_RIGHTS;
    let top = format.levels;
    const keeps = structures.isOn === true;
    if (keeps) {
      const { pdes } = structures;
      const { words: pdeWords } = pdes;
      const slot = pdes.setOf((lo >>> 21) | (hi << 11), hi, pcid);
      const word = slot * SLOT_WORDS;
      const known = pdes.generations.of(pcid);
      const isFirst =
        pdeWords[word + KEY] === ((lo & PDE_TAG) | (known & KEY_GENERATION)) &&
        pdeWords[word + TAG_HI] === hi &&
        pdeWords[word + GENERATION] === known;
      if (!isFirst) structures.find(format, found, lo, hi, pcid);
      found = isFirst ? pdes.frameAt(slot) : structures.table;
      above = isFirst ? pdes.rightsAt(slot) : structures.rights;
      top = isFirst ? 1 : structures.level;
    }
    let table = found | 0;
    if (table !== found) return -1;

    // The walk, of entries that are ordinary (mmu/paging-mode.ts), and a look at where the page lies. Upper halves are judged
    // together in the end: what was read in vain until then is thrown away.
    let entryLo = 0;
    let entryHi = 0;
    let allLo = -1;
    let anyHi = 0;
    let page = 0;
    const { ordinaryUpper, ordinaryLeaf, ordinaryHi } = format;
    const ram = memory.words;
    for (let shift = 9 * (top - 1); ; shift -= 9) {
      page = memory.pageOf(table);
      if (page >>> 0 >= VIEW_PAGES) return -1;
      if (shift < 0) break;
      const index = shift > 18 ? hi >>> (shift - 20) : pageNumber >>> shift;
      const at = (page << 10) | ((index & 511) << 1);
      if (memory.isShared === true) {
        port.loadQuad(at >> 1);
        entryLo = port.lo;
        entryHi = port.hi;
      } else {
        entryLo = ram[at]!;
        entryHi = ram[at + 1]!;
      }
      if ((entryLo & (shift > 0 ? ordinaryUpper : ordinaryLeaf)) !== ORDINARY) {
        const mayBeLarge = shift > 0 && (entryLo & LARGE) === LARGE;
        return mayBeLarge ? this.#walkToLarge(access, lo, hi, top, found, above) : -1;
      }
      allLo &= entryLo;
      anyHi |= entryHi;
      if (keeps) {
        const level = 1 + shift / 9;
        walker.tables[level] = table;
        walker.rightsSoFar[level] = narrow(above, allLo, anyHi);
      }
      table = (entryHi << 20) | (entryLo >>> 12);
    }
    if ((anyHi & ordinaryHi) !== 0) return -1;
    const rights = withLeaf(narrow(above, allLo, anyHi), entryLo, entryHi, PS);
    if (!this.#isOpen(page, rights, access) || !registers.current.allows(rights, access)) return -1;
    if (small.isCrowded) return -1;

    // The fill.
    const { views } = this;
    this.counters.walks += 1;
    if (top > 1 && keeps) {
      walker.top = top;
      walker.level = 1;
      structures.fill(walker, lo, hi, pcid);
    }
    const at = page * WORDS_PER_PAGE;
    const marks = views.fill(access, lo, hi, at);
    if ((rights & GLOBAL) !== 0 && registers.isGlobalEnabled === true) {
      small.mark(small.add(lo, hi, GLOBAL_CONTEXT, table, rights), marks); // in another set
      return at + ((lo & OFFSET_MASK) >>> 2);
    }
    let word = free;
    if (free < 0 || small.isLive(free / SLOT_WORDS)) {
      word = first + small.victim() * SLOT_WORDS;
      const evicted = words[word + KEY]! & ~KEY_GENERATION;
      views.dropMarked(evicted, words[word + TAG_HI]!, words[word + RIGHTS]! >>> MARK_SHIFT);
    }
    words[word + KEY] = key;
    words[word + TAG_HI] = hi;
    words[word + GENERATION] = generation;
    words[word + CONTEXT] = pcid;
    words[word + RIGHTS] = rights | (marks << MARK_SHIFT);
    small.doubles[(word >> 1) + FRAME] = table;
    small.isUsed = true;
    return at + ((lo & OFFSET_MASK) >>> 2);
  }

  /** The page is in the TLB, and no view answers for this kind of access yet. */
  #fromTlb(slot: number, access: number, lo: number, hi: number): number {
    const { registers, small, counters } = this;
    const rights = small.rightsAt(slot);
    const at = this.wordOf(small.frameAt(slot), rights, access);
    if (at < 0 || !registers.current.allows(rights, access)) return -1;
    counters.hits += 1;
    small.mark(slot, this.views.fill(access, lo, hi, at));
    return at + ((lo & OFFSET_MASK) >>> 2);
  }

  /** The same for a page of 2 MiB or 1 GiB, which `tlb` has just found. */
  #fromLarge(access: number, lo: number, hi: number): number {
    const { translator, tlb } = this;
    translator.take(tlb.frame, tlb.rights, tlb.level, lo);
    const at = this.wordOf(translator.frame, tlb.rights, access);
    if (at < 0 || !this.registers.current.allows(tlb.rights, access)) return -1;
    this.counters.hits += 1;
    return this.#fillLarge(access, lo, hi, at);
  }

  /** A page of 2 MiB or 1 GiB that no cache holds: the walker's own walk, which here only looks, from where this one began. */
  #walkToLarge(access: number, lo: number, hi: number, top: number, table: Frame, above: number): number {
    const { translator, registers, tlb, walker } = this;
    const { format, current } = registers;
    if (walker.walk(format, current, top, table, above, lo, hi, access, 'leave') !== MAPPED) return -1;
    if (walker.level === 1 || !walker.wasMarked || !tlb.holds(walker.level)) return -1; // a view stands on a TLB entry
    translator.take(walker.pageFrame, walker.rights, walker.level, lo);
    const at = this.wordOf(translator.frame, walker.rights, access);
    if (at < 0) return -1;
    this.counters.walks += 1;
    translator.keep(walker, lo, hi);
    return this.#fillLarge(access, lo, hi, at);
  }

  /** Fills the views for an address within a large page, whose TLB entry was found or filled last. */
  #fillLarge(access: number, lo: number, hi: number, at: number): number {
    this.tlb.mark(this.views.fill(access, lo, hi, at));
    this.fillLargeView(access, lo, hi, at);
    return at + ((lo & OFFSET_MASK) >>> 2);
  }

  /** Lets the views answer for the 2 MiB around the frame translated last, whose first word is at `word`, where all of it is RAM. */
  fillLargeView(access: number, lo: number, hi: number, word: number): void {
    const { translator } = this;
    const large = this.views.largeOf(access);
    if (large === undefined || translator.a20Masked) return;
    const within = (lo >>> 12) & (LARGE_FRAMES - 1);
    const first = word - within * WORDS_PER_PAGE;
    if (first <= LAST_LARGE && this.memory.isContiguous(translator.frame - within, LARGE_FRAMES))
      large.fill(lo, hi, first);
  }

  /**
   * Index of the first word of a frame that views may answer for, or -1: in RAM below 4 GiB of the buffer, and for stores
   * that need to say nothing: D is set, the page dirty already and no code.
   */
  wordOf(frame: Frame, rights: number, access: number): number {
    const page = this.memory.pageOf(frame);
    return page >= 0 && page < VIEW_PAGES && this.#isOpen(page, rights, access) ? page * WORDS_PER_PAGE : -1;
  }

  #isOpen(page: number, rights: number, access: number): boolean {
    return (access & WRITE) === 0 || ((rights & DIRTY) !== 0 && this.memory.pages.bytes[page] === PAGE_DIRTY);
  }
}
