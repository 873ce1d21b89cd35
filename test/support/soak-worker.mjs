// One CPU of the soak test, in a thread of its own: maps, unmaps, changes and reads pages at random while other CPUs do the
// same to the same tables. `own` pages are interleaved between CPUs, so that each knows what its own hold; in the `common`
// area everybody does anything, and a read may meet one of two frames or a fault, and nothing else. Each CPU also maps a page
// of its own that the others read.
import { parentPort } from 'node:worker_threads';
import {
  INVALID_MFN,
  lookUp,
  mapPages,
  mapToMfn,
  modifyPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  Xen,
} from '../../dist/hypervisor/index.js';

const MIB2 = 512;

/** A small generator of good low bits (xorshift32). */
function randomizer(seed) {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Busy for a while at the points of the seam where a race needs time. */
const delays = (random) => (operation) => {
  if (operation !== 'alloc' && random(6) === 0) for (let k = random(400); k > 0; k--) Atomics.load(idle, 0);
};
const idle = new Int32Array(1);

/** Plants a mistake into one CPU: the same four that the explorer knows. Returns the operations of its seam that it skips. */
function plant(what, mm, look) {
  const { cpu, mailboxes } = mm;
  const skips = { 'no-lock': ['lock', 'unlock'], 'no-flush': ['flush'], 'no-ack': ['acknowledge'] }[what] ?? [];
  if (what === 'no-flush') cpu.translator.observer = skipping(['dropPage', 'dropAddress', 'dropPcid', 'dropAll']);
  if (what === 'ack-before-flush') {
    const everybody = (1 << mailboxes.count) - 1;
    mailboxes.adopt(cpu.index, (lo, hi, flags) => {
      mailboxes.acknowledge(cpu.index, everybody); // whoever has not asked is told of what it knows
      look();
      mm.flush.serve(lo, hi, flags);
    });
  }
  return skips;
}

/** An observer that says of some operations that they happened; `then` is told of the others. */
function skipping(skips, then = () => {}) {
  return {
    value: 0,
    frame: 0,
    enter(operation, _a, b) {
      this.value = b; // of a flush: the flags that others still have to see to
      if (skips.includes(operation)) return true;
      then(operation);
      return false;
    },
    leave() {},
  };
}

function soak(
  { shared, cpu: index, cpus, seed, operations, layout, delayed, planted, patienceMs, watch, looksUp },
  gate,
) {
  const xen = Xen.attach(shared, index);
  const mm = xen.on(index);
  const { cpu } = mm;
  xen.machine.mailboxes.patienceMs = patienceMs;
  const random = randomizer(seed * 7919 + index * 104729);
  cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const { own, common, frames } = layout;
  /** Of each own page: its frame, and whether it may be written; -1 where it is unmapped. */
  const map = new Int32Array(own.pages).fill(-1);
  const frameA = (page) => frames.first + (page % frames.count);
  const frameB = (page) => frames.first + ((page * 7 + 3) % frames.count);
  const counts = { operations: 0, reads: 0, faults: 0, noMemory: 0 };
  const lo = (page) => ((page % 2 ** 20) * 4096) | 0;
  const hi = (page) => Math.floor(page / 2 ** 20) | 0;

  const read = (page) => {
    counts.reads += 1;
    const value = cpu.read32(lo(page), hi(page));
    if (cpu.faulted === 0) return value;
    counts.faults += 1;
    return -1;
  };
  const fail = (what) => {
    throw new Error(what);
  };

  // Of each CPU one page that it alone maps, each time to another frame, and how often it has begun and ended to do so:
  // nobody reads an old frame once that has ended, and before the next time has begun.
  const versions = new Int32Array(watch);
  const watchedPage = (cpu) => own.first + own.pages + cpu;
  const watchedFrame = (cpu, version) => frames.first + ((version * 8 + cpu) % frames.count);
  const changeWatched = () => {
    const version = Atomics.add(versions, 2 * index, 1) + 1;
    const error = mapPages(mm, watchedPage(index), watchedFrame(index, version), 1, PAGE_HYPERVISOR);
    if (error === 0) Atomics.add(versions, 2 * index + 1, 1); // else nobody looks any more
  };
  const lookAtWatched = () => {
    for (let cpu = 1; cpu <= cpus; cpu++) {
      const ended = Atomics.load(versions, 2 * cpu + 1);
      if (ended === 0 || Atomics.load(versions, 2 * cpu) !== ended) continue;
      const seen = read(watchedPage(cpu));
      if (Atomics.load(versions, 2 * cpu) !== ended || seen === watchedFrame(cpu, ended)) continue;
      fail(`stale translation: CPU ${index} reads ${seen}, and CPU ${cpu} has mapped ${watchedFrame(cpu, ended)}`);
    }
  };
  const skips = plant(planted, mm, lookAtWatched);
  if (delayed || skips.length > 0) mm.observer = skipping(skips, delayed ? delays(random) : undefined);

  const ownOperation = () => {
    const at = random(Math.floor(own.pages / cpus)) * cpus + (index - 1);
    const page = own.first + at;
    const kind = random(4);
    if (kind === 0) {
      const error = modifyPages(mm, page, page + 1, 0);
      if (error === 0) map[at] = -1;
      else counts.noMemory += 1;
    } else {
      const frame = kind === 1 ? frameB(at) : frameA(at);
      const error = mapPages(mm, page, frame, 1, PAGE_HYPERVISOR);
      if (error === 0) map[at] = frame;
      else counts.noMemory += 1;
    }
    const seen = read(page);
    if (seen !== map[at]) fail(`wrong mapping: own page ${at} reads ${seen}, and is mapped to ${map[at]}`);
  };
  const commonOperation = () => {
    const kind = random(8);
    // The whole, a superpage, or some pages; frames continue, so that everything can coalesce again.
    const [offset, pages] =
      kind === 0
        ? [0, common.pages]
        : kind < 4
          ? [random(common.pages / MIB2) * MIB2, MIB2]
          : [random(common.pages), 1 + random(3)];
    const count = Math.min(pages, common.pages - offset);
    const first = common.first + offset;
    const what = random(6);
    let error = 0;
    if (what === 0) error = modifyPages(mm, first, first + count, 0);
    else if (what === 1) error = modifyPages(mm, first, first + count, PAGE_HYPERVISOR_RO);
    else if (what === 2) error = mapPages(mm, first, frames.common + offset, count, PAGE_HYPERVISOR_RO);
    else error = mapPages(mm, first, frames.common + offset, count, PAGE_HYPERVISOR);
    if (error !== 0) counts.noMemory += 1;
  };
  const look = () => {
    const at = random(common.pages);
    const seen = read(common.first + at);
    // Only the first frames of the common area are RAM that says who it is; further ones are holes.
    const expected = at < frames.marked ? frames.common + at : undefined;
    if (seen !== -1 && expected !== undefined && seen !== expected)
      fail(`wrong translation: common page ${at} reads ${seen}, not ${expected}`);
    if (!looksUp) return;
    const found = mapToMfn(mm, common.first + at);
    if (found !== INVALID_MFN && found !== frames.common + at) fail(`wrong lookup: common page ${at} is at ${found}`);
    lookUp(mm, BigInt(common.first + at) << 12n);
  };

  try {
    for (let n = 0; n < operations; n++) {
      if (random(2) === 0) ownOperation();
      else commonOperation();
      for (let k = 0; k < 4; k++) look();
      if (random(4) === 0) changeWatched();
      for (let k = 0; k < 2; k++) lookAtWatched();
      counts.operations += 1;
      cpu.poll();
    }
    mm.observer = null;
    // Everybody has stopped changing tables before anybody compares with them.
    cpu.park();
    Atomics.add(gate, 0, 1);
    Atomics.notify(gate, 0);
    for (let seen = Atomics.load(gate, 0); seen < cpus; seen = Atomics.load(gate, 0)) Atomics.wait(gate, 0, seen, 50);
    cpu.unpark();
    let stale = 0;
    cpu.translator.tlb.forEach((low, high, _context, _level, frame) => {
      const page = (high >>> 0) * 0x10_0000 + (low >>> 12);
      const before = [cpu.physicalLo, cpu.physicalHi];
      const vector = cpu.probe(low, high, 0);
      const now = vector === 0 ? cpu.physicalHi * 0x10_0000 + (cpu.physicalLo >>> 12) : -1;
      [cpu.physicalLo, cpu.physicalHi] = before;
      if (now !== frame && page !== 0) stale += 1;
    });
    if (stale > 0) fail(`stale TLB: ${stale} entries contradict the tables`);
    return { counts, map };
  } catch (failure) {
    xen.machine.mailboxes.setOffline(index);
    Atomics.add(gate, 0, 1);
    Atomics.notify(gate, 0);
    return { failure: `${failure.name}: ${failure.message}`, counts };
  }
}

parentPort.on('message', ({ task, gate }) => {
  parentPort.postMessage(soak(task, new Int32Array(gate)));
});
