/** What goes well even without the locks of the fix: map_pgdir_lock and looking again under it are enough for these. */
import type { Locking } from '../../hypervisor/behaviour.ts';
import { PAGE_HYPERVISOR_RO } from '../../hypervisor/flags.ts';
import { M2, map, pageAt, unmap } from '../calls.ts';
import type { Declared } from '../declared.ts';
import { type CpuOperation, read } from '../scenario.ts';
import { mapped, mappedTo, type Prepare } from './declare.ts';

const RO = PAGE_HYPERVISOR_RO;

function declare(
  name: string,
  title: string,
  prepare: Prepare,
  cpus: readonly (readonly CpuOperation[])[],
  pages: readonly number[],
): Declared {
  const first = read(pageAt(pages[0]!));
  const variant = (label: string, locking: Locking, walks: number) => ({
    label,
    scenario: {
      name,
      about: title,
      machine: { locking },
      prepare,
      cpus,
      pages: pages.map(pageAt),
      walks: cpus.map((_, cpu) => (cpu < walks ? [first] : [])),
    },
    finds: [],
  });
  return {
    name,
    title,
    about:
      'Clean even before the fix: whoever links a table looks again under map_pgdir_lock, and nothing is freed that others use.',
    status: 'closed',
    variants: [
      variant('before the fix', 'none-prefix', 0),
      variant('l3', 'l3', 2),
      variant('pgdir', 'pgdir', 2),
      variant('reverify', 'reverify', 1),
    ],
  };
}

const nothing = (): void => {};

export const QUIET: readonly Declared[] = [
  declare(
    'split-split',
    'two CPUs split one superpage',
    mapped(M2),
    [[map(0, 7, 1, RO)], [map(1, 9, 1, RO)]],
    [0, 1, 2],
  ),
  declare('populate', 'two CPUs add the same tables', nothing, [[map(0, 7)], [map(1, 9)]], [0, 1]),
  declare('unmap-map', 'a page is unmapped, its neighbour mapped', mappedTo(0, 7), [[unmap(0)], [map(1, 9)]], [0, 1]),
  {
    ...declare(
      'apart',
      'two CPUs below different L3 tables',
      nothing,
      [[map(0, 7)], [map(512 ** 3, 9)]],
      [0, 512 ** 3],
    ),
    about: 'Each takes the lock of its own L3 table: neither waits for the other.',
  },
];
