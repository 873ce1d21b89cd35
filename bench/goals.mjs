// The goals, each with the figure that it is judged by. `value` takes the results of all parts; undefined where a part did
// not run.
const access = (name) => (results) => results.accesses?.find((result) => result.name === name);
const ratio =
  (...names) =>
  (results) =>
    worst(names.map((name) => access(name)(results)?.ratio));
const ns =
  (...names) =>
  (results) =>
    worst(names.map((name) => access(name)(results)?.ns));
const worst = (values) => (values.includes(undefined) ? undefined : Math.max(...values));
const mapping = (name) => (results) => results.mapping?.find((result) => result.name === name)?.ns;

/** How many times as long as pagewalk a peer takes, the least over some patterns and peers. */
const against = (patterns, peers) => (results) => {
  const chosen = results.peers?.filter(({ pattern }) => patterns.some((start) => pattern.startsWith(start))) ?? [];
  const ratios = chosen.flatMap((row) => peers.map((peer) => row[peer]?.ratio)).filter((value) => value !== undefined);
  return ratios.length === 0 ? undefined : Math.min(...ratios);
};
const RECORDED = 'Unicorn 2.1.4, recorded';

const atMost = (limit) => ({ limit, text: `at most ${limit}`, isMet: (value) => value <= limit });
const atLeast = (limit) => ({ limit, text: `at least ${limit}`, isMet: (value) => value >= limit });
const raws = (count) => ({ ...atMost(count), unit: 'raw loads' });

export const GOALS = [
  [
    'TLB-hit 32-bit load, random over 200 pages',
    raws(2.2),
    ratio('32-bit load, random, ArrayBuffer', '32-bit load, random, shared'),
  ],
  [
    'TLB-hit 32-bit load, sequential',
    raws(3.2),
    ratio('32-bit load, sequential, ArrayBuffer', '32-bit load, sequential, shared'),
  ],
  [
    'TLB-hit store with dirty tracking',
    { ...atMost(3), unit: 'raw stores' },
    ratio('32-bit store, random, ArrayBuffer', '32-bit store, random, shared'),
  ],
  ['miss with warm structure caches, over 64 MiB', raws(20), ratio('miss, structure caches warm, 64 MiB')],
  ['full 4-level walk and fill, tables in cache', raws(35), ratio('walk of 4 levels, and fill')],
  [
    'load over 1 GiB in 2 MiB pages, or in a 1 GiB page',
    raws(4),
    ratio('load, 1 GiB in 2 MiB pages', 'load, 1 GiB in a 1 GiB page'),
  ],
  [
    'MOV CR3 of any kind, INVPCID all',
    raws(100),
    ratio(
      'MOV CR3',
      'MOV CR3, PCID, flush',
      'MOV CR3, PCID, no flush',
      'MOV CR3, 4096 pages in the TLB',
      'INVPCID, all',
    ),
  ],
  ['INVLPG inside a fractured 1 GiB page', raws(100), ratio('INVLPG in a 1 GiB page of which 4096 pieces are in use')],
  ['page fault to the handler and back', { ...atMost(1000), unit: 'ns' }, ns('page fault to the handler and back')],
  [
    'Unicorn 2.1.4 (recorded) on hits, 8 and 128 pages',
    { ...atLeast(1), unit: 'times ours' },
    against(['8 pages, loads', '128 pages'], [RECORDED]),
  ],
  [
    'Unicorn 2.1.4 (recorded) and v86 over 64 MiB and 1 GiB, where they miss',
    { ...atLeast(3), unit: 'times ours' },
    against(['16384 pages', '262144 pages'], [RECORDED, 'v86']),
  ],
  ['listing a 64 GiB Xen image', { ...atMost(1000), unit: 'ms' }, (results) => results.image?.ms],
  ['the same, memory', { ...atMost(200), unit: 'MiB' }, (results) => results.image && results.image.maxRss / 2 ** 20],
  [
    'mapPagesToXen: 262,144 pages in one call',
    { ...atMost(8.7), unit: 'ns a page' },
    mapping('262,144 pages as 4 KiB, one call'),
  ],
  [
    'mapPagesToXen: single pages, coalescing',
    { ...atMost(122), unit: 'ns a call' },
    mapping('262,144 single pages, ascending, to 1 GiB'),
  ],
  [
    'mapPagesToXen: split and restoration',
    { ...atMost(1040), unit: 'ns a call' },
    mapping('split of 2 MiB and restoration'),
  ],
  ['mapPagesToXen: 1 GiB mappings', { ...atMost(39), unit: 'ns a call' }, mapping('1 GiB mappings')],
  [
    'two workers in different L3 tables against one',
    { ...atLeast(1.8), unit: 'times' },
    (results) => {
      const work = results.workers?.results.find(
        ({ locking, what }) => locking === 'l3' && what === 'map absent pages',
      );
      return work?.otherRatio;
    },
  ],
  [
    'allocation per hit, miss, fault and mapped page',
    { ...atMost(0.1), unit: 'bytes' },
    (results) =>
      results.allocation &&
      Math.max(
        ...results.allocation
          .filter(({ name }) => /loads|stores|faults|512/.test(name))
          .map(({ bytesBelow }) => bytesBelow),
      ),
  ],
];

/** `{ goal, text, unit, value, isMet }` for each goal; without a value and `isMet` where its part did not run. */
export const judge = (results) =>
  GOALS.map(([goal, { text, unit, isMet }, measuredBy]) => {
    const value = measuredBy(results);
    return { goal, text, unit, ...(value === undefined ? {} : { value, isMet: isMet(value) }) };
  });
