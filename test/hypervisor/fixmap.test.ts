import { describe, expect, it } from 'vitest';
import {
  allocStubPage,
  clearFixmap,
  clearFixmapX,
  ENOMEM,
  FIXED_ADDRESSES,
  FIXED_X_ADDRESSES,
  fixToVirt,
  fixXToVirt,
  lookUp,
  MAP_SMALL_PAGES,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RX,
  PAGE_HYPERVISOR_UC,
  setFixmap,
  setFixmapX,
} from '../../src/hypervisor/index.ts';
import { type Booted, boot, PRESETS } from '../support/hypervisor.ts';

/** The flags of the entry for an address. */
function flagsAt({ mm }: Booted, address: Parameters<typeof lookUp>[1]): number {
  const { table, index } = lookUp(mm, address);
  return mm.tables.read(table * 512 + index);
}

describe('the fixmap', () => {
  it('grows down from the top of the VMAP region, the executable one from the top of the image', () => {
    expect(fixToVirt(0).toString(16)).toBe('ffff82cffffff000');
    expect(fixToVirt(1).toString(16)).toBe('ffff82cfffffe000');
    expect(fixToVirt(FIXED_ADDRESSES - 1).toString(16)).toBe('ffff82cfffe00000');
    expect(fixToVirt(0).unsigned).toBe(true);
    expect(fixXToVirt(0).toString(16)).toBe('ffff82d07ffff000');
  });

  it('maps an index to a frame, with the flags that are asked for', () => {
    const booted = boot();
    const { mm, cpu } = booted;
    expect(setFixmap(mm, 7, 0x123)).toBe(0);
    expect(cpu.long.read32(fixToVirt(7))).toBe(0x123);
    expect(flagsAt(booted, fixToVirt(7))).toBe(PAGE_HYPERVISOR);
    expect(setFixmap(mm, 8, 0x124, PAGE_HYPERVISOR_UC)).toBe(0);
    expect(cpu.long.read32(fixToVirt(8))).toBe(0x124);
    expect(cpu.long.explain(fixToVirt(8)).patIndex).toBe(3);
    expect(booted.problems()).toEqual([]);
  });

  it('says where there is no memory for its tables', () => {
    const { mm } = boot();
    mm.heap.budget = 2;
    expect(setFixmap(mm, 0, 1)).toBe(-ENOMEM);
  });

  it('case 79: an index out of range is a bug, and changes nothing', () => {
    const { mm } = boot();
    for (const index of [-1, FIXED_ADDRESSES, 1.5, Number.NaN]) {
      const message = `BUG: there is no fixed address ${index}`;
      expect(() => fixToVirt(index)).toThrow(message);
      expect(() => setFixmap(mm, index, 1)).toThrow(message);
      expect(() => clearFixmap(mm, index)).toThrow(message);
    }
    for (const index of [-1, FIXED_X_ADDRESSES]) {
      const message = `BUG: there is no executable fixed address ${index}`;
      expect(() => fixXToVirt(index)).toThrow(message);
      expect(() => setFixmapX(mm, index, 1)).toThrow(message);
      expect(() => clearFixmapX(mm, index)).toThrow(message);
    }
    expect(() => allocStubPage(mm, 32, 1)).toThrow('BUG: there is no CPU 32');
    expect(mm.heap.allocations).toBe(0);
  });

  it.each(PRESETS)('case 79: clear then set leaves no stale translation on any CPU, behaviour %s', (behaviour) => {
    const booted = boot({ behaviour, cpus: 2 });
    const { mm, cpus } = booted;
    const address = fixToVirt(3);
    for (const frame of [0x10, 0x11, 0x12]) {
      setFixmap(mm, 3, frame);
      for (const cpu of cpus) expect(cpu.long.read32(address)).toBe(frame);
      clearFixmap(mm, 3);
      expect(booted.stale()).toEqual([]);
      for (const cpu of cpus) expect(() => cpu.long.read32(address)).toThrow('#PF(0)');
    }
  });

  it.each(PRESETS)('sets what is set: the other frame is there on every CPU, behaviour %s', (behaviour) => {
    const { mm, mms, cpus } = boot({ behaviour, cpus: 2 });
    setFixmap(mm, 3, 0x10);
    for (const cpu of cpus) expect(cpu.long.read32(fixToVirt(3))).toBe(0x10);
    setFixmap(mms[1]!, 3, 0x11);
    for (const cpu of cpus) expect(cpu.long.read32(fixToVirt(3))).toBe(0x11);
  });

  it('leaves its neighbours alone, and keeps its tables', () => {
    const { mm, cpu } = boot();
    for (const index of [4, 5, 6]) setFixmap(mm, index, index);
    clearFixmap(mm, 5);
    expect(cpu.long.read32(fixToVirt(4))).toBe(4);
    expect(cpu.long.read32(fixToVirt(6))).toBe(6);
    for (const index of [4, 6]) clearFixmap(mm, index);
    expect(mm.heap.frees).toBe(0);
  });
});

describe('the executable fixmap', () => {
  it('maps code by small pages that stay small', () => {
    const booted = boot();
    const { mm, cpu } = booted;
    expect(setFixmapX(mm, 2, 0x20)).toBe(0);
    expect(cpu.long.fetchBytes(fixXToVirt(2), 1)[0]).toBe(0x20);
    expect(() => cpu.long.write8(fixXToVirt(2), 1)).toThrow('#PF(3)');
    expect(flagsAt(booted, fixXToVirt(2))).toBe(PAGE_HYPERVISOR_RX | MAP_SMALL_PAGES);
    expect(clearFixmapX(mm, 2)).toBe(0);
    expect(() => cpu.long.fetchBytes(fixXToVirt(2), 1)).toThrow('#PF(10)');
  });
});

describe('allocStubPage', () => {
  it('maps a page for each CPU below the executable fixmap', () => {
    const booted = boot({ cpus: 2 });
    const { mms, cpus } = booted;
    const stubs = mms.map((mm, cpu) => allocStubPage(mm, cpu, 0x30 + cpu)!);
    expect(stubs.map((stub) => stub.toString(16))).toEqual(['ffff82d07ffef000', 'ffff82d07ffee000']);
    expect(stubs.map((stub) => cpus[0]!.long.fetchBytes(stub, 1)[0])).toEqual([0x30, 0x31]);
    expect(flagsAt(booted, stubs[0]!)).toBe(PAGE_HYPERVISOR_RX | MAP_SMALL_PAGES);
    expect(allocStubPage(mms[0]!, 31, 1)!.toString(16)).toBe('ffff82d07ffd0000');
  });

  it('is undefined where there is no memory for its tables', () => {
    const { mm } = boot();
    mm.heap.budget = 0;
    expect(allocStubPage(mm, 0, 1)).toBeUndefined();
  });
});
