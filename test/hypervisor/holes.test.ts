/** Requests that go over holes of each size: what lies behind a hole is reached, and what lies behind the request is not. */
import { describe, expect, it } from 'vitest';
import { PAGE_HYPERVISOR_RO } from '../../src/hypervisor/index.ts';
import { type Booted, boot, G1, G512, M2, PRESETS } from '../support/hypervisor.ts';

/** A page that is mapped before the hole so that the table is there, and where the hole ends. */
const HOLES: readonly [string, before: number | undefined, end: number][] = [
  ['a page', 3, 5],
  ['2 MiB', 3, M2],
  ['2 MiB and more', 3, 2 * M2 + 7],
  ['1 GiB', 3, G1],
  ['1 GiB and more', 3, G1 + M2 + 7],
  ['512 GiB', 3, G512],
  ['512 GiB without a table', undefined, G512],
  ['512 GiB without a table, and more', undefined, G512 + G1 + 7],
];

const REQUESTS: readonly [string, (xen: Booted, first: number, end: number) => number, after: string][] = [
  ['unmapping', (xen, first, end) => xen.unmap(first, end - first), '#PF(0)'],
  ['destroying', (xen, first, end) => xen.destroy(first, end), '#PF(0)'],
  ['modifying', (xen, first, end) => xen.modify(first, end, PAGE_HYPERVISOR_RO), 'read-only'],
];

describe.each(PRESETS)('behaviour %s', (behaviour) => {
  // Xen takes P over a hole for a mapping of frame 0.
  const requests = REQUESTS.filter(([what]) => behaviour === 'pagewalk' || what !== 'modifying');
  for (const [what, run, after] of requests)
    it.each(HOLES)(`${what} goes over a hole of %s`, (_size, before, end) => {
      const xen = boot(behaviour);
      if (before !== undefined) xen.map(before, 0x103);
      xen.map(end, 0x105, 3);
      expect([run(xen, 4, end + 2), xen.mm.pagesDone]).toEqual([0, end - 2]);
      const found = (page: number): number | string =>
        typeof xen.read(page) === 'number' && !xen.canWrite(page) ? 'read-only' : xen.read(page);
      expect([found(end), found(end + 1), found(end + 2)]).toEqual([after, after, 0x107]);
      if (before !== undefined) expect(found(before)).toBe(0x103);
    });
});
