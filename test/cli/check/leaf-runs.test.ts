import { describe, expect, it } from 'vitest';
import { LeafLister } from '../../../src/cli/check/leaf-runs.ts';
import { MAP_SMALL_PAGES, mapPages, PAGE_HYPERVISOR, Xen } from '../../../src/hypervisor/index.ts';
import { Machine } from '../../../src/index.ts';
import { flagsOf } from '../../../src/mmu/entry.ts';

const TOP = 0xf_fff8_3000_0000;

describe('LeafLister', () => {
  const machine = new Machine({ memory: { size: 16 << 20 }, features: { maxPhyAddr: 52 } });
  const xen = new Xen(machine, { heap: { start: 8 << 20, size: 4 << 20 } });
  const cpu = machine.cpus[0]!;
  cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const mm = xen.on(0);
  mapPages(mm, 3, 7, 3000, 0x163);
  mapPages(mm, 2 ** 35 - 2, 2 ** 30, 2, 0x163);
  mapPages(mm, TOP + 0x3ff00, 2 ** 20 - 0x100, 0x8200, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
  mapPages(mm, TOP + 0x10_0000, 2 ** 39, 0x8_0000, PAGE_HYPERVISOR);
  mapPages(mm, TOP + 0x10_0000, 2 ** 39 + 1, 1, PAGE_HYPERVISOR);
  const { runs, tables } = new LeafLister(machine.memory).list(xen.root);

  it('lists the same leaves as the CPU', () => {
    const listed = runs.flatMap(({ page, mfn, pages, level, flags }) => {
      const size = 512 ** (level - 1);
      return Array.from({ length: pages / size }, (_, nth) => [page + nth * size, mfn + nth * size, level, flags]);
    });
    const expected = [...cpu.leaves()].map(({ page, frame, level, lo, hi }) => [
      page >= 2 ** 35 ? page + 2 ** 52 - 2 ** 36 : page,
      frame,
      level,
      flagsOf(lo, hi),
    ]);
    expect(listed).toEqual(expected);
    expect(listed.length).toBeGreaterThan(30_000);
  });

  it('counts the tables', () => expect(tables).toBe(1 + mm.heap.allocations - mm.heap.frees));

  it('merges what continues, over the ends of tables too, and nothing else', () => {
    expect(runs.length).toBeLessThan(20);
    for (const [nth, next] of runs.entries()) {
      const run = runs[nth - 1];
      if (run === undefined || run.level !== next.level || run.flags !== next.flags) continue;
      expect([run.page + run.pages, run.mfn + run.pages]).not.toEqual([next.page, next.mfn]);
    }
  });
});
