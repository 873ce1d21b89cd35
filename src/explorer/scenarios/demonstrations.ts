/**
 * Mistakes that others made (mistakes.ts), in three variants each: nothing is found where the code is right; it is found
 * where it is wrong; and not where what it takes is missing: one preemption, or what hardware does.
 */
import { MAP_SMALL_PAGES, PAGE_HYPERVISOR } from '../../hypervisor/flags.ts';
import { D } from '../../mmu/entry.ts';
import { M2 } from '../calls.ts';
import type { Declared } from '../declared.ts';
import type { ErrorKind } from '../rules.ts';
import { type CpuOperation, read, type Scenario, write } from '../scenario.ts';
import { walkWithoutLock } from './by-hand.ts';
import { both, type Case, declare, mapped, type Prepare } from './declare.ts';
import * as mistakes from './mistakes.ts';

const { PAGE } = mistakes;

interface Mistake {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** What all variants share. */
  readonly base: Omit<Scenario, 'name' | 'about' | 'cpus'>;
  /** What each CPU calls. */
  readonly right: readonly (readonly CpuOperation[])[];
  readonly wrong: readonly (readonly CpuOperation[])[];
  readonly finds: ErrorKind;
  /** The fewest with which it is found; or, where that is none, a variant of the hardware that does not show it. */
  readonly takes: number | (Partial<Scenario> & Pick<Case, 'label'>);
}

function demonstrate({ name, title, about, base, right, wrong, finds, takes }: Mistake): Declared {
  const preemptions = typeof takes === 'number' ? takes : 0;
  const missing =
    typeof takes === 'number' ? { label: 'with one preemption less', preemptions: preemptions - 1 } : takes;
  return declare(
    { name, title, about, status: 'demo' },
    { label: 'right', ...base, cpus: right },
    { label: 'wrong', ...base, cpus: wrong, preemptions, finds: [finds] },
    { ...base, cpus: wrong, ...missing, label: `wrong, ${missing.label}` },
  );
}

/** The same, and what a shared word says. */
const mappedAnd = (more: Prepare): Prepare => both(mapped(2), more);

/** What CPU 1 has cached at the start and does not use while it is not told to; and words that are no tables. */
const lazily = {
  warm: [[], [read(PAGE)]],
  atEnd: mistakes.isUsed,
  without: ['no-stale', 'owner-lock'],
} as const;

export const DEMONSTRATIONS: readonly Declared[] = [
  demonstrate({
    name: 'free-before-flush',
    title: 'a table is freed before the flush that makes it unreachable',
    about:
      'XSA-480, CVE-2026-23554: with the flush of EPT deferred, tables that a superpage replaced went back to the pool at once. Hardware goes on walking through them until the flush.',
    base: { prepare: mapped(1), walks: [[], [read(PAGE)]] },
    right: [[mistakes.freeTable('flush, then free')]],
    wrong: [[mistakes.freeTable('free, then flush')]],
    finds: 'UseAfterFree',
    takes: { label: 'and nothing walks', walks: [[], []] },
  }),
  demonstrate({
    name: 'stale-timestamp',
    title: 'a flush leaves out a CPU that was flushed before the page was unmapped',
    about:
      'XSA-241: CPUs that have dropped everything since the time stamp of a page are not asked to flush. The stamp was taken too early: CPU 1 flushes after it, walks again, and keeps what is unmapped then.',
    base: { prepare: mapped(2), machine: { usesClock: true }, walks: [[], [read(PAGE)]] },
    right: [[mistakes.unmapFiltered('unmap, then stamp')], [mistakes.flushes]],
    wrong: [[mistakes.unmapFiltered('stamp, then unmap')], [mistakes.flushes]],
    finds: 'StaleTranslation',
    takes: 1,
  }),
  demonstrate({
    name: 'promotion',
    title: 'one INVLPG for a superpage that is cached in pieces',
    about:
      'FreeBSD r312954: 512 pages became a superpage, which maps the same, so nothing was flushed. When it was removed, one INVLPG dropped one of the pieces that were cached before.',
    base: {
      prepare: mapped(M2, PAGE_HYPERVISOR | MAP_SMALL_PAGES),
      warm: [[], [read(PAGE + 1)]],
      machine: { cpus: 2 },
    },
    right: [[mistakes.removePromoted('drop everything')]],
    wrong: [[mistakes.removePromoted('drop one page')]],
    finds: 'StaleTranslation',
    takes: { label: 'and no other piece is cached', warm: [[], [read(PAGE)]] },
  }),
  demonstrate({
    name: 'request-first',
    title: 'some CPUs are asked to flush before the others are told to',
    about:
      'FreeBSD EN-22:04.pcid: who uses an address space gets an IPI; the others flush when they use it next, as a generation counter tells them. An optimisation moved the counter behind the IPIs, along with the own flush: a CPU that begins to use the address space in between gets neither.',
    base: { ...lazily, prepare: mappedAnd((mm) => mistakes.generation.store(mm, mistakes.CURRENT)) },
    right: [[mistakes.unmapByGeneration('generation, then request')], [mistakes.activate, mistakes.use]],
    wrong: [[mistakes.unmapByGeneration('request, then generation')], [mistakes.activate, mistakes.use]],
    finds: 'WrongResult',
    takes: 2,
  }),
  demonstrate({
    name: 'pcids',
    title: 'INVLPG, and a table that is cached with another PCID',
    about:
      'J. Horn, 2025: tables of the kernel were freed after INVLPG of the addresses that they map. It drops what structure caches hold with the PCID that is loaded; what they hold with others stays, and leads to the table.',
    base: {
      prepare: mapped(1),
      machine: { pcids: true },
      warm: [[{ ...read(PAGE), pcid: 1 }]],
      walks: [[read(PAGE)]],
    },
    right: [[mistakes.freeUnderPcids('drop all PCIDs')]],
    wrong: [[mistakes.freeUnderPcids('drop the address')]],
    finds: 'UseAfterFree',
    takes: { label: 'and no other PCID is cached', warm: [[read(PAGE)]] },
  }),
  demonstrate({
    name: 'lost-request',
    title: 'a request to flush is overwritten by whoever was to serve it',
    about:
      'CVE-2019-3016: the guest leaves a request in the word that says that a virtual CPU does not run; the host reads the word and then clears it. A request in between is lost, and the virtual CPU runs with what it had cached.',
    base: { ...lazily, prepare: mappedAnd((mm) => mistakes.steal.store(mm, mistakes.PREEMPTED)) },
    right: [[mistakes.unmapInGuest], [mistakes.enterGuest('one exchange'), mistakes.use]],
    wrong: [[mistakes.unmapInGuest], [mistakes.enterGuest('a load and a store'), mistakes.use]],
    finds: 'WrongResult',
    takes: 1,
  }),
  demonstrate({
    name: 'lost-dirty',
    title: 'D is set between a load and a store',
    about:
      'A page is made read-only by a plain store of what was read before. Hardware that writes to it in between sets D, and the store takes it away: the write is never noticed.',
    base: { prepare: mapped(2, PAGE_HYPERVISOR & ~D), walks: [[], [write(PAGE)]] },
    right: [[mistakes.writeProtect('exchange')]],
    wrong: [[mistakes.writeProtect('load and store')]],
    finds: 'LostDirty',
    takes: { label: 'and nothing is written', walks: [[], [read(PAGE)]] },
  }),
  demonstrate({
    name: 'no-grace-period',
    title: 'a table is freed under code that follows it without a lock',
    about:
      'Linux 2ba99c5e0881: khugepaged freed a table while get_user_pages_fast() was walking it. An acknowledged shootdown says that no TLB leads there; code that has read the entry before still does.',
    base: { prepare: mapped(1) },
    right: [[mistakes.freeWalked('grace period')], [walkWithoutLock(PAGE)]],
    wrong: [[mistakes.freeWalked('shootdown')], [walkWithoutLock(PAGE)]],
    finds: 'UseAfterFree',
    takes: 1,
  }),
];
