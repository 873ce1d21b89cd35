/**
 * Random programs that are tiny: two or three CPUs, two to five operations of the seam or short runs of them each, right or
 * wrong, over four tables. For tests of the explorer: nothing here is thought to be correct.
 */
import { pageAt } from '../../src/explorer/calls.ts';
import type { FlatMap } from '../../src/explorer/flat-map.ts';
import type { CpuOperation, HardwareAccess, Plant, Scenario } from '../../src/explorer/scenario.ts';
import { hiOfPage, loOfPage } from '../../src/explorer/world.ts';
import { PAGE_HYPERVISOR_TABLE } from '../../src/hypervisor/flags.ts';
import {
  FLUSH_TLB,
  FLUSH_TLB_GLOBAL,
  mapPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  type XenMm,
} from '../../src/hypervisor/index.ts';
import { NEVER_PUBLISHED } from '../../src/hypervisor/proof.ts';
import { READ, WRITE } from '../../src/mmu/access.ts';
import { isPresent, PS } from '../../src/mmu/entry.ts';

/** Frames of the tables that are there at the start: level 3, 2, and 1. */
const L3 = 1;
const L2 = 2;
const L1 = 3;

/** An entry, and the level of its table. */
interface Spot {
  readonly entry: number;
  readonly level: number;
}
const l1 = (index: number): Spot => ({ entry: L1 * 512 + index, level: 1 });
const l2 = (index: number): Spot => ({ entry: L2 * 512 + index, level: 2 });
const l3 = (index: number): Spot => ({ entry: L3 * 512 + index, level: 3 });

/** Pages 0 and 1 are mapped one by one, 512 to 1023 by a superpage; all else is empty. */
export function prepare(mm: XenMm): void {
  mapPages(mm, pageAt(0), 100, 2, PAGE_HYPERVISOR);
  mapPages(mm, pageAt(512), 1024, 512, PAGE_HYPERVISOR);
}

/** One operation of the seam, or a short run of them; and its text. */
interface Action {
  readonly text: string;
  readonly run: (mm: XenMm) => number;
  /** What it does to a flat map, as far as that is said; else nothing: the judge's verdict is what is compared. */
  readonly meaning?: (map: FlatMap) => void;
}

/** Numbers from a seed: `next(n)` is one of 0 to n - 1. */
export function numbers(seed: number): (below: number) => number {
  let state = (Math.imul(seed, 0x9e37_79b1) ^ 0x5bd1_e995) | 1;
  const next = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((Math.imul(state, 0x2c1b_3c6d) >>> 0) / 2 ** 32) * below);
  };
  for (let warm = 0; warm < 8; warm++) next(2);
  return next;
}

type Next = (below: number) => number;
const pick = <T>(next: Next, from: readonly T[]): T => from[next(from.length)]!;

const PAGES = [0, 1, 512];
const LEAVES = [l1(0), l1(0), l1(1), l1(2), l2(1), l2(2)];
const ALL_SPOTS = [...LEAVES, l2(0), l3(0), l3(1)];

function store(next: Next, how: 'write' | 'exchange'): Action {
  const { entry, level } = pick(next, next(5) === 0 ? [l2(0)] : LEAVES);
  const frame = level === 1 ? 100 + next(3) : 1024 * (1 + next(2));
  const flags = next(3) === 0 ? 0 : (next(2) === 0 ? PAGE_HYPERVISOR : PAGE_HYPERVISOR_RO) | (level > 1 ? PS : 0);
  const mfn = flags === 0 ? 0 : frame;
  const page = pageAt((entry % 512) * (level === 1 ? 1 : 512));
  return {
    meaning: (map) => map.map(page, mfn, level === 1 ? 1 : 512, flags),
    text: `${how} ${entry} = ${mfn} ${flags.toString(16)}`,
    run: ({ tables }) => {
      if (how === 'exchange') return tables.exchange(entry, level, mfn, flags);
      tables.write(entry, level, mfn, flags);
      return 0;
    },
  };
}

/** Adds a table, with a second look at the entry or without one, under map_pgdir_lock or not. */
function populate(next: Next): Action {
  const { entry, level } = pick(next, [l2(2), l2(2), l2(1), l3(1)]);
  const looks = next(4) > 0;
  const locks = next(3) > 0;
  const fills = next(8) > 0;
  return {
    text: `populate ${entry}${looks ? ', looks' : ''}${locks ? ', locks' : ''}${fills ? '' : ', not filled'}`,
    run: ({ tables, heap, locks: { lockPgdir, unlockPgdir }, locks: all }) => {
      const table = heap.alloc();
      if (table < 0) return -1;
      if (fills) tables.fill(table, 0, 0, 0);
      if (locks) lockPgdir.call(all);
      const lost = looks && isPresent(tables.read(entry));
      if (!lost) tables.publish(entry, level, table, PAGE_HYPERVISOR_TABLE);
      if (locks) unlockPgdir.call(all);
      if (lost) heap.free(table, NEVER_PUBLISHED);
      return lost ? 1 : 0;
    },
  };
}

/** Unlinks a table and frees it: after a flush, or not; after one exchange, or a read and a write. */
function unlink(next: Next): Action {
  const { entry, level } = pick(next, [l2(0), l2(2), l3(0)]);
  const how = pick(next, ['write', 'exchange'] as const);
  const flushes = pick(next, ['all', 'all', 'local', 'none'] as const);
  return {
    text: `unlink ${entry} by ${how}, flush ${flushes}`,
    run: ({ tables, heap, flush }) => {
      const flags = how === 'write' ? tables.read(entry) : tables.exchange(entry, level, 0, 0);
      const table = tables.frame;
      if (how === 'write') tables.write(entry, level, 0, 0);
      if (!isPresent(flags) || (flags & PS) !== 0) return 1;
      const proof = flushes === 'all' ? flush.all(pageAt(0), FLUSH_TLB_GLOBAL) : flush.begin(0, 0);
      if (flushes === 'local') flush.local(pageAt(0), FLUSH_TLB_GLOBAL);
      heap.free(table, proof);
      return 0;
    },
  };
}

/** Takes a table, and gives it back, or keeps it: which one it is depends on what others take where there are few. */
function take(next: Next): Action {
  const keeps = next(2) === 0;
  return {
    text: keeps ? 'allocate' : 'allocate and free',
    run: ({ heap }) => {
      const table = heap.alloc();
      if (table >= 0 && !keeps) heap.free(table, NEVER_PUBLISHED);
      return table;
    },
  };
}

function flushSome(next: Next, cpus: number): Action {
  const page = pageAt(pick(next, PAGES));
  const flags = pick(next, [FLUSH_TLB | 1, FLUSH_TLB_GLOBAL]);
  const what = next(5);
  if (what < 2)
    return { text: `flush local ${page - pageAt(0)} ${flags}`, run: ({ flush }) => flush.local(page, flags) };
  const waits = next(5) > 0;
  return {
    text: `request${waits ? ' and wait' : ''}`,
    run: (mm) => {
      const others = ((1 << cpus) - 1) & ~(1 << mm.cpu.index);
      const number = mm.flush.request(others, page, flags);
      if (waits) mm.flush.acknowledged(others, number);
      return 0;
    },
  };
}

function touch(next: Next): Action {
  const page = pageAt(pick(next, PAGES));
  if (next(4) === 0)
    return {
      text: `invlpg ${page - pageAt(0)}`,
      run: ({ cpu }) => {
        cpu.invlpg(loOfPage(page), hiOfPage(page));
        return 0;
      },
    };
  const access = next(2) === 0 ? READ : WRITE;
  return {
    text: `access ${page - pageAt(0)} ${access}`,
    run: ({ cpu }) => cpu.translator.translate(loOfPage(page), hiOfPage(page), access),
  };
}

function wholeTable(next: Next): Action {
  const what = next(5);
  if (what === 0) return { text: 'is L1 empty', run: ({ tables }) => (tables.isEmpty(L1, 1) ? 1 : 0) };
  if (what === 1) return { text: 'counters of L1', run: ({ tables }) => (tables.mayBeRun(L1 * 512, 1) ? 1 : 0) };
  if (what === 2) return { text: 'traits of L1', run: ({ tables }) => tables.traits(L1, 1, PAGE_HYPERVISOR) };
  if (what === 3) {
    const from = next(2);
    return { text: `next table from ${from}`, run: ({ tables }) => tables.nextTable(L2, 2, from) };
  }
  const count = 1 + next(3);
  const first = l1(1 + next(2)).entry;
  return {
    text: `run of ${count} from ${first}`,
    run: ({ tables }) => tables.writeRun(first, 200, PAGE_HYPERVISOR, count),
  };
}

/** Stores where it has seen something: what it does depends on what others did. */
function depends(next: Next): Action {
  const seen = pick(next, ALL_SPOTS);
  const then = store(next, 'write');
  const otherwise = store(next, 'exchange');
  return {
    text: `if ${seen.entry}: ${then.text}; else ${otherwise.text}`,
    run: (mm) => (isPresent(mm.tables.read(seen.entry)) ? then : otherwise).run(mm),
  };
}

function locked(next: Next, cpus: number): Action {
  const lock = pick(next, ['l3', 'l3', 'pgdir'] as const);
  const inner = Array.from({ length: 1 + next(2) }, () => action(next, cpus, 'inside'));
  const drops = next(20) > 0;
  return {
    text: `under ${lock}: { ${inner.map(({ text }) => text).join('; ')} }${drops ? '' : ', kept'}`,
    run: (mm) => {
      const { locks } = mm;
      if (lock === 'l3') locks.lockBelow(L3);
      else locks.lockPgdir();
      let result = 0;
      for (const { run } of inner) result = run(mm);
      if (drops && lock === 'l3') locks.unlockBelow();
      else if (drops) locks.unlockPgdir();
      return result;
    },
  };
}

function action(next: Next, cpus: number, where: 'outside' | 'inside'): Action {
  const kind = next(where === 'outside' ? 24 : 18);
  if (kind < 2) {
    const { entry } = pick(next, ALL_SPOTS);
    return { text: `read ${entry}`, run: ({ tables }) => tables.read(entry) };
  }
  if (kind < 6) return store(next, 'write');
  if (kind < 8) return store(next, 'exchange');
  if (kind < 10) return depends(next);
  if (kind < 12) return flushSome(next, cpus);
  if (kind < 14) return touch(next);
  if (kind < 15) return next(2) === 0 ? wholeTable(next) : take(next);
  if (kind < 16) return populate(next);
  if (kind < 17) return unlink(next);
  if (kind < 18) return next(4) > 0 ? unlink(next) : { text: 'grace period', run: ({ grace }) => grace.period() & 0 };
  return locked(next, cpus);
}

/** A program by its number. */
export function tinyProgram(seed: number): Scenario {
  const next = numbers(seed);
  const cpus = next(4) === 0 ? 3 : 2;
  const walked = (): HardwareAccess[] =>
    next(4) === 0 ? [{ page: pageAt(pick(next, PAGES)), access: next(2) === 0 ? READ : WRITE }] : [];
  const calls = Array.from({ length: cpus }, (): CpuOperation[] => {
    const irqsOff = next(5) === 0;
    const count = cpus === 2 && next(3) === 0 ? 2 : 1;
    return Array.from({ length: count }, () => {
      const most = cpus === 2 && count === 1 ? 2 : 1;
      const actions = Array.from({ length: 1 + next(most) }, () => action(next, cpus, 'outside'));
      return {
        name: `${irqsOff ? 'irqs off: ' : ''}${actions.map(({ text }) => text).join('; ')}`,
        irqsOff,
        run: (mm) => {
          mm.begin();
          let result = 0;
          for (const { run } of actions) result = (Math.imul(result, 31) + run(mm)) | 0;
          return result;
        },
        meaning: (map) => {
          for (const { meaning } of actions) meaning?.(map);
        },
      };
    });
  });
  const plants: readonly (Plant | undefined)[] = ['no-lock', 'no-flush', 'no-ack', 'ack-before-flush'];
  const plant = next(6) === 0 ? pick(next, plants) : undefined;
  const pool = 1 + next(2);
  // In some there is nothing but what the pools hold: an allocation may take another CPU's, or fail.
  const frames = next(3) === 0 ? { frames: 4 + next(cpus * pool + 1) } : {};
  const evictions = next(10) === 0 ? 1 : 0;
  const without = [...(next(6) > 0 ? (['owner-lock'] as const) : []), ...(next(2) > 0 ? (['no-stale'] as const) : [])];
  return {
    name: `tiny-${seed}`,
    about: 'a random program',
    machine: { pool, ...frames, ...(next(3) === 0 ? { behaviour: 'xen' } : {}) },
    hardware: { evictions, storeBuffers: next(10) === 0, reuse: next(4) === 0 ? 'hostile' : 'never' },
    cpus: calls,
    walks: Array.from({ length: cpus }, walked),
    prepare,
    pages: next(6) === 0 ? [...PAGES, 1024].map(pageAt) : [],
    warm: [
      next(2) === 0 ? [{ page: pageAt(0), access: READ }] : [],
      next(2) === 0 ? [{ page: pageAt(512), access: READ }] : [],
    ],
    ...(plant === undefined ? {} : { plant }),
    without,
  };
}
