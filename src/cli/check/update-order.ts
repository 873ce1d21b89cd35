/**
 * The order that changes of live tables keep, watched step by step:
 * - a table is completely written before it is linked;
 * - what replaces a present entry is stored before the flush that covers it, and flushed before the operation ends;
 * - a table that was linked is freed after the flush that follows its unlinking;
 * - where that is asked for: a split is flushed before a piece changes, so that no two sizes with different attributes meet
 *   in a TLB. Xen leaves that out in modify_xen_mappings.
 */
import { FLUSH_ORDER, FLUSH_ORDER_MASK, pagesOf } from '../../hypervisor/flags.ts';
import { frameOf, isPresent, PS } from '../../mmu/entry.ts';
import { type Frame, hexNumber } from '../../mmu/halves.ts';
import type { PhysicalMemory } from '../../mmu/physical-memory.ts';

interface Table {
  level: number;
  /** First linear page number that it maps, sign bits kept. */
  firstPage: number;
  state: 'new' | 'written' | 'linked' | 'unlinked' | 'flushed';
  /** Took the place of a superpage that may still be cached. */
  isSplit: boolean;
}

const ENTRIES = 512;
/** From the end of the lower half of the address space to the start of the upper one, in pages. */
const NON_CANONICAL = 2 ** 52 - 2 ** 36;
/** Pages that are kept apart until each is flushed by its own address. More of them take a flush of everything. */
const FEW = 16;

export class UpdateOrder {
  readonly #memory: PhysicalMemory;
  readonly #splits: 'flushed' | 'unflushed';
  /** All that are linked, and those on their way in or out. */
  readonly #tables = new Map<Frame, Table>();
  readonly #unlinked = new Set<Table>();
  readonly #split = new Set<Table>();
  /** Whether the store that is under way replaces a superpage. */
  #replacesPage = false;
  /** Pages (4 KiB) that were replaced and not flushed: the first `#staleCount` of these. */
  readonly #stale = new Float64Array(FEW);
  #staleCount = 0;
  /** The same of superpages, tables and many pages: only a flush of everything covers them. */
  #isAllStale = false;
  #violation: string | undefined;

  constructor(memory: PhysicalMemory, root: Frame, splits: 'flushed' | 'unflushed') {
    this.#memory = memory;
    this.#splits = splits;
    this.#tables.set(root, { level: 4, firstPage: 0, state: 'linked', isSplit: false });
  }

  allocated(table: Frame): void {
    if (this.#tables.has(table)) this.#violates(table, 'is allocated while it is in use');
    this.#tables.set(table, { level: 0, firstPage: 0, state: 'new', isSplit: false });
  }

  /** All entries of a table are written. */
  filled(table: Frame): void {
    const about = this.#tables.get(table);
    if (about?.state === 'new' || about?.state === 'written') about.state = 'written';
    else this.#violates(table, 'is filled while it can be seen');
  }

  /** Before the store of a leaf, or of a clear, to an entry (its number: table * 512 + index). */
  changes(entry: number): void {
    const table = Math.floor(entry / ENTRIES);
    const about = this.#tables.get(table);
    if (about?.isSplit === true && this.#splits === 'flushed')
      this.#violates(table, 'changes before the split that made it is flushed');
    this.#stores(entry, table, about);
  }

  #stores(entry: number, table: Frame, about: Table | undefined): void {
    this.#replacesPage = false;
    if (about?.state !== 'linked') {
      if (about?.state !== 'written') this.#violates(table, 'is written to, and neither linked nor filled');
      return;
    }
    const index = entry - table * ENTRIES;
    const { words } = this.#memory;
    const at = 2 * (this.#memory.pageOf(table) * ENTRIES + index);
    const lo = words[at]!;
    if (!isPresent(lo)) return;
    if (about.level > 1 || this.#staleCount === FEW) this.#isAllStale = true;
    else this.#stale[this.#staleCount++] = about.firstPage + index;
    if (about.level === 1) return;
    this.#replacesPage = (lo & PS) !== 0;
    if (!this.#replacesPage) this.#unlink(frameOf(lo, words[at + 1]!));
  }

  /** Before the store that links a table. */
  links(entry: number, table: Frame): void {
    const about = this.#tables.get(table);
    const parentTable = Math.floor(entry / ENTRIES);
    const parent = this.#tables.get(parentTable);
    this.#stores(entry, parentTable, parent);
    if (about?.state !== 'written' || parent === undefined) {
      this.#violates(table, 'is linked before it is completely written');
      return;
    }
    const index = entry % ENTRIES;
    about.level = parent.level - 1;
    about.firstPage =
      parent.firstPage +
      index * pagesOf(parent.level) +
      (parent.level === 4 && index >= ENTRIES / 2 ? NON_CANONICAL : 0);
    about.state = 'linked';
    about.isSplit = this.#replacesPage;
    if (about.isSplit) this.#split.add(about);
  }

  flushed(page: number, flags: number): void {
    if ((flags & FLUSH_ORDER_MASK) === FLUSH_ORDER(0)) {
      let left = 0;
      for (let nth = 0; nth < this.#staleCount; nth++)
        if (this.#stale[nth] !== page) this.#stale[left++] = this.#stale[nth]!;
      this.#staleCount = left;
      return;
    }
    this.#staleCount = 0;
    this.#isAllStale = false;
    for (const about of this.#unlinked) about.state = 'flushed';
    this.#unlinked.clear();
    for (const about of this.#split) about.isSplit = false;
    this.#split.clear();
  }

  freed(table: Frame): void {
    const state = this.#tables.get(table)?.state;
    if (state === 'linked') this.#violates(table, 'is freed while it is linked');
    if (state === 'unlinked') this.#violates(table, 'is freed before a flush');
    if (state === undefined) this.#violates(table, 'is freed and was not in use');
    this.#tables.delete(table);
  }

  /** Ends an operation: what it did in the wrong order first, if anything. */
  end(): string | undefined {
    if (this.#isAllStale) this.#violation ??= 'replaced superpages, tables or many pages are not flushed';
    if (this.#staleCount > 0) this.#violation ??= `the replaced page ${hexNumber(this.#stale[0]!)} is not flushed`;
    const violation = this.#violation;
    this.#violation = undefined;
    this.#staleCount = 0;
    this.#isAllStale = false;
    return violation;
  }

  /** A table, and those below it. */
  #unlink(table: Frame): void {
    const about = this.#tables.get(table);
    if (about?.state !== 'linked') return;
    about.state = 'unlinked';
    this.#unlinked.add(about);
    if (about.level === 1) return;
    const { words } = this.#memory;
    const first = 2 * ENTRIES * this.#memory.pageOf(table);
    for (let at = first; at < first + 2 * ENTRIES; at += 2)
      if (isPresent(words[at]!) && (words[at]! & PS) === 0) this.#unlink(frameOf(words[at]!, words[at + 1]!));
  }

  #violates(table: Frame, what: string): void {
    this.#violation ??= `table ${hexNumber(table)} ${what}`;
  }
}
