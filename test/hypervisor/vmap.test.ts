import fc from 'fast-check';
import type Long from 'long';
import { describe, expect, it } from 'vitest';
import {
  type BehaviourName,
  INVALID_MFN,
  mapPagesToXen,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_WC,
  shareVmap,
  VMAP,
  VMAP_DEFAULT,
  VMAP_XEN,
  type VmapAreas,
  vmap,
  vmapAreas,
  vmapChunks,
  vmapToMfn,
  vmInit,
  vunmap,
  type XenMm,
  xenMapToMfn,
} from '../../src/hypervisor/index.ts';
import { NO_AREA, VmapArea } from '../../src/hypervisor/vmap-area.ts';
import { type Booted, type BootOptions, boot, G1, M2, PRESETS } from '../support/hypervisor.ts';

interface Vmapped extends Booted {
  readonly areas: VmapAreas;
}

/** A machine whose CPUs share vmap areas, and the L3 table of the VMAP region, as Xen has it from the start. */
function bootVmap(options: BootOptions | BehaviourName = {}): Vmapped {
  const booted = boot(options);
  const areas = vmapAreas({ shared: false });
  for (const mm of booted.mms) vmInit(mm, areas);
  return Object.assign(booted, { areas });
}

const hex = (address: Long | undefined): string | undefined => address?.toString(16);
/** What the CPUs find at the start of each page. */
const frames = ({ cpus }: Booted, address: Long, pages: number, cpu = 0): number[] =>
  Array.from({ length: pages }, (_, nth) => cpus[cpu]!.long.read32(address.add(4096 * nth)));
const isHole = ({ cpus }: Booted, address: Long, cpu = 0): boolean => cpus[cpu]!.long.probe(address) === undefined;

describe('vmap', () => {
  it('maps frames from anywhere, one after another, behind a guard page', () => {
    const booted = bootVmap();
    const area = vmap(booted.mm, [0x30, 7, 0x200])!;
    expect(hex(area)).toBe('ffff82c000001000');
    expect(area.unsigned).toBe(true);
    expect(frames(booted, area, 3)).toEqual([0x30, 7, 0x200]);
    booted.cpu.long.write32(area.add(4100), 5);
    expect(booted.machine.host.read32(7 * 4096 + 4)).toBe(5);
    expect(booted.problems()).toEqual([]);
  });

  it('maps chunks of several frames', () => {
    const booted = bootVmap();
    const area = vmap(booted.mm, [0x30, 0x10], 3)!;
    expect(frames(booted, area, 6)).toEqual([0x30, 0x31, 0x32, 0x10, 0x11, 0x12]);
  });

  it('maps with the flags, in the region and at the alignment asked for', () => {
    const booted = bootVmap();
    const { mm, cpu } = booted;
    const code = vmapChunks(mm, [5], 1, 1, PAGE_HYPERVISOR_RO, VMAP_XEN)!;
    expect(hex(code)).toBe('ffff82d041001000');
    expect(() => cpu.long.write32(code, 1)).toThrow('#PF(3)');
    const at = (align: number): string => hex(vmapChunks(mm, [5], 1, align, PAGE_HYPERVISOR, VMAP_DEFAULT))!;
    expect(at(0)).toBe('ffff82c000001000');
    expect(at(1)).toBe('ffff82c000003000');
    expect(at(16)).toBe('ffff82c000010000');
    // No power of two: its lowest bit set counts.
    expect(at(56)).toBe('ffff82c000008000');
    expect(at(M2)).toBe('ffff82c000200000');
    expect(at(1)).toBe('ffff82c000005000');
  });

  it('takes the first fit', () => {
    const { mm } = bootVmap();
    const areas = [2, 1, 3, 1].map((pages) => vmap(mm, [0x10], pages)!);
    expect(areas.map(hex)).toEqual(['ffff82c000001000', 'ffff82c000004000', 'ffff82c000006000', 'ffff82c00000a000']);
    vunmap(mm, areas[1]);
    vunmap(mm, areas[2]);
    // Pages 3 to 9 are free: the guard page of the one area, and all up to the guard page of the other.
    expect(hex(vmap(mm, [0x10], 6))).toBe('ffff82c00000c000');
    expect(hex(vmap(mm, [0x10], 5))).toBe('ffff82c000004000');
  });

  it('is undefined where there is no room, and a RangeError for no page', () => {
    const { mm, areas } = bootVmap();
    const big = (): Long | undefined => vmapChunks(mm, [0], 300 * M2, M2, PAGE_HYPERVISOR, VMAP_XEN);
    expect(hex(big())).toBe('ffff82d041200000');
    expect(big()).toBeUndefined();
    expect(areas.xen.usedPages(mm)).toBe(300 * M2);
    expect(() => vmap(mm, [])).toThrow(RangeError);
    expect(() => vmap(mm, [1], 0)).toThrow(RangeError);
  });

  it('ends below the fixmap, and below the stubs of the CPUs', () => {
    const { areas } = bootVmap();
    expect(areas.default.region.end * 4096).toBe(0xffff_82cf_ffdf_f000);
    expect(areas.xen.region.end * 4096).toBe(0xffff_82d0_7ffc_f000);
  });

  it.each(PRESETS)(
    'case 75: contiguous frames become superpages, and the frame of each page is known, %s',
    (behaviour) => {
      const booted = bootVmap(behaviour);
      const { mm, cpu } = booted;
      // Frame by frame, at an aligned address: coalesced.
      const small = vmapChunks(
        mm,
        Array.from({ length: M2 }, (_, nth) => 0x200 + nth),
        1,
        M2,
        PAGE_HYPERVISOR,
        VMAP_DEFAULT,
      )!;
      expect(cpu.long.explain(small).pageSize).toBe(2 << 20);
      // In chunks of 1 GiB of frames that need not be RAM.
      const large = vmap(mm, [G1], 3)!;
      const huge = vmapChunks(mm, [7 * G1], G1, G1, PAGE_HYPERVISOR, VMAP_DEFAULT)!;
      expect(cpu.long.explain(huge).pageSize).toBe(1 << 30);
      for (const [area, first, page] of [
        ...[0, 1, 511].map((page) => [small, 0x200, page] as const),
        ...[0, 1, 2].map((page) => [large, G1, page] as const),
        ...[0, 1, 511, 512, G1 - 1].map((page) => [huge, 7 * G1, page] as const),
      ]) {
        const address = area.add(4096 * page + 5);
        expect(xenMapToMfn(mm, address)).toBe(first + page);
        expect(vmapToMfn(mm, address)).toBe(first + page);
        expect(cpu.long.translate(address).toNumber()).toBe((first + page) * 4096 + 5);
      }
      expect(vmapToMfn(mm, small.sub(1))).toBe(INVALID_MFN);
      for (const area of [small, large, huge]) expect(vunmap(mm, area)).toBe('unmapped');
      expect(booted.problems()).toEqual([]);
    },
  );

  it('never makes a superpage of WC', () => {
    const { mm, cpu } = bootVmap();
    const area = vmapChunks(mm, [0x200], M2, M2, PAGE_HYPERVISOR_WC, VMAP_DEFAULT)!;
    expect(cpu.long.explain(area).pageSize).toBe(4096);
    expect(cpu.long.explain(area).patIndex).toBe(4);
  });

  it.each(['xen', 'pagewalk', 'rollback'] as const)(
    'case 77: a failure in the middle releases everything, at every allocation, %s',
    (behaviour) => {
      // Chunks that begin and end in each of three L1 tables.
      const mfns = [0x10, 0x90, 0x20, 0x110, 0x30, 0x180];
      const pages = mfns.flatMap((mfn) => Array.from({ length: 172 }, (_, nth) => mfn + nth));
      let failures = 0;
      for (let budget = 0; ; budget++) {
        const booted = bootVmap({ behaviour: behaviour === 'rollback' ? { onFailure: 'rollback' } : behaviour });
        const { mm, areas } = booted;
        mm.heap.budget = budget;
        const area = vmap(mm, mfns, 172);
        mm.heap.budget = -1;
        if (area !== undefined) {
          expect(frames(booted, area, pages.length)).toEqual(pages);
          break;
        }
        failures += 1;
        expect(areas.default.usedPages(mm)).toBe(0);
        expect([...booted.cpu.leaves()]).toEqual([]);
        expect(booted.problems()).toEqual([]);
        const next = vmap(mm, mfns, 172)!;
        expect(hex(next)).toBe('ffff82c000001000');
        expect(frames(booted, next, pages.length)).toEqual(pages);
      }
      expect(failures).toBe(5);
    },
  );

  it('case 77: no area begins any more where one failed', () => {
    const { mm } = bootVmap();
    mm.heap.budget = 0;
    expect(vmapChunks(mm, [1], 1, 16, PAGE_HYPERVISOR, VMAP_DEFAULT)).toBeUndefined();
    mm.heap.budget = -1;
    const area = vmap(mm, [1], 40)!;
    expect(vunmap(mm, area.add(15 * 4096))).toBe('no area');
    expect(vunmap(mm, area)).toBe('unmapped');
  });

  it('case 77: what strict mode refuses releases everything', () => {
    const { mm, cpu, areas } = bootVmap({ behaviour: { requests: 'strict' } });
    expect(vmap(mm, [1, 2 ** 40])).toBeUndefined();
    expect(areas.default.usedPages(mm)).toBe(0);
    expect([...cpu.leaves()]).toEqual([]);
  });

  it('case 78: guard pages fault, before and after each area', () => {
    const booted = bootVmap({ cpus: 2 });
    const areas = [3, 1, 2].map((pages) => vmap(booted.mm, [0x40], pages)!);
    for (const [nth, pages] of [3, 1, 2].entries())
      for (const { long } of booted.cpus) {
        const area = areas[nth]!;
        expect(long.read32(area)).toBe(0x40);
        expect(() => long.read8(area.sub(1))).toThrow('#PF(0)');
        expect(() => long.write8(area.sub(1), 0)).toThrow('#PF(2)');
        expect(() => long.read8(area.add(4096 * pages))).toThrow('#PF(0)');
        expect(() => long.read32(area.add(4096 * pages - 2))).toThrow('#PF(0)');
      }
  });

  it('is a bug before the memory manager was given areas', () => {
    expect(() => vmap(boot().mm, [1])).toThrow('BUG: CPU 0 has no vmap areas');
  });
});

describe('vunmap', () => {
  it.each(PRESETS)('leaves no translation on any CPU, and its tables, behaviour %s', (behaviour) => {
    const booted = bootVmap({ behaviour, cpus: 2 });
    const { mm, areas } = booted;
    const area = vmap(mm, [0x30, 7, 0x200])!;
    for (const cpu of [0, 1]) expect(frames(booted, area, 3, cpu)).toEqual([0x30, 7, 0x200]);
    expect(vunmap(mm, area)).toBe('unmapped');
    expect(booted.problems()).toEqual([]);
    for (const cpu of [0, 1])
      for (const page of [0, 1, 2]) expect(isHole(booted, area.add(4096 * page), cpu)).toBe(true);
    for (const { long } of booted.cpus) expect(() => long.read32(area)).toThrow('#PF(0)');
    expect(areas.default.usedPages(mm)).toBe(0);
    expect(mm.heap.frees).toBe(0);
    const { allocations } = mm.heap;
    const next = vmap(mm, [1, 2, 3])!;
    expect(hex(next)).toBe(hex(area));
    for (const cpu of [0, 1]) expect(frames(booted, next, 3, cpu)).toEqual([1, 2, 3]);
    expect(mm.heap.allocations).toBe(allocations);
  });

  it.each(PRESETS)('frees the table of a whole aligned 2 MiB, behaviour %s', (behaviour) => {
    const booted = bootVmap(behaviour);
    const { mm } = booted;
    // Small pages: their frames are not aligned.
    const area = vmapChunks(mm, [1], M2 + 1, M2, PAGE_HYPERVISOR, VMAP_DEFAULT)!;
    expect(vunmap(mm, area)).toBe('unmapped');
    expect(mm.heap.frees).toBe(1);
    expect(booted.problems()).toEqual([]);
  });

  it('may be called on another CPU than vmap', () => {
    const booted = bootVmap({ cpus: 2 });
    const [mm, other] = booted.mms as [XenMm, XenMm];
    const area = vmap(mm, [0x30])!;
    expect(frames(booted, area, 1)).toEqual([0x30]);
    expect(vunmap(other, area)).toBe('unmapped');
    expect(isHole(booted, area)).toBe(true);
    expect(vunmap(mm, area)).toBe('no area');
    expect(hex(vmap(mm, [1]))).toBe(hex(area));
  });

  it('case 76: a misaligned pointer is refused, and nothing unmapped', () => {
    const booted = bootVmap();
    const area = vmap(booted.mm, [0x30, 0x31])!;
    for (const offset of [1, 8, 0xfff]) expect(vunmap(booted.mm, area.add(offset))).toBe('misaligned');
    expect(frames(booted, area, 2)).toEqual([0x30, 0x31]);
  });

  it('case 76: a pointer into an area, to a guard page or elsewhere is no area, and nothing unmapped', () => {
    const booted = bootVmap();
    const { mm } = booted;
    const area = vmap(mm, [0x30, 0x31])!;
    mapPagesToXen(mm, '0xffff830000000000', 0, 1, PAGE_HYPERVISOR);
    for (const offset of [-4096, 4096, 8192, 12288]) expect(vunmap(mm, area.add(offset))).toBe('no area');
    for (const address of ['0xffff82c000000000', '0xffff82cffffff000', '0xffff830000000000', '0x1000'])
      expect(vunmap(mm, address)).toBe('no area');
    expect(frames(booted, area, 2)).toEqual([0x30, 0x31]);
    expect(booted.read(0)).toBe(0);
  });

  it('case 76: NULL does nothing', () => {
    const { mm } = bootVmap();
    expect(vunmap(mm, undefined)).toBe('null');
    expect(vunmap(mm, 0)).toBe('null');
    expect(mm.flush.requests).toBe(0);
  });

  it('case 76: unmapping twice finds no area the second time, and leaves who lives next to it', () => {
    const booted = bootVmap();
    const { mm } = booted;
    const [first, second, third] = [1, 2, 3].map((mfn) => vmap(mm, [mfn])!) as [Long, Long, Long];
    expect(vunmap(mm, second)).toBe('unmapped');
    expect(vunmap(mm, second)).toBe('no area');
    expect([frames(booted, first, 1), frames(booted, third, 1)]).toEqual([[1], [3]]);
  });

  it('keeps the addresses where unmapping fails, until it succeeds', () => {
    const booted = bootVmap();
    const { mm, areas } = booted;
    const area = vmap(mm, [0x30])!;
    // Somebody maps a superpage over it: unmapping one page of that takes a table.
    expect(mapPagesToXen(mm, '0xffff82c000000000', 0, M2, PAGE_HYPERVISOR)).toBe(0);
    mm.heap.budget = 0;
    expect(vunmap(mm, area)).toBe('failed');
    expect(areas.default.sizeOf(mm, Math.floor(area.shru(12).toNumber()))).toBe(1);
    expect(frames(booted, area, 1)).toEqual([1]);
    mm.heap.budget = -1;
    expect(hex(vmap(mm, [0x31]))).toBe('ffff82c000003000');
    expect(vunmap(mm, area)).toBe('unmapped');
    expect(isHole(booted, area)).toBe(true);
    expect(booted.problems()).toEqual([]);
  });

  it('keeps an area from being taken again while it is unmapped, and from being unmapped twice at once', () => {
    const booted = bootVmap({ cpus: 2 });
    const [mm, other] = booted.mms as [XenMm, XenMm];
    const area = vmap(mm, [0x30])!;
    const recorder = booted.record();
    const meanwhile: unknown[] = [];
    // The entry is gone, the addresses are not free yet.
    recorder.onEnter = (operation) => {
      if (operation === 'shootdown') meanwhile.push(vunmap(other, area), booted.areas.default.reserve(other, 1, 1));
    };
    expect(vunmap(mm, area)).toBe('unmapped');
    expect(meanwhile).toEqual(['no area', VMAP.start + 3]);
    mm.observer = null;
    expect(hex(vmap(mm, [0x31]))).toBe(hex(area));
  });
});

describe('vmapAreas', () => {
  it('opens what another thread has made', () => {
    const booted = bootVmap({ cpus: 2 });
    const [mm, other] = booted.mms as [XenMm, XenMm];
    const areas = vmapAreas({ shared: true });
    vmInit(mm, areas);
    vmInit(other, vmapAreas(structuredClone(shareVmap(areas))));
    const area = vmap(mm, [0x30])!;
    expect(hex(vmap(other, [0x31]))).toBe('ffff82c000003000');
    expect(vunmap(other, area)).toBe('unmapped');
    expect(vunmap(mm, area)).toBe('no area');
  });
});

/** First fit by trying each page; areas as a list. */
class Model {
  readonly areas = new Map<number, number>();
  readonly start: number;
  readonly end: number;

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }

  isFree(page: number): boolean {
    return ![...this.areas].some(([first, pages]) => page >= first && page < first + pages);
  }

  reserve(pages: number, align: number): number {
    for (let first = this.start + 1; first + pages <= this.end; first++) {
      const fits =
        first % align === 0 && Array.from({ length: pages + 2 }).every((_, nth) => this.isFree(first - 1 + nth));
      if (!fits) continue;
      this.areas.set(first, pages);
      return first;
    }
    return NO_AREA;
  }
}

describe('VmapArea', () => {
  it('has room for one page at least, and for no more than it can count', () => {
    expect(() => new VmapArea({ start: 0, end: 1 }, 0, { shared: false })).toThrow(RangeError);
    expect(() => new VmapArea({ start: 0, end: 2 ** 36 }, 0, { shared: false })).toThrow(RangeError);
  });

  it('takes from an observer what happened before, and does not repeat it', () => {
    const { mm } = boot();
    const area = new VmapArea({ start: 0, end: 100 }, 3, { shared: false });
    const asked: unknown[] = [];
    mm.observer = { enter: (...what) => asked.push(what) > 0, leave() {}, value: 7, frame: 0 };
    expect(area.reserve(mm, 5, 1)).toBe(7);
    mm.observer = null;
    expect(asked).toEqual([['step', 3, 5, 0, 0]]);
    expect(area.usedPages(mm)).toBe(0);
  });

  it('gives the same pages as a search page by page', () => {
    const { mm } = boot();
    let given = 0;
    let refused = 0;
    let returned = 0;
    const step = fc.oneof(
      fc.record({ pages: fc.integer({ min: 1, max: 40 }), align: fc.constantFrom(1, 1, 1, 2, 8, 32) }),
      fc.record({ back: fc.nat() }),
      fc.record({ pages: fc.integer({ min: 1, max: 3 }), align: fc.constant(1) }),
    );
    const region = fc.record({ start: fc.integer({ min: 0, max: 70 }), pages: fc.integer({ min: 2, max: 250 }) });
    fc.assert(
      fc.property(region, fc.array(step, { minLength: 20, maxLength: 60 }), ({ start, pages }, steps) => {
        const area = new VmapArea({ start, end: start + pages }, 0, { shared: false });
        const model = new Model(start, start + pages);
        for (const asked of steps) {
          if ('pages' in asked) {
            const first = area.reserve(mm, asked.pages, asked.align);
            expect(first).toBe(model.reserve(asked.pages, asked.align));
            if (first === NO_AREA) refused += 1;
            else given += 1;
          } else if (model.areas.size > 0) {
            const [first, size] = [...model.areas][asked.back % model.areas.size]!;
            expect(area.claim(mm, first)).toBe(size);
            area.release(mm, first, size);
            model.areas.delete(first);
            returned += 1;
          }
        }
        const all = Array.from({ length: pages }, (_, nth) => start + nth);
        expect(all.map((page) => area.sizeOf(mm, page))).toEqual(all.map((page) => model.areas.get(page) ?? 0));
        expect(area.usedPages(mm)).toBe([...model.areas.values()].reduce((sum, size) => sum + size, 0));
      }),
      { numRuns: 60 },
    );
    expect(given).toBeGreaterThan(200);
    expect(refused).toBeGreaterThan(100);
    expect(returned).toBeGreaterThan(100);
  });
});
