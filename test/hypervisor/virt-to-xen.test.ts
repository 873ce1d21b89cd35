/** From an address to its entry: lookups with and without allocation, and the frame behind an address of any page size. */
import { describe, expect, it } from 'vitest';
import {
  BEHAVIOURS,
  INVALID_MFN,
  lookUp,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_WC,
  virtToXenL1e,
  virtToXenL2e,
  virtToXenL3e,
  xenMapToMfn,
} from '../../src/hypervisor/index.ts';
import { boot, G1, G512, M2, PRESETS, va } from '../support/hypervisor.ts';

describe.each(PRESETS)('virtToXenL3e, L2e and L1e, behaviour %s', (behaviour) => {
  it('add the tables on the way, each once', () => {
    const xen = boot(behaviour);
    const allocated = (run: () => unknown): number => {
      const count = xen.counting();
      expect(run()).toBeDefined();
      return count().allocated;
    };
    const at = va(5 * M2 + 7);
    expect([virtToXenL3e, virtToXenL2e, virtToXenL1e].map((find) => allocated(() => find(xen.mm, at)))).toEqual([
      1, 1, 1,
    ]);
    expect(allocated(() => virtToXenL1e(xen.mm, at))).toBe(0);
    expect(xen.problems()).toEqual([]);
  });

  it('lead to the entry that maps the address', () => {
    const xen = boot(behaviour);
    const page = 3 * G1 + 5 * M2 + 7;
    xen.map(page, 0x105);
    const found = [virtToXenL3e, virtToXenL2e, virtToXenL1e].map((find) => find(xen.mm, va(page)));
    expect(found).toEqual([
      { table: xen.table(page, 3), index: 3, level: 3 },
      { table: xen.table(page, 2), index: 5, level: 2 },
      { table: xen.table(page, 1), index: 7, level: 1 },
    ]);
  });

  it('find no entry where a table cannot be allocated', () => {
    const xen = boot(behaviour);
    xen.mm.heap.budget = 0;
    for (const find of [virtToXenL3e, virtToXenL2e, virtToXenL1e]) expect(find(xen.mm, va(5))).toBeUndefined();
    xen.mm.heap.budget = 2;
    expect(virtToXenL1e(xen.mm, va(5))).toBeUndefined();
    expect(xen.problems()).toEqual([]);
  });

  it('a superpage in the way is a bug', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.map(G1, 0, M2);
    expect(() => virtToXenL2e(xen.mm, va(0))).toThrow(
      'BUG: virt_to_xen_l2e(0xffff830000000000): a superpage of level 3',
    );
    expect(() => virtToXenL1e(xen.mm, va(G1))).toThrow(
      'BUG: virt_to_xen_l1e(0xffff830040000000): a superpage of level 2',
    );
    expect(virtToXenL2e(xen.mm, va(G1))).toMatchObject({ level: 2, index: 0 });
  });
});

describe.each(PRESETS)('lookUp, behaviour %s', (behaviour) => {
  it('goes as deep as tables reach, adds none, and tells of a superpage', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.map(G1, 0, M2);
    xen.map(G1 + M2, 1, 3);
    const count = xen.counting();
    const levels = [5, G1 + 5, G1 + M2 + 1, G1 + M2 + 9, G1 + 9 * M2, 9 * G1, 9 * G512];
    expect(levels.map((page) => lookUp(xen.mm, va(page)).level)).toEqual([3, 2, 1, 1, 2, 3, 4]);
    expect(count().allocated).toBe(0);
  });
});

describe.each(PRESETS)('xenMapToMfn, behaviour %s', (behaviour) => {
  it('finds the frame behind pages of all sizes', () => {
    const xen = boot(behaviour);
    xen.map(0, G1, G1);
    xen.map(G1, M2, M2);
    xen.map(G1 + M2, 0x105, 3, PAGE_HYPERVISOR_RO);
    const pages = [0x12345, G1 + 0x123, G1 + M2 + 2];
    expect(pages.map((page) => xenMapToMfn(xen.mm, va(page) + 0x123n))).toEqual([G1 + 0x12345, M2 + 0x123, 0x107]);
  });

  it('18: takes PAT in bit 12 of a superpage for no part of the frame, where PAT moves', () => {
    const xen = boot({ behaviour: { ...BEHAVIOURS[behaviour], pat: 'moved', coalesce: 'uniform' } });
    xen.mapEach(0, 0x200, M2, PAGE_HYPERVISOR_WC);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 WC']);
    expect([0, 7, 511].map((page) => xenMapToMfn(xen.mm, va(page)))).toEqual([0x200, 0x207, 0x3ff]);
  });

  it('finds INVALID_MFN where nothing is mapped, and leaves no lock', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x105);
    xen.unmap(0);
    for (const page of [0, 1, M2, G1, G512]) expect(xenMapToMfn(xen.mm, va(page))).toBe(INVALID_MFN);
    expect(xen.problems()).toEqual([]);
  });

  it('reads under the lock of the L3 table', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x105);
    const trace = xen.recorded(() => xenMapToMfn(xen.mm, va(0)));
    expect(trace.steps()).toEqual(['lock L3', 'unlock L3']);
  });

  it('a lookup in an empty L4 slot allocates an L3 table in Xen, and nothing by default', () => {
    const xen = boot(behaviour);
    xenMapToMfn(xen.mm, va(0));
    expect(xen.mm.heap.allocations).toBe(behaviour === 'xen' ? 1 : 0);
  });
});
