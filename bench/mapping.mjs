// npm run bench:mapping [-- --rounds N] [-- --json] [-- --behaviour xen]
// Mapping, with the same work that Xen's own C code was timed with (compiled natively, one CPU, flushes not executed; same
// class of machine, quiet). Each case in processes of its own, the cases taking turns: how much V8 puts together differs from one
// process to the next. A round is done in pieces of about a millisecond. A process's figure is the sum over the pieces of the least that
// each took in the rounds when nobody else used the core (host.mjs); the case's is the least of its processes'.
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isWhole, pace } from './host.mjs';
import { median, sum } from './statistics.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    json: { type: 'boolean' },
    behaviour: { type: 'string', default: 'pagewalk' },
    case: { type: 'string' }, // of the processes started here
  },
});

const LEAST_TURNS = 3;
const MOST_TURNS = 8;
const WARM_ROUNDS = 3;
const PAGES = 1 << 18; // 1 GiB
const FIRST = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const PAGE_HYPERVISOR = 0x800163;
const MAP_SMALL_PAGES = 0x200;

/** `setUp` is not timed; `run` does one of the pieces, and all `pieces` do `operations` of what the figure of Xen's C code is about. */
const CASES = [
  {
    name: '262,144 pages as 4 KiB, one call',
    xen: [14.5, 14.5],
    operations: PAGES,
    pieces: 1,
    setUp: ({ modifyPages }, mm) => modifyPages(mm, FIRST, FIRST + PAGES, 0),
    run: ({ mapPages }, mm) => mapPages(mm, FIRST, 0, PAGES, PAGE_HYPERVISOR | MAP_SMALL_PAGES),
  },
  {
    name: '262,144 single pages, ascending, to 1 GiB',
    xen: [490, 590],
    operations: PAGES,
    pieces: 32,
    setUp: ({ modifyPages }, mm) => modifyPages(mm, FIRST, FIRST + PAGES, 0),
    run: ({ mapPages }, mm, piece) => {
      let error = 0;
      const end = (piece + 1) * (PAGES / 32);
      for (let k = end - PAGES / 32; k < end; k++) error |= mapPages(mm, FIRST + k, k, 1, PAGE_HYPERVISOR);
      return error;
    },
    after: (mm) => mm.coalesces === 513 || mm.coalesces % 513 === 0,
  },
  {
    name: 'the first 511 of a table',
    operations: 511 * 200,
    pieces: 10,
    setUp: ({ modifyPages, mapPages }, mm) => {
      modifyPages(mm, FIRST, FIRST + PAGES, 0);
      mapPages(mm, FIRST + 511, 511, 1, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    },
    run: ({ mapPages }, mm, piece) => {
      let error = 0;
      for (let n = 20 * piece; n < 20 * piece + 20; n++)
        for (let k = 0; k < 511; k++) error |= mapPages(mm, FIRST + 512 * n + k, 512 * n + k, 1, PAGE_HYPERVISOR);
      return error;
    },
  },
  {
    name: 'split of 2 MiB and restoration',
    xen: [620, 1040],
    operations: 20_000,
    pieces: 20,
    setUp: ({ modifyPages, mapPages }, mm) => {
      modifyPages(mm, FIRST, FIRST + PAGES, 0);
      mapPages(mm, FIRST, 0, PAGES - 512, PAGE_HYPERVISOR);
    },
    run: ({ mapPages }, mm) => {
      let error = 0;
      for (let k = 0; k < 500; k++) {
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
    pieces: 8,
    setUp: ({ modifyPages }, mm) => modifyPages(mm, FIRST, FIRST + 100_000 * PAGES, 0),
    run: ({ mapPages }, mm, piece) => {
      let error = 0;
      const end = (piece + 1) * 12_500;
      for (let k = end - 12_500; k < end; k++)
        error |= mapPages(mm, FIRST + k * PAGES, k * PAGES, PAGES, PAGE_HYPERVISOR);
      return error;
    },
  },
];

/** Samples by piece of one case. */
async function measure({ name, pieces, setUp, run, after }) {
  const { Machine } = await import('../dist/index.js');
  const library = await import('../dist/hypervisor/index.js');
  const size = 8 << 20;
  const machine = new Machine({ memory: { size }, features: { maxPhyAddr: 52 } });
  const xen = new library.Xen(machine, { heap: { start: 0, size }, behaviour: options.behaviour });
  machine.cpus[0].enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const mm = xen.on(0);
  const samples = Array.from({ length: pieces }, () => []);
  for (let round = -WARM_ROUNDS; round < Number(options.rounds); round++) {
    setUp(library, mm);
    let before = pace();
    for (let piece = 0; piece < pieces; piece++) {
      const start = process.hrtime.bigint();
      const error = run(library, mm, piece);
      const ns = Number(process.hrtime.bigint() - start);
      const after = pace();
      if (error !== 0) throw new Error(`${name}: error ${error}`);
      if (round >= 0) samples[piece].push({ ns, pace: Math.max(before, after) });
      before = after;
    }
    if (after !== undefined && !after(mm)) throw new Error(`${name}: did other work than it should`);
  }
  return samples;
}

/** Samples by piece of one case, from a process of its own. */
function samplesOf(name) {
  const flags = ['--case', name, '--rounds', options.rounds, '--behaviour', options.behaviour];
  const path = fileURLToPath(import.meta.url);
  return JSON.parse(execFileSync(process.execPath, [path, ...flags], { encoding: 'utf8' }));
}

/** What a process measured, in ns an operation: the least, and medians; and which part of its pieces was undisturbed in some round. */
function figuresOf(samples, operations, least) {
  const quiet = samples.map((piece) => piece.filter(({ pace }) => isWhole(pace, least)));
  const chosen = samples.map((piece, at) => (quiet[at].length > 0 ? quiet[at] : piece).map(({ ns }) => ns));
  return {
    ns: sum(chosen.map((piece) => Math.min(...piece))) / operations,
    median: sum(chosen.map(median)) / operations,
    undisturbed: quiet.filter(({ length }) => length > 0).length / samples.length,
  };
}

function main() {
  const processes = CASES.map(() => []);
  const paces = processes.map(() => Infinity);
  const figures = (at) => processes[at].map((samples) => figuresOf(samples, CASES[at].operations, Math.min(...paces)));
  for (let turn = 0; turn < MOST_TURNS; turn++)
    for (const [at, { name }] of CASES.entries()) {
      if (figures(at).filter(({ undisturbed }) => undisturbed === 1).length >= LEAST_TURNS) continue;
      processes[at].push(samplesOf(name));
      paces[at] = Math.min(paces[at], ...processes[at].flat(2).map(({ pace }) => pace));
    }
  const results = CASES.map(({ name, xen }, at) => {
    const [best] = figures(at).sort((a, b) => a.ns - b.ns);
    return { name, ...best, xen };
  });
  if (options.json) return console.log(JSON.stringify({ node: process.version, results }, null, 2));
  console.log(
    `Node ${process.version}, ${cpus()[0]?.model ?? 'unknown'}, behaviour ${options.behaviour}. ns per operation.`,
  );
  console.log(
    `${''.padEnd(46)}${['ns', 'median', "Xen's C", 'ratio', 'undisturbed'].map((text) => text.padStart(12)).join('')}`,
  );
  for (const { name, ns, median, undisturbed, xen } of results) {
    const ratio = xen === undefined ? '' : (ns / xen[1]).toFixed(2);
    const figures = [
      ns.toFixed(1),
      median.toFixed(1),
      xen === undefined ? '' : [...new Set(xen)].join(' to '),
      ratio,
      `${(100 * undisturbed).toFixed(0)} %`,
    ];
    console.log(name.padEnd(46) + figures.map((figure) => figure.padStart(12)).join(''));
  }
}

if (options.case === undefined) main();
else console.log(JSON.stringify(await measure(CASES.find(({ name }) => name === options.case))));
