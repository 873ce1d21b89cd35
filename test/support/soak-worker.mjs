// One CPU of the soak test, in a thread of its own: maps, unmaps, changes and reads pages at random while other CPUs do the
// same to the same tables. `own` pages are interleaved between CPUs, so that each knows what its own hold; in the `common`
// area everybody does anything, and a read may meet one of two frames or a fault, and nothing else.
import { parentPort, workerData } from 'node:worker_threads';
import {
  destroyXenMappings,
  INVALID_MFN,
  lookUp,
  mapPages,
  mapToMfn,
  modifyPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  Xen,
} from '../../dist/hypervisor/index.js';

const GIB = 1 << 18;
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
function delays(random) {
  return {
    value: 0,
    frame: 0,
    enter(operation) {
      if (operation !== 'alloc' && random(6) === 0) for (let k = random(400); k > 0; k--) Atomics.load(idle, 0);
      return false;
    },
    leave() {},
  };
}
const idle = new Int32Array(1);

function soak({ shared, cpu: index, cpus, seed, operations, layout, delayed, patienceMs, looksUp }, gate) {
  const xen = Xen.attach(shared, index);
  const mm = xen.on(index);
  const { cpu } = mm;
  xen.machine.mailboxes.patienceMs = patienceMs;
  const random = randomizer(seed * 7919 + index * 104729);
  if (delayed) mm.observer = delays(random);
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
if (workerData?.exitAt !== undefined) process.exit(1);
void destroyXenMappings;
void GIB;
