/**
 * What a thread of the soak and of the tearing guard does, in a worker of a browser. The soak: one CPU maps, changes, unmaps
 * and reads pages at random while another one does the same to the same tables; each knows what its own pages hold. The guard:
 * one thread stores entries whose halves carry the same number, the other one looks for halves that do not match.
 */
import { Machine, type SharedMachine } from '../cpu/machine.ts';
import { PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO } from '../hypervisor/flags.ts';
import { mapPages } from '../hypervisor/map-pages.ts';
import type { XenMm } from '../hypervisor/mm.ts';
import { modifyPages } from '../hypervisor/modify-mappings.ts';
import { type SharedXen, Xen } from '../hypervisor/xen.ts';

/** Pages of each CPU, interleaved, and pages that all change. Page numbers keep their sign bits. */
export interface SoakLayout {
  readonly own: { readonly first: number; readonly pages: number };
  readonly common: { readonly first: number; readonly pages: number };
  /** Data frames that hold their own number: `count` from `first`, and `marked` from `common`. */
  readonly frames: { readonly first: number; readonly count: number; readonly common: number; readonly marked: number };
}

export interface SoakTask {
  readonly job: 'soak';
  readonly shared: SharedXen;
  /** 1 to `cpus`; CPU 0 is the page's. */
  readonly cpu: number;
  readonly cpus: number;
  readonly seed: number;
  readonly operations: number;
  readonly layout: SoakLayout;
  /** One word: how many have stopped changing tables. */
  readonly gate: SharedArrayBuffer;
}

export interface Soaked {
  readonly operations: number;
  readonly reads: number;
  readonly faults: number;
  /** Of each own page its frame, -1 where it is unmapped. */
  readonly map: Int32Array;
}

export interface TearTask {
  readonly job: 'store' | 'look';
  readonly shared: SharedMachine;
  /** Entries are moved whole, or as two halves: a control, which must tear. */
  readonly how: 'whole' | 'halves';
  readonly table: number;
  /** One word: 1 when the guard has seen enough. */
  readonly stop: SharedArrayBuffer;
  /** Looks at least; more until enough changes were seen (the other thread may not run), for half a minute at most. */
  readonly looks: number;
}

export interface Looked {
  readonly looks: number;
  /** Different values that were seen: without them nothing was raced. */
  readonly changes: number;
  readonly torn: number;
}

export type ThreadTask = SoakTask | TearTask;

export function runThread(task: ThreadTask): Soaked | Looked | number {
  switch (task.job) {
    case 'soak':
      return soak(task);
    case 'store':
      return store(task);
    case 'look':
      return look(task);
  }
}

/** xorshift32. */
function randomizer(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function soak({ shared, cpu: index, cpus, seed, operations, layout, gate }: SoakTask): Soaked {
  const xen = Xen.attach(shared, index);
  xen.machine.mailboxes.patienceMs = 10_000;
  const mm = xen.on(index);
  const { cpu } = mm;
  cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const random = randomizer(seed * 7919 + index * 104_729);
  const { own, common, frames } = layout;
  const map = new Int32Array(own.pages).fill(-1);
  const counts = { operations: 0, reads: 0, faults: 0 };
  const read = (page: number): number => {
    counts.reads += 1;
    const value = cpu.read32(((page % 2 ** 20) * 4096) | 0, Math.floor(page / 2 ** 20) | 0);
    if (cpu.faulted === 0) return value;
    counts.faults += 1;
    return -1;
  };
  try {
    for (; counts.operations < operations; counts.operations++) {
      const at = random(Math.floor(own.pages / cpus)) * cpus + index - 1;
      const page = own.first + at;
      const frame = frames.first + ((at + random(2)) % frames.count);
      const isMapped = random(4) !== 0;
      const failed = isMapped ? mapPages(mm, page, frame, 1, PAGE_HYPERVISOR) : modifyPages(mm, page, page + 1, 0);
      if (failed === 0) map[at] = isMapped ? frame : -1;
      const seen = read(page);
      if (seen !== map[at]) throw new Error(`own page ${at} reads ${seen}, and is mapped to ${map[at]}`);
      changeCommon(mm, layout, random);
      for (let look = 0; look < 4; look++) {
        const offset = random(frames.marked);
        const found = read(common.first + offset);
        if (found !== -1 && found !== frames.common + offset) throw new Error(`common page ${offset} reads ${found}`);
      }
      cpu.poll();
    }
    waitForAll(mm, new Int32Array(gate), cpus);
    const stale = staleEntries(mm);
    if (stale > 0) throw new Error(`${stale} TLB entries contradict the tables`);
    return { ...counts, map };
  } catch (failure) {
    Atomics.add(new Int32Array(gate), 0, 1); // the others need not wait for it
    throw failure;
  } finally {
    xen.machine.mailboxes.setOffline(index); // nobody waits for a thread that is gone
  }
}

/** The whole, a superpage, or a few pages: read only, writable, or gone. Frames continue, so that all of it can coalesce. */
function changeCommon(mm: XenMm, { common, frames }: SoakLayout, random: (below: number) => number): void {
  const kind = random(8);
  const offset = kind === 0 ? 0 : kind < 4 ? random(common.pages / 512) * 512 : random(common.pages);
  const pages = Math.min(kind === 0 ? common.pages : kind < 4 ? 512 : 1 + random(3), common.pages - offset);
  const first = common.first + offset;
  const what = random(4);
  if (what === 0) modifyPages(mm, first, first + pages, 0);
  else if (what === 1) modifyPages(mm, first, first + pages, PAGE_HYPERVISOR_RO);
  else mapPages(mm, first, frames.common + offset, pages, PAGE_HYPERVISOR);
}

/** Everybody stops changing tables before anybody compares with them. */
function waitForAll({ cpu }: XenMm, gate: Int32Array, cpus: number): void {
  cpu.park();
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  for (let seen = Atomics.load(gate, 0), left = 1000; seen < cpus && left > 0; seen = Atomics.load(gate, 0), left--)
    Atomics.wait(gate, 0, seen, 20);
  cpu.unpark();
}

function staleEntries({ cpu }: XenMm): number {
  let stale = 0;
  cpu.translator.tlb.forEach((lo, hi, _context, _level, frame) => {
    const vector = cpu.probe(lo, hi, 0);
    if (vector !== 0 || cpu.physicalHi * 0x10_0000 + (cpu.physicalLo >>> 12) !== frame) stale += 1;
  });
  return stale;
}

/** Stores to the first entry of a table until it is stopped; returns how often. */
function store({ shared, how, table, stop }: TearTask): number {
  const machine = Machine.attach(shared, 0);
  const [cpu] = machine.cpus;
  const { words } = machine.memory;
  const control = new Int32Array(stop);
  cpu!.enter({ cr0: 1, cr3: 0, cr4: 0, efer: 0 });
  let stores = 0;
  for (let value = 1; Atomics.load(control, 0) === 0; value = value >= 0xffff ? 1 : value + 1, stores++) {
    if (how === 'whole') cpu!.write64(table * 4096, 0, (value << 12) | 1, value);
    else {
      words[table * 1024] = (value << 12) | 1;
      words[table * 1024 + 1] = value;
    }
  }
  return stores;
}

const PATIENCE_MS = 30_000;
const ENOUGH_CHANGES = 20_000;

function look({ shared, how, table, stop, looks }: TearTask): Looked {
  const machine = Machine.attach(shared, 1);
  const { words } = machine.memory;
  const cpu = machine.cpus[0]!; // of those that this thread runs
  cpu.enter({ cr0: 1, cr3: 0, cr4: 0, efer: 0 });
  const { port } = cpu.translator;
  const found = { looks: 0, changes: 0, torn: 0 };
  let last = 0;
  const deadline = performance.now() + PATIENCE_MS;
  const isDone = (): boolean => {
    if (how === 'halves' && found.torn > 0) return true;
    if (found.looks < looks) return false;
    return found.changes >= ENOUGH_CHANGES || ((found.looks & 0xffff) === 0 && performance.now() > deadline);
  };
  try {
    for (; !isDone(); found.looks++) {
      if (how === 'whole') port.load(table, 0, 8);
      const lo = how === 'whole' ? port.lo : words[table * 1024]!;
      const hi = how === 'whole' ? port.hi : words[table * 1024 + 1]!;
      if (lo >>> 12 !== (hi & 0xf_ffff) && (lo | hi) !== 0) found.torn += 1;
      if (lo !== last) found.changes += 1;
      last = lo;
    }
    return found;
  } finally {
    Atomics.store(new Int32Array(stop), 0, 1);
  }
}
