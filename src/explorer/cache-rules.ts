/** Rules about what TLBs hold, judged by the tables as they are. */
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import type { CachedEntry } from './cached.ts';
import { type SeenMemory, spanOf, walkFor } from './tables-seen.ts';

/** R/W, U/S, XD, and the PAT index: what may not differ between two translations of one page. */
const COMPARED = 0x7 | (7 << 9);
/** R/W, U/S, XD. */
const RIGHTS = 0x7;

/** Linear page (48-bit address >> 12). */
export const pageOfAddress = (lo: number, hi: number): number => (hi & 0xffff) * 2 ** 20 + (lo >>> 12);

/** First linear page of a cached page. */
const pageOfEntry = ({ lo, hi }: CachedEntry): number => pageOfAddress(lo, hi);

const nameOf = (entry: CachedEntry): string =>
  `page 0x${pageOfEntry(entry).toString(16)} (${['', '4K', '2M', '1G'][entry.level]}) to frame 0x${entry.frame.toString(16)}`;

/** Tells of each cached page that the tables do not map so. */
export function checkCaches(
  memory: SeenMemory & { readonly root: number },
  cached: readonly CachedEntry[],
  tell: (page: number, pages: number, what: string) => void,
): void {
  for (const entry of cached) {
    if (entry.kind !== 'page') continue;
    const page = pageOfEntry(entry);
    const pages = spanOf(entry.level);
    if (!agrees(memory, entry, page, pages)) tell(page, pages, nameOf(entry));
  }
}

/** Whether the tables map every page of a cached one to the same frame with the same rights. */
function agrees(
  memory: SeenMemory & { readonly root: number },
  { frame, rights }: CachedEntry,
  first: number,
  pages: number,
): boolean {
  for (let page = first; page < first + pages; ) {
    const { mapping, level, rights: now } = walkFor(memory, memory.root, page);
    if (mapping === undefined || mapping.mfn !== frame + (page - first) || ((now ^ rights) & RIGHTS) !== 0)
      return false;
    page += spanOf(level) - (page % spanOf(level));
  }
  return true;
}

/** I17: after a fill for an address, tells where the caches hold part of its page in another size that disagrees. */
export function checkFill(
  cached: readonly CachedEntry[],
  { a: lo, b: hi, c: level }: { readonly a: number; readonly b: number; readonly c: number },
  tell: (what: string) => void,
): void {
  const page = pageOfAddress(lo, hi);
  const first = page - (page % spanOf(level));
  const pages = cached.filter(({ kind }) => kind === 'page');
  for (const filled of pages) {
    if (filled.level !== level || pageOfEntry(filled) !== first) continue;
    for (const other of pages) {
      const [small, large] = other.level < level ? [other, filled] : [filled, other];
      const isWithin =
        Math.floor(pageOfEntry(small) / spanOf(large.level)) * spanOf(large.level) === pageOfEntry(large);
      if (small.level === large.level || !areUsedTogether(small, large) || !isWithin) continue;
      if (!same(small, large, pageOfEntry(small))) tell(`${nameOf(small)} and ${nameOf(large)} are cached at once`);
    }
  }
}

/** Global translations are used with every PCID. */
const areUsedTogether = (one: CachedEntry, other: CachedEntry): boolean =>
  one.context === other.context || one.context === GLOBAL_CONTEXT || other.context === GLOBAL_CONTEXT;

const same = (one: CachedEntry, other: CachedEntry, page: number): boolean =>
  one.frame + (page - pageOfEntry(one)) === other.frame + (page - pageOfEntry(other)) &&
  ((one.rights ^ other.rights) & COMPARED) === 0;
