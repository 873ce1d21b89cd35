/**
 * What a mapping operation did to tables, step by step in its own order: entries before and after, flushes, freed tables.
 * Neighbours that change alike are one step.
 */
import { FLUSH_CACHE_EVICT, FLUSH_ORDER_MASK, FLUSH_TLB_GLOBAL, FLUSH_VA_VALID, pagesOf } from '../hypervisor/flags.ts';
import type { FrameTable, Provenance } from '../hypervisor/frame-table.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import { entryHi, entryLo, frameOf, isPresent, PS } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import type { Operation, SeamObserver } from '../mmu/seam.ts';

/** An entry, raw. */
export interface RawEntry {
  readonly lo: number;
  readonly hi: number;
}

/** What a change of an entry is, by what it held and holds: nothing, a page, a table. `rewrite`: the same as before. */
export type Action =
  | 'map'
  | 'link'
  | 'change'
  | 'split'
  | 'replace'
  | 'coalesce'
  | 'unmap'
  | 'unlink'
  | 'clear'
  | 'rewrite';

export interface EntryStep {
  readonly action: Action;
  readonly level: number;
  readonly table: Frame;
  /** Of the first entry. */
  readonly index: number;
  /** First linear page number, sign bits kept. */
  readonly page: number;
  /** Entries of the same change, ascending: pages follow one another. */
  count: number;
  /** The first entry. */
  readonly before: RawEntry;
  readonly after: RawEntry;
  /** What the table that is linked was filled with: the first of its 512 entries, or undefined where all are zero. */
  readonly filled: RawEntry | undefined;
}

export interface FlushStep {
  readonly action: 'flush';
  readonly page: number;
  /** 0 to 18; -1: everything. */
  readonly order: number;
  readonly global: boolean;
  readonly cache: 'no' | 'by address' | 'whole';
}

export interface FreeStep {
  readonly action: 'free';
  readonly table: Frame;
  readonly provenance: Provenance | undefined;
}

export type XenStep = EntryStep | FlushStep | FreeStep;

/** Whether an entry leads to nothing, a page or a table. */
export function kindOf(level: number, lo: number): 'nothing' | 'page' | 'table' {
  if (!isPresent(lo)) return 'nothing';
  return level === 1 || (level < 4 && (lo & PS) !== 0) ? 'page' : 'table';
}

/** Watches one CPU's mapping code. */
export class XenSteps implements SeamObserver {
  readonly value = 0;
  readonly frame = 0;
  readonly steps: XenStep[] = [];
  readonly allocated: Frame[] = [];
  readonly freed: Frame[] = [];

  readonly #frames: FrameTable;
  /** Where the tables stand, by frame; one that is used at several places has the first. */
  readonly #places = new Map<Frame, { readonly level: number; readonly page: number }>();
  /** What new tables were filled with, by frame. */
  readonly #fills = new Map<Frame, RawEntry | undefined>();
  // The operation under way; none contains another.
  #operation: Operation = 'read';
  #operands: readonly number[] = [];
  /** What the entries of a run held. */
  #held: readonly RawEntry[] = [];
  /** The last look for a run found one: the write that follows coalesces it. */
  #foundRun = false;

  constructor(frames: FrameTable, root: Frame) {
    this.#frames = frames;
    this.#place(root, 4, 0);
  }

  enter(operation: Operation, ...operands: [number, number, number, number]): boolean {
    const [a, b, c, d] = operands;
    this.#operation = operation;
    this.#operands = operands;
    if (operation === 'write' || operation === 'publish')
      this.#change(a, this.#read(a), { lo: entryLo(b, c), hi: entryHi(b, c) });
    else if (operation === 'writeRun') this.#held = Array.from({ length: d }, (_, nth) => this.#read(a + nth));
    else if (operation === 'fill') this.#fills.set(a, c === 0 ? undefined : { lo: entryLo(b, c), hi: entryHi(b, c) });
    else if (operation === 'free') {
      this.freed.push(a);
      this.steps.push({ action: 'free', table: a, provenance: this.#frames.info(a).provenance });
    } else if (operation === 'shootdown') this.#flush(a, b);
    return false;
  }

  leave(value: number): void {
    const [a = 0, b = 0, c = 0] = this.#operands;
    if (this.#operation === 'alloc' && value >= 0) this.allocated.push(value);
    else if (this.#operation === 'scan') this.#foundRun = value >= 0;
    else if (this.#operation === 'writeRun')
      for (let nth = 0; nth < value; nth++)
        this.#change(a + nth, this.#held[nth]!, { lo: entryLo(b + nth, c), hi: entryHi(b + nth, c) });
  }

  #change(entry: number, before: RawEntry, after: RawEntry): void {
    const table = Math.floor(entry / ENTRIES);
    const index = entry % ENTRIES;
    const { level, page } = this.#places.get(table) ?? { level: 1, page: 0 };
    const action = this.#actionOf(level, before, after);
    const last = this.steps.at(-1);
    if (
      last !== undefined &&
      'count' in last &&
      last.action === action &&
      continues(last, table, index, before, after)
    ) {
      last.count += 1;
      return;
    }
    const frame = frameOf(after.lo, after.hi);
    const at = pageBelow(level, page, index);
    const filled = this.#fills.get(frame);
    const isTable = kindOf(level, after.lo) === 'table';
    if (isTable) this.#places.set(frame, { level: level - 1, page: at });
    this.steps.push({
      action,
      level,
      table,
      index,
      page: at,
      count: 1,
      before,
      after,
      filled: isTable ? filled : undefined,
    });
  }

  #actionOf(level: number, before: RawEntry, after: RawEntry): Action {
    const foundRun = this.#foundRun;
    this.#foundRun = false;
    if (before.lo === after.lo && before.hi === after.hi) return 'rewrite';
    const held = kindOf(level, before.lo);
    switch (kindOf(level, after.lo)) {
      case 'page':
        return held === 'nothing' ? 'map' : held === 'page' ? 'change' : foundRun ? 'coalesce' : 'replace';
      case 'table':
        return held === 'page' ? 'split' : 'link';
      default:
        return held === 'nothing' ? 'clear' : held === 'page' ? 'unmap' : 'unlink';
    }
  }

  #flush(page: number, flags: number): void {
    const cache = (flags & FLUSH_CACHE_EVICT) === 0 ? 'no' : (flags & FLUSH_VA_VALID) !== 0 ? 'by address' : 'whole';
    const order = (flags & FLUSH_ORDER_MASK) - 1;
    this.steps.push({ action: 'flush', page, order, global: (flags & FLUSH_TLB_GLOBAL) !== 0, cache });
  }

  #read(entry: number): RawEntry {
    const { memory } = this.#frames;
    const at = 2 * memory.quadOf(entry);
    return { lo: memory.words[at]!, hi: memory.words[at + 1]! };
  }

  /** Notes where a table stands, and those below it. */
  #place(table: Frame, level: number, page: number): void {
    const { memory } = this.#frames;
    const first = memory.pageOf(table) * ENTRIES * 2;
    if (this.#places.has(table) || first < 0) return;
    this.#places.set(table, { level, page });
    for (let index = 0; index < ENTRIES && level > 1; index++) {
      const lo = memory.words[first + 2 * index]!;
      if (kindOf(level, lo) !== 'table') continue;
      this.#place(frameOf(lo, memory.words[first + 2 * index + 1]!), level - 1, pageBelow(level, page, index));
    }
  }
}

/** The first linear page of an entry of a table whose first page is `page`. */
function pageBelow(level: number, page: number, index: number): number {
  const isUpperHalf = level === 4 && index >= ENTRIES / 2;
  return page + index * pagesOf(level) + (isUpperHalf ? 2 ** 52 - 2 ** 36 : 0);
}

/** Whether an entry is the next of a step, and changes alike. */
function continues(step: EntryStep, table: Frame, index: number, before: RawEntry, after: RawEntry): boolean {
  const { level, count } = step;
  if (step.table !== table || step.index + count !== index || kindOf(level, after.lo) === 'table') return false;
  return isNth(step.before, before, level, count) && isNth(step.after, after, level, count);
}

/** Whether an entry is what the `count`-th after `first` is: the same nothing, or the page that follows with the same flags. */
function isNth(first: RawEntry, entry: RawEntry, level: number, count: number): boolean {
  if (kindOf(level, first.lo) !== 'page') return first.lo === entry.lo && first.hi === entry.hi;
  const frame = frameOf(first.lo, first.hi) + count * pagesOf(level);
  const lo = entryLo(frame, first.lo & 0xfff);
  const hi = (first.hi & ~0xf_ffff) | entryHi(frame, 0);
  return entry.lo === lo && entry.hi === hi;
}
