/**
 * XSA-345 and its family: what two CPUs can do to each other's tables where nothing but map_pgdir_lock protects them, and
 * that the locks of the fix leave nothing of it. specs: R1 to R8.
 */
import type { Locking } from '../../hypervisor/behaviour.ts';
import { PAGE_HYPERVISOR_RO } from '../../hypervisor/flags.ts';
import { destroy, G1, M2, map, modify, pageAt } from '../calls.ts';
import type { Declared, Variant } from '../declared.ts';
import type { ErrorKind } from '../rules.ts';
import { type CpuOperation, type HardwareAccess, read, type Scenario } from '../scenario.ts';
import { both, mapped, mappedTo, type Prepare } from './declare.ts';

const RO = PAGE_HYPERVISOR_RO;

/** A 1 GiB page of which page 0 is read-only: one L2, one L1, all else as if it were still a superpage. */
const brokenGigabyte = both(mappedTo(0, G1, G1), mappedTo(0, G1, 1, RO));
/** The same with 2 MiB: one L1. */
const broken2M = both(mapped(M2), mapped(1, RO));

interface Race {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly prepare?: Prepare;
  readonly cpus: readonly (readonly CpuOperation[])[];
  /** Pages that are judged, and that hardware walks. */
  readonly pages: readonly number[];
  /** Kinds found before the fix, with so many preemptions at most. */
  readonly finds: readonly ErrorKind[];
  readonly preemptions: number;
  /** Walks of the hardware where the locks are explored; default: the first page, by each CPU. */
  readonly walks?: readonly (readonly HardwareAccess[])[];
  /** What a third CPU calls, besides walking: nothing, or something. Without it there is no third CPU. */
  readonly third?: readonly CpuOperation[];
}

/** A race as it is before the fix, and with each lock that closes it. */
function declare(race: Race): Declared {
  const { name, title, about, prepare, cpus, pages, finds, preemptions } = race;
  const base: Scenario = {
    name,
    about: title,
    cpus,
    pages: pages.map(pageAt),
    ...(prepare === undefined ? {} : { prepare }),
  };
  const first = read(pageAt(pages[0]!));
  const walks = race.walks ?? [[first], [first]];
  const locked = (locking: Locking, label: string, walked: readonly (readonly HardwareAccess[])[]): Variant => ({
    label,
    scenario: { ...base, machine: { locking }, walks: walked },
    finds: [],
  });
  return {
    name,
    title,
    about,
    status: 'closed',
    variants: [
      { label: 'before the fix', scenario: { ...base, machine: { locking: 'none-prefix' } }, preemptions, finds },
      locked('l3', 'l3', walks),
      locked('pgdir', 'pgdir', walks),
      locked(
        'reverify',
        'reverify',
        walks.map((walked, cpu) => (cpu === 1 ? walked : [])),
      ), // its steps are many
      {
        ...locked('l3', 'l3, hostile hardware', walks),
        scenario: { ...base, machine: { locking: 'l3' }, walks, hardware: { reuse: 'hostile', evictions: 1 } },
      },
      {
        ...locked('l3', 'l3, as Xen does it', walks),
        scenario: { ...base, machine: { locking: 'l3', behaviour: 'xen' }, walks },
      },
      ...(race.third === undefined ? [] : [threeCpus(base, race.third, [first, first])]),
    ],
  };
}

/** The same with a third CPU, whose hardware walks and which serves interrupts. */
function threeCpus(base: Scenario, third: readonly CpuOperation[], walked: readonly HardwareAccess[]): Variant {
  const walks = [[], [], third.length === 0 ? walked : walked.slice(0, 1)];
  const cpus = third.length === 0 ? base.cpus : [...base.cpus, third];
  return { label: 'l3, three CPUs', scenario: { ...base, cpus, machine: { locking: 'l3' }, walks }, finds: [] };
}

export const XSA_345: readonly Declared[] = [
  declare({
    name: 'xsa-345',
    title: 'one CPU coalesces the table that another one replaces by a superpage',
    about:
      'CVE-2020-27672. CPU 0 restores the last page of a 1 GiB area, which becomes a superpage again; CPU 1 maps another superpage over the area. Each frees the tables that it replaces, and still follows pointers into them.',
    prepare: brokenGigabyte,
    cpus: [[map(0, G1)], [map(0, 2 * G1, G1)]],
    pages: [0, 600],
    finds: ['Bug', 'DoubleFree', 'UseAfterFree'],
    preemptions: 2,
    third: [],
  }),
  declare({
    name: 'r1',
    title: 'an L2 table is freed under a CPU that writes to it',
    about:
      'CPU 1 has a pointer into the L2 table; CPU 0 coalesces it to a 1 GiB page, flushes, and frees it. The flush does not help: a pointer in code is in no TLB.',
    prepare: brokenGigabyte,
    cpus: [[map(0, G1)], [map(600, 5, 1, RO)]],
    pages: [0, 600],
    finds: ['UseAfterFree'],
    preemptions: 2,
    third: [map(1, 6, 1, RO)],
  }),
  declare({
    name: 'r1-l1',
    title: 'an L1 table is freed under a CPU that writes to it',
    about: "R1': the same one level down, the most frequent in practice.",
    prepare: broken2M,
    cpus: [[map(0, M2)], [map(1, 9, 1, RO)]],
    pages: [0, 1],
    finds: ['UseAfterFree'],
    preemptions: 2,
    third: [map(2, 6, 1, RO)],
  }),
  declare({
    name: 'r1b',
    title: 'a superpage appears where virt_to_xen_l2e() expects a table',
    about:
      'CPU 1 reads the L3 entry: a table. CPU 0 makes it a 1 GiB page. CPU 1 reads it again in virt_to_xen_l2e(): BUG. Needs no free at all.',
    prepare: brokenGigabyte,
    cpus: [[map(0, 2 * G1, G1)], [map(600, 5, 1, RO)]],
    pages: [0, 600],
    finds: ['Bug'],
    preemptions: 1,
  }),
  declare({
    name: 'r1c',
    title: 'entries are written into a data page that was taken for an L1 table',
    about:
      'CPU 1 has passed the test "the L2 entry is a table"; CPU 0 coalesces to 2 MiB; CPU 1 takes the frame of the superpage for the L1 table and writes an entry to it.',
    prepare: broken2M,
    cpus: [[map(0, M2)], [map(1, 9, 1, RO)]],
    pages: [0, 1],
    finds: ['WildAccess'],
    preemptions: 2,
  }),
  declare({
    name: 'r1d',
    title: 'modify walks into a data page',
    about:
      'modify_xen_mappings() follows the L3 entry after its own checks: by then it maps a 1 GiB page, whose data it takes for L2 entries.',
    prepare: brokenGigabyte,
    cpus: [[map(0, 2 * G1, G1)], [modify(600, 601, RO)]],
    pages: [0, 600],
    finds: ['WildAccess'],
    preemptions: 2,
  }),
  declare({
    name: 'r2',
    title: 'two CPUs free the same tables',
    about:
      'Both have read the L3 entry as a table, both write a 1 GiB page over it, both free its L1 tables and the L2; or one scans tables that the other has freed.',
    prepare: brokenGigabyte,
    cpus: [[map(0, G1, G1)], [map(0, 2 * G1, G1)]],
    pages: [0, 600],
    finds: ['DoubleFree', 'UseAfterFree'],
    preemptions: 2,
    third: [],
  }),
  declare({
    name: 'r3',
    title: 'an update is lost to a coalesce',
    about:
      'CPU 0 has verified all 512 entries under map_pgdir_lock; CPU 1, which needs no lock for it, stores another one and returns success; CPU 0 stores the superpage.',
    prepare: broken2M,
    cpus: [[map(0, M2)], [map(1, 9, 1, RO)]],
    pages: [0, 1],
    finds: ['LostUpdate'],
    preemptions: 2,
  }),
  declare({
    name: 'r4',
    title: 'a split installs what the superpage was before',
    about:
      'CPU 0 copies a superpage into a private table; CPU 1 replaces the superpage by another one and returns; CPU 0 sees "present and a superpage" and links its table.',
    prepare: mapped(M2),
    cpus: [[map(0, 9, 1, RO)], [map(0, 2 * M2, M2)]],
    pages: [0, 3],
    finds: ['LostUpdate'],
    preemptions: 2,
    third: [],
  }),
  declare({
    name: 'r6',
    title: 'a table is torn down while another CPU adds to it',
    about:
      'CPU 0 destroys the last page of an L1 table, finds it empty, unlinks and frees it; CPU 1 had already walked to it, and maps the neighbour.',
    prepare: mappedTo(0, 7),
    cpus: [[destroy(0)], [map(1, 9)]],
    pages: [0, 1],
    finds: ['LostUpdate', 'UseAfterFree'],
    preemptions: 2,
    third: [],
  }),
  declare({
    name: 'r7',
    title: 'a superpage is written over a table that was just linked',
    about:
      'CPU 0 has read the L2 entry as not present and writes a 2 MiB page; CPU 1 linked its L1 table in between, and nobody refers to that any more.',
    cpus: [[map(0, M2, M2)], [map(1, 9)]],
    pages: [0, 1],
    finds: ['Leak'],
    preemptions: 2,
  }),
  declare({
    name: 'modify-coalesce',
    title: 'modify against a coalesce',
    about: 'One CPU changes rights inside an area that another one restores to a superpage.',
    prepare: brokenGigabyte,
    cpus: [[map(0, G1)], [modify(600, 601, RO)]],
    pages: [0, 600],
    finds: ['UseAfterFree'],
    preemptions: 2,
  }),
];
