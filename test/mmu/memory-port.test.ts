import { describe, expect, it } from 'vitest';
import { Machine } from '../../src/index.ts';
import { MemoryPort } from '../../src/mmu/memory-port.ts';
import { watching } from '../support/observe.ts';

function ported() {
  const { memory, host } = new Machine({ memory: { size: 0x4000 } });
  return { memory, host, port: new MemoryPort(memory) };
}

describe('a memory port', () => {
  it('loads entries of 8 and 4 bytes as halves', () => {
    const { host, port } = ported();
    host.write64(0x1ff8, '0x8000000012345067');
    port.load(1, 511, 8);
    expect([port.lo, port.hi]).toEqual([0x1234_5067, -0x8000_0000]);
    port.load(1, 1022, 4);
    expect([port.lo, port.hi]).toEqual([0x1234_5067, 0]);
  });

  it('reads all ones where there is no RAM, devices included', () => {
    const { memory, port } = ported();
    memory.addDevice(0x2000, 0x1000, { read: () => expect.unreachable(), write: () => expect.unreachable() });
    for (const frame of [2, 4, 2 ** 40 - 1]) {
      port.load(frame, 0, 8);
      expect([port.lo, port.hi]).toEqual([-1, -1]);
      port.load(frame, 0, 4);
      expect([port.lo, port.hi]).toEqual([-1, 0]);
      expect(port.compareExchange(frame, 0, 8, -1, -1, 0)).toBe(true);
    }
  });

  it('exchanges only what still is as expected, in both halves', () => {
    const { host, port } = ported();
    host.write64(0x1008, '0x100000001');
    expect(port.compareExchange(1, 1, 8, 1, 0, 5)).toBe(false);
    expect(port.compareExchange(1, 1, 8, 0, 1, 5)).toBe(false);
    expect(host.read64(0x1008).toString(16)).toBe('100000001');
    expect(port.compareExchange(1, 1, 8, 1, 1, -2)).toBe(true);
    expect(host.read64(0x1008).toString(16)).toBe('1fffffffe');
    expect(port.compareExchange(1, 2, 4, -2, 0, 7)).toBe(true);
    expect(host.read64(0x1008).toString(16)).toBe('100000007');
  });

  it('drops stores to ROM', () => {
    const { memory, host, port } = ported();
    memory.protectRom(0x1000, 0x1000);
    expect(port.compareExchange(1, 0, 8, 0, 0, 1)).toBe(true);
    expect(host.read64(0x1000).toNumber()).toBe(0);
  });

  it('tells its observer of each operation before it happens', () => {
    const { host, port } = ported();
    const seen: unknown[] = [];
    port.observer = watching((operation, entry) => seen.push([operation, entry, host.read32(0x1000)]));
    host.write32(0x1000, 2);
    port.compareExchange(1, 0, 8, 2, 0, 3);
    port.load(1, 0, 8);
    expect(seen).toEqual([
      ['compareExchange', 512, 2],
      ['load', 512, 3],
    ]);
  });

  it('reports A and D in code pages as writes only where asked to', () => {
    const { memory, port } = ported();
    const seen: number[] = [];
    memory.onCodeWrite = (frame, offset) => seen.push(frame * 4096 + offset);
    memory.markCode(1);
    port.compareExchange(1, 1, 8, 0, 0, 0x20);
    expect([seen, memory.isDirty(1)]).toEqual([[], true]);
    port.reportsAccessedDirty = true;
    port.compareExchange(1, 1, 8, 0x20, 0, 0x60);
    port.compareExchange(1, 1, 8, 0x20, 0, 0x60); // lost
    expect(seen).toEqual([0x1008]);
  });
});
