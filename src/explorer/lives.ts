/**
 * Ghost state: the life of each frame as a table, who holds which lock, and which pages the operation in hand of each CPU
 * has changed. Words that whoever keeps them may take back.
 */

/** Linear pages that follow one another. */
export interface PageRange {
  readonly first: number;
  readonly pages: number;
}

/** Where the words of ghost state are kept. */
export interface Ghost {
  /** Grows where it must. */
  get(index: number): number;
  set(index: number, value: number): void;
  /** Backing pages of memory. */
  readonly pages: number;
}

/** free -> private -> published -> detached -> free. NONE: was never a table. */
export const Life = { NONE: 0, FREE: 1, PRIVATE: 2, PUBLISHED: 3, DETACHED: 4 } as const;
export type LifeValue = (typeof Life)[keyof typeof Life];

// Words of a page.
const LIFE = 0;
const OWNER = 1;
const LEVEL = 2;
const FIRST_LO = 3;
const FIRST_HI = 4;
const HOLDER = 5;
const FILLED = 6;
const PAGE_WORDS = 7;

// Words of a CPU's changes: how many there are, and of each its first page and pages; then how
// many locks it holds.
const CHANGES = 12;
const CHANGE_WORDS = 4;
const HELD = 1 + CHANGES * CHANGE_WORDS;
const CPU_WORDS = HELD + 1;
const MAX_CPUS = 32;

/** Words of ghost state for a memory of so many pages. */
export const ghostWords = (pages: number): number => 1 + MAX_CPUS * CPU_WORDS + pages * PAGE_WORDS;

export class Lives {
  readonly #ghost: Ghost;

  constructor(ghost: Ghost) {
    this.#ghost = ghost;
  }

  of(page: number): LifeValue {
    return this.#ghost.get(at(page, LIFE)) as LifeValue;
  }

  ownerOf(page: number): number {
    return this.#ghost.get(at(page, OWNER));
  }

  levelOf(page: number): number {
    return this.#ghost.get(at(page, LEVEL));
  }

  /** The first linear page that a table's entries are about. */
  firstPage(page: number): number {
    return (this.#ghost.get(at(page, FIRST_HI)) >>> 0) * 2 ** 32 + (this.#ghost.get(at(page, FIRST_LO)) >>> 0);
  }

  isFilled(page: number): boolean {
    return this.#ghost.get(at(page, FILLED)) !== 0;
  }

  /** A table that was there before. */
  isTable(page: number, level: number, first: number): void {
    if (page < 0) return;
    this.#ghost.set(at(page, FILLED), 1);
    this.published(page, level, first);
  }

  allocated(page: number, cpu: number): void {
    this.#ghost.set(at(page, LIFE), Life.PRIVATE);
    this.#ghost.set(at(page, OWNER), cpu);
    this.#ghost.set(at(page, FILLED), 0);
  }

  filled(page: number): void {
    this.#ghost.set(at(page, FILLED), 1);
  }

  published(page: number, level: number, first: number): void {
    const ghost = this.#ghost;
    ghost.set(at(page, LIFE), Life.PUBLISHED);
    ghost.set(at(page, LEVEL), level);
    ghost.set(at(page, FIRST_LO), first | 0);
    ghost.set(at(page, FIRST_HI), Math.floor(first / 2 ** 32) | 0);
  }

  detached(page: number): void {
    if (this.of(page) === Life.PUBLISHED) this.#ghost.set(at(page, LIFE), Life.DETACHED);
  }

  freed(page: number): void {
    this.#ghost.set(at(page, LIFE), Life.FREE);
  }

  forEachTable(visit: (page: number, life: LifeValue) => void): void {
    for (let page = 0; page < this.#ghost.pages; page++) {
      const life = this.of(page);
      if (life !== Life.NONE) visit(page, life);
    }
  }

  /** The CPU that holds a table's lock, or map_pgdir_lock (-1); -1 where none does. */
  holderOf(lock: number): number {
    return this.#ghost.get(lockAt(lock)) - 1;
  }

  locked(lock: number, cpu: number): void {
    this.unlocked(lock); // where a planted mistake lets two have it
    this.#ghost.set(lockAt(lock), cpu + 1);
    this.#count(cpu, 1);
  }

  unlocked(lock: number): void {
    const holder = this.holderOf(lock);
    if (holder < 0) return;
    this.#ghost.set(lockAt(lock), 0);
    this.#count(holder, -1);
  }

  holdsLock(cpu: number): boolean {
    return this.#ghost.get(changesAt(cpu) + HELD) !== 0;
  }

  #count(cpu: number, locks: number): void {
    const at = changesAt(cpu) + HELD;
    this.#ghost.set(at, this.#ghost.get(at) + locks);
  }

  /** The same without map_pgdir_lock. */
  holdsTableLock(cpu: number): boolean {
    for (let lock = 0; lock < this.#ghost.pages; lock++) if (this.holderOf(lock) === cpu) return true;
    return false;
  }

  /** The operation in hand of a CPU changed what is mapped at pages. Too many are all of them. */
  noteChange(cpu: number, first: number, pages: number): void {
    for (let other = 0; other < MAX_CPUS; other++) if (other !== cpu) this.#takeOver(other, first, pages);
    if (this.#ghost.get(changesAt(cpu)) < CHANGES) this.#add(cpu, first, pages);
    else this.#set(cpu, 0, 0, 2 ** 36);
  }

  /** Ranges of pages that it changed. */
  changesOf(cpu: number): PageRange[] {
    const ghost = this.#ghost;
    const base = changesAt(cpu);
    const ranges: PageRange[] = [];
    for (let nth = 0; nth < ghost.get(base); nth++) {
      const from = base + 1 + nth * CHANGE_WORDS;
      const pages = numberAt(ghost, from + 2);
      if (pages > 0) ranges.push({ first: numberAt(ghost, from), pages });
    }
    return ranges;
  }

  /** Whether it changed some of these pages. */
  hasChanged(cpu: number, first: number, pages: number): boolean {
    return this.changesOf(cpu).some((own) => first < own.first + own.pages && own.first < first + pages);
  }

  /** What was changed again is its last changer's to flush: taken out of what others have changed. */
  #takeOver(cpu: number, first: number, pages: number): void {
    const ghost = this.#ghost;
    const base = changesAt(cpu);
    const count = ghost.get(base);
    for (let nth = 0; nth < count; nth++) {
      const from = base + 1 + nth * CHANGE_WORDS;
      const start = numberAt(ghost, from);
      const end = start + numberAt(ghost, from + 2);
      if (first >= end || first + pages <= start) continue;
      const before = Math.max(0, first - start);
      const after = Math.max(0, end - (first + pages));
      if (before > 0 && after > 0 && count === CHANGES) continue; // no room for two pieces: stays whole
      this.#set(cpu, nth, before > 0 ? start : end - after, before > 0 ? before : after);
      if (before > 0 && after > 0) this.#add(cpu, end - after, after);
    }
  }

  #add(cpu: number, first: number, pages: number): void {
    const base = changesAt(cpu);
    const count = this.#ghost.get(base);
    this.#set(cpu, count, first, pages);
    this.#ghost.set(base, count + 1);
  }

  #set(cpu: number, nth: number, first: number, pages: number): void {
    const to = changesAt(cpu) + 1 + nth * CHANGE_WORDS;
    setNumber(this.#ghost, to, first);
    setNumber(this.#ghost, to + 2, pages);
  }

  operationEnded(cpu: number): void {
    const ghost = this.#ghost;
    const base = changesAt(cpu);
    const end = base + 1 + ghost.get(base) * CHANGE_WORDS;
    for (let index = base; index < end; index++) ghost.set(index, 0);
  }
}

const changesAt = (cpu: number): number => 1 + cpu * CPU_WORDS;
const at = (page: number, word: number): number => 1 + MAX_CPUS * CPU_WORDS + page * PAGE_WORDS + word;
const lockAt = (lock: number): number => (lock < 0 ? 0 : at(lock, HOLDER));

const numberAt = (ghost: Ghost, index: number): number =>
  (ghost.get(index + 1) >>> 0) * 2 ** 32 + (ghost.get(index) >>> 0);

function setNumber(ghost: Ghost, index: number, value: number): void {
  ghost.set(index, value | 0);
  ghost.set(index + 1, Math.floor(value / 2 ** 32) | 0);
}
