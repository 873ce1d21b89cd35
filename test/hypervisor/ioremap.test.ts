import { describe, expect, it } from 'vitest';
import {
  ioremap,
  ioremapWc,
  iounmap,
  mapPagesToXen,
  PAGE_HYPERVISOR,
  type VmapAreas,
  vmapAreas,
  vmapToMfn,
  vmInit,
} from '../../src/hypervisor/index.ts';
import { type Booted, boot } from '../support/hypervisor.ts';

const DEVICE = 0xf_e000_0000;

interface WithDevice extends Booted {
  readonly areas: VmapAreas;
  /** What was read and written, by offset. */
  readonly log: string[];
}

function bootDevice(): WithDevice {
  const booted = boot();
  const log: string[] = [];
  booted.machine.memory.addDevice(DEVICE, 0x4000, {
    read(offset) {
      log.push(`read ${offset.toString(16)}`);
      return offset;
    },
    write(offset, _size, value) {
      log.push(`write ${offset.toString(16)} ${value}`);
    },
  });
  const areas = vmapAreas({ shared: false });
  vmInit(booted.mm, areas);
  return Object.assign(booted, { areas, log });
}

describe('ioremap', () => {
  it('maps a device uncached, by UC-', () => {
    const { mm, cpu, log } = bootDevice();
    const registers = ioremap(mm, DEVICE, 0x1000)!;
    expect(registers.toString(16)).toBe('ffff82c000001000');
    expect(registers.unsigned).toBe(true);
    expect(cpu.long.read32(registers.add(0x20))).toBe(0x20);
    cpu.long.write32(registers.add(0x24), 7);
    expect(log).toEqual(['read 20', 'write 24 7']);
    expect(cpu.long.explain(registers).patIndex).toBe(2);
    expect(cpu.long.explain(registers).rights).toBe('-rw-');
  });

  it('adds the offset in the page, and maps each page that a byte lies in', () => {
    const { mm, cpu, areas } = bootDevice();
    const registers = ioremap(mm, DEVICE + 0x1ffc, 8)!;
    expect(registers.toString(16)).toBe('ffff82c000001ffc');
    expect([0, 4].map((offset) => cpu.long.read32(registers.add(offset)))).toEqual([0x1ffc, 0x2000]);
    expect(areas.default.usedPages(mm)).toBe(2);
    expect(vmapToMfn(mm, registers.add(4))).toBe(DEVICE / 4096 + 2);
    ioremap(mm, DEVICE + 0x1ffc, 4);
    expect(areas.default.usedPages(mm)).toBe(3);
  });

  it('adds no offset to a failure', () => {
    const { mm, areas } = bootDevice();
    mm.heap.budget = 0;
    expect(ioremap(mm, DEVICE + 0x10, 4)).toBeUndefined();
    expect(ioremapWc(mm, DEVICE + 0x10, 4)).toBeUndefined();
    expect(areas.default.usedPages(mm)).toBe(0);
  });

  it('returns the directmap address of what lies below 1 MiB', () => {
    const { mm, cpu, areas } = bootDevice();
    mapPagesToXen(mm, '0xffff830000000000', 0, 256, PAGE_HYPERVISOR);
    const { allocations } = mm.heap;
    const text = ioremap(mm, 0xb_8000, 0x4_8000)!;
    expect(text.toString(16)).toBe('ffff8300000b8000');
    expect(cpu.long.read32(text)).toBe(0xb8);
    expect(ioremap(mm, 5, 1)!.toString(16)).toBe('ffff830000000005');
    expect([areas.default.usedPages(mm), mm.heap.allocations]).toEqual([0, allocations]);
    // One byte more lies above.
    expect(ioremap(mm, 0xb_8000, 0x4_8001)!.toString(16)).toBe('ffff82c000001000');
    expect(areas.default.usedPages(mm)).toBe(0x49);
  });

  it('takes bytes of physical memory only', () => {
    const { mm } = bootDevice();
    for (const bytes of [0, -1, 1.5, Number.NaN])
      expect(() => ioremap(mm, DEVICE, bytes)).toThrow('device memory has at least one byte');
    expect(() => ioremapWc(mm, '0x10000000000000', 4)).toThrow(
      'not a physical address (0 to 2^52 - 1): 0x10000000000000',
    );
  });
});

describe('ioremapWc', () => {
  it('maps write-combining, by 4 KiB pages', () => {
    const { mm, cpu } = bootDevice();
    const frames = ioremapWc(mm, DEVICE + 8, 0x40_0000)!;
    expect(frames.toString(16)).toBe('ffff82c000001008');
    for (const offset of [0, 0x1f_f000, 0x3f_f000]) {
      const { patIndex, pageSize } = cpu.long.explain(frames.add(offset));
      expect([patIndex, pageSize]).toEqual([4, 4096]);
    }
  });

  it('maps what lies below 1 MiB too: the directmap is not write-combining', () => {
    const { mm, cpu } = bootDevice();
    const text = ioremapWc(mm, 0xa_0000, 0x1000)!;
    expect(text.toString(16)).toBe('ffff82c000001000');
    expect(cpu.long.read32(text)).toBe(0xa0);
  });
});

describe('iounmap', () => {
  it('unmaps by the address that ioremap gave, offset and all', () => {
    const booted = bootDevice();
    const { mm, cpu, areas } = booted;
    const registers = ioremap(mm, DEVICE + 0x1ffc, 8)!;
    cpu.long.read32(registers);
    expect(iounmap(mm, registers)).toBe('unmapped');
    expect(() => cpu.long.read32(registers)).toThrow('#PF(0)');
    expect(areas.default.usedPages(mm)).toBe(0);
    expect(booted.problems()).toEqual([]);
  });

  it('leaves what is always mapped', () => {
    const { mm, cpu } = bootDevice();
    mapPagesToXen(mm, '0xffff830000000000', 0, 512, PAGE_HYPERVISOR);
    expect(iounmap(mm, ioremap(mm, 0xb_8004, 4))).toBe('always mapped');
    expect(cpu.long.read32('0xffff8300000b8000')).toBe(0xb8);
    expect(iounmap(mm, '0xffff830000100000')).toBe('no area');
    expect(cpu.long.read32('0xffff830000100000')).toBe(0x100);
  });

  it('does nothing for NULL, and finds no area the second time', () => {
    const { mm } = bootDevice();
    const registers = ioremap(mm, DEVICE, 4);
    expect(iounmap(mm, undefined)).toBe('null');
    expect(iounmap(mm, 0x10)).toBe('null');
    expect(iounmap(mm, registers)).toBe('unmapped');
    expect(iounmap(mm, registers)).toBe('no area');
  });
});
