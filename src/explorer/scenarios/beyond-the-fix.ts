/**
 * What the fix of XSA-345 does not cover: hazards that are left in Xen, by the names U1 to U20 of our notes. Where this
 * mapping layer does better, one variant shows Xen's behaviour, and one that nothing is left of it.
 */
import { NONE } from '../../cpu/fault.ts';
import { type Behaviour, PAGEWALK_BEHAVIOUR, XEN_BEHAVIOUR } from '../../hypervisor/behaviour.ts';
import { PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO } from '../../hypervisor/flags.ts';
import { ENOMEM, type XenMm } from '../../hypervisor/mm.ts';
import { READ, WRITE } from '../../mmu/access.ts';
import { A, D, P, PS, RW } from '../../mmu/entry.ts';
import { destroy, M2, map, mapToFrame, modify, pageAt, unmap } from '../calls.ts';
import type { Declared } from '../declared.ts';
import { type CpuOperation, read, type Scenario, type ScenarioMachine, write } from '../scenario.ts';
import { hiOfPage, loOfPage } from '../world.ts';
import { follow, underLock, walkWithoutLock } from './by-hand.ts';
import { both, declare, mapped } from './declare.ts';

const RO = PAGE_HYPERVISOR_RO;
/** Writable, and D is left to hardware. */
const CLEAN = PAGE_HYPERVISOR & ~D;

/** Xen's behaviour but for some fields. */
const xenBut = (changed: Partial<Behaviour>): ScenarioMachine => ({ behaviour: { ...XEN_BEHAVIOUR, ...changed } });
const XEN: ScenarioMachine = { behaviour: 'xen' };

/** An operation with interrupts off. Xen's locks do not ask about that. */
const irqsOff = (operation: CpuOperation): CpuOperation => ({
  ...operation,
  name: `${operation.name} with interrupts off`,
  irqsOff: true,
});

/** The same, where the locks know of it. */
const irqsOffTold = (operation: CpuOperation): CpuOperation => ({
  ...irqsOff(operation),
  run: (mm) => {
    mm.locks.irqsOn = false;
    try {
      return operation.run(mm);
    } finally {
      mm.locks.irqsOn = true;
    }
  },
});

/** Under the lock, something ends in an operation that takes it: an allocation, map_domain_page(), an NMI. */
const recursion = (inner: CpuOperation, locks: 'know their holder' | 'do not know'): CpuOperation => ({
  name: `${inner.name} under the lock`,
  run: (mm: XenMm) => {
    underLock(mm, pageAt(0), 3, () => {
      if (locks === 'do not know') mm.locks.abandon();
      inner.run(mm);
    });
    return 0;
  },
});

/** Uses a page; the vector of a fault, or NONE. */
const use = (page: number, access: number): CpuOperation => ({
  name: 'use a page',
  run: (mm) => mm.cpu.translator.translate(loOfPage(pageAt(page)), hiOfPage(pageAt(page)), access),
  meaning: () => {},
});

/** Pages 0 and 1 are as one of two requests had them, and not each as another one. */
const oneRequest: NonNullable<Scenario['atEnd']> = (mm) => {
  const [first, second] = [0, 1].map((page) => {
    mm.tables.read(follow(mm, pageAt(page), 1));
    return mm.tables.frame;
  });
  return second === first! + 1 ? [] : ['pages 0 and 1 are mapped by different requests'];
};

const onePage: Scenario['prepare'] = mapped(1);
const assisted: ScenarioMachine = { assistedFlush: () => true };
const u4: Omit<Scenario, 'name' | 'about'> = {
  prepare: mapped(2 * M2),
  cpus: [[modify(0, M2 + 1, RO)]],
  warm: [[], [read(pageAt(3))]],
  atEnd: (_mm, [[error]]) => (error === -ENOMEM ? [] : ['there was memory enough']),
};
/** No table is left for a split. */
const noTables = { frames: 3, pool: 0, cpus: 2 };
const u5 = {
  prepare: mapped(4),
  cpus: [[destroy(0, 2)], [map(0, 7)]],
  warm: [[], [], [read(pageAt(0))]],
  pages: [0, 1].map(pageAt),
};
const u6: Omit<Scenario, 'name' | 'about'> = {
  prepare: mapped(M2, CLEAN),
  cpus: [[modify(0, 2, P | RW | A | D)]],
  warm: [[], [read(pageAt(1))]],
  walks: [[], [write(pageAt(1))]],
  without: ['keeps-dirty'], // U8
};
const u7: Omit<Scenario, 'name' | 'about' | 'cpus'> = {
  prepare: mapped(2),
  atEnd: (_mm, results) => (results[1]![0] === NONE ? [] : ['CPU 1 finds nothing where a page was and is']),
};
const u8 = { prepare: mapped(M2, CLEAN), walks: [[], [write(pageAt(0))]] };
/** A write of code leaves D set, wherever page 1 is mapped then. */
const u8Uniform: Omit<Scenario, 'name' | 'about'> = {
  machine: { behaviour: { ...PAGEWALK_BEHAVIOUR, coalesce: 'uniform' } },
  prepare: both(mapped(M2, CLEAN), mapped(1, RO)),
  cpus: [[map(0, M2, 1, CLEAN)], [use(1, WRITE)]],
  atEnd: (mm) => {
    const superpage = follow(mm, pageAt(1), 2);
    const entry = (mm.tables.read(superpage) & PS) !== 0 ? superpage : follow(mm, pageAt(1), 1);
    return (mm.tables.read(entry) & D) !== 0 ? [] : ['D of a page that was written to is not set'];
  },
};
const u10 = { prepare: mapped(2), pages: [0, 1].map(pageAt) };
const u18 = {
  prepare: mapped(2),
  cpus: [[map(0, 16, 2)], [map(0, 32, 2)]],
  pages: [0, 1].map(pageAt),
  atEnd: oneRequest,
};

export const BEYOND_THE_FIX: readonly Declared[] = [
  declare(
    {
      name: 'u1',
      title: 'a table is freed under code that looks at it without a lock',
      about:
        'Walks of Xen that take no lock: the page-fault handler, dumps, copies of roots. With interrupts off, the acknowledgement of the flush, and so the free, waits for the end of the walk. With interrupts on nothing does.',
      status: 'open',
    },
    {
      label: 'interrupts on',
      prepare: onePage,
      cpus: [[destroy(0)], [walkWithoutLock(pageAt(0))]],
      finds: ['UseAfterFree'],
    },
    { label: 'interrupts off', prepare: onePage, cpus: [[destroy(0)], [irqsOff(walkWithoutLock(pageAt(0)))]] },
  ),
  declare(
    {
      name: 'u2',
      title: 'a flush without an interrupt does not wait for code that has interrupts off',
      about:
        'Under another hypervisor, that one flushes instead of IPIs being sent: no acknowledgement waits for a CPU with interrupts off. What makes U1 safe does not hold there.',
      status: 'open',
    },
    {
      label: 'the hypervisor below flushes',
      prepare: onePage,
      machine: assisted,
      cpus: [[destroy(0)], [irqsOff(walkWithoutLock(pageAt(0)))]],
      finds: ['UseAfterFree'],
    },
    {
      label: 'and hardware alone walks',
      prepare: onePage,
      machine: assisted,
      cpus: [[destroy(0)]],
      walks: [[], [read(pageAt(0))]],
    },
    {
      label: 'it refuses to',
      prepare: onePage,
      machine: { assistedFlush: () => false },
      cpus: [[destroy(0)], [irqsOff(walkWithoutLock(pageAt(0)))]],
    },
  ),
  declare(
    {
      name: 'u3',
      title: 'a table is freed under a hardware walker',
      about:
        'Walkers and structure caches of every CPU let go of a table with the flush before it is freed, and not sooner.',
      status: 'closed',
    },
    { label: 'flushed', prepare: onePage, cpus: [[destroy(0)]], walks: [[], [read(pageAt(0))]] },
    { label: 'flushed, and code uses the page', prepare: onePage, cpus: [[destroy(0)], [use(0, READ)]] },
    {
      label: 'without the flush',
      prepare: onePage,
      cpus: [[destroy(0)]],
      walks: [[], [read(pageAt(0))]],
      plant: 'no-flush',
      finds: ['UseAfterFree'],
    },
  ),
  declare(
    {
      name: 'u4',
      title: 'modify_xen_mappings() fails, and does not flush what it has changed',
      about:
        'The first superpage becomes read-only, the second one cannot be split: -ENOMEM goes past the flush at the end, and other CPUs go on writing.',
      status: 'better',
    },
    { label: 'xen', ...u4, machine: { ...XEN, ...noTables }, finds: ['StaleTranslation'] },
    { label: 'xen, and it flushes', ...u4, machine: { ...xenBut({ failedModify: 'flushed' }), ...noTables } },
    { label: 'pagewalk', ...u4, machine: noTables },
  ),
  declare(
    {
      name: 'u5',
      title: 'what one CPU has unmapped and not flushed yet, another one maps again',
      about:
        'destroy_xen_mappings() drops the lock after each page and flushes in the end. Mapping what is not present flushes nothing: CPU 1 returns while CPU 2 still has the old translation of its page. Safe in Xen only where one caller owns the addresses.',
      status: 'better',
    },
    { label: 'xen', ...u5, machine: { ...XEN, cpus: 3 }, finds: ['StaleTranslation'] },
    { label: 'pagewalk', ...u5, machine: { cpus: 3 } },
  ),
  declare(
    {
      name: 'u6',
      title: 'a split that is not flushed is cached in two sizes',
      about:
        'modify_xen_mappings() splits a superpage, and changes a piece, before anybody is flushed. CPU 1 has the superpage cached, meets the changed piece on a walk that sets D, and has one address in two sizes with different attributes: a machine check on some processors.',
      status: 'better',
    },
    { label: 'xen', ...u6, machine: XEN, finds: ['MixedAttributes'] },
    { label: 'xen, and splits are flushed', ...u6, machine: xenBut({ modifySplit: 'flushed' }) },
    { label: 'pagewalk', ...u6 },
  ),
  declare(
    {
      name: 'u7',
      title: 'two translations are exchanged with nothing in between',
      about:
        'Until the flush, other CPUs see the old page or the new one; both are right. What they never see is none: the entry is replaced by one store.',
      status: 'closed',
    },
    { label: 'one store', ...u7, cpus: [[map(0, 9)], [use(0, READ)]], pages: [pageAt(0)] },
    {
      label: 'break before make',
      ...u7,
      cpus: [[unmap(0), map(0, 9)], [use(0, READ)]],
      finds: ['WrongResult'],
    },
  ),
  declare(
    {
      name: 'u8',
      title: 'D is set while a superpage is split, or flags are changed',
      about:
        'The pieces of a split, and the flags of modify_xen_mappings(), come from an entry that was read before. What hardware sets in between is lost. Harmless as long as writable pages are mapped with D set, as all flags of Xen are; pages that are not, no coalesce touches.',
      status: 'open',
    },
    { label: 'split', ...u8, cpus: [[map(1, 9)]], finds: ['LostDirty'] },
    { label: 'modify', ...u8, cpus: [[modify(0, M2, RO)]], finds: ['LostDirty'] },
    { label: 'coalesce of any uniform pages, but for these', ...u8Uniform },
    { label: 'split, and D is set', ...u8, prepare: mapped(M2), cpus: [[map(1, 9)]] },
    { label: 'modify, and D is set', ...u8, prepare: mapped(M2), cpus: [[modify(0, M2, RO)]] },
  ),
  declare(
    {
      name: 'u10',
      title: 'a CPU waits for the lock with interrupts off, its holder for the acknowledgement of that CPU',
      about:
        'Neither goes on. Xen asserts interrupts where it flushes, and not where it takes this lock: there it hangs only where somebody holds it. Here the lock asks each time, and lets the only CPU that is online go on (U20).',
      status: 'better',
    },
    { label: 'xen', ...u10, cpus: [[map(0, 9)], [irqsOff(map(1, 9))]], finds: ['Deadlock'] },
    { label: 'pagewalk', ...u10, cpus: [[map(0, 9)], [irqsOffTold(map(1, 9))]], finds: ['Bug'] },
    { label: 'pagewalk, on the only CPU', ...u10, cpus: [[irqsOffTold(map(1, 9))]] },
  ),
  declare(
    {
      name: 'u11',
      title: 'an operation begins under the lock that it takes',
      about:
        'An allocation, map_domain_page() or an NMI (U12) that ends in map_pages_to_xen() or xen_map_to_mfn() for the same L3 table: the CPU waits for itself. Here, an operation asks what its CPU holds.',
      status: 'better',
    },
    { label: 'xen', prepare: onePage, cpus: [[recursion(map(1, 9), 'do not know')]], finds: ['Deadlock'] },
    {
      label: 'xen, a lookup',
      prepare: onePage,
      cpus: [[recursion(mapToFrame(0), 'do not know')]],
      finds: ['Deadlock'],
    },
    { label: 'pagewalk', prepare: onePage, cpus: [[recursion(map(1, 9), 'know their holder')]], finds: ['Bug'] },
    {
      label: 'pagewalk, a lookup',
      prepare: onePage,
      cpus: [[recursion(mapToFrame(0), 'know their holder')]],
      finds: ['Bug'],
    },
  ),
  declare(
    {
      name: 'u18',
      title: 'two CPUs map the same pages, and each of them wins one',
      about:
        'The last writer wins, page by page: Xen drops the lock after each. Here a request below one L3 table is under one lock: all of it wins.',
      status: 'better',
    },
    { label: 'xen', ...u18, machine: XEN, finds: ['WrongResult'] },
    { label: 'pagewalk', ...u18 },
  ),
];
