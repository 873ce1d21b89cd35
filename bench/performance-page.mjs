// The tables of docs/performance.md: each stands between `<!-- NAME -->` and `<!-- /NAME -->`.

const digits = (value) => (value === undefined ? '' : value.toFixed(value < 100 ? 2 : 0));
const table = (header, rows) =>
  [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const BLOCKS = {
  machine: ({ about }) =>
    `Measured on ${about.date}: Node ${about.node}, V8 ${about.v8}, ${about.cores} x ${about.cpu}.`,
  goals: ({ goals }) =>
    table(
      ['case', 'goal', 'measured', ''],
      goals.map(({ goal, text, unit, value, isMet }) => [
        goal,
        text,
        value === undefined ? 'not measured' : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`,
        value === undefined ? '' : isMet ? 'met' : '**not met**',
      ]),
    ),
  accesses: ({ results }) =>
    table(
      ['case', 'raw, ns', 'ns', 'ratio'],
      results.accesses.map(({ name, rawNs, ns, ratio }) => [name, digits(rawNs), digits(ns), digits(ratio)]),
    ),
  mapping: ({ results }) =>
    table(
      ['case', 'ns', 'median', "Xen's C, ns"],
      results.mapping.map(({ name, ns, median, xen }) => [
        name,
        digits(ns),
        digits(median),
        xen ? [...new Set(xen)].join(' to ') : '',
      ]),
    ),
  workers: ({ results }) =>
    [
      table(
        ['locking', 'work', '1 worker', '2, same L3 table', '2, other L3 tables', '2, a machine each'],
        results.workers.results.map(({ locking, what, one, sameRatio, otherRatio, apartRatio }) => [
          locking,
          what,
          `${(one / 1e6).toFixed(2)} million/s`,
          `${sameRatio.toFixed(2)} times`,
          `${otherRatio.toFixed(2)} times`,
          `${apartRatio.toFixed(2)} times`,
        ]),
      ),
      '',
      ...results.workers.shootdowns.map(
        ({ others, ns }) =>
          `A shootdown of ${others} other CPU${others > 1 ? 's' : ''} that poll${others > 1 ? '' : 's'}: ${digits(ns)} ns.`,
      ),
    ].join('\n'),
  explorer: ({ results }) =>
    table(
      ['scenario', 'states', 'new events a second, best', 'median'],
      results.explorer.map((row) => [row.case, row.states, row['best events/s'], row['median events/s']]),
    ),
  image: ({ results: { image } }) =>
    `${image.leaves} leaves in ${image.runs} runs, listed in ${image.ms.toFixed(0)} ms (median ${image.median.toFixed(0)}); ${(image.maxRss / 2 ** 20).toFixed(0)} MiB resident at most, Node included.`,
  allocation: ({ results }) =>
    table(
      ['operations', 'collections of the young generation', 'bytes each'],
      results.allocation.map(({ name, collections, operations, bytesBelow }) => [
        name,
        `${collections} in ${(operations / 1e6).toFixed(0)} million`,
        `below ${bytesBelow.toFixed(2)}`,
      ]),
    ),
  peers: ({ results }) => {
    const names = [...new Set(results.peers.flatMap((row) => Object.keys(row)))].filter((name) => name !== 'pattern');
    const cell = (one) => (one === undefined ? '' : `${digits(one.ns)}${one.data === 'untranslated' ? ' (!)' : ''}`);
    return table(
      ['ns per access', ...names],
      results.peers.map((row) => [row.pattern, ...names.map((name) => cell(row[name]))]),
    );
  },
};

/** Puts each block's text between its marks; an unknown or a missing mark is an error. */
export function fillBlocks(page, context) {
  return Object.entries(BLOCKS).reduce((text, [name, make]) => {
    const block = new RegExp(`<!-- ${name} -->[^]*?<!-- /${name} -->`);
    if (!block.test(text)) throw new Error(`docs/performance.md has no block ${name}`);
    return text.replace(block, () => `<!-- ${name} -->\n${make(context)}\n<!-- /${name} -->`);
  }, page);
}
