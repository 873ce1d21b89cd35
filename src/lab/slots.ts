/**
 * One level of tables as slots side by side, over the whole linear address space: slot n of level L is the n-th stretch of
 * as many pages as an entry of that level spans. Tables are read as they are now; nothing is kept but the path.
 */
import type { Cpu } from '../cpu/cpu.ts';
import { rootsOfCpu } from '../image/roots.ts';
import { ALL_RIGHTS, narrow, patBit, withLeaf } from '../mmu/access.ts';
import { isPresent } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { addressOf, pageAt } from '../mmu/leaves.ts';
import type { MemoryPort } from '../mmu/memory-port.ts';
import type { PagingFormat } from '../mmu/paging-mode.ts';

/** What a slot is: a hole, a page, a table, or an entry that faults since reserved bits are set. */
export type SlotKind = 'hole' | 'page' | 'table' | 'reserved';

export interface Slot {
  readonly level: number;
  /** Among all slots of the level; -1 without paging. */
  readonly slot: number;
  /** First page and number of pages, as in leaves.ts. */
  readonly page: number;
  readonly pages: number;
  readonly kind: SlotKind;
  /** Level of the entry that decides: higher than `level` in a larger page or hole. */
  readonly entryLevel: number;
  readonly table: Frame;
  readonly index: number;
  readonly lo: number;
  readonly hi: number;
  /** Combined rights down to here. */
  readonly rights: number;
  /** First frame of the page, or the table it leads to. */
  readonly frame: Frame;
}

export class Slots {
  readonly format: PagingFormat;
  readonly port: MemoryPort;
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.format = cpu.registers.format;
    this.port = cpu.translator.port;
  }

  get levels(): number {
    return this.format.levels;
  }

  get linearBits(): number {
    return this.format.mode.linearBits;
  }

  /** Entries of a table. */
  get entries(): number {
    return 4096 / this.format.entryBytes;
  }

  /** Pages of a slot. */
  pagesOf(level: number): number {
    return this.format.pageFrames(level);
  }

  /** Slots of a level over the whole address space. */
  countOf(level: number): number {
    return 2 ** (this.linearBits - 12) / this.pagesOf(level);
  }

  slotOfPage(level: number, page: number): number {
    return Math.floor(page / this.pagesOf(level));
  }

  /** The page of an address; the first above it where it has none. */
  pageOf(lo: number, hi: number): number {
    return pageAt(lo, hi, this.linearBits);
  }

  addressOf(page: number): { readonly lo: number; readonly hi: number } {
    return addressOf(page, this.linearBits);
  }

  /** One slot, from the root down. */
  read(level: number, slot: number): Slot {
    const { format, port } = this;
    const page = slot * this.pagesOf(level);
    const pages = this.pagesOf(level);
    const place = { level, slot, page, pages };
    const span = this.pagesOf(format.levels) * this.entries;
    const root = rootsOfCpu(this.#cpu).find((one) => page >= one.page && page < one.page + span);
    const nothing = { lo: 0, hi: 0, index: 0, frame: 0, rights: 0 };
    if (root === undefined) return { ...place, ...nothing, kind: 'hole', entryLevel: format.levels + 1, table: 0 };
    let table = root.frame;
    let rights = ALL_RIGHTS;
    for (let at = format.levels; ; at--) {
      const index = Math.floor(page / this.pagesOf(at)) % this.entries;
      port.load(table, index, format.entryBytes);
      const { lo, hi } = port;
      const entry = { ...place, entryLevel: at, table, index, lo, hi };
      if (!isPresent(lo)) return { ...entry, kind: 'hole', rights, frame: 0 };
      const isLeaf = format.isLeaf(at, lo);
      rights = narrow(rights, lo, hi);
      if (format.violatesReserved(at, isLeaf, lo, hi)) return { ...entry, kind: 'reserved', rights, frame: 0 };
      if (isLeaf) {
        const frame = format.pageFrame(at, lo, hi);
        return { ...entry, kind: 'page', rights: withLeaf(rights, lo, hi, patBit(at)), frame };
      }
      const frame = format.tableFrame(lo, hi);
      if (at === level) return { ...entry, kind: 'table', rights, frame };
      table = frame;
    }
  }

  /** The chain of entries above and at a slot, topmost first: what a walk for its first page reads. */
  path({ page, entryLevel }: Slot): Slot[] {
    const path: Slot[] = [];
    for (let level = this.levels; level >= Math.min(entryLevel, this.levels); level--)
      path.push(this.read(level, this.slotOfPage(level, page)));
    return path;
  }
}
