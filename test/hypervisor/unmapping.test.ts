/** Edge cases 32 to 40: unmapping by flags 0, populating, and destroying, which frees tables. */
import { describe, expect, it } from 'vitest';
import {
  type Behaviour,
  ENOMEM,
  mapPages,
  PAGE_HYPERVISOR,
  populatePtRange,
  VMAP,
  XEN_BEHAVIOUR,
  xenMapToMfn,
} from '../../src/hypervisor/index.ts';
import { boot, G1, G512, M2, PRESETS, va } from '../support/hypervisor.ts';

describe.each(PRESETS)('unmapping, behaviour %s', (behaviour) => {
  it('32: makes a page not present and keeps its table', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 2);
    expect(xen.read(5)).toBe(0x105);
    expect(xen.unmap(5)).toBe(0);
    expect([xen.read(5), xen.read(6)]).toEqual(['#PF(0)', 0x106]);
    expect(xen.xen.frames.tables()).toHaveLength(4);
  });

  it('32: a table whose pages were all unmapped stays', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    xen.unmap(5);
    xen.mm.heap.budget = 0;
    expect(xen.map(6, 0x106)).toBe(0);
  });

  it.each([
    ['2 MiB', M2, 1],
    ['1 GiB', G1, 3],
  ])(
    '33: unmapping aligned %s replaces the table and frees what was below, after the flush',
    (_size, pages, tables) => {
      const xen = boot(behaviour);
      xen.map(1, 0x101, 3);
      if (pages === G1) xen.map(7 * M2, 0x101, 3);
      const trace = xen.recorded(() => expect(xen.unmap(0, pages)).toBe(0));
      expect(trace.steps('write', 'shootdown', 'free')).toEqual([
        pages === G1 ? 'clear L3' : 'clear L2',
        pages === G1 ? 'flush 18 G' : 'flush 9 G',
        ...(pages === G1 ? ['free L1', 'free L1', 'free L2'] : ['free L1']),
      ]);
      expect(trace.count('free')).toBe(tables);
      expect(xen.mapped()).toEqual([]);
    },
  );

  it('33: unmapping 512 pages from the middle of a table touches no other page', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x201, 2 * M2);
    expect(xen.unmap(256, 512)).toBe(0);
    expect(xen.mapped()).toEqual(['0x0: 256 x 4K -> 0x201 RW', '0x300: 256 x 4K -> 0x501 RW']);
    expect(xen.xen.frames.tables()).toHaveLength(5);
  });

  it('34: unmapping superpages splits none', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, 2 * M2);
    xen.map(G1, G1, G1);
    expect([xen.unmap(0, 2 * M2), xen.unmap(G1, G1)]).toEqual([0, 0]);
    expect([xen.mm.splits, xen.mapped()]).toEqual([0, []]);
  });

  it('34: unmapping with a frame number that is not aligned splits none either', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, 2 * M2);
    expect(xen.map(0, 0x123, 2 * M2, 0)).toBe(0);
    expect([xen.mm.splits, xen.mapped()]).toEqual([0, []]);
  });

  it('34: unmapping a part of a superpage leaves the rest of it', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.unmap(M2 + 5, 3 * M2);
    expect(xen.mapped()).toEqual([
      '0x0: 1 x 2M -> 0x0 RW',
      '0x200: 5 x 4K -> 0x200 RW',
      '0x805: 507 x 4K -> 0x805 RW',
      '0xa00: 507 x 2M -> 0xa00 RW',
    ]);
  });

  it('35: an unmap that runs out of tables has unmapped what it says', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, 2 * M2);
    xen.map(2 * M2, 2 * M2, 3 * M2, PAGE_HYPERVISOR);
    xen.mm.heap.budget = 0;
    expect(xen.unmap(M2, M2 + 5)).toBe(-ENOMEM);
    expect(xen.mm.pagesDone).toBe(M2);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x0 RW', '0x400: 3 x 2M -> 0x400 RW']);
  });

  it('36: populating a range adds its tables, and mapping there takes none', () => {
    const xen = boot(behaviour);
    expect(xen.populate(5, 600)).toBe(0);
    expect(xen.xen.frames.tables()).toHaveLength(5);
    xen.mm.heap.budget = 0;
    expect(xen.map(5, 0x101, 500)).toBe(0);
    expect([xen.read(5), xen.read(6)]).toEqual([0x101, 0x102]);
  });

  it('36: populating an aligned range adds tables too, and no superpage takes their place', () => {
    const xen = boot(behaviour);
    expect(xen.populate(0, 2 * M2)).toBe(0);
    expect(xen.xen.frames.tables()).toHaveLength(5);
  });

  it('36: populating a mapped range destroys what was mapped, superpages included', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, 2 * M2);
    xen.map(2 * M2, 0x101, 2);
    xen.populate(5, 2 * M2);
    expect(xen.mapped()).toEqual(['0x0: 5 x 4K -> 0x0 RW']);
    expect(xen.xen.frames.tables()).toHaveLength(6);
  });

  it('37: destroying the last page of an L1 table frees it and then the L2; the L3 stays', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    const trace = xen.recorded(() => expect(xen.destroy(5, 6)).toBe(0));
    expect(trace.steps('free')).toEqual(['free L1', 'free L2']);
    expect(xen.xen.frames.tables()).toHaveLength(2);
  });

  it('37: a table that maps another page stays', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 2);
    xen.map(M2, 0x100);
    const count = xen.counting();
    xen.destroy(5, 6);
    expect(count().freed).toBe(0);
    xen.destroy(6, 7);
    expect(count().freed).toBe(1);
    expect(xen.mapped()).toEqual(['0x200: 1 x 4K -> 0x100 RW']);
  });

  it('37: destroying up to a hole in the last L2 slot frees the L2', () => {
    const xen = boot(behaviour);
    xen.map(510 * M2, 0x105);
    xen.destroy(510 * M2, G1);
    expect(xen.xen.frames.tables()).toHaveLength(2);
  });

  it('37: destroying across tables frees each as it is left', () => {
    const xen = boot(behaviour);
    xen.map(M2 - 2, 0x101, 2 * M2 + 4);
    xen.map(G1 + 7, 0x101, 2);
    const count = xen.counting();
    xen.destroy(0, G1 + 8);
    expect(xen.mapped()).toEqual(['0x40008: 1 x 4K -> 0x102 RW']);
    expect(count().freed).toBe(5);
  });

  it('38: destroys a 1 GiB page in the middle of a range', () => {
    const xen = boot(behaviour);
    xen.map(G1 - 3, 0x101, 3);
    xen.map(G1, 0, 2 * G1);
    const count = xen.counting();
    expect(xen.destroy(G1 - 2, 2 * G1)).toBe(0);
    expect(xen.mapped()).toEqual(['0x3fffd: 1 x 4K -> 0x101 RW', '0x80000: 1 x 1G -> 0x40000 RW']);
    expect(count().allocated).toBe(0);
  });

  it('38: destroys one page of 1 GiB and no other', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    const count = xen.counting();
    xen.destroy(5, 6);
    expect(count()).toMatchObject({ allocated: 2, freed: 0 });
    expect(xen.mapped()).toEqual(['0x0: 5 x 4K -> 0x0 RW', '0x6: 506 x 4K -> 0x6 RW', '0x200: 511 x 2M -> 0x200 RW']);
  });

  it('38: destroying twice changes nothing more', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    xen.map(6 * M2, 0x105);
    xen.destroy(5, 6);
    const count = xen.counting();
    expect(xen.destroy(5, 6)).toBe(0);
    expect(count()).toMatchObject({ allocated: 0, freed: 0 });
    expect(xen.mapped()).toEqual(['0xc00: 1 x 4K -> 0x105 RW']);
  });

  it('39: destroying a range frees tables whose pages were unmapped before, where all lie in the range', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 3);
    xen.unmap(6);
    const count = xen.counting();
    xen.destroy(0, 512);
    expect(count().freed).toBe(2);
    expect(xen.mapped()).toEqual([]);
  });
});

describe('entries that are not present', () => {
  it('32: xen: hold the frame and flags of the request, pagewalk: are zero', () => {
    const xen = boot('xen');
    const ours = boot();
    for (const each of [xen, ours]) {
      each.map(5, 0x105, 4);
      each.unmap(5);
      each.map(6, 0x123, 2, 0);
      each.populate(8, 1);
    }
    const entries = [5, 6, 7, 8];
    expect(entries.map((page) => xen.entry(page, 1))).toEqual([
      0xffff_ffff_ffff_f000n,
      0x12_3000n,
      0x12_4000n,
      0xffff_ffff_ffff_f200n,
    ]);
    expect(entries.map((page) => ours.entry(page, 1))).toEqual([0n, 0n, 0n, 0n]);
  });

  it('33: the same goes for whole tables that were unmapped', () => {
    const xen = boot('xen');
    const ours = boot();
    for (const each of [xen, ours]) {
      each.map(5, 0x105, 3);
      each.unmap(0, 512);
    }
    expect([xen.entry(5, 2), ours.entry(5, 2)]).toEqual([0xffff_ffff_ffff_f000n, 0n]);
  });

  it('39: xen: what an unmap left outside the range keeps a table that maps nothing, pagewalk: nothing does', () => {
    const freed = (['xen', 'pagewalk'] as const).map((behaviour) => {
      const each = boot(behaviour);
      each.map(5, 0x105, 3);
      each.unmap(7);
      each.destroy(5, 7);
      return each.mm.heap.frees;
    });
    expect(freed).toEqual([0, 2]);
  });
});

describe('holes', () => {
  it('35, 38: pagewalk: unmapping, destroying, modifying or looking one up allocates nothing', () => {
    const xen = boot();
    xen.map(0, 0x100);
    const count = xen.counting();
    for (const page of [5 * M2, 5 * G1, 5 * G512]) {
      expect([xen.unmap(page), xen.destroy(page, page + 1), xen.modify(page, page + 1, PAGE_HYPERVISOR)]).toEqual([
        0, 0, 0,
      ]);
      expect([xenMapToMfn(xen.mm, va(page)), xen.unmap(page, G512)]).toEqual([2 ** 52 - 1, 0]);
    }
    expect(count()).toEqual({ allocated: 0, freed: 0, flushes: 0 });
  });

  it('35, 38: xen: unmapping one allocates the tables on the way, destroying one its L3 table', () => {
    const xen = boot('xen');
    const allocated = (run: () => number): number => {
      const count = xen.counting();
      expect(run()).toBe(0);
      return count().allocated;
    };
    expect(allocated(() => xen.unmap(0))).toBe(3);
    expect(allocated(() => xen.unmap(5 * M2))).toBe(1);
    expect(allocated(() => xen.destroy(G512, G512 + 1))).toBe(1);
    expect(allocated(() => xen.destroy(5 * G1, 5 * G1 + 1))).toBe(0);
  });

  it('35: pagewalk: unmapping over holes needs no memory, and unmaps what is there', () => {
    const xen = boot();
    xen.map(3 * M2, 0x100, 5);
    xen.map(2 * G1, 0, G1);
    xen.map(G512, 0x100, 5);
    xen.mm.heap.budget = 0;
    expect(xen.unmap(5, 2 * G512)).toBe(0);
    expect(xen.mapped()).toEqual([]);
  });

  it('35: pagewalk: an empty L4 slot is skipped, and not the one after it', () => {
    const xen = boot();
    xen.map(2 * G512 + 3, 0x105);
    expect(xen.unmap(G512 - 1, G512 + 5)).toBe(0);
    expect([xen.read(2 * G512 + 3), xen.mm.pagesDone]).toEqual(['#PF(0)', G512 + 5]);
  });

  it('35: xen: unmapping over holes without memory stops, and says where', () => {
    const xen = boot('xen');
    xen.map(3, 0x103);
    xen.mm.heap.budget = 0;
    expect(xen.unmap(3, 1000)).toBe(-ENOMEM);
    expect(xen.mm.pagesDone).toBe(509);
    expect(xen.mapped()).toEqual([]);
  });

  it('37: xen: destroying up to a page inside a hole leaves the L2 empty, pagewalk: frees it', () => {
    const tables = (['xen', 'pagewalk'] as const).map((behaviour) => {
      const each = boot(behaviour);
      each.map(5, 0x105);
      each.destroy(5, M2 + 7);
      expect(each.mapped()).toEqual([]);
      return each.xen.frames.tables().length;
    });
    expect(tables).toEqual([3, 2]);
  });

  it('37: pagewalk: destroying over a hole that ends the range past the next table frees the L2 as well', () => {
    const xen = boot();
    xen.map(G1 - 1, 0x105);
    xen.destroy(G1 - 1, 3 * G1);
    expect(xen.xen.frames.tables()).toHaveLength(2);
  });

  it('38: each field of behaviour stands alone: flushed in the end also where the last tables are skipped', () => {
    const xen = boot({ behaviour: { ...XEN_BEHAVIOUR, holes: 'skip' } satisfies Behaviour, cpus: 2 });
    xen.map(G512 - 2, 0xff, 2);
    expect(xen.read(G512 - 1, 1)).toBe(0x100);
    expect(xen.destroy(G512 - 1, G512 + 5)).toBe(0);
    expect(xen.read(G512 - 1, 1)).toBe('#PF(0)');
  });
});

describe('tables that a populate has made', () => {
  it('40: pagewalk: stay when what they mapped is unmapped or destroyed, so that mapping again takes none', () => {
    const xen = boot();
    xen.populate(0, 2 * M2);
    const tables = xen.xen.frames.tables();
    expect(tables.filter((table) => xen.xen.frames.info(table).isKept)).toHaveLength(3);
    xen.mm.heap.budget = 0;
    for (const clear of [() => xen.unmap(0, 2 * M2), () => xen.destroy(0, 2 * M2), () => xen.unmap(0, G1)]) {
      expect(xen.map(5, 0x105, 7)).toBe(0);
      expect(clear()).toBe(0);
      expect(xen.mapped()).toEqual([]);
    }
    expect(xen.xen.frames.tables()).toEqual(tables);
  });

  it('40: xen: an aligned unmap or a destroy frees them, and mapping again needs memory', () => {
    for (const clear of ['unmap', 'destroy'] as const) {
      const xen = boot('xen');
      xen.populate(0, M2);
      xen.map(5, 0x105, 7);
      expect(xen[clear](0, M2)).toBe(0);
      xen.mm.heap.budget = 0;
      expect(xen.map(5, 0x105)).toBe(-ENOMEM);
    }
  });

  it('40: xen: a misaligned unmap keeps them', () => {
    const xen = boot('xen');
    xen.populate(0, M2);
    xen.map(0, 0x101, 512);
    xen.unmap(0, 511);
    xen.mm.heap.budget = 0;
    expect(xen.map(5, 0x105)).toBe(0);
  });

  it('populating costs a flush for each page that was mapped, xen; one for all, pagewalk', () => {
    const flushes = (['xen', 'pagewalk'] as const).map((behaviour) => {
      const each = boot(behaviour);
      each.map(0, 0x101, 100);
      const count = each.counting();
      each.populate(0, 200);
      return count().flushes;
    });
    expect(flushes).toEqual([100, 1]);
  });

  it('populating outside the directmap works alike', () => {
    const xen = boot();
    expect(populatePtRange(xen.mm, BigInt(VMAP.start) << 12n, 10)).toBe(0);
    xen.mm.heap.budget = 0;
    expect(mapPages(xen.mm, VMAP.start + 3, 0x55, 1, PAGE_HYPERVISOR)).toBe(0);
  });
});
