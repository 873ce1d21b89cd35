// What every peer does: one machine layout, one loop over linear space, and the sums that prove it. Linear addresses from
// WINDOW on are what is accessed, 1 GiB of them; physical addresses from DATA on are what lies behind them, 64 MiB.
export const PAGE = 4096;
export const LAYOUT = {
  RAM: 128 << 20,
  CODE: 0x10_0000, // mapped at the same linear address
  TABLES: 0x20_0000, // the first is the root of the small pages
  DATA: 0x100_0000,
  DATA_BYTES: 64 << 20,
  WINDOW: 0x4000_0000,
  WINDOW_BYTES: 1 << 30,
};

/** An iteration makes eight accesses, a page and a cache line apart; stores go to the other half of their pages. */
export const UNROLL = 8;
export const STEP = PAGE + 64;
export const STORE_AT = PAGE / 2;

/** Loops, in the order of their code; and the page tables that they run on. */
export const LOOPS = ['baseline', 'load', 'store', 'reload'];
export const ROOTS = ['small', 'large'];

const HITS = { accesses: 1 << 16, chunks: 20, turns: 6 }; // a turn of a few ms: one of them must meet a time without others
const MISSES = { accesses: 1 << 14, chunks: 8 };
const WIDE = { accesses: 1 << 14, chunks: 16 };
const pattern = (name, span, size, options = {}) => ({ name, span, ...size, loop: 'load', root: 'small', ...options });

/**
 * `span` pages are accessed one after the other, again and again, `accesses` of them at a time (a chunk, which is timed);
 * `chunks` chunks a turn, after one pass over the span that is not counted, and `turns` turns a round (1). `unicorn214`: ns per access that Unicorn 2.1.4
 * took in the same loop, on a quiet machine of the kind that the figures in README.md are from.
 */
export const PATTERNS = [
  pattern('baseline: a register add', 8, HITS, { loop: 'baseline', unicorn214: 0.9 }),
  pattern('8 pages, loads', 8, HITS, { unicorn214: 2.65 }),
  pattern('8 pages, stores', 8, HITS, { loop: 'store' }),
  pattern('128 pages', 128, HITS, { unicorn214: 2.54 }),
  pattern('1024 pages (4 MiB)', 1024, { ...HITS, accesses: 1 << 15, turns: 1 }, { unicorn214: 94 }),
  pattern('16384 pages (64 MiB)', 16384, MISSES, { unicorn214: 88.7 }),
  pattern('65536 pages (256 MiB)', 65536, MISSES, { unicorn214: 86.5 }),
  pattern('262144 pages (1 GiB)', 262144, WIDE, { unicorn214: 94.5 }),
  pattern('1 GiB through 2 MiB pages', 262144, WIDE, { root: 'large' }),
  pattern('8 pages, CR3 reloaded per pass', 8, MISSES, { loop: 'reload' }),
  pattern('128 pages, CR3 reloaded per pass', 128, MISSES, { loop: 'reload' }),
];

/** A chunk is `passes` passes over `pages` pages. */
function chunkOf({ span, accesses }) {
  const pages = Math.min(span, accesses);
  return { pages, passes: accesses / pages };
}

/** Chunks of one pass over the span, at least one: they bring caches, and compiled code, into the state of the pattern. */
export const warmUp = ({ span, accesses }) => Math.max(1, span / accesses);

/** The word of data at an index. */
export const word = (index) => Math.imul(index, 0x9e37_79b1);

export const dataWords = () => Int32Array.from({ length: LAYOUT.DATA_BYTES / 4 }, (_, index) => word(index));

/** What a loop adds, stores (another value in each chunk) or reloads into CR3. */
const operandOf = ({ loop }, chunk) => (loop === 'reload' ? LAYOUT.TABLES : 1 + chunk);

/** The requests of one turn; see README.md. */
export function turnOf(pattern) {
  const { pages, passes } = chunkOf(pattern);
  return Array.from({ length: warmUp(pattern) + pattern.chunks }, (_, chunk) => ({
    loop: LOOPS.indexOf(pattern.loop),
    root: ROOTS.indexOf(pattern.root),
    operand: operandOf(pattern, chunk),
    first: (chunk * pattern.accesses) % pattern.span,
    pages,
    passes,
  }));
}

/** Sum of one word of each page: those that are loaded, or those that are stored to (`at` is STORE_AT), as they were. */
function wordsOf({ first, pages }, at) {
  const frames = LAYOUT.DATA_BYTES / PAGE;
  let sum = 0;
  for (let page = first; page < first + pages; page++)
    sum = (sum + word(((page % frames) * PAGE + (page % UNROLL) * (STEP - PAGE) + at) / 4)) | 0;
  return sum;
}

/**
 * What the answer to a request must be, 32 bits: the sum of what was added, read, or found stored behind the pages when the
 * chunk had ended. `untranslated`: what it is when data is moved to and from the linear address instead; words there are
 * one more than those of the data (unicorn.c).
 */
export function expectedSums({ loop, operand, first, pages, passes }) {
  const accesses = Math.imul(pages, passes);
  switch (LOOPS[loop]) {
    case 'baseline':
      return { right: Math.imul(accesses, operand) >>> 0 };
    case 'store':
      return { right: Math.imul(pages, operand) >>> 0, untranslated: wordsOf({ first, pages }, STORE_AT) >>> 0 };
    default: {
      const sum = Math.imul(wordsOf({ first, pages }, 0), passes);
      return { right: sum >>> 0, untranslated: (sum + accesses) >>> 0 };
    }
  }
}
