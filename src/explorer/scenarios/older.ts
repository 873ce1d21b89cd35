/**
 * Two races of the same family that the shipped code cannot show: it reads an entry once where Xen's read it repeatedly
 * (R5), and looks again under map_pgdir_lock since 2017 (R8). The code here does it the old way, or the right one.
 */
import {
  FLUSH_TLB_GLOBAL,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_TABLE,
} from '../../hypervisor/flags.ts';
import type { XenMm } from '../../hypervisor/mm.ts';
import { ENTRIES, type Entry } from '../../hypervisor/tables.ts';
import { indexAt } from '../../hypervisor/virt-to-xen.ts';
import { isPresent, PS } from '../../mmu/entry.ts';
import type { Frame } from '../../mmu/halves.ts';
import { M2, map, pageAt } from '../calls.ts';
import type { Declared } from '../declared.ts';
import { type CpuOperation, read, type Scenario } from '../scenario.ts';
import { both, mapped } from './declare.ts';

const RO = PAGE_HYPERVISOR_RO;

/** The L3 table of the directmap's first page: it stays. */
function l3Table(mm: XenMm): Frame {
  mm.tables.read(mm.root * ENTRIES + indexAt(pageAt(0), 4));
  return mm.tables.frame;
}

/** The L2 entry of that page, in a table that stays in these scenarios. */
function firstL2Entry(mm: XenMm, l3: Frame): Entry {
  mm.tables.read(l3 * ENTRIES);
  return mm.tables.frame * ENTRIES;
}

/** Splits the first 2 MiB page, reading its entry once, or once for the flags and once for the frame. */
const split = (reads: 'once' | 'twice'): CpuOperation => ({
  name: `split, reading the entry ${reads}`,
  run: (mm) => {
    const { tables, heap, locks, flush } = mm;
    mm.begin();
    const l3 = l3Table(mm);
    locks.lockBelow(l3);
    const entry = firstL2Entry(mm, l3);
    const flags = tables.read(entry);
    if (reads === 'twice') tables.read(entry);
    const { frame } = tables;
    const isSuperpage = isPresent(flags) && (flags & PS) !== 0;
    const table = isSuperpage ? heap.alloc() : -1;
    if (table >= 0) {
      tables.fill(table, frame, flags & ~PS, 1);
      locks.lockPgdir();
      const now = tables.read(entry);
      if (isPresent(now) && (now & PS) !== 0) tables.publish(entry, 2, table, PAGE_HYPERVISOR_TABLE);
      locks.unlockPgdir();
      flush.all(pageAt(0), FLUSH_TLB_GLOBAL);
    }
    locks.unlockBelow();
    return 0;
  },
  meaning: () => {}, // the same pages as before
});

/** Makes a superpage of the first L1 table, which was found before map_pgdir_lock was taken, or is looked up under it. */
const coalesce = (looks: 'before the lock' | 'under the lock'): CpuOperation => ({
  name: `coalesce, looking ${looks}`,
  run: (mm) => {
    const { tables, heap, locks, flush } = mm;
    mm.begin();
    const entry = firstL2Entry(mm, l3Table(mm));
    if (looks === 'under the lock') locks.lockPgdir();
    const old = tables.read(entry);
    const table = tables.frame;
    const isTable = isPresent(old) && (old & PS) === 0;
    if (looks === 'before the lock') locks.lockPgdir();
    const base = isTable ? tables.runBase(table, 1, PAGE_HYPERVISOR) : -1;
    if (base >= 0) tables.write(entry, 2, base, PAGE_HYPERVISOR | PS);
    locks.unlockPgdir();
    if (base >= 0) heap.free(table, flush.all(pageAt(0), FLUSH_TLB_GLOBAL));
    return 0;
  },
  meaning: () => {},
});

/** A full L1 table that nobody has coalesced: its last page was restored by hand. */
const fullTable = both(mapped(M2), mapped(1, RO), (mm) => {
  const entry = firstL2Entry(mm, l3Table(mm));
  mm.tables.read(entry);
  mm.tables.write(mm.tables.frame * ENTRIES, 1, M2, PAGE_HYPERVISOR);
});

/** Where the code is right, each CPU's hardware walks. */
const WALKS = [[read(pageAt(0))], [read(pageAt(0))]];

const tornSplit = (reads: 'once' | 'twice', locking: 'l3' | 'none-prefix'): Scenario => ({
  name: 'r5',
  about: 'a split reads the superpage that another CPU replaces',
  machine: { locking },
  prepare: mapped(M2),
  cpus: [[split(reads)], [map(0, 2 * M2, M2, RO)]],
  pages: [pageAt(0), pageAt(3)],
  ...(locking === 'l3' ? { walks: WALKS } : {}),
});

const twoCoalesces = (looks: 'before the lock' | 'under the lock'): Scenario => ({
  name: 'r8',
  about: 'two CPUs find the same full table',
  machine: { locking: 'none-prefix' },
  prepare: fullTable,
  cpus: [[coalesce(looks)], [coalesce(looks)]],
  pages: [pageAt(0), pageAt(3)],
  ...(looks === 'under the lock' ? { walks: WALKS } : {}),
});

export const OLDER: readonly Declared[] = [
  {
    name: 'r5',
    title: 'a split mixes an old and a new superpage',
    about:
      'The split reads the L2 entry more than once while another CPU replaces it: frames of the new page get the flags of the old one. The code here reads it once; the variant that reads it twice stands for what Xen did.',
    status: 'closed',
    variants: [
      {
        label: 'read twice, no lock',
        scenario: tornSplit('twice', 'none-prefix'),
        preemptions: 2,
        finds: ['TornEntry'],
      },
      { label: 'read twice, l3', scenario: tornSplit('twice', 'l3'), finds: [] },
      { label: 'read once, l3', scenario: tornSplit('once', 'l3'), finds: [] },
    ],
  },
  {
    name: 'r8',
    title: 'two CPUs coalesce the same table',
    about:
      'Both find a full L1 table; each writes the superpage and frees the table. The second scan reads a table that was freed and is still intact. Real before November 2017; since then the entry is read again under map_pgdir_lock.',
    status: 'closed',
    variants: [
      {
        label: 'without the second look',
        scenario: twoCoalesces('before the lock'),
        preemptions: 2,
        finds: ['DoubleFree', 'UseAfterFree'],
      },
      { label: 'with it', scenario: twoCoalesces('under the lock'), finds: [] },
    ],
  },
];
