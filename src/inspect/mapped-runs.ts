/** What the tables of a CPU map, as runs of pages alike, and which of it people want to see. */
import type { Cpu } from '../cpu/cpu.ts';
import { rootsOfCpu } from '../image/roots.ts';
import { NO_EXECUTE, USER, WRITABLE } from '../mmu/access.ts';
import { toHalves } from '../mmu/address.ts';
import { hex64, hiOf, loOf, PAGE_SIZE } from '../mmu/halves.ts';
import { addressOf, type Enters, type Leaf, leaves, pageAfter, pageAt, type Run, runsOf } from '../mmu/leaves.ts';
import { parseAddress } from './number-text.ts';
import { UsageError } from './usage-error.ts';

export interface RunsFilter {
  /** First and last linear address, hex. */
  readonly from?: string;
  readonly to?: string;
  /** Letters of u, w, x: rights that a page has over all levels, and rights that it lacks. */
  readonly rights?: string;
  readonly without?: string;
  /** 4K, 2M, 4M or 1G. */
  readonly size?: string;
}

const RIGHTS = WRITABLE | USER | NO_EXECUTE;
const SIZES: Readonly<Record<string, { readonly pages: number; readonly level: number }>> = {
  '4K': { pages: 1, level: 1 },
  '2M': { pages: 512, level: 2 },
  '4M': { pages: 1024, level: 2 },
  '1G': { pages: 0x40000, level: 3 },
};

/** Pages of one size that follow one another with the same rights; `enters` as in `leaves`. UsageError for a filter that makes no sense. */
export function mappedRuns(cpu: Cpu, filter: RunsFilter, enters: Enters = () => true): Iterable<Run> {
  const { from, to, rights, without, size } = filter;
  if (size !== undefined && !Object.hasOwn(SIZES, size))
    throw new UsageError(`--size is one of ${Object.keys(SIZES).join(', ')}, not ${JSON.stringify(size)}`);
  const wanted = SIZES[size ?? ''];
  const needed = letters(rights ?? '');
  const refused = letters(without ?? '');
  const keeps = ({ pages, rights: raw }: Leaf): boolean =>
    (wanted === undefined || pages === wanted.pages) &&
    needed.every((test) => test(raw)) &&
    !refused.some((test) => test(raw));
  const { registers, port } = cpu.translator;
  const { linearBits } = registers.format.mode;
  const first = toHalves(parseAddress(from ?? '0'));
  const last = toHalves(parseAddress(to ?? 'ffffffffffffffff'));
  const all = leaves(
    port,
    registers.format,
    rootsOfCpu(cpu),
    pageAt(first.low, first.high, linearBits),
    pageAfter(last.low, last.high, linearBits),
    (table, level) => level >= (wanted?.level ?? 1) && enters(table, level), // below, all pages are smaller
  );
  return runsOf(kept(all, keeps), linearBits, RIGHTS, 'same');
}

/** First and last linear byte, first physical byte: 16 hex digits each. */
export function placesOf(
  { page, pages, frame }: Run,
  linearBits: number,
): { start: string; end: string; physical: string } {
  const first = addressOf(page, linearBits);
  const last = addressOf(page + pages - 1, linearBits);
  const physical = frame * PAGE_SIZE;
  return {
    start: hex64(first.lo, first.hi),
    end: hex64(last.lo | 0xfff, last.hi),
    physical: hex64(loOf(physical), hiOf(physical)),
  };
}

function* kept(all: Iterable<Leaf>, keeps: (leaf: Leaf) => boolean): Generator<Leaf> {
  for (const leaf of all) if (keeps(leaf)) yield leaf;
}

const TESTS: Readonly<Record<string, (rights: number) => boolean>> = {
  u: (rights) => (rights & USER) !== 0,
  w: (rights) => (rights & WRITABLE) !== 0,
  x: (rights) => (rights & NO_EXECUTE) === 0,
};

function letters(text: string): ((rights: number) => boolean)[] {
  return [...text].map((letter) => {
    const test = TESTS[letter];
    if (test === undefined) throw new UsageError(`rights are letters of u, w, x, not ${JSON.stringify(letter)}`);
    return test;
  });
}
