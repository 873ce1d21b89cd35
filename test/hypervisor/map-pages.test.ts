import { describe, expect, it } from 'vitest';
import { mapPagesToXen, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO, Xen } from '../../src/hypervisor/index.ts';
import { Machine } from '../../src/index.ts';

const DIRECTMAP = '0xffff830000000000';

describe('mapPagesToXen', () => {
  it('maps, splits and coalesces, and the CPU sees it', () => {
    const machine = new Machine({ memory: { size: 16 << 20 } });
    const xen = new Xen(machine, { heap: { start: 8 << 20, size: 1 << 20 }, checks: 'full' });
    const [cpu] = machine.cpus;
    cpu!.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
    const mm = xen.on(0);
    expect(mapPagesToXen(mm, DIRECTMAP, 0, 0x40000, PAGE_HYPERVISOR)).toBe(0);
    expect([mm.heap.allocations, mm.heap.frees]).toEqual([1, 0]);
    cpu!.long.write32('0xffff830000001000', 7);
    expect(mapPagesToXen(mm, '0xffff830000001000', 1, 1, PAGE_HYPERVISOR_RO)).toBe(0);
    expect([mm.heap.allocations, mm.heap.frees, mm.splits]).toEqual([3, 0, 2]);
    expect(() => cpu!.long.write32('0xffff830000001000', 8)).toThrow('#PF(3)');
    expect(mapPagesToXen(mm, '0xffff830000001000', 1, 1, PAGE_HYPERVISOR)).toBe(0);
    expect([mm.heap.allocations, mm.heap.frees, mm.coalesces]).toEqual([3, 2, 2]);
    cpu!.long.write32('0xffff830000001000', 8);
    expect(machine.host.read32(0x1000)).toBe(8);
  });
});
