/** What a CPU has cached, as a list that can be compared and put back. */
import type { CachedTranslations } from '../cpu/cached-translations.ts';
import type { Frame } from '../mmu/halves.ts';
import { mixA, mixB } from './state.ts';

export interface CachedEntry {
  /** A page in the TLB, or an entry of the structure caches. */
  readonly kind: 'page' | 'table';
  /** Of the page (1 to 3), or of the entry that leads to the table (2 to 4). */
  readonly level: number;
  readonly lo: number;
  readonly hi: number;
  /** PCID, or the global context. */
  readonly context: number;
  /** First frame of the page, or frame of the table. */
  readonly frame: Frame;
  readonly rights: number;
}

export interface CachedList {
  readonly entries: readonly CachedEntry[];
  readonly hashA: number;
  readonly hashB: number;
}

/** What a CPU's caches hold now. */
export function cachedBy(cpu: number, caches: CachedTranslations): CachedList {
  const entries: CachedEntry[] = [];
  caches.tlb.forEach((lo, hi, context, level, frame, rights) =>
    entries.push({ kind: 'page', level, lo, hi, context, frame, rights }),
  );
  caches.structures.forEach((level, lo, hi, context, frame, rights) =>
    entries.push({ kind: 'table', level, lo, hi, context, frame, rights }),
  );
  let hashA = 0;
  let hashB = 0;
  for (const { kind, level, lo, hi, context, frame, rights } of entries) {
    // The sum of all entries, in any order: caches do not tell in which one they were filled.
    const key = Math.imul(cpu + 1, 0x51ed_270b) ^ (kind === 'page' ? level : level + 8);
    const about = mixA(key, lo) ^ Math.imul(mixB(hi, context), 31);
    hashA ^= mixA(about, mixA(frame | 0, rights));
    hashB ^= mixB(about, mixB(rights, frame | 0));
  }
  return { entries, hashA, hashB };
}

/** Makes a CPU's caches hold a list and nothing else. */
export function putBack(caches: CachedTranslations, { entries }: CachedList): void {
  caches.tlb.flushAll();
  caches.structures.flushAll();
  for (const { kind, level, lo, hi, context, frame, rights } of entries)
    if (kind === 'page') caches.tlb.fill(lo, hi, context, level, frame, rights);
    else caches.structures.restore(level, lo, hi, context, frame, rights);
}
