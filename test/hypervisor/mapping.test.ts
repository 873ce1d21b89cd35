/** Edge cases 1 to 12 and 28 of `map_pages_to_xen`: sizes, alignment, ends of the address space. */
import { describe, expect, it } from 'vitest';
import {
  destroyXenMappings,
  INVALID_MFN,
  MAP_SMALL_PAGES,
  mapPages,
  mapPagesToXen,
  modifyPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  VMAP,
  xenMapToMfn,
} from '../../src/hypervisor/index.ts';
import { boot, G1, G512, M2, PRESETS, va } from '../support/hypervisor.ts';

describe.each(PRESETS)('mapping pages, behaviour %s', (behaviour) => {
  it('1: maps nothing where the number of pages is 0: no lock, no table, no flush', () => {
    const xen = boot(behaviour);
    const { events } = xen.recorded(() => expect(xen.map(0, 0, 0)).toBe(0));
    expect(events.filter(({ operation }) => operation !== 'systemState')).toEqual([]);
    expect(xen.xen.frames.tables()).toEqual([xen.xen.root]);
  });

  it.each([
    [511, ['0x0: 511 x 4K -> 0x200 RW']],
    [512, ['0x0: 1 x 2M -> 0x200 RW']],
    [513, ['0x0: 1 x 2M -> 0x200 RW', '0x200: 1 x 4K -> 0x400 RW']],
    [1024, ['0x0: 2 x 2M -> 0x200 RW']],
  ])('2: maps %i pages that are aligned to 2 MiB by as many superpages as fit', (nrMfns, expected) => {
    const xen = boot(behaviour);
    expect(xen.map(0, 0x200, nrMfns)).toBe(0);
    expect(xen.mapped()).toEqual(expected);
    expect([xen.read(0), xen.read(nrMfns)]).toEqual([0x200, '#PF(0)']);
  });

  it('3: maps by 4 KiB pages where the frame is one off, and does not coalesce the full table', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x201, 512);
    xen.mapEach(0, 0x201, 512);
    expect(xen.mapped()).toEqual(['0x0: 512 x 4K -> 0x201 RW']);
    expect([xen.read(0), xen.read(510)]).toEqual([0x201, 0x3ff]);
  });

  it('3: maps by 4 KiB pages where the address is one off, and does not coalesce the full table', () => {
    const xen = boot(behaviour);
    xen.map(1, 0x200, 512);
    xen.map(0, 0x1ff);
    expect(xen.mapped()).toEqual(['0x0: 513 x 4K -> 0x1ff RW']);
    expect([xen.read(1), xen.read(512)]).toEqual([0x200, 0x3ff]);
  });

  it('4: maps every page of a range that begins 4 KiB past a boundary and ends in a tail', () => {
    const xen = boot(behaviour);
    const nrMfns = 511 + 3 * M2 + 5;
    expect(xen.map(1, 1, nrMfns)).toBe(0);
    expect(xen.mapped()).toEqual(['0x1: 511 x 4K -> 0x1 RW', '0x200: 3 x 2M -> 0x200 RW', '0x800: 5 x 4K -> 0x800 RW']);
    expect([xen.read(0), xen.read(1), xen.read(nrMfns), xen.read(nrMfns + 1)]).toEqual([
      '#PF(0)',
      1,
      'no RAM',
      '#PF(0)',
    ]);
    expect(xenMapToMfn(xen.mm, va(nrMfns))).toBe(nrMfns);
  });

  it('4: writes no misaligned superpage where only the frame, or only the address, is aligned', () => {
    const xen = boot(behaviour);
    xen.map(1, 0, 3 * M2);
    xen.map(8 * M2, 0x101, 3 * M2);
    expect(xen.mapped()).toEqual(['0x1: 1536 x 4K -> 0x0 RW', '0x1000: 1536 x 4K -> 0x101 RW']);
    expect([xen.read(1), xen.read(M2), xen.read(2 * M2 - 1)]).toEqual([0, 511, 1022]);
  });

  it('5: maps 1 GiB by one entry and no table below the L3', () => {
    const xen = boot(behaviour);
    xen.map(0, G1, 2 * G1);
    expect(xen.mapped()).toEqual(['0x0: 2 x 1G -> 0x40000 RW']);
    expect(xen.xen.frames.tables()).toHaveLength(2);
  });

  it('5: maps 1 GiB by 2 MiB pages where the frame is aligned to 2 MiB only', () => {
    const xen = boot(behaviour);
    xen.map(0, G1 + M2, G1);
    xen.map(0, G1 + M2, G1);
    expect(xen.mapped()).toEqual(['0x0: 512 x 2M -> 0x40200 RW']);
  });

  it('5: maps 1 GiB by 2 MiB pages, which stay, on a processor without 1 GiB pages', () => {
    const xen = boot({ behaviour, features: { page1gb: false } });
    xen.map(0, G1, G1);
    xen.map(5, G1 + 5);
    xen.map(5, G1 + 5, 1, PAGE_HYPERVISOR_RO);
    xen.map(5, G1 + 5);
    expect(xen.mapped()).toEqual(['0x0: 512 x 2M -> 0x40000 RW']);
  });

  it('6: coalesces to 1 GiB in two steps when the last page of 1 GiB comes', () => {
    const xen = boot(behaviour);
    xen.map(0, G1, G1 - 1);
    expect(xen.mapped()).toEqual(['0x0: 511 x 2M -> 0x40000 RW', '0x3fe00: 511 x 4K -> 0x7fe00 RW']);
    const count = xen.counting();
    const trace = xen.recorded(() => xen.map(G1 - 1, 2 * G1 - 1));
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x40000 RW']);
    expect(count().freed).toBe(2);
    expect(trace.steps('write', 'writeRun', 'shootdown', 'free')).toEqual(
      behaviour === 'xen'
        ? ['write L1', 'write L2', 'flush 9 G', 'free L1', 'write L3', 'flush 18 G', 'free L2']
        : ['write L1', 'write L2', 'write L3', 'flush all G', 'free L1', 'free L2'],
    );
  });

  it('7: takes the locks of two L3 tables in turn where a range crosses an L4 slot, and never both', () => {
    const xen = boot(behaviour);
    const trace = xen.recorded(() => expect(xen.map(G512 - 2, 0x100, 4)).toBe(0));
    expect(xen.mapped()).toEqual(['0x7fffffe: 4 x 4K -> 0x100 RW']);
    const locks = trace.events.filter(
      ({ operation, operands }) => (operation === 'lock' || operation === 'unlock') && operands[0]! >= 0,
    );
    const taken = locks.map(({ operation, operands }) => `${operation} ${operands[0]}`);
    expect(new Set(taken).size).toBe(4);
    locks.forEach(({ operation, operands }, nth) => {
      expect(operation).toBe(nth % 2 === 0 ? 'lock' : 'unlock');
      if (nth % 2 === 1) expect(operands[0]).toBe(locks[nth - 1]!.operands[0]);
    });
    expect([xen.read(G512 - 2), xen.read(G512 + 1)]).toEqual([0x100, 0x103]);
  });

  it('8: ignores the low 12 bits of the address', () => {
    const xen = boot(behaviour);
    expect(mapPagesToXen(xen.mm, va(7) + 0x123n, 0x30, 1, PAGE_HYPERVISOR)).toBe(0);
    expect(mapPagesToXen(xen.mm, va(0x200) + 0xfffn, 0x200, 512, PAGE_HYPERVISOR)).toBe(0);
    expect(xen.mapped()).toEqual(['0x7: 1 x 4K -> 0x30 RW', '0x200: 1 x 2M -> 0x200 RW']);
  });

  it('9: a range past the top of the address space ends there and does not come back to 0', () => {
    const xen = boot(behaviour);
    expect(mapPages(xen.mm, 2 ** 52 - 4, 0x100, 8, PAGE_HYPERVISOR)).toBe(0);
    expect(xen.mm.pagesDone).toBe(4);
    expect(xen.mapped()).toHaveLength(1);
    expect(xen.cpu.long.read32(0xffff_ffff_ffff_f000n)).toBe(0x103);
    expect(() => xen.cpu.long.read32(0)).toThrow('#PF(0)');
    expect(modifyPages(xen.mm, 2 ** 52 - 2, 2 ** 52, PAGE_HYPERVISOR_RO)).toBe(0);
    expect(() => xen.cpu.long.write32(0xffff_ffff_ffff_e000n, 1)).toThrow('#PF(3)');
    expect(modifyPages(xen.mm, 2 ** 52 - 4, 2 ** 52 + 7, 0)).toBe(0);
    expect(xen.mapped()).toEqual([]);
    expect(xen.problems()).toEqual([]);
  });

  it('11: PRESENT with INVALID_MFN makes an entry that no walk gets past', () => {
    const xen = boot(behaviour);
    xen.map(0, INVALID_MFN, 1, PAGE_HYPERVISOR);
    expect(xen.read(0)).toBe('#PF(9)');
  });

  it('11: PRESENT with INVALID_MFN makes as many such entries as are asked for', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 1);
    xen.map(3, INVALID_MFN, 4, PAGE_HYPERVISOR);
    expect([3, 4, 5, 6].map((page) => xen.read(page))).toEqual(['#PF(9)', '#PF(9)', '#PF(9)', '#PF(9)']);
  });

  it('12: neither frame nor flags bleed into one another, up to the highest frame and flag', () => {
    const xen = boot({ behaviour, features: { maxPhyAddr: 52 } });
    const highest = 2 ** 40 - 1;
    xen.map(3, highest, 1, PAGE_HYPERVISOR);
    expect(xen.entry(3, 1)).toBe(0x800f_ffff_ffff_f163n);
    xen.map(4, 0x123, 1, 0xfff_003);
    expect(xen.entry(4, 1)).toBe(0xfff0_0000_0012_3003n);
    xen.map(M2, 2 ** 39 - M2, 2 * M2);
    xen.map(G1, 2 ** 40 - G1, G1);
    expect(xen.mapped()).toEqual([
      '0x3: 1 x 4K -> 0xffffffffff RW',
      '0x4: 1 x 4K -> 0x123 0xfff003',
      '0x200: 2 x 2M -> 0x7ffffffe00 RW',
      '0x40000: 1 x 1G -> 0xfffffc0000 RW',
    ]);
  });

  it('28: a 2 MiB page over an L1 table frees the table after one flush', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x101, 512);
    const trace = xen.recorded(() => xen.map(0, 0x200, 512));
    expect(trace.steps('write', 'shootdown', 'free')).toEqual(['write L2', 'flush 9 G', 'free L1']);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it.each([
    ['2 MiB', M2, 'write L2', 'flush 9 G'],
    ['1 GiB', G1, 'write L3', 'flush 18 G'],
  ])('28: a %s page over the same page is written, and flushed all the same', (_size, pages, write, flush) => {
    const xen = boot(behaviour);
    xen.map(0, G1, pages);
    const count = xen.counting();
    const trace = xen.recorded(() => xen.map(0, G1, pages));
    expect(trace.steps('write', 'shootdown')).toEqual([write, flush]);
    expect(count()).toEqual({ allocated: 0, freed: 0, flushes: 1 });
  });

  it('28: a 1 GiB page over another one is seen by a CPU that had the old one cached', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0, G1);
    expect([xen.read(0x123), xen.read(0x123, 1)]).toEqual([0x123, 0x123]);
    xen.map(0, G1, G1, PAGE_HYPERVISOR_RO);
    expect([xen.read(0x123), xen.read(0x123, 1)]).toEqual(['no RAM', 'no RAM']);
    expect(xen.canWrite(0x123, 1)).toBe(false);
  });

  it('maps whatever was mapped before, of any size and with any attributes', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x101, 700, PAGE_HYPERVISOR_RO);
    xen.map(0, G1, G1);
    xen.map(600, 0x30, 1, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    xen.map(512, 0x200, 512, PAGE_HYPERVISOR_RO);
    expect(xen.mapped()).toEqual([
      '0x0: 1 x 2M -> 0x40000 RW',
      '0x200: 1 x 2M -> 0x200 RO',
      '0x400: 510 x 2M -> 0x40400 RW',
    ]);
  });

  it('maps outside the directmap alike', () => {
    const xen = boot(behaviour);
    mapPages(xen.mm, VMAP.start + 1, 0x55, 2, PAGE_HYPERVISOR);
    expect(xen.cpu.long.read32(0xffff_82c0_0000_2000n)).toBe(0x56);
    destroyXenMappings(xen.mm, 0xffff_82c0_0000_0000n, 0xffff_82c0_0020_0000n);
    expect(xen.mapped()).toEqual([]);
    expect(xen.problems()).toEqual([]);
  });
});
