import { describe, expect, it } from 'vitest';
import {
  FLUSH_TLB_GLOBAL,
  lookUp,
  MAP_SMALL_PAGES,
  mapPagesToXen,
  modifyXenMappingsLite,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RX,
  PAGE_HYPERVISOR_UC,
  Xen,
  type XenMm,
} from '../../src/hypervisor/index.ts';
import { Machine } from '../../src/index.ts';
import { A, D, NX, PS, RW } from '../../src/mmu/entry.ts';

// Xen's image: 2 MiB in small pages, then two superpages.
const SMALL = 0xffff_82d0_4020_0000n;
const LARGE = SMALL + 0x20_0000n;
const END = LARGE + 0x40_0000n;
const FRAME = 0x400;
const RW_SMALL = PAGE_HYPERVISOR | MAP_SMALL_PAGES;
const RX_SMALL = PAGE_HYPERVISOR_RX | MAP_SMALL_PAGES;
const RW_LARGE = PAGE_HYPERVISOR | PS;
const RX_LARGE = PAGE_HYPERVISOR_RX | PS;

function imageMm(behaviour: 'xen' | 'pagewalk'): XenMm {
  const machine = new Machine({ memory: { size: 16 << 20 } });
  const xen = new Xen(machine, { heap: { start: 8 << 20, size: 1 << 20 }, behaviour, checks: 'full' });
  machine.cpus[0]!.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
  const mm = xen.on(0);
  mapPagesToXen(mm, SMALL, FRAME, 512, RW_SMALL);
  mapPagesToXen(mm, LARGE, FRAME + 512, 1024, PAGE_HYPERVISOR);
  return mm;
}

/** Level, frame and flags of the entry that maps an address. */
function leaf(mm: XenMm, address: bigint): [number, number, number] {
  const { table, index, level } = lookUp(mm, address);
  const flags = mm.tables.read(table * 512 + index);
  return [level, mm.tables.frame, flags];
}

describe.each(['xen', 'pagewalk'] as const)('modifyXenMappingsLite, behaviour %s', (behaviour) => {
  it('changes the pages from s to e and no other', () => {
    const mm = imageMm(behaviour);
    modifyXenMappingsLite(mm, SMALL + 0x1000n, SMALL + 0x3000n, PAGE_HYPERVISOR_RX);
    expect(leaf(mm, SMALL)).toEqual([1, FRAME, RW_SMALL]);
    expect(leaf(mm, SMALL + 0x1000n)).toEqual([1, FRAME + 1, RX_SMALL]);
    expect(leaf(mm, SMALL + 0x2000n)).toEqual([1, FRAME + 2, RX_SMALL]);
    expect(leaf(mm, SMALL + 0x3000n)).toEqual([1, FRAME + 3, RW_SMALL]);
  });

  it('keeps the frame, G and the memory type; A, D, RW and NX are as asked', () => {
    const mm = imageMm(behaviour);
    mapPagesToXen(mm, SMALL, FRAME, 1, PAGE_HYPERVISOR_UC);
    modifyXenMappingsLite(mm, SMALL, SMALL + 1n, PAGE_HYPERVISOR_RX & ~A);
    expect(leaf(mm, SMALL)).toEqual([1, FRAME, PAGE_HYPERVISOR_UC & ~(NX | RW | D | A)]);
  });

  it('changes all of the page that e ends in, small or large', () => {
    const mm = imageMm(behaviour);
    modifyXenMappingsLite(mm, SMALL, SMALL + 0x1001n, PAGE_HYPERVISOR_RX);
    expect(leaf(mm, SMALL + 0x1000n)).toEqual([1, FRAME + 1, RX_SMALL]);
    expect(leaf(mm, SMALL + 0x2000n)).toEqual([1, FRAME + 2, RW_SMALL]);
    modifyXenMappingsLite(mm, LARGE, LARGE + 0x1000n, PAGE_HYPERVISOR_RX);
    expect(leaf(mm, LARGE)).toEqual([2, FRAME + 512, RX_LARGE]);
    expect(leaf(mm, LARGE + 0x20_0000n)).toEqual([2, FRAME + 1024, RW_LARGE]);
    expect(mm.splits).toBe(0);
  });

  it('goes on from the last page of a table into the superpages behind it', () => {
    const mm = imageMm(behaviour);
    modifyXenMappingsLite(mm, LARGE - 0x2000n, END, PAGE_HYPERVISOR_RX);
    expect(leaf(mm, LARGE - 0x3000n)).toEqual([1, FRAME + 509, RW_SMALL]);
    expect(leaf(mm, LARGE - 0x2000n)).toEqual([1, FRAME + 510, RX_SMALL]);
    expect(leaf(mm, LARGE - 0x1000n)).toEqual([1, FRAME + 511, RX_SMALL]);
    expect(leaf(mm, LARGE)).toEqual([2, FRAME + 512, RX_LARGE]);
    expect(leaf(mm, END - 1n)).toEqual([2, FRAME + 1024, RX_LARGE]);
  });

  it('takes no lock, allocates nothing, flushes nothing: the old rights stay cached', () => {
    const mm = imageMm(behaviour);
    const { cpu, heap, flush } = mm;
    const before = [heap.allocations, heap.frees, flush.requests];
    cpu.long.write32(LARGE, 1);
    const operations = new Set<string>();
    const observer = {
      enter: (name: string) => operations.add(name) === undefined,
      leave: () => {},
      value: 0,
      frame: 0,
    };
    mm.observer = observer;
    modifyXenMappingsLite(mm, SMALL, END, PAGE_HYPERVISOR_RX);
    mm.observer = null;
    expect([...operations].sort()).toEqual(['read', 'write']);
    expect([heap.allocations, heap.frees, flush.requests]).toEqual(before);
    cpu.long.write32(LARGE, 2);
    flush.all(0, FLUSH_TLB_GLOBAL);
    expect(() => cpu.long.write32(LARGE, 3)).toThrow('#PF(3)');
  });

  it('leaves tables that a later mapping coalesces and frees', () => {
    const mm = imageMm(behaviour);
    mapPagesToXen(mm, SMALL, FRAME, 512, PAGE_HYPERVISOR_RX);
    mapPagesToXen(mm, SMALL, FRAME, 511, PAGE_HYPERVISOR);
    modifyXenMappingsLite(mm, SMALL, LARGE, PAGE_HYPERVISOR);
    const frees = mm.heap.frees;
    mapPagesToXen(mm, LARGE - 0x1000n, FRAME + 511, 1, PAGE_HYPERVISOR);
    expect(leaf(mm, SMALL)).toEqual([2, FRAME, RW_LARGE]);
    expect(mm.heap.frees).toBe(frees + 1);
  });

  it('does nothing where e is not behind s', () => {
    const mm = imageMm(behaviour);
    modifyXenMappingsLite(mm, LARGE, LARGE, PAGE_HYPERVISOR_RX);
    modifyXenMappingsLite(mm, LARGE, SMALL, PAGE_HYPERVISOR_RX);
    expect(leaf(mm, LARGE)).toEqual([2, FRAME + 512, RW_LARGE]);
  });

  it.each<[string, bigint, bigint, number, string]>([
    ['flags without P', SMALL, LARGE, 0, 'lack P'],
    ['a start inside a small page', SMALL + 1n, LARGE, PAGE_HYPERVISOR, 'not aligned'],
    ['a start inside a superpage', LARGE + 0x1000n, END, PAGE_HYPERVISOR, 'inside a superpage'],
    ['a hole', SMALL - 0x1000n, LARGE, PAGE_HYPERVISOR, 'nothing is mapped'],
    ['a hole behind the image', LARGE, END + 1n, PAGE_HYPERVISOR, 'nothing is mapped'],
    ['a range that begins below the image', 0xffff_82d0_3fff_f000n, LARGE, PAGE_HYPERVISOR, 'not within'],
    ['a range that ends above it', SMALL, 0xffff_82d0_8000_0001n, PAGE_HYPERVISOR, 'not within'],
  ])('is a bug with %s', (_, s, e, nf, message) => {
    const mm = imageMm(behaviour);
    expect(() => modifyXenMappingsLite(mm, s, e, nf)).toThrow(message);
  });

  it('is a bug where a 1 GiB page maps the image', () => {
    const mm = imageMm(behaviour);
    mapPagesToXen(mm, 0xffff_82d0_4000_0000n, 0, 0x4_0000, PAGE_HYPERVISOR);
    expect(() => modifyXenMappingsLite(mm, SMALL, LARGE, PAGE_HYPERVISOR)).toThrow('a superpage of level 3');
  });
});
