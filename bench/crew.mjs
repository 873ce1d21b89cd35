// Workers that map on real threads, for bench/workers.mjs.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { mapPages, modifyPages, Xen } from '../dist/hypervisor/index.js';
import { Machine } from '../dist/index.js';
import { pace } from './host.mjs';

const PAGE = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const L3_PAGES = 512 ** 3;
const BATCH = 512 * 4;
/** Least ns of a slice of work, between two looks at what the core is like: others on the host leave a core alone for some ms at a time. */
const SLICE_NS = 0.5e6;
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

/** In ns, one clock for all threads. */
const now = () => Number(process.hrtime.bigint());

/**
 * Works whenever its gate is odd, in slices; and tells of each when it was, how much it did, and the slower of the paces that its core
 * had before and after.
 */
function work({ shared, cpu, first, what, gates, at }) {
  const gate = new Int32Array(gates);
  const slice = what === 'poll' ? Infinity : SLICE_NS; // a CPU that is parked between two slices is not waited for
  const xen = Xen.attach(shared, cpu);
  const mm = xen.on(cpu);
  const run = WORK[what];
  for (let n = 0; n < 30; n++) run(mm, first);
  mm.cpu.park();
  parentPort.postMessage('warm');
  for (let turn = 0; ; turn += 2) {
    Atomics.wait(gate, at, turn);
    const slices = [];
    const isOn = () => Atomics.load(gate, at) === turn + 1;
    pace(); // the first after a sleep is slow on any core
    for (let before = pace(); isOn(); ) {
      mm.cpu.unpark();
      let operations = 0;
      const start = now();
      let end = start;
      for (; end - start < slice && isOn(); end = now()) operations += run(mm, first);
      mm.cpu.park();
      const after = pace();
      slices.push({ start, end, operations, pace: Math.max(before, after) });
      before = after;
    }
    parentPort.postMessage(slices);
  }
}

/**
 * Workers on one machine, or `apart` on one each, which wait until they are measured; the first `polling` of them only poll.
 */
export class Crew {
  #gates;
  #threads;

  constructor(locking, what, { workers, sameL3 = false, polling = 0, apart = false }) {
    let xen;
    this.polling = polling;
    this.#gates = new Int32Array(new SharedArrayBuffer(4 * workers));
    this.#threads = Array.from({ length: workers }, (_, at) => {
      if (at === 0 || apart) xen = newXen(locking, workers);
      const first = PAGE + (sameL3 ? at * 512 ** 2 : at * L3_PAGES);
      const about = { shared: xen.share(), cpu: at + 1, first, what: at < polling ? 'poll' : what };
      return new Worker(new URL(import.meta.url), { workerData: { ...about, gates: this.#gates.buffer, at } });
    });
  }

  get everyone() {
    return [...this.#threads.keys()];
  }

  /** A message of each of some workers. */
  messages(workers = this.everyone) {
    return Promise.all(workers.map(async (at) => (await once(this.#threads[at], 'message'))[0]));
  }

  /** The slices of each of some workers, over some seconds in which the others sleep. */
  async turn(workers, seconds) {
    const done = this.messages(workers);
    this.#moveGates(workers);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    this.#moveGates(workers);
    return done;
  }

  end() {
    return Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  #moveGates(workers) {
    for (const at of workers) {
      Atomics.add(this.#gates, at, 1);
      Atomics.notify(this.#gates, at);
    }
  }
}

function newXen(locking, workers) {
  const size = 16 << 20;
  const machine = new Machine({ memory: { size, shared: true }, cpus: workers + 1 });
  const xen = new Xen(machine, { heap: { start: 0, size }, locking });
  for (let cpu = 0; cpu <= workers; cpu++) machine.mailboxes.setOffline(cpu);
  return xen;
}

if (!isMainThread) work(workerData);
