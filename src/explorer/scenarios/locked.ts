/**
 * What each flush, lock and order of the fixed code is for, where no race of XSA-345 shows it: clean as they are, and found
 * where one is taken away (scripts/mutants-race.mjs).
 */
import { INVALID_MFN, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO, PAGE_HYPERVISOR_UC } from '../../hypervisor/flags.ts';
import { D } from '../../mmu/entry.ts';
import { destroy, M2, map, mapToFrame, pageAt } from '../calls.ts';
import type { Declared } from '../declared.ts';
import { read, type Scenario, write } from '../scenario.ts';
import { both, declare, mapped, mappedTo } from './declare.ts';

/** Writable, and D is left to hardware. */
const CLEAN = PAGE_HYPERVISOR & ~D;
/** Pages of an L3 table. */
const G512 = 512 ** 3;

/** A page of a superpage, of which one CPU has the superpage cached and is about to set D. */
const changedPiece: Omit<Scenario, 'name' | 'about'> = {
  prepare: mapped(M2, CLEAN),
  cpus: [[map(1, 9, 1, CLEAN)]],
  warm: [[], [read(pageAt(1))]],
  walks: [[], [write(pageAt(1))]],
  without: ['keeps-dirty'], // U8
};

/** A page whose restoring makes a superpage, of which one CPU has the old page cached, no table, and is about to set D. */
const restoredPage: Omit<Scenario, 'name' | 'about'> = {
  prepare: both(mapped(M2), mappedTo(0, 9, 1, CLEAN)),
  cpus: [[map(0, M2)]],
  warm: [[], [read(pageAt(0))]],
  walks: [[], [write(pageAt(0))]],
  hardware: { evictions: 1 },
  pages: [pageAt(0), pageAt(3)],
};

/** The same by two CPUs: one restores the page, and the other one the last page after it. */
const restoredByTwo: Omit<Scenario, 'name' | 'about'> = {
  prepare: both(mapped(M2), mappedTo(0, 9, 1, CLEAN), mappedTo(1, M2 + 1, 1, PAGE_HYPERVISOR_RO)),
  cpus: [[map(0, M2)], [map(1, M2 + 1)], []],
  warm: [[], [], [read(pageAt(0))]],
  walks: [[], [], [write(pageAt(0))]],
  hardware: { evictions: 1 },
  pages: [pageAt(0), pageAt(1)],
};

/** A lookup finds what is mapped before or after, and follows no table that is freed. */
const lookup: Omit<Scenario, 'name' | 'about' | 'cpus'> = {
  prepare: mapped(4),
  walks: [[], [read(pageAt(0))]],
  pages: [pageAt(0)],
  atEnd: (_mm, [[found]]) =>
    [M2, 2 * M2, INVALID_MFN | 0].includes(found!) ? [] : ['the lookup finds what was never mapped'],
};

const manyPages: Omit<Scenario, 'name' | 'about'> = {
  prepare: mapped(4),
  cpus: [[map(0, 2 * M2, M2)]],
  warm: [[], [read(pageAt(3))]],
  walks: [[], [read(pageAt(0))]],
  pages: [pageAt(0), pageAt(3)],
};

/** The last page of a table is destroyed while a superpage replaces the table. */
const emptied: Omit<Scenario, 'name' | 'about'> = {
  prepare: mapped(1),
  cpus: [[destroy(0)], [map(0, 2 * M2, M2)]],
  walks: [[], [read(pageAt(0))]],
  pages: [pageAt(0), pageAt(3)],
};

/** Two CPUs change pages under different locks; a third one has both cached. */
const twoFlushes: Omit<Scenario, 'name' | 'about'> = {
  prepare: both(mapped(1), mappedTo(G512, 7)),
  cpus: [[map(0, 9)], [map(G512, 9)], []],
  warm: [[], [], [read(pageAt(0)), read(pageAt(G512))]],
  pages: [pageAt(0), pageAt(G512)],
};

/** One request changes a page, which is flushed alone, and replaces the table after it, of which lines must be evicted. */
const evicted: Omit<Scenario, 'name' | 'about'> = {
  machine: { cpus: 2, pcids: true },
  prepare: both(mappedTo(M2 - 1, 9, 1, PAGE_HYPERVISOR_UC), mappedTo(M2, 100, 2)),
  cpus: [[map(M2 - 1, 2 * M2 - 1, 1 + M2, PAGE_HYPERVISOR_UC)]],
  warm: [[], [{ ...read(pageAt(M2)), pcid: 1 }]],
  pages: [M2 - 1, M2].map(pageAt),
};

export const LOCKED: readonly Declared[] = [
  declare(
    {
      name: 'changed-piece',
      title: 'a page of a superpage is changed while the superpage is cached',
      about: 'The split is flushed before the piece changes: no address is cached in two sizes that differ.',
      status: 'closed',
    },
    { label: 'l3', ...changedPiece },
    { label: 'pgdir', ...changedPiece, machine: { locking: 'pgdir' } },
  ),
  declare(
    {
      name: 'restored-page',
      title: 'a page is restored, and becomes part of a superpage, while the old page is cached',
      about: 'The change is flushed before the table is coalesced: no address is cached in two sizes that differ.',
      status: 'closed',
    },
    { label: 'l3', ...restoredPage },
    { label: 'pgdir', ...restoredPage, machine: { locking: 'pgdir' } },
    { label: 'l3, by two CPUs', ...restoredByTwo },
  ),
  declare(
    {
      name: 'lookup',
      title: 'a frame is looked up while its tables are replaced',
      about: 'xen_map_to_mfn() follows the tables under the lock of their L3 table, and drops it.',
      status: 'closed',
    },
    { label: 'a superpage over the table', ...lookup, cpus: [[mapToFrame(0)], [map(0, 2 * M2, M2)]] },
    { label: 'the table becomes empty', ...lookup, cpus: [[mapToFrame(0)], [destroy(0, 4)]] },
    {
      label: 'pgdir',
      ...lookup,
      cpus: [[mapToFrame(0)], [map(0, 2 * M2, M2)]],
      machine: { locking: 'pgdir' },
    },
  ),
  declare(
    {
      name: 'many-pages',
      title: 'a superpage replaces small pages, one of which is cached',
      about: 'The flush drops every page that there was, and not the one at the address of the request.',
      status: 'closed',
    },
    { label: 'l3', ...manyPages },
    { label: 'l3, as Xen does it', ...manyPages, machine: { behaviour: 'xen' } },
  ),
  declare(
    {
      name: 'emptied',
      title: 'a table becomes empty while a superpage takes its place',
      about: 'Whoever finds the table empty unlinks it only where the entry above still leads to it.',
      status: 'closed',
    },
    { label: 'l3', ...emptied },
    { label: 'pgdir', ...emptied, machine: { locking: 'pgdir' } },
    { label: 'reverify', ...emptied, machine: { locking: 'reverify' } },
    { label: 'reverify, as Xen does it', ...emptied, machine: { locking: 'reverify', behaviour: 'xen' } },
  ),
  declare(
    {
      name: 'one-page',
      title: 'one page is replaced that another CPU has cached',
      about: 'The request names the page by both halves of its address.',
      status: 'closed',
    },
    { label: 'l3', prepare: mapped(4), cpus: [[map(1, 9)], []], warm: [[], [read(pageAt(1))]], pages: [pageAt(1)] },
  ),
  declare(
    {
      name: 'two-flushes',
      title: 'two CPUs ask a third one at once',
      about: 'Under different L3 locks both flush at once: each request is served, and each sender told.',
      status: 'closed',
    },
    { label: 'l3', ...twoFlushes },
  ),
  declare(
    {
      name: 'evicted',
      title: 'a table is replaced whose flush evicts cache lines, after a page whose flush is its own',
      about:
        'The flush of the page drops its address in every PCID, and what is cached of the tables in one: it must not free the table.',
      status: 'closed',
    },
    { label: 'l3', ...evicted },
  ),
];
