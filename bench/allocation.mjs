// npm run bench:allocation [-- --json]
// Bytes allocated per access and per mapped page: the young generation is made small, and its collections are counted while
// millions of operations run. None in N operations means less than its size divided by N.
import { execFileSync } from 'node:child_process';
import { PerformanceObserver } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as loops from './access-loops.mjs';
import { Guest, pageStream, randomStream } from './guest.mjs';

const { values: options } = parseArgs({ options: { json: { type: 'boolean' }, case: { type: 'string' } } });

/** A young generation of 1 MiB: two halves, of which one is in use. */
const YOUNG_BYTES = 2 ** 20 / 2;
const OPERATIONS = 20e6;
const PAGE_HYPERVISOR_SMALL = 0x800363;
const FIRST = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000

const access = (loop, pages, stream, about) => async () => {
  const { Machine } = await import('../dist/index.js');
  const guest = new Guest(Machine, about).mapSmall(pages).mapped();
  return { run: (repeats) => loops.cpu[loop](guest, stream, repeats), operations: stream.length };
};

async function mapping(shared, each) {
  const { Machine } = await import('../dist/index.js');
  const { mapPages, modifyPages, Xen } = await import('../dist/hypervisor/index.js');
  const size = 8 << 20;
  const machine = new Machine({ memory: { size, shared } });
  const xen = new Xen(machine, { heap: { start: 0, size } });
  machine.cpus[0].enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const mm = xen.on(0);
  const pages = 4096;
  return {
    operations: pages,
    run: (repeats) => {
      for (let n = 0; n < repeats; n++) {
        for (let page = 0; page < pages; page += each) mapPages(mm, FIRST + page, page, each, PAGE_HYPERVISOR_SMALL);
        modifyPages(mm, FIRST, FIRST + pages, 0);
      }
      return mm.pagesDone;
    },
  };
}

const CASES = {
  'loads that hit': access('read32', 200, randomStream(4, 200)),
  'stores that hit': access('write32', 200, randomStream(4, 200)),
  'loads that miss': access('read32', 1 << 14, pageStream(1 << 14), { caches: { tlb: 4096 } }),
  'loads that walk 4 levels': access('read32', 200, pageStream(200), { caches: { tlb: 'off', structures: 'off' } }),
  'page faults': access('fault', 0, pageStream(200)),
  'pages mapped, 512 a call': () => mapping(false, 512),
  'the same in shared memory': () => mapping(true, 512),
  'pages mapped, one a call': () => mapping(false, 1),
  // What shows that collections are seen: eight bytes and an object's header a turn.
  'control: an object a turn': async () => ({
    operations: 4096,
    run: (repeats) => {
      let last = { at: 0 };
      for (let n = 0; n < 4096 * repeats; n++) last = { at: n, last: last.at };
      return last.at;
    },
  }),
};

async function measure(make) {
  const { run, operations } = await make();
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  const turn = () => new Promise((resolve) => setTimeout(resolve, 20));
  run(Math.ceil(2e6 / operations)); // compiled by now
  observer.observe({ entryTypes: ['gc'] });
  await turn();
  collections = 0;
  const repeats = Math.ceil(OPERATIONS / operations);
  const sink = run(repeats);
  await turn();
  return { collections, operations: repeats * operations, sink };
}

function main() {
  const own = fileURLToPath(import.meta.url);
  const results = Object.keys(CASES).map((name) => {
    const flags = ['--max-semi-space-size=1', '--min-semi-space-size=1', own, '--case', name];
    const { collections, operations } = JSON.parse(execFileSync(process.execPath, flags, { encoding: 'utf8' }));
    return { name, collections, operations, bytesBelow: ((collections + 1) * YOUNG_BYTES) / operations };
  });
  if (options.json) return console.log(JSON.stringify(results));
  for (const { name, collections, operations, bytesBelow } of results)
    console.log(
      `${name.padEnd(28)}${String(collections).padStart(6)} collections in ${(operations / 1e6).toFixed(0)} million: below ${bytesBelow.toFixed(3)} bytes each`,
    );
}

if (options.case === undefined) main();
else console.log(JSON.stringify(await measure(CASES[options.case])));
