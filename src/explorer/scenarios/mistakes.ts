/** Mistakes that others made, each in a few lines of mapping code over the seam that are right or wrong in one place. */
import { NONE } from '../../cpu/fault.ts';
import { FLUSH_ORDER, FLUSH_TLB, FLUSH_TLB_GLOBAL, PAGE_HYPERVISOR } from '../../hypervisor/flags.ts';
import type { XenMm } from '../../hypervisor/mm.ts';
import type { Flushed } from '../../hypervisor/proof.ts';
import { READ } from '../../mmu/access.ts';
import { PS, RW } from '../../mmu/entry.ts';
import { M2, pageAt } from '../calls.ts';
import type { CpuOperation, Scenario } from '../scenario.ts';
import { hiOfPage, loOfPage } from '../world.ts';
import { underLock } from './by-hand.ts';
import { SharedWord } from './shared-word.ts';

/** The page that all of them are about. */
export const PAGE: number = pageAt(0);
/** Drops everything, on whatever CPU. */
const ALL = FLUSH_TLB | FLUSH_TLB_GLOBAL;

/** An operation that is right or wrong by what is chosen. */
type Choice<How extends string> = (how: How) => CpuOperation;

const operation =
  <How extends string>(run: (mm: XenMm, how: How) => void): Choice<How> =>
  (how) => ({
    name: how,
    run: (mm) => {
      run(mm, how);
      return 0;
    },
  });

/** The number of a shootdown that is yet to come, where `flush.all` gives it to whoever has waited for it. */
const promised = (mm: XenMm): Flushed => mm.flush.begin(PAGE, ALL);

/** Unlinks the table that the entry leads to, and returns it. */
function unlink(mm: XenMm, entry: number): number {
  mm.tables.read(entry);
  const table = mm.tables.frame;
  mm.tables.write(entry, 2, 0, 0);
  return table;
}

/** XSA-480: tables went back to the pool at once, and the flush was left for later. */
export const freeTable: Choice<'flush, then free' | 'free, then flush'> = operation((mm, how) =>
  underLock(mm, PAGE, 2, (entry) => {
    const table = unlink(mm, entry);
    const proof = promised(mm);
    if (how === 'free, then flush') mm.heap.free(table, proof);
    mm.flush.mask(mm.mailboxes.onlineMask, PAGE, ALL);
    if (how === 'flush, then free') mm.heap.free(table, proof);
  }),
);

/** XSA-241: the time from which on a page may be used no more was taken while it still could be. */
export const unmapFiltered: Choice<'unmap, then stamp' | 'stamp, then unmap'> = operation((mm, how) =>
  underLock(mm, PAGE, 1, (entry) => {
    const early = how === 'stamp, then unmap' ? mm.flush.stamp() : 0;
    mm.tables.write(entry, 1, 0, 0);
    mm.flush.filtered(how === 'unmap, then stamp' ? mm.flush.stamp() : early);
  }),
);

/** CPU 1 drops everything for reasons of its own. */
export const flushes: CpuOperation = {
  name: 'flush everything',
  run: (mm) => {
    mm.flush.local(PAGE, ALL);
    return 0;
  },
};

/** FreeBSD r312954: what was promoted to a superpage may still be cached in pieces. */
export const removePromoted: Choice<'drop everything' | 'drop one page'> = operation((mm, how) =>
  underLock(mm, PAGE, 2, (entry) => {
    mm.tables.read(entry);
    const table = mm.tables.frame;
    mm.tables.write(entry, 2, M2, PAGE_HYPERVISOR | PS); // maps the same as the table: nothing is flushed
    mm.tables.write(entry, 2, 0, 0);
    mm.heap.free(table, mm.flush.all(PAGE, how === 'drop one page' ? FLUSH_TLB | FLUSH_ORDER(0) : ALL));
  }),
);

export const CURRENT = 2;
/** Whether what CPU 1 has cached of the address space is up to date. */
export const generation: SharedWord = new SharedWord(0);
/** Whether CPU 1 uses the address space now. */
const active = new SharedWord(1);
/** What a hypervisor says of CPU 1, which is one of its virtual CPUs. */
export const steal: SharedWord = new SharedWord(2);
export const PREEMPTED = 2;
const FLUSH_FIRST = 4;
/** Whether the page is gone for good: who still finds it there is wrong. */
const gone = new SharedWord(3);
const YES = 2;

/** Uses the page; 1 where it is still there, and must not be. */
export const use: CpuOperation = {
  name: 'use the page',
  run: (mm) =>
    gone.load(mm) === YES && mm.cpu.translator.translate(loOfPage(PAGE), hiOfPage(PAGE), READ) === NONE ? 1 : 0,
};
export const isUsed: NonNullable<Scenario['atEnd']> = (_mm, results) =>
  results[1]![1] === 1 ? ['CPU 1 uses a page that is gone'] : [];

/** FreeBSD EN-22:04: CPUs were asked to flush, as far as they used the address space, before the others were told to. */
export const unmapByGeneration: Choice<'generation, then request' | 'request, then generation'> = operation(
  (mm, how) => {
    underLock(mm, PAGE, 1, (entry) => mm.tables.write(entry, 1, 0, 0));
    if (how === 'generation, then request') generation.store(mm, 0);
    if (active.load(mm) === YES) mm.flush.acknowledged(2, mm.flush.request(2, PAGE, ALL));
    if (how === 'request, then generation') generation.store(mm, 0);
    mm.flush.local(PAGE, ALL);
    gone.store(mm, YES);
  },
);
export const activate: CpuOperation = {
  name: 'activate',
  run: (mm) => {
    active.store(mm, YES);
    if (generation.load(mm) !== CURRENT) mm.flush.local(PAGE, ALL);
    generation.store(mm, CURRENT);
    return 0;
  },
};

/** CVE-2019-3016: a guest asks for a flush instead of sending an IPI to a virtual CPU that does not run. */
export const unmapInGuest: CpuOperation = {
  name: 'unmap',
  run: (mm) => {
    underLock(mm, PAGE, 1, (entry) => mm.tables.write(entry, 1, 0, 0));
    mm.flush.local(PAGE, ALL);
    const isLeft = steal.load(mm) === PREEMPTED && steal.compareExchange(mm, PREEMPTED, PREEMPTED | FLUSH_FIRST);
    if (!isLeft) mm.flush.acknowledged(2, mm.flush.request(2, PAGE, ALL));
    gone.store(mm, YES);
    return 0;
  },
};
export const enterGuest: Choice<'one exchange' | 'a load and a store'> = operation((mm, how) => {
  const asked = how === 'one exchange' ? steal.exchange(mm, 0) : steal.load(mm);
  if (how === 'a load and a store') steal.store(mm, 0);
  if ((asked & FLUSH_FIRST) !== 0) mm.flush.local(PAGE, ALL);
});

/** J. Horn, 2025: INVLPG leaves what structure caches hold with PCIDs that are not loaded. */
export const freeUnderPcids: Choice<'drop all PCIDs' | 'drop the address'> = operation((mm, how) =>
  underLock(mm, PAGE, 2, (entry) => {
    const table = unlink(mm, entry);
    const proof = promised(mm);
    if (how === 'drop the address') mm.cpu.invlpg(loOfPage(PAGE), hiOfPage(PAGE));
    else mm.flush.local(PAGE, ALL);
    mm.heap.free(table, proof);
  }),
);

/** Between a load and a store, hardware sets D. */
export const writeProtect: Choice<'exchange' | 'load and store'> = operation((mm, how) =>
  underLock(mm, PAGE, 1, (entry) => {
    const old = how === 'exchange' ? mm.tables.exchange(entry, 1, 0, 0) : mm.tables.read(entry);
    mm.tables.write(entry, 1, mm.tables.frame, old & ~RW);
    mm.flush.all(PAGE, ALL);
  }),
);

/** Linux 2ba99c5e0881: shootdowns do not wait for code that follows tables and holds no lock. */
export const freeWalked: Choice<'grace period' | 'shootdown'> = operation((mm, how) =>
  underLock(mm, PAGE, 2, (entry) => {
    const table = unlink(mm, entry);
    const flushed = mm.flush.all(PAGE, ALL);
    mm.heap.free(table, how === 'grace period' ? mm.grace.period() : flushed);
  }),
);
