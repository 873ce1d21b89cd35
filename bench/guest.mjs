// Guests to measure on: 64 MiB of RAM, page tables in its last MiB, linear space from (BASE_LO, HI) on; and streams of
// offsets into it.
const RAM = 64 << 20;
const TABLES = RAM - (1 << 20);

/** Where linear space begins: a user address. */
export const BASE_LO = 0x4000_0000;
export const HI = 0x7f12;

const P_RW_US = 7;
const A = 1 << 5;
const D = 1 << 6;
const PS = 1 << 7;

const CR4_PAE = 1 << 5;
const CR4_LA57 = 1 << 12;
const CR4_PCIDE = 1 << 17;

export class Guest {
  constructor(Machine, { shared = false, caches = {}, pcid = false, levels = 4 } = {}) {
    this.machine = new Machine({ memory: { size: RAM, shared }, caches });
    [this.cpu] = this.machine.cpus;
    this.words = this.machine.memory.words;
    for (let at = 0; at < TABLES / 4; at++) this.words[at] = Math.imul(at, 0x9e3779b1);
    this.levels = levels;
    this.nextTable = TABLES;
    this.root = this.#table();
    const cr4 = CR4_PAE | (pcid ? CR4_PCIDE : 0) | (levels === 5 ? CR4_LA57 : 0);
    this.cpu.enter({ cr0: 0x8001_0001, cr3: this.root, cr4, efer: (1 << 8) | (1 << 11), cpl: 3 });
  }

  /** 4 KiB pages: page k of linear space is page k of RAM. */
  mapSmall(pages) {
    for (let page = 0; page < pages; page++) this.#set(page * 4096, 1, page * 4096 + (P_RW_US | A | D));
    return this;
  }

  /** 2 MiB pages, over all of RAM again and again. */
  mapLarge(pages) {
    for (let page = 0; page < pages; page++)
      this.#set(page * 2 ** 21, 2, physical(page * 2 ** 21) + (P_RW_US | A | D | PS));
    return this;
  }

  /** Physical address of the page-table entry for an offset. */
  entryOf(offset) {
    return 4 * this.#slot(offset, 1);
  }

  /** A root with the same tables below it, for changes of address space. */
  secondRoot() {
    const root = this.#table();
    this.words.copyWithin(root / 4, this.root / 4, this.root / 4 + 1024);
    return root;
  }

  #set(offset, leafLevel, value) {
    this.words[this.#slot(offset, leafLevel)] = value;
  }

  /** Word index of an entry; the tables above it are made where they are missing. */
  #slot(offset, leafLevel) {
    const page = HI * 2 ** 20 + (BASE_LO + offset) / 4096;
    let table = this.root;
    for (let level = this.levels; ; level--) {
      const slot = table / 4 + 2 * (Math.floor(page / 512 ** (level - 1)) % 512);
      if (level === leafLevel) return slot;
      if (this.words[slot] === 0) this.words[slot] = this.#table() + (P_RW_US | A);
      table = this.words[slot] & ~0xfff;
    }
  }

  #table() {
    const table = this.nextTable;
    this.nextTable += 4096;
    if (table >= RAM) throw new Error('no room for page tables');
    return table;
  }
}

/** Where an offset lies in RAM, in every guest here. */
export const physical = (offset) => offset % RAM;

/** A seeded generator: the same stream in every run. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
}

const LENGTH = 4096;

/** Offsets of accesses of `size` bytes over so many pages, in random order. */
export function randomStream(size, pages) {
  const random = generator(12345);
  return Int32Array.from({ length: LENGTH }, () => random(pages) * 4096 + random(4096 / size) * size);
}

export const sequentialStream = (size) => Int32Array.from({ length: LENGTH }, (_, at) => at * size);

/** One access a page, page after page. */
export function pageStream(pages) {
  const random = generator(12345);
  return Int32Array.from({ length: pages }, (_, at) => at * 4096 + random(1024) * 4);
}
