/** Edge cases 13 to 18 and 20 to 22 of flags: what keeps pages small, what coalesces, PAT, NX, what is skipped. */
import { describe, expect, it } from 'vitest';
import {
  MAP_SMALL_PAGES,
  mapPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RX,
  PAGE_HYPERVISOR_SHSTK,
  PAGE_HYPERVISOR_UC,
  PAGE_HYPERVISOR_UCMINUS,
  PAGE_HYPERVISOR_WC,
  PAGE_HYPERVISOR_WT,
  PAGE_PAT,
} from '../../src/hypervisor/index.ts';
import { A, D, G, PWT } from '../../src/mmu/entry.ts';
import { type Booted, boot, G1, G512, M2, PRESETS, va } from '../support/hypervisor.ts';

const PAGE_HYPERVISOR_WP = PAGE_HYPERVISOR | PAGE_PAT | PWT;
const PAT_12 = 0x1000n;
const XD = 1n << 63n;

/** Page size and PAT index that the MMU's walk finds. */
const found = (xen: Booted, page: number): [pageSize: number, patIndex: number] => {
  const { pageSize, patIndex } = xen.cpu.long.explain(va(page));
  return [pageSize, patIndex];
};

describe.each(PRESETS)('flags of mappings, behaviour %s', (behaviour) => {
  it.each([
    ['WC', PAGE_HYPERVISOR_WC, 4],
    ['WP', PAGE_HYPERVISOR_WP, 5],
  ])('13: %s never gets a superpage, and its PAT index holds', (_name, flags, patIndex) => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 512, flags);
    xen.map(511, 0x3ff, 1, flags);
    expect(found(xen, 0)).toEqual([4096, patIndex]);
    expect(found(xen, 511)).toEqual([4096, patIndex]);
    expect(xen.read(511)).toBe(0x3ff);
  });

  it.each([
    ['UC-', PAGE_HYPERVISOR_UCMINUS, 2],
    ['UC', PAGE_HYPERVISOR_UC, 3],
    ['WT', PAGE_HYPERVISOR_WT, 1],
  ])('13: %s gets superpages of both sizes', (name, flags, patIndex) => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1 + M2, flags);
    expect(xen.mapped()).toEqual([`0x0: 1 x 1G -> 0x0 ${name}`, `0x40000: 1 x 2M -> 0x40000 ${name}`]);
    expect([found(xen, 5), found(xen, G1)]).toEqual([
      [2 ** 30, patIndex],
      [2 ** 21, patIndex],
    ]);
  });

  it('14: MAP_SMALL_PAGES keeps pages small and stays in the entry', () => {
    const xen = boot(behaviour);
    const flags = PAGE_HYPERVISOR | MAP_SMALL_PAGES;
    xen.map(0, 0x200, 512, flags);
    xen.map(511, 0x3ff, 1, flags);
    expect(xen.mapped()).toEqual([`0x0: 512 x 4K -> 0x200 0x${flags.toString(16)}`]);
    expect(xen.entry(0, 1)).toBe(XD | 0x20_0363n);
  });

  it('14: a plain remap of all 512 small pages coalesces, of the last one alone does not', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 512, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    xen.map(511, 0x3ff);
    expect(xen.mapped()).toHaveLength(2);
    xen.mapEach(0, 0x200, 512);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it.each([
    ['RX', PAGE_HYPERVISOR_RX],
    ['RO', PAGE_HYPERVISOR_RO],
    ['UC', PAGE_HYPERVISOR_UC],
  ])('15: a table full of one run of %s pages does not coalesce', (name, flags) => {
    const xen = boot(behaviour);
    xen.mapEach(0, 0x200, 512, flags);
    expect(xen.mapped()).toEqual([`0x0: 512 x 4K -> 0x200 ${name}`]);
  });

  it('15: a table full of one run of PAGE_HYPERVISOR pages coalesces', () => {
    const xen = boot(behaviour);
    xen.mapEach(0, 0x200, 512);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it.each([
    ['A', A],
    ['D', D],
  ])('16: one entry without %s blocks coalescing until it is mapped again', (_name, flag) => {
    const xen = boot(behaviour);
    xen.map(5, 0x205, 1, PAGE_HYPERVISOR & ~flag);
    xen.mapEach(0, 0x200, 5);
    xen.mapEach(6, 0x206, 506);
    expect(found(xen, 0)[0]).toBe(4096);
    xen.map(5, 0x205);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it('16: hardware that sets A and D unblocks it too, unseen by counters', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x205, 1, PAGE_HYPERVISOR & ~(A | D));
    xen.mapEach(0, 0x200, 5);
    xen.mapEach(6, 0x206, 506);
    expect(xen.canWrite(5)).toBe(true);
    xen.map(511, 0x3ff);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it.each([
    ['global', PAGE_HYPERVISOR, 'flush 0 G'],
    ['not global', PAGE_HYPERVISOR & ~G, 'flush 0'],
  ])('17: the flush of a page that was %s says so', (_name, flags, flush) => {
    const xen = boot(behaviour);
    xen.map(0, 0x100, 1, flags);
    expect(xen.recorded(() => xen.map(0, 0x101, 1, PAGE_HYPERVISOR_RO)).steps('shootdown')).toEqual([flush]);
  });

  it('17: the flush of a table says global where one page below was', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x101, 512, PAGE_HYPERVISOR & ~G);
    xen.map(300, 0x100, 1);
    expect(xen.recorded(() => xen.map(0, 0x200, 512)).steps('shootdown')).toEqual(['flush 9 G']);
  });

  it('17: entries that lead to tables have neither G nor NX nor US', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.map(3, 0x300, 1, PAGE_HYPERVISOR_RO);
    xen.map(G512 + 3, 0x300, 1, PAGE_HYPERVISOR_RO);
    for (const page of [3, G512 + 3]) {
      const tables = xen.walk(page).filter(({ outcome }) => outcome === 'table');
      expect(tables.map(({ level, flags }) => `${level} ${flags}`)).toEqual(['4 P RW A D', '3 P RW A D', '2 P RW A D']);
    }
  });

  it('18: 1 GiB with PAT in bit 12 splits to 2 MiB pages that have it there too', () => {
    const xen = boot(behaviour);
    xen.map(0, G1, G1);
    xen.poke(0, 3, XD | BigInt(G1 << 12) | PAT_12 | 0x1e3n);
    xen.map(0, G1, 512, PAGE_HYPERVISOR_RO);
    expect(found(xen, M2)).toEqual([2 ** 21, 4]);
    expect(xen.entry(M2, 2)).toBe(XD | BigInt((G1 + M2) * 4096) | PAT_12 | 0x1e3n);
  });

  it('20: without NX in the processor no entry has it, and PAGE_HYPERVISOR coalesces', () => {
    const xen = boot({ behaviour, features: { nx: false } });
    xen.map(0, 0x200, 511);
    expect([xen.read(0), xen.entry(0, 1)! & XD]).toEqual([0x200, 0n]);
    xen.map(511, 0x3ff);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RWX']);
  });

  it('20: without NX in the processor a request with it matches a superpage without', () => {
    const xen = boot({ behaviour, features: { nx: false } });
    xen.map(0, 0x200, 512);
    const count = xen.counting();
    xen.map(5, 0x205);
    expect(count()).toEqual({ allocated: 0, freed: 0, flushes: 0 });
    xen.modify(0, 512, PAGE_HYPERVISOR_RO);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RX']);
    expect([xen.read(7), xen.canWrite(7)]).toEqual([0x207, false]);
  });

  it('21: shadow-stack pages are read-only and dirty, and coalesce to 1 GiB when they return to RW', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.map(6, 6, 2, PAGE_HYPERVISOR_SHSTK);
    expect([xen.canWrite(5), xen.canWrite(6), xen.canWrite(7), xen.canWrite(8)]).toEqual([true, false, false, true]);
    expect(xen.walk(6).at(-1)!.flags).toBe('P A D G XD');
    xen.map(6, 6, 2);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
    expect([xen.canWrite(6), xen.canWrite(7)]).toEqual([true, true]);
  });

  it.each([
    ['2 MiB', M2, 0],
    ['1 GiB', G1, 0],
    ['2 MiB, but for A and D', M2, A | D],
    ['1 GiB, but for A and D', G1, A | D],
  ])('22: what a superpage of %s says already takes no table, no store and no flush', (_size, pages, without) => {
    const xen = boot(behaviour);
    xen.map(0, G1, pages);
    const trace = xen.recorded(() => {
      xen.map(7, G1 + 7, 1, PAGE_HYPERVISOR & ~without);
      xen.map(1, G1 + 1, 400, PAGE_HYPERVISOR & ~without);
    });
    expect(trace.steps('alloc', 'write', 'writeRun', 'publish', 'shootdown')).toEqual([]);
    expect(xen.mapped()).toHaveLength(1);
  });

  it('22: skips to the end of the superpage and goes on behind it', () => {
    const xen = boot(behaviour);
    xen.map(0, G1, G1);
    xen.map(G1, 2 * G1, M2);
    const count = xen.counting();
    xen.map(7, G1 + 7, G1);
    expect(count()).toEqual({ allocated: 0, freed: 0, flushes: 0 });
    xen.map(G1 + 7, 2 * G1 + 7, M2);
    expect(count()).toEqual({ allocated: 1, freed: 0, flushes: 0 });
    expect(xen.mapped()).toEqual([
      '0x0: 1 x 1G -> 0x40000 RW',
      '0x40000: 1 x 2M -> 0x80000 RW',
      '0x40200: 7 x 4K -> 0x80200 RW',
    ]);
  });

  it('22: another flag than A and D, or another frame, splits', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 512);
    xen.map(7, 0x207, 1, PAGE_HYPERVISOR & ~G);
    xen.map(M2, 0x200, 512);
    xen.map(M2 + 7, 0x206, 1);
    expect(xen.mm.splits).toBe(2);
  });
});

describe('PAT of superpages', () => {
  /** A WC page of 2 MiB, as somebody else made it. */
  function wc2m(behaviour: 'xen' | 'pagewalk'): Booted {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 512);
    xen.poke(0, 2, XD | 0x20_0000n | PAT_12 | 0x1e3n);
    expect(found(xen, 6)).toEqual([2 ** 21, 4]);
    return xen;
  }

  it('18: pagewalk: moves from bit 12 to bit 7 when the page is split, and frames stay', () => {
    const xen = wc2m('pagewalk');
    xen.map(5, 0x205);
    expect(xen.mapped()).toEqual(['0x0: 5 x 4K -> 0x200 WC', '0x5: 1 x 4K -> 0x205 RW', '0x6: 506 x 4K -> 0x206 WC']);
    expect([found(xen, 6), xen.read(6)]).toEqual([[4096, 4], 0x206]);
  });

  it('18: xen: stays where it is, so that pages lose it and are one frame off', () => {
    const xen = wc2m('xen');
    mapPages(xen.mm, xen.directmap + 5, 0x205, 1, PAGE_HYPERVISOR);
    expect(xen.mapped()).toEqual(['0x0: 5 x 4K -> 0x201 RW', '0x5: 1 x 4K -> 0x205 RW', '0x6: 506 x 4K -> 0x207 RW']);
  });

  it('18: xen: the last page is one frame off even where that is past 4 GiB', () => {
    const xen = boot('xen');
    xen.map(0, 0x200, 512);
    xen.poke(0, 2, XD | 0xffe0_0000n | PAT_12 | 0x1e3n);
    mapPages(xen.mm, xen.directmap + 5, 0x205, 1, PAGE_HYPERVISOR);
    expect(xen.mapped().at(-1)).toBe('0x6: 506 x 4K -> 0xffe07 RW');
  });

  it('18: pagewalk: moves when modify splits, too', () => {
    const xen = wc2m('pagewalk');
    xen.modify(5, 6, PAGE_HYPERVISOR_RO);
    expect([found(xen, 5), xen.read(5), xen.canWrite(5)]).toEqual([[4096, 4], 0x205, false]);
    expect([found(xen, 6), xen.read(6), xen.canWrite(6)]).toEqual([[4096, 4], 0x206, true]);
  });

  it('18: pagewalk: a WC request finds the WC superpage that says the same; xen: splits it', () => {
    const same = wc2m('pagewalk');
    same.map(5, 0x205, 1, PAGE_HYPERVISOR_WC);
    expect([same.mm.splits, found(same, 5)]).toEqual([0, [2 ** 21, 4]]);
    const xen = wc2m('xen');
    mapPages(xen.mm, xen.directmap + 5, 0x205, 1, PAGE_HYPERVISOR_WC);
    expect(xen.mm.splits).toBe(1);
  });

  it('18: pagewalk: the frame behind a WC superpage is its first frame, not PAT', () => {
    const xen = wc2m('pagewalk');
    xen.map(0, 0x200, 512, PAGE_HYPERVISOR_WC);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 WC']);
  });

  it('18: a uniform run of WC pages coalesces to 2 MiB and 1 GiB with PAT in bit 12, and splits back', () => {
    const xen = boot({ behaviour: { coalesce: 'uniform' }, heapFrames: 1024 });
    xen.map(0, G1, G1, PAGE_HYPERVISOR_WC);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x40000 WC']);
    expect(xen.entry(0, 3)).toBe(XD | 0x4000_0000n | PAT_12 | 0x1e3n);
    xen.map(1, G1 + 1, 1, PAGE_HYPERVISOR_UC);
    expect(xen.mapped()).toEqual([
      '0x0: 1 x 4K -> 0x40000 WC',
      '0x1: 1 x 4K -> 0x40001 UC',
      '0x2: 510 x 4K -> 0x40002 WC',
      '0x200: 511 x 2M -> 0x40200 WC',
    ]);
    xen.map(1, G1 + 1, 1, PAGE_HYPERVISOR_WC);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x40000 WC']);
  });

  it('18: where PAT stays in place, no run of WC pages becomes a superpage', () => {
    const xen = boot({ behaviour: { coalesce: 'uniform', pat: 'verbatim' } });
    xen.mapEach(0, 0x200, M2, PAGE_HYPERVISOR_WC);
    mapPages(xen.mm, xen.directmap + 5, 0x205, 1, PAGE_HYPERVISOR);
    expect([xen.read(4), xen.read(6)]).toEqual([0x204, 0x206]);
  });

  it('18: leaves with PAT do not coalesce with leaves without', () => {
    const xen = boot({ behaviour: { coalesce: 'uniform' } });
    xen.map(0, 0, G1);
    xen.map(0, 0, 512, PAGE_HYPERVISOR_WC);
    xen.map(M2, M2, 512);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x0 WC', '0x200: 511 x 2M -> 0x200 RW']);
  });
});
