// npm run bench:workers [-- --seconds N] [-- --json]
// Mapping on real threads: operations per second of 1 and 2 workers, in one L3 table and in different ones, with the locking
// `l3`, `pgdir` and `reverify`. Absent 4 KiB pages are mapped, from each CPU's own pool; and the same with a shootdown each. Then
// what one shootdown takes while 1 and 3 other CPUs do nothing but poll.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { mapPages, modifyPages, Xen } from '../dist/hypervisor/index.js';
import { Machine } from '../dist/index.js';

const PAGE = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const L3_PAGES = 512 ** 3;
const BATCH = 512 * 16;
const PAGE_HYPERVISOR = 0x800163;
const SMALL = PAGE_HYPERVISOR | 0x200;

const WORK = {
  'map absent pages': (mm, first) => {
    for (let at = 0; at < BATCH; at++) {
      mapPages(mm, first + at, at, 1, SMALL);
      if ((at & 15) === 15) mm.cpu.poll(); // as an emulator does between blocks of code
    }
    modifyPages(mm, first, first + BATCH, 0);
    return BATCH;
  },
  'remap with a shootdown': (mm, first) => {
    for (let at = 0; at < 512; at++) mapPages(mm, first + (at & 15), at, 1, SMALL);
    mm.cpu.poll();
    return 512;
  },
  poll: (mm) => {
    for (let at = 0; at < 1000; at++) mm.cpu.poll();
    return 0;
  },
};

function work({ shared, cpu, first, what, control }) {
  const gate = new Int32Array(control);
  const xen = Xen.attach(shared, cpu);
  const mm = xen.on(cpu);
  const run = WORK[what];
  for (let n = 0; n < 30; n++) run(mm, first);
  mm.cpu.park();
  parentPort.postMessage('warm');
  Atomics.wait(gate, 0, 0);
  mm.cpu.unpark();
  let operations = 0;
  while (Atomics.load(gate, 0) === 1) operations += run(mm, first);
  mm.cpu.park();
  parentPort.postMessage(operations);
}

/** Operations per second of all workers; the first `polling` of them only poll. */
async function measure(locking, what, workers, sameL3, seconds, polling = 0) {
  const size = 16 << 20;
  const machine = new Machine({ memory: { size, shared: true }, cpus: workers + 1 });
  const xen = new Xen(machine, { heap: { start: 0, size }, locking });
  for (let cpu = 0; cpu <= workers; cpu++) machine.mailboxes.setOffline(cpu);
  const control = new SharedArrayBuffer(4);
  const gate = new Int32Array(control);
  const threads = Array.from({ length: workers }, (_, at) => {
    const first = PAGE + (sameL3 ? at * 512 ** 2 : at * L3_PAGES);
    return new Worker(new URL(import.meta.url), {
      workerData: { shared: xen.share(), cpu: at + 1, first, what: at < polling ? 'poll' : what, control },
    });
  });
  const message = (thread) => new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
  await Promise.all(threads.map(message));
  const done = threads.map(message);
  const start = process.hrtime.bigint();
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  Atomics.store(gate, 0, 2);
  const operations = (await Promise.all(done)).reduce((sum, count) => sum + count);
  const elapsed = Number(process.hrtime.bigint() - start) / 1e9;
  await Promise.all(threads.map((thread) => thread.terminate()));
  return operations / elapsed;
}

async function main() {
  const { values: options } = parseArgs({
    options: { seconds: { type: 'string', default: '2' }, json: { type: 'boolean' } },
  });
  const results = [];
  if (!options.json) {
    console.log(
      `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}. Operations per second; ratio to one worker.`,
    );
    console.log(
      `${''.padEnd(36)}${['1 worker', '2, same L3', 'ratio', '2, other L3', 'ratio'].map((text) => text.padStart(13)).join('')}`,
    );
  }
  for (const locking of ['l3', 'pgdir', 'reverify'])
    for (const what of ['map absent pages', 'remap with a shootdown']) {
      const one = await measure(locking, what, 1, true, Number(options.seconds));
      const same = await measure(locking, what, 2, true, Number(options.seconds));
      const other = await measure(locking, what, 2, false, Number(options.seconds));
      results.push({ locking, what, one, same, other });
      const figures = [
        one.toFixed(0),
        same.toFixed(0),
        (same / one).toFixed(2),
        other.toFixed(0),
        (other / one).toFixed(2),
      ];
      if (!options.json)
        console.log(`${locking.padEnd(9)}${what.padEnd(27)}${figures.map((text) => text.padStart(13)).join('')}`);
    }
  const shootdowns = [];
  for (const others of [1, 3]) {
    const perSecond = await measure('l3', 'remap with a shootdown', others + 1, true, Number(options.seconds), others);
    shootdowns.push({ others, ns: 1e9 / perSecond });
    if (!options.json) console.log(`a shootdown of ${others} other CPUs that poll: ${(1e9 / perSecond).toFixed(0)} ns`);
  }
  if (options.json) console.log(JSON.stringify({ node: process.version, results, shootdowns }, null, 2));
}

if (isMainThread) await main();
else work(workerData);
