// npm run bench:mapping [-- --rounds N] [-- --json] [-- --behaviour xen]
// Mapping, with the same work that Xen's own C code was timed with (compiled natively, one CPU, flushes not executed; same
// class of machine, quiet). Each case in processes of its own, the cases taking turns: how much V8 puts together differs from one
// process to the next. Minimum and median over the rounds in which nobody else used the core (host.mjs), and turns until there were some.
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isWhole, pace } from './host.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    json: { type: 'boolean' },
    behaviour: { type: 'string', default: 'pagewalk' },
    case: { type: 'string' }, // of the processes started here
  },
});

const LEAST_TURNS = 2;
const MOST_TURNS = 8;
/** Undisturbed rounds after which a case needs no more turns. */
const ENOUGH = 6;
const PAGES = 1 << 18; // 1 GiB
const FIRST = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const PAGE_HYPERVISOR = 0x800163;
const MAP_SMALL_PAGES = 0x200;

/** `setUp` is not timed; `run` does `operations` operations, each of which is what the figure of Xen's C code is about. */
const CASES = [
  {
    name: '262,144 pages as 4 KiB, one call',
    xen: [14.5, 14.5],
    operations: PAGES,
    setUp: ({ modifyPages }, mm) => modifyPages(mm, FIRST, FIRST + PAGES, 0),
    run: ({ mapPages }, mm) => mapPages(mm, FIRST, 0, PAGES, PAGE_HYPERVISOR | MAP_SMALL_PAGES),
  },
  {
    name: '262,144 single pages, ascending, to 1 GiB',
    xen: [490, 590],
    operations: PAGES,
    setUp: ({ modifyPages }, mm) => modifyPages(mm, FIRST, FIRST + PAGES, 0),
    run: ({ mapPages }, mm) => {
      let error = 0;
      for (let k = 0; k < PAGES; k++) error |= mapPages(mm, FIRST + k, k, 1, PAGE_HYPERVISOR);
      return error;
    },
    after: (mm) => mm.coalesces === 513 || mm.coalesces % 513 === 0,
  },
  {
    name: 'the first 511 of a table',
    operations: 511 * 200,
    setUp: ({ modifyPages, mapPages }, mm) => {
      modifyPages(mm, FIRST, FIRST + PAGES, 0);
      mapPages(mm, FIRST + 511, 511, 1, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    },
    run: ({ mapPages }, mm) => {
      let error = 0;
      for (let n = 0; n < 200; n++)
        for (let k = 0; k < 511; k++) error |= mapPages(mm, FIRST + 512 * n + k, 512 * n + k, 1, PAGE_HYPERVISOR);
      return error;
    },
  },
  {
    name: 'split of 2 MiB and restoration',
    xen: [620, 1040],
    operations: 20_000,
    setUp: ({ modifyPages, mapPages }, mm) => {
      modifyPages(mm, FIRST, FIRST + PAGES, 0);
      mapPages(mm, FIRST, 0, PAGES - 512, PAGE_HYPERVISOR);
    },
    run: ({ mapPages }, mm) => {
      let error = 0;
      for (let k = 0; k < 10_000; k++) {
        error |= mapPages(mm, FIRST + 5, 5, 1, 0x800121); // read-only
        error |= mapPages(mm, FIRST + 5, 5, 1, PAGE_HYPERVISOR);
      }
      return error;
    },
  },
  {
    name: '1 GiB mappings',
    xen: [13, 13],
    operations: 100_000, // over 196 L3 tables
    setUp: ({ modifyPages }, mm) => modifyPages(mm, FIRST, FIRST + 100_000 * PAGES, 0),
    run: ({ mapPages }, mm) => {
      let error = 0;
      for (let k = 0; k < 100_000; k++) error |= mapPages(mm, FIRST + k * PAGES, k * PAGES, PAGES, PAGE_HYPERVISOR);
      return error;
    },
  },
];

async function measure({ name, operations, setUp, run, after }) {
  const { Machine } = await import('../dist/index.js');
  const library = await import('../dist/hypervisor/index.js');
  const size = 8 << 20;
  const machine = new Machine({ memory: { size }, features: { maxPhyAddr: 52 } });
  const xen = new library.Xen(machine, { heap: { start: 0, size }, behaviour: options.behaviour });
  machine.cpus[0].enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const mm = xen.on(0);
  const samples = [];
  for (let round = 0; round < Number(options.rounds) + 3; round++) {
    setUp(library, mm);
    const before = pace();
    const start = process.hrtime.bigint();
    const error = run(library, mm);
    const ns = Number(process.hrtime.bigint() - start);
    if (error !== 0) throw new Error(`${name}: error ${error}`);
    if (after !== undefined && !after(mm)) throw new Error(`${name}: did other work than it should`);
    if (round >= 3) samples.push({ ns: ns / operations, pace: Math.max(before, pace()) });
  }
  return samples;
}

/** Samples of one case, from a process of its own. */
function samplesOf(name) {
  const flags = ['--case', name, '--rounds', options.rounds, '--behaviour', options.behaviour];
  const path = fileURLToPath(import.meta.url);
  return JSON.parse(execFileSync(process.execPath, [path, ...flags], { encoding: 'utf8' }));
}

function main() {
  const samples = CASES.map(() => []);
  let least = Infinity;
  const undisturbed = (at) => samples[at].filter((sample) => isWhole(sample.pace, least)).map(({ ns }) => ns);
  for (let turn = 0; turn < MOST_TURNS; turn++)
    for (const [at, { name }] of CASES.entries()) {
      if (turn >= LEAST_TURNS && undisturbed(at).length >= ENOUGH) continue;
      samples[at].push(...samplesOf(name));
      least = Math.min(least, ...samples[at].map((sample) => sample.pace));
    }
  const results = CASES.map(({ name, xen }, at) => {
    const rounds = undisturbed(at).length;
    const sorted = (rounds > 0 ? undisturbed(at) : samples[at].map(({ ns }) => ns)).sort((a, b) => a - b);
    return { name, ns: sorted[0], median: sorted[sorted.length >> 1], undisturbed: rounds, xen };
  });
  if (options.json) return console.log(JSON.stringify({ node: process.version, results }, null, 2));
  console.log(
    `Node ${process.version}, ${cpus()[0]?.model ?? 'unknown'}, behaviour ${options.behaviour}. ns per operation.`,
  );
  console.log(
    `${''.padEnd(46)}${['ns', 'median', "Xen's C", 'ratio', 'rounds'].map((text) => text.padStart(12)).join('')}`,
  );
  for (const { name, ns, median, undisturbed, xen } of results) {
    const ratio = xen === undefined ? '' : (ns / xen[1]).toFixed(2);
    const figures = [
      ns.toFixed(1),
      median.toFixed(1),
      xen === undefined ? '' : [...new Set(xen)].join(' to '),
      ratio,
      String(undisturbed),
    ];
    console.log(name.padEnd(46) + figures.map((figure) => figure.padStart(12)).join(''));
  }
}

if (options.case === undefined) main();
else console.log(JSON.stringify(await measure(CASES.find(({ name }) => name === options.case))));
