import { describe, expect, it } from 'vitest';
import { type CacheOptions, Machine } from '../../src/index.ts';
import { A, ALL, D, Guest, PS, ROOT } from '../support/guest.ts';

describe('cache options', () => {
  it.each<[CacheOptions]>([
    [{ tlb: 3 }],
    [{ tlbLarge: 6 }],
    [{ tlbHuge: 1.5 }],
    [{ structures: -1 }],
    [{ tlb: Number.NaN }],
  ])('refuse %j', (caches) => {
    expect(() => new Machine({ memory: { size: 4096 }, caches })).toThrow(RangeError);
  });

  it('keep everything: 10,000 pages stay, and INVLPG alone removes one', () => {
    const guest = new Guest({ memory: { sparse: {} }, caches: { tlb: 'everything', structures: 'everything' } });
    for (let page = 0n; page < 10_000n; page++) guest.map(page << 12n, (page << 12n) | ALL);
    const { cpu } = guest;
    for (let page = 0; page < 10_000; page++) cpu.translate(page << 12, 0);
    cpu.counters.reset();
    for (let page = 0; page < 10_000; page++) cpu.translate(page << 12, 0);
    expect([cpu.counters.hits, cpu.counters.misses]).toEqual([10_000, 0]);
    cpu.invlpg(0x5000, 0);
    expect(cpu.snapshot().tlb).toHaveLength(9999);
  });

  /** 10,000 pages, all onto the 16 frames from 3 MiB on. */
  const manyPages = (caches: CacheOptions): Guest => {
    const guest = new Guest({ caches });
    for (let page = 0n; page < 10_000n; page++) guest.map(page << 12n, ((0x300n + (page % 16n)) * 4096n) | ALL | A | D);
    for (let frame = 0; frame < 16; frame++) guest.machine.host.write32((0x300 + frame) * 4096, frame);
    return guest;
  };
  const walksOver = ({ cpu }: Guest, access: (lo: number, page: number) => void): number => {
    cpu.counters.reset();
    for (let page = 0; page < 10_000; page++) access(page << 12, page);
    return cpu.counters.walks;
  };

  it.each<[string, CacheOptions]>([
    ['hit views', {}],
    ['no hit views', { hitViews: 'off' }],
    ['random replacement', { replacement: 'random' }],
  ])('grow with what is used, where nothing is said: %s', (_what, caches) => {
    const guest = manyPages(caches);
    const { cpu } = guest;
    const read = (lo: number, page: number): void => expect(cpu.read32(lo, 0)).toBe(page % 16);
    const walks = [1, 2, 3, 4].map(() => walksOver(guest, read));
    expect([walks[0], walks[3]]).toEqual([10_000, 0]);
    expect(walksOver(guest, (lo) => expect(cpu.fetch32(lo, 0)).toBe((lo >>> 12) % 16))).toBe(0);
    expect(walksOver(guest, (lo, page) => cpu.write32(lo, 0, page))).toBe(0);
    // What is dropped is gone from all that has grown.
    guest.map(0x123_4000n, 0x30f_000n | ALL | A | D);
    cpu.invlpg(0x123_4000, 0);
    const last = cpu.read32(0x30f_000, 0); // another name of the frame
    for (let flushes = 0; flushes < 1100; flushes++) {
      expect([cpu.read32(0x123_4000, 0), cpu.fetch32(0x123_4000, 0)]).toEqual([last, last]);
      cpu.setCr3(ROOT * 4096, 0); // more often than views have keys before they move
    }
    expect(walksOver(guest, (lo) => cpu.read32(lo, 0))).toBe(10_000);
  });

  it('do not grow past what is said', () => {
    const guest = manyPages({ tlb: 4096 });
    for (let time = 0; time < 5; time++) walksOver(guest, (lo) => guest.cpu.read32(lo, 0));
    expect(guest.cpu.snapshot().tlb).toHaveLength(4096);
  });

  it('grow as large as a snapshot that is restored', () => {
    const guest = manyPages({});
    for (let time = 0; time < 3; time++) walksOver(guest, (lo) => guest.cpu.read32(lo, 0));
    const other = manyPages({});
    other.cpu.restore(guest.cpu.snapshot());
    expect(other.cpu.snapshot().tlb).toHaveLength(10_000);
    expect(walksOver(other, (lo, page) => expect(other.cpu.read32(lo, 0)).toBe(page % 16))).toBe(0);
  });

  it('hold as many entries as they say', () => {
    const guest = new Guest({ caches: { tlb: 16, structures: 1 } });
    for (let page = 0n; page < 64n; page++) guest.map(page << 21n, ALL);
    for (let page = 0; page < 64; page++) expect(guest.cpu.translate(page << 21, 0)).toBe(0);
    const { tlb, structures } = guest.cpu.snapshot();
    expect([tlb.length, structures.length]).toEqual([16, 3]);
  });

  it.each<[string, CacheOptions, number]>([
    ['tlb: off', { tlb: 'off' }, 1],
    ['tlb: off', { tlb: 'off' }, 2],
    ['tlb: 0', { tlb: 0 }, 1],
    ['tlbLarge: 0', { tlbLarge: 0 }, 2],
    ['tlbHuge: 0', { tlbHuge: 0 }, 3],
  ])('without a TLB every access walks: %s', (_what, options, level) => {
    const guest = new Guest({ caches: { ...options, structures: 'off' } }).map(
      0x4000_0000n,
      level === 1 ? ALL : ALL | PS,
      level,
    );
    const { cpu } = guest;
    cpu.counters.reset();
    for (let time = 0; time < 3; time++) cpu.read32(0x4000_0000, 0);
    expect([cpu.counters.walks, cpu.snapshot().tlb]).toEqual([3, []]);
  });

  it.each<[CacheOptions]>([[{}], [{ tlbLarge: 0 }], [{ tlb: 'off' }], [{ hitViews: 'off' }]])(
    'leave nothing behind after INVLPG, whatever part of a large page it names: %j',
    (caches) => {
      const guest = new Guest({ caches }).map(0n, ALL | PS, 2);
      const { cpu } = guest;
      for (const _ of [1, 2])
        expect([cpu.read8(0x5000, 0), cpu.read8(0x6000, 0), cpu.fetch8(0x7000, 0)]).toEqual([0, 0, 0]);
      guest.machine.host.write64(guest.entryAddress(0n, 2), 0);
      cpu.invlpg(0x1000, 0);
      const faults = [0x5000, 0x6000, 0x1000].map((lo) => [cpu.read8(lo, 0), cpu.faulted]);
      expect(faults).toEqual([
        [0, 14],
        [0, 14],
        [0, 14],
      ]);
      expect([cpu.fetch8(0x7000, 0), cpu.faulted]).toEqual([0, 14]);
    },
  );
});
