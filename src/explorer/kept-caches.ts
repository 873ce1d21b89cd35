/**
 * What a CPU may have cached of the tables, kept from what its seam tells: every translation and every structure-cache entry
 * from its fill until something drops it. Nothing is evicted: a larger TLB would still hold it. So a flush that is missing
 * shows even where the TLB in use had no room for what it should have dropped.
 */
import type { Translator } from '../cpu/translator.ts';
import { GLOBAL } from '../mmu/access.ts';
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import type { Operation } from '../mmu/seam.ts';
import { pageOfAddress } from './cache-rules.ts';
import type { CachedEntry } from './cached.ts';
import type { PageRange } from './lives.ts';
import { spanOf } from './tables-seen.ts';

/** Levels of 4-level paging: what is cached in other modes is not kept. */
const LEVELS = 4;
/** Entries of one level and context; beyond that, those filled first go, as if evicted. */
const MOST = 1 << 16;

export interface KeptEntry extends CachedEntry {
  /** L4 table of the CPU when it was filled. */
  readonly root: number;
}

/** By level, 1 to 4; by page number divided by the pages of an entry. */
type ByPage = readonly Map<number, KeptEntry>[];

/** Of one PCID, or of all. */
interface Context {
  readonly pages: ByPage;
  readonly tables: ByPage;
}

const newMaps = (): ByPage => Array.from({ length: LEVELS + 1 }, () => new Map());

export class KeptCaches {
  readonly #translator: Translator;
  readonly #contexts: Map<number, Context> = new Map();

  /** Begins with what the CPU has cached now. */
  constructor(translator: Translator) {
    this.#translator = translator;
    if (!this.#isFourLevel) return;
    translator.tlb.forEach((lo, hi, context, level, frame, rights) =>
      this.#keep('page', lo, hi, context, level, frame, rights),
    );
    translator.structures.forEach((level, lo, hi, context, frame, rights) =>
      this.#keep('table', lo, hi, context, level, frame, rights),
    );
  }

  /** After an operation on the caches. */
  note(operation: Operation, a: number, b: number, c: number): void {
    const { pcid } = this.#translator.registers;
    switch (operation) {
      case 'tlbFill':
        if (this.#isFourLevel) this.#fill(a, b, pcid);
        return;
      case 'dropPage':
        this.#dropPage(a, b, pcid);
        this.#dropPage(a, b, GLOBAL_CONTEXT);
        this.#dropTables(pcid);
        return;
      case 'dropTranslation':
        this.#dropPage(a, b, pcid);
        this.#dropPage(a, b, GLOBAL_CONTEXT);
        return;
      case 'dropFaulting':
        this.#dropPage(a, b, pcid);
        this.#dropPage(a, b, GLOBAL_CONTEXT);
        this.#dropTablesOf(a, b, pcid);
        return;
      case 'dropAddress':
        this.#dropPage(a, b, c);
        this.#dropTablesOf(a, b, c);
        return;
      case 'dropPcid':
        this.#contexts.delete(a);
        return;
      case 'dropNonGlobal':
        for (const context of this.#contexts.keys()) if (context !== GLOBAL_CONTEXT) this.#contexts.delete(context);
        return;
      case 'dropAll':
        this.#contexts.clear();
        return;
      default:
        return;
    }
  }

  /** All translations. */
  *pages(): Generator<KeptEntry> {
    for (const { pages } of this.#contexts.values()) for (const map of pages) yield* map.values();
  }

  /** Those of pages in some ranges. */
  pagesIn(ranges: readonly PageRange[]): KeptEntry[] {
    const found: KeptEntry[] = [];
    for (const { pages } of this.#contexts.values())
      for (let level = 1; level < LEVELS; level++)
        if (pages[level]!.size > 0) for (const range of ranges) collect(pages[level]!, spanOf(level), range, found);
    return found;
  }

  /** Structure-cache entries that lead to a table. */
  tablesTo(frame: number): KeptEntry[] {
    const found: KeptEntry[] = [];
    for (const { tables } of this.#contexts.values())
      for (const map of tables) for (const entry of map.values()) if (entry.frame === frame) found.push(entry);
    return found;
  }

  get #isFourLevel(): boolean {
    return this.#translator.registers.format.levels === LEVELS;
  }

  /** What the walker has just found, with the tables it went through. */
  #fill(lo: number, hi: number, pcid: number): void {
    const { registers, walker } = this.#translator;
    for (let level = walker.top; level > walker.level; level--)
      this.#keep('table', lo, hi, pcid, level, walker.tables[level - 1]!, walker.rightsSoFar[level]!);
    const isGlobal = registers.isGlobalEnabled && (walker.rights & GLOBAL) !== 0;
    const context = isGlobal ? GLOBAL_CONTEXT : pcid;
    this.#keep('page', lo, hi, context, walker.level, walker.pageFrame, walker.rights);
  }

  #keep(
    kind: 'page' | 'table',
    lo: number,
    hi: number,
    context: number,
    level: number,
    frame: number,
    rights: number,
  ): void {
    let kept = this.#contexts.get(context);
    if (kept === undefined) {
      kept = { pages: newMaps(), tables: newMaps() };
      this.#contexts.set(context, kept);
    }
    const map = kept[kind === 'page' ? 'pages' : 'tables'][level]!;
    const span = spanOf(level);
    const key = Math.floor(pageOfAddress(lo, hi) / span);
    const first = key * span;
    const { root } = this.#translator.registers;
    // As the caches tag them: the first address of what the entry covers.
    const tagLo = (first * 4096) | 0;
    const tagHi = (hi & ~0xffff) | Math.floor(first / 2 ** 20);
    map.set(key, { kind, level, lo: tagLo, hi: tagHi, context, frame, rights, root });
    if (map.size > MOST) map.delete(map.keys().next().value!);
  }

  #dropPage(lo: number, hi: number, context: number): void {
    const kept = this.#contexts.get(context);
    if (kept !== undefined) dropFrom(kept.pages, lo, hi);
  }

  #dropTables(context: number): void {
    const kept = this.#contexts.get(context);
    if (kept !== undefined) for (const map of kept.tables) if (map.size > 0) map.clear();
  }

  #dropTablesOf(lo: number, hi: number, context: number): void {
    const kept = this.#contexts.get(context);
    if (kept !== undefined) dropFrom(kept.tables, lo, hi);
  }
}

function dropFrom(maps: ByPage, lo: number, hi: number): void {
  const page = pageOfAddress(lo, hi);
  for (let level = 1; level <= LEVELS; level++)
    if (maps[level]!.size > 0) maps[level]!.delete(Math.floor(page / spanOf(level)));
}

/** Looks at each entry that could lie in the range, or at each that is there: whichever are fewer. */
function collect(
  map: ReadonlyMap<number, KeptEntry>,
  span: number,
  { first, pages }: PageRange,
  into: KeptEntry[],
): void {
  const from = Math.floor(first / span);
  const to = Math.floor((first + pages - 1) / span);
  if (to - from >= map.size) {
    for (const [key, entry] of map) if (key >= from && key <= to) into.push(entry);
    return;
  }
  for (let key = from; key <= to; key++) {
    const entry = map.get(key);
    if (entry !== undefined) into.push(entry);
  }
}
