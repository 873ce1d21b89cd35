/**
 * What is hard for locks of single tables, and for whoever reads tables without any: lock-and-reverify must get these right
 * too, with lookups that take no lock at all.
 */
import type { BehaviourName, Locking } from '../../hypervisor/behaviour.ts';
import { INVALID_MFN } from '../../hypervisor/flags.ts';
import { addressAt } from '../../hypervisor/layout.ts';
import { populatePtRange } from '../../hypervisor/map-pages.ts';
import { lookUp } from '../../hypervisor/virt-to-xen.ts';
import { mapToMfn } from '../../hypervisor/xen-map-to-mfn.ts';
import { destroy, G1, M2, map, pageAt, unmap } from '../calls.ts';
import type { Declared, Variant } from '../declared.ts';
import type { ErrorKind } from '../rules.ts';
import { type CpuOperation, read, type Scenario } from '../scenario.ts';
import { both, mapped, mappedTo, type Prepare } from './declare.ts';

/** Looks a page up in both ways, and finds one of the frames that it may have. */
const look = (page: number, ...frames: readonly number[]): CpuOperation => ({
  name: `look up page ${page}`,
  run: (mm) => {
    lookUp(mm, addressAt(pageAt(page)));
    const found = mapToMfn(mm, pageAt(page));
    return [...frames, INVALID_MFN].includes(found) ? 0 : 1;
  },
  meaning: () => {},
});

const foundRight: NonNullable<Scenario['atEnd']> = (_mm, results) =>
  results.flat().includes(1) ? ['a lookup found a frame that the page never had'] : [];

/** Adds the tables of a page, which then stay. */
const populate = (page: number): CpuOperation => ({
  name: `populate_pt_range(${page}, 1)`,
  run: (mm) => populatePtRange(mm, addressAt(pageAt(page)), 1),
  meaning: (flat) => flat.map(pageAt(page), INVALID_MFN, 1, 0),
});

type Choice = readonly [Locking, BehaviourName, finds?: readonly ErrorKind[]];

const EVERY: readonly Choice[] = [
  ['l3', 'pagewalk'],
  ['reverify', 'pagewalk'],
  ['reverify', 'xen'],
];

interface Shown {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly prepare: Prepare;
  readonly cpus: Scenario['cpus'];
  readonly pages: readonly number[];
  readonly choices?: readonly Choice[];
  readonly atEnd?: NonNullable<Scenario['atEnd']>;
}

function declare({ name, title, about, prepare, cpus, pages, choices = EVERY, atEnd }: Shown): Declared {
  const variants = choices.map(
    ([locking, behaviour, finds = []]): Variant => ({
      label: behaviour === 'xen' ? `${locking}, as Xen does it` : locking,
      scenario: {
        name,
        about: title,
        machine: { locking, behaviour },
        prepare,
        cpus,
        pages: pages.map(pageAt),
        walks: [[], [read(pageAt(pages[0]!))]],
        ...(atEnd === undefined ? {} : { atEnd }),
      },
      finds,
    }),
  );
  return { name, title, about, status: 'closed', variants };
}

export const LOOKUPS: readonly Declared[] = [
  declare({
    name: 'last-two',
    title: 'two CPUs destroy the last two pages of a table',
    about: 'Whoever comes second finds the table empty, and frees it, once.',
    prepare: both(mappedTo(0, 7), mappedTo(1, 9)),
    cpus: [[destroy(0)], [destroy(1)]],
    pages: [0, 1],
  }),
  declare({
    name: 'superpage-over-page',
    title: 'a superpage is mapped over a table that another CPU writes to',
    about: 'The page is mapped first and overwritten, or comes later and splits the superpage.',
    prepare: mappedTo(3, 5),
    cpus: [[map(1, 9)], [map(0, M2, M2)]],
    pages: [1, 3],
  }),
  declare({
    name: 'gigabyte-over-tables',
    title: '1 GiB is mapped over a table to which another CPU adds one',
    about: 'What is linked below while the superpage replaces the table above is found and freed, or never linked.',
    prepare: mappedTo(3, 5),
    cpus: [[map(0, 0, G1)], [map(513, 9)]],
    pages: [3, 513],
  }),
  declare({
    name: 'kept-table',
    title: 'a table made by a populate stays when all its pages are unmapped',
    about: 'One CPU populates, the other one unmaps all of the area at once.',
    prepare: mappedTo(3, 5),
    cpus: [[populate(0)], [unmap(0, M2)]],
    pages: [3],
    choices: [
      ['l3', 'pagewalk'],
      ['reverify', 'pagewalk'],
    ],
    atEnd: (mm) => (lookUp(mm, addressAt(pageAt(0))).level === 1 ? [] : ['the table is gone']),
  }),
  declare({
    name: 'lookup-superpage',
    title: 'a page is looked up without a lock while a superpage replaces its table',
    about:
      'With locks, a lookup that takes none meets a freed table. Where tables are freed after a grace period it does not.',
    prepare: mappedTo(3, 5),
    cpus: [[look(3, 5, M2 + 3)], [map(0, M2, M2)]],
    pages: [3],
    choices: [
      ['l3', 'pagewalk', ['UseAfterFree']],
      ['reverify', 'pagewalk'],
      ['reverify', 'xen'],
    ],
    atEnd: foundRight,
  }),
  declare({
    name: 'lookup-destroy',
    title: 'a page is looked up without a lock while its table becomes empty',
    about: 'The same where the last page is destroyed.',
    prepare: mappedTo(3, 5),
    cpus: [[look(3, 5)], [destroy(3)]],
    pages: [3],
    choices: [
      ['l3', 'pagewalk', ['UseAfterFree']],
      ['reverify', 'pagewalk'],
      ['reverify', 'xen'],
    ],
    atEnd: foundRight,
  }),
  declare({
    name: 'three-at-once',
    title: 'three CPUs split, coalesce and look up in one table',
    about: 'One restores a superpage, one changes a page of it, one looks up a third page.',
    prepare: both(mapped(M2), mappedTo(0, 7)),
    cpus: [[map(0, M2)], [map(1, 9)], [look(3, M2 + 3)]],
    pages: [0, 1, 3],
    choices: [
      ['reverify', 'pagewalk'],
      ['reverify', 'xen'],
    ],
    atEnd: foundRight,
  }),
];
