import { describe, expect, it } from 'vitest';
import { type CacheOptions, Machine } from '../../src/index.ts';
import { ALL, Guest, PS } from '../support/guest.ts';

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
