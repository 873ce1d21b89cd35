// Guests to measure on: 64 MiB of RAM, 4 MiB of page tables behind it, linear space from (BASE_LO, HI) on; and streams of
// addresses in it, by their low halves.
const RAM = 68 << 20;
const DATA = 64 << 20;
const TABLES = DATA;

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
  constructor(Machine, { shared = false, caches = {}, pcid = false, levels = 4, cpus = 1 } = {}) {
    this.machine = new Machine({ memory: { size: RAM, shared }, caches, cpus });
    [this.cpu] = this.machine.cpus;
    this.words = this.machine.memory.words;
    for (let at = 0; at < DATA / 4; at++) this.words[at] = Math.imul(at, 0x9e3779b1);
    this.levels = levels;
    this.nextTable = TABLES;
    this.root = this.#table();
    this.otherRoot = this.#table();
    const cr4 = CR4_PAE | (pcid ? CR4_PCIDE : 0) | (levels === 5 ? CR4_LA57 : 0);
    this.state = { cr0: 0x8001_0001, cr3: this.root, cr4, efer: (1 << 8) | (1 << 11), cpl: 3 };
    this.cpu.enter(this.state);
  }

  /** 4 KiB pages, over all of RAM again and again. */
  mapSmall(pages) {
    for (let page = 0; page < pages; page++) this.#set(page * 4096, 1, ((page * 4096) % DATA) + (P_RW_US | A | D));
    return this;
  }

  /** 2 MiB pages, over all of RAM again and again. */
  mapLarge(pages) {
    for (let page = 0; page < pages; page++)
      this.#set(page * 2 ** 21, 2, ((page * 2 ** 21) % DATA) + (P_RW_US | A | D | PS));
    return this;
  }

  /** 1 GiB pages, each over the first 64 MiB and what lies behind: loads stay in RAM by their offsets. */
  mapHuge(pages) {
    for (let page = 0; page < pages; page++) this.#set(page * 2 ** 30, 3, P_RW_US | A | D | PS);
    return this;
  }

  /** So many pieces of 1 GiB more, through the page directory of the first. */
  repeatGiB(pieces) {
    const first = this.#slot(0, 3);
    for (let piece = 1; piece < pieces; piece++) this.words[this.#slot(piece * 2 ** 30, 3)] = this.words[first];
    return this;
  }

  /** The same address space once more, under `otherRoot`. */
  mapped() {
    this.words.copyWithin(this.otherRoot / 4, this.root / 4, this.root / 4 + 1024);
    return this;
  }

  /** Physical address of the page-table entry for an offset. */
  entryOf(offset) {
    return 4 * this.#slot(offset, 1);
  }

  /** All CPUs, in this address space. */
  enterAll() {
    for (const cpu of this.machine.cpus) cpu.enter(this.state);
    return this.machine.cpus;
  }

  /** A load from a page, so that TLB and views hold it. */
  touch(page) {
    this.cpu.read8((BASE_LO + page * 4096) | 0, HI);
    if (this.cpu.faulted !== 0) throw new Error(`page ${page} is not mapped`);
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

/** Where a low half leads to in RAM, in every guest here. */
export const physical = (lo) => (lo - BASE_LO) % DATA;

/** A seeded generator: the same stream in every run. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
}

const LENGTH = 4096;

/** Accesses of `size` bytes over so many pages, in random order. */
export function randomStream(size, pages) {
  const random = generator(12345);
  return Int32Array.from({ length: LENGTH }, () => BASE_LO + random(pages) * 4096 + random(4096 / size) * size);
}

export const sequentialStream = (size) => Int32Array.from({ length: LENGTH }, (_, at) => BASE_LO + at * size);

/** One access a page, page after page. */
export function pageStream(pages) {
  const random = generator(12345);
  return Int32Array.from({ length: pages }, (_, at) => BASE_LO + at * 4096 + random(1024) * 4);
}

/**
 * Loads over more than 4 GiB: page << 10 | word, in random order over `pages` pages, or over those of the first 64 MiB of
 * every GiB (what 1 GiB pages from frame 0 on have RAM for).
 */
export function wideStream(pages, { firstOfGiB = false } = {}) {
  const random = generator(12345);
  const page = () => (firstOfGiB ? random(pages / 2 ** 18) * 2 ** 18 + random(2 ** 14) : random(pages));
  return Int32Array.from({ length: 4 * LENGTH }, () => (page() << 10) | random(1024));
}

/** Where such loads go in RAM. */
export const widePhysical = (element) => ((element >>> 10) * 4096 + (element & 0x3ff) * 4) % DATA;
