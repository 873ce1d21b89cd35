// npm run bench:workers [-- --seconds N] [-- --json]
// Mapping on real threads: operations per second of 1 and 2 workers, in one L3 table and in different ones, with the locking
// `l3`, `pgdir` and `reverify`. Absent 4 KiB pages are mapped, from each CPU's own pool; and the same with a shootdown each.
// `apart` is what the host has to give: two workers on machines of their own, which share nothing. Then what one shootdown
// takes while 1 and 3 other CPUs do nothing but poll.
import { once } from 'node:events';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { mapPages, modifyPages, Xen } from '../dist/hypervisor/index.js';
import { Machine } from '../dist/index.js';
import { isWhole, pace } from './host.mjs';

const PAGE = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const L3_PAGES = 512 ** 3;
const BATCH = 512 * 16;
// Short ones: what else the machine does comes and goes within a second. The first are not counted: code that two CPUs use at once is
// compiled anew.
const ROUNDS = 16;
const WARM_ROUNDS = 4;
/** Undisturbed turns of a crew that will do; and how many times as many rounds are made to get them where there is a goal. */
const ENOUGH = 3;
const PATIENCE = 4;
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

/** The first after a sleep, or after other work, is slow on any core. */
const awakePace = () => Math.min(pace(), pace(), pace());

/**
 * Works whenever the gate is odd, and tells how much it did a second: by its own clock, for it ends with its batch, when others
 * may have ended before. And what its core was like before and after.
 */
function work({ shared, cpu, first, what, control }) {
  const gate = new Int32Array(control);
  const xen = Xen.attach(shared, cpu);
  const mm = xen.on(cpu);
  const run = WORK[what];
  for (let n = 0; n < 30; n++) run(mm, first);
  mm.cpu.park();
  parentPort.postMessage('warm');
  for (let turn = 0; ; turn += 2) {
    Atomics.wait(gate, 0, turn);
    mm.cpu.unpark();
    const before = awakePace();
    let operations = 0;
    const start = process.hrtime.bigint();
    while (Atomics.load(gate, 0) === turn + 1) operations += run(mm, first);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const after = awakePace();
    mm.cpu.park();
    parentPort.postMessage({ rate: operations / seconds, paces: [before, after] });
  }
}

/**
 * Workers on one machine, or `apart` on one each, which wait until they are measured; the first `polling` of them only poll.
 */
class Crew {
  #gate = new Int32Array(new SharedArrayBuffer(4));
  #threads;

  constructor(locking, what, { workers, sameL3 = false, polling = 0, apart = false }) {
    let xen;
    this.#threads = Array.from({ length: workers }, (_, at) => {
      if (at === 0 || apart) xen = newXen(locking, workers);
      const first = PAGE + (sameL3 ? at * 512 ** 2 : at * L3_PAGES);
      const about = { shared: xen.share(), cpu: at + 1, first, what: at < polling ? 'poll' : what };
      return new Worker(new URL(import.meta.url), { workerData: { ...about, control: this.#gate.buffer } });
    });
  }

  /** A message of each. */
  messages() {
    return Promise.all(this.#threads.map(async (thread) => (await once(thread, 'message'))[0]));
  }

  /** Operations per second of all of them, over some seconds, and the paces of their cores. */
  async turn(seconds) {
    const done = this.messages();
    this.#moveGate();
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    this.#moveGate();
    const all = await done;
    return { rate: all.reduce((sum, { rate }) => sum + rate, 0), paces: all.flatMap(({ paces }) => paces) };
  }

  end() {
    return Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  #moveGate() {
    Atomics.add(this.#gate, 0, 1);
    Atomics.notify(this.#gate, 0);
  }
}

function newXen(locking, workers) {
  const size = 16 << 20;
  const machine = new Machine({ memory: { size, shared: true }, cpus: workers + 1 });
  const xen = new Xen(machine, { heap: { start: 0, size }, locking });
  for (let cpu = 0; cpu <= workers; cpu++) machine.mailboxes.setOffline(cpu);
  return xen;
}

/**
 * Measures crews in turn, so that what slows the machine down for a while slows down all of them. Of each: the rates by round, and
 * those of turns in which nobody else used its cores.
 */
async function inTurn(crews, seconds, patience = 1) {
  await Promise.all(crews.map((crew) => crew.messages())); // warm
  const turns = crews.map(() => []);
  let least = Infinity;
  const undisturbed = (of) => of.filter(({ paces }) => isWhole(Math.max(...paces), least));
  const isEnough = () => turns.every((of) => undisturbed(of).length >= ENOUGH);
  for (let round = -WARM_ROUNDS; round < ROUNDS || (round < patience * ROUNDS && !isEnough()); round++) {
    for (const [at, crew] of crews.entries()) {
      const turn = await crew.turn(seconds / (WARM_ROUNDS + ROUNDS));
      if (round < 0) continue;
      turns[at].push(turn);
      least = Math.min(least, ...turn.paces);
    }
  }
  await Promise.all(crews.map((crew) => crew.end()));
  const rates = (of) => of.map(({ rate }) => rate);
  return turns.map((of) => ({ all: rates(of), undisturbed: rates(undisturbed(of)) }));
}

/** Of one crew to another: of undisturbed turns where both had some, else within rounds. */
function ratio(of, to) {
  const isQuiet = Math.min(of.undisturbed.length, to.undisturbed.length) >= ENOUGH;
  if (isQuiet) return median(of.undisturbed) / median(to.undisturbed);
  return median(of.all.map((rate, round) => rate / to.all[round]));
}

const best = ({ all }) => Math.max(...all);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function main() {
  const { values: options } = parseArgs({
    options: { seconds: { type: 'string', default: '2' }, json: { type: 'boolean' } },
  });
  const results = [];
  if (!options.json) {
    console.log(
      `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}. Operations per second, best of ${ROUNDS} rounds or more; ratios to one worker. Undisturbed: turns of the crews of which nobody else used the cores.`,
    );
    console.log(
      `${''.padEnd(36)}${['1 worker', '2, same L3', 'ratio', '2, other L3', 'ratio', 'apart', 'undisturbed'].map((text) => text.padStart(13)).join('')}`,
    );
  }
  for (const locking of ['l3', 'pgdir', 'reverify'])
    for (const what of ['map absent pages', 'remap with a shootdown']) {
      const about = [{ workers: 1 }, { workers: 2, sameL3: true }, { workers: 2 }, { workers: 2, apart: true }];
      const crews = about.map((each) => new Crew(locking, what, each));
      const patience = locking === 'l3' && what === 'map absent pages' ? PATIENCE : 1;
      const [one, same, other, apart] = await inTurn(crews, Number(options.seconds), patience);
      const result = { locking, what, one: best(one), same: best(same), other: best(other) };
      result.sameRatio = ratio(same, one);
      result.otherRatio = ratio(other, one);
      result.apartRatio = ratio(apart, one);
      result.undisturbed = [one, same, other, apart].map(({ undisturbed }) => undisturbed.length);
      results.push(result);
      const figures = [
        result.one.toFixed(0),
        result.same.toFixed(0),
        result.sameRatio.toFixed(2),
        result.other.toFixed(0),
        result.otherRatio.toFixed(2),
        result.apartRatio.toFixed(2),
        result.undisturbed.join('/'),
      ];
      if (!options.json)
        console.log(`${locking.padEnd(9)}${what.padEnd(27)}${figures.map((text) => text.padStart(13)).join('')}`);
    }
  const shootdowns = [];
  for (const others of [1, 3]) {
    const crew = new Crew('l3', 'remap with a shootdown', { workers: others + 1, sameL3: true, polling: others });
    const perSecond = best((await inTurn([crew], Number(options.seconds)))[0]);
    shootdowns.push({ others, ns: 1e9 / perSecond });
    if (!options.json) console.log(`a shootdown of ${others} other CPUs that poll: ${(1e9 / perSecond).toFixed(0)} ns`);
  }
  if (options.json) console.log(JSON.stringify({ node: process.version, results, shootdowns }, null, 2));
}

if (isMainThread) await main();
else work(workerData);
