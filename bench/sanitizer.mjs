// npm run bench:sanitizer [-- --rounds N] [-- --cpus N] [-- --json]
// What watching costs: the same work with the sanitizer and without, in turns, each case in a process of its own. Ratio:
// median of the rounds' ratios. Attaching, which looks at every table once, is not timed.
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    cpus: { type: 'string', default: '2' },
    json: { type: 'boolean' },
    case: { type: 'string' }, // of the processes started here
  },
});

const FIRST = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const GIB = 1 << 18;
const PAGE_HYPERVISOR = 0x800163;
const PAGE_HYPERVISOR_RO = 0x800121;
const MAP_SMALL_PAGES = 0x200;
const READ = 1;

/** Fills the caches of both CPUs with `pages` translations. */
function warm({ cpus: all }, pages) {
  for (const { translator } of all)
    for (let page = 0; page < pages; page++) translator.translate(page * 4096, 0xffff_8300 | 0, READ);
}

/** Each `run` does `operations` operations. */
const CASES = [
  {
    name: 'remap of a page',
    operations: 5000,
    run: ({ mapPages }, mm) => {
      for (let k = 0; k < 5000; k++) mapPages(mm, FIRST + 5, k & 1 ? 0x40 : 0x80, 1, PAGE_HYPERVISOR);
    },
  },
  {
    name: 'remap, 512 pages cached by each CPU',
    operations: 5000,
    run: ({ mapPages }, mm, machine) => {
      warm(machine, 512);
      for (let k = 0; k < 5000; k++) mapPages(mm, FIRST + (k & 511), k & 512 ? 0x40 : 0x80, 1, PAGE_HYPERVISOR);
    },
  },
  {
    name: 'remap, and its CPUs use the page',
    operations: 5000,
    run: ({ mapPages }, mm, { cpus: [one, other = one] }) => {
      for (let k = 0; k < 5000; k++) {
        mapPages(mm, FIRST + 5, k & 1 ? 0x40 : 0x80, 1, PAGE_HYPERVISOR);
        one.translator.translate(5 * 4096, 0xffff_8300 | 0, READ);
        other.translator.translate(5 * 4096, 0xffff_8300 | 0, READ);
      }
    },
  },
  {
    name: 'remap of 512 pages in one call',
    operations: 200,
    run: ({ mapPages }, mm) => {
      for (let k = 0; k < 200; k++) mapPages(mm, FIRST, k & 1 ? 0x40 : 0x80, 512, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    },
  },
  {
    name: 'split of 2 MiB and restoration',
    operations: 4000,
    run: ({ mapPages }, mm) => {
      for (let k = 0; k < 2000; k++) {
        mapPages(mm, FIRST + 517, 517, 1, PAGE_HYPERVISOR_RO);
        mapPages(mm, FIRST + 517, 517, 1, PAGE_HYPERVISOR);
      }
    },
  },
  {
    name: '2 MiB over 512 small pages, and back',
    operations: 2000,
    run: ({ mapPages }, mm) => {
      for (let k = 0; k < 1000; k++) {
        mapPages(mm, FIRST + 1024, 1024, 512, PAGE_HYPERVISOR);
        mapPages(mm, FIRST + 1024, 1024, 512, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
      }
    },
  },
  {
    name: '511 single pages where nothing was',
    operations: 511 * 20,
    run: ({ mapPages, modifyPages }, mm) => {
      for (let n = 0; n < 20; n++) {
        modifyPages(mm, FIRST + 2048, FIRST + 2560, 0);
        for (let k = 0; k < 511; k++) mapPages(mm, FIRST + 2048 + k, 2048 + k, 1, PAGE_HYPERVISOR);
      }
    },
  },
  {
    name: '1 GiB over 1 GiB',
    operations: 5000,
    run: ({ mapPages }, mm) => {
      for (let k = 0; k < 5000; k++) mapPages(mm, FIRST + GIB, k & 1 ? 0 : GIB, GIB, PAGE_HYPERVISOR);
    },
  },
  {
    name: 'TLB miss and walk',
    operations: 512 * 20,
    run: (_library, _mm, { cpus: [{ translator }] }) => {
      for (let n = 0; n < 20; n++) {
        translator.dropAll();
        for (let page = 0; page < 512; page++) translator.translate(page * 4096, 0xffff_8300 | 0, READ);
      }
    },
  },
];

async function measure({ name, operations, run }) {
  const { Machine } = await import('../dist/index.js');
  const library = await import('../dist/hypervisor/index.js');
  const { Sanitizer } = await import('../dist/explorer/index.js');
  const size = 8 << 20;
  const machine = new Machine({ memory: { size }, cpus: Number(options.cpus) });
  const xen = new library.Xen(machine, { heap: { start: 0, size } });
  for (const cpu of machine.cpus) cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const mm = xen.on(0);
  library.mapPages(mm, FIRST, 0x1000, 512, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
  library.mapPages(mm, FIRST + 512, 512, 2048, PAGE_HYPERVISOR);
  const timed = () => {
    const start = process.hrtime.bigint();
    run(library, mm, machine);
    return Number(process.hrtime.bigint() - start) / operations;
  };
  const rounds = [];
  for (let round = 0; round < Number(options.rounds) + 5; round++) {
    const without = timed();
    const stop = machine.observe(new Sanitizer(xen));
    const watched = timed();
    stop();
    if (round >= 5) rounds.push({ without, watched, ratio: watched / without });
  }
  const median = (key) => rounds.map((round) => round[key]).sort((a, b) => a - b)[rounds.length >> 1];
  return { name, ns: median('without'), watchedNs: median('watched'), ratio: median('ratio') };
}

function main() {
  const results = CASES.map(({ name }) => {
    const flags = ['--case', name, '--rounds', options.rounds, '--cpus', options.cpus];
    const path = fileURLToPath(import.meta.url);
    return JSON.parse(execFileSync(process.execPath, [path, ...flags], { encoding: 'utf8' }));
  });
  if (options.json) return console.log(JSON.stringify({ node: process.version, results }, null, 2));
  console.log(
    `Node ${process.version}, ${cpus()[0]?.model ?? 'unknown'}, ${options.cpus} CPUs. ns per operation, medians.`,
  );
  console.log(`${''.padEnd(40)}${['without', 'watched', 'ratio'].map((text) => text.padStart(12)).join('')}`);
  for (const { name, ns, watchedNs, ratio } of results)
    console.log(name.padEnd(40) + [ns, watchedNs, ratio].map((value) => value.toFixed(1).padStart(12)).join(''));
}

if (options.case === undefined) main();
else console.log(JSON.stringify(await measure(CASES.find(({ name }) => name === options.case))));
