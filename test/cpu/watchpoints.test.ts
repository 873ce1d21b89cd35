import { describe, expect, it } from 'vitest';
import { type Cpu, FETCH, READ, READ_MODIFY_WRITE, type Watch, WRITE } from '../../src/index.ts';
import { ALL, Guest, PS } from '../support/guest.ts';

type Seen = [lo: number, size: number, access: number];

function watch(cpu: Cpu, lo: number, length: number, kinds: number, hi = 0): { seen: Seen[]; watched: Watch } {
  const seen: Seen[] = [];
  const watched: Watch = { lo, hi, length, kinds, callback: (at, _hi, size, access) => seen.push([at, size, access]) };
  cpu.addWatch(watched);
  return { seen, watched };
}

function guest(): Guest {
  const made = new Guest();
  for (let page = 0n; page < 8n; page++) made.map(page << 12n, ((page + 16n) << 12n) | ALL);
  return made;
}

describe('a watchpoint', () => {
  it('fires for reads, writes and fetches that overlap it, and not beside', () => {
    const { cpu } = guest();
    const { seen } = watch(cpu, 0x1010, 4, READ | WRITE | FETCH);
    for (const _ of [1, 2]) {
      seen.length = 0;
      cpu.read32(0x100c, 0);
      cpu.read64(0x1014, 0);
      cpu.write16(0x100e, 0, 1);
      cpu.fetch8(0x1014, 0);
      expect(seen).toEqual([]);
      cpu.read8(0x1013, 0);
      cpu.read64(0x1009, 0);
      cpu.write16(0x100f, 0, 1);
      cpu.write32(0x1010, 0, 1);
      cpu.fetch64(0x1010, 0);
      cpu.readBytes(0x1000, 0, new Uint8Array(64));
      cpu.writeBytes(0x0fff, 0, new Uint8Array(18));
      cpu.fetchBytes(0x1005, 0, new Uint8Array(15));
      expect(seen).toEqual([
        [0x1013, 1, READ],
        [0x1009, 8, READ],
        [0x100f, 2, WRITE],
        [0x1010, 4, WRITE],
        [0x1010, 8, FETCH],
        [0x1000, 64, READ],
        [0xfff, 18, WRITE],
        [0x1005, 15, FETCH],
      ]);
    }
  });

  it('fires for the kinds it asked for only', () => {
    const { cpu } = guest();
    const reads = watch(cpu, 0x1000, 8, READ).seen;
    const writes = watch(cpu, 0x1000, 8, WRITE).seen;
    const fetches = watch(cpu, 0x1000, 8, FETCH).seen;
    cpu.read8(0x1000, 0);
    cpu.write8(0x1000, 0, 1);
    cpu.fetch8(0x1000, 0);
    cpu.readForWrite(0x1000, 0, 4);
    expect([reads, writes, fetches]).toEqual([
      [
        [0x1000, 1, READ],
        [0x1000, 4, READ_MODIFY_WRITE],
      ],
      [
        [0x1000, 1, WRITE],
        [0x1000, 4, READ_MODIFY_WRITE],
      ],
      [[0x1000, 1, FETCH]],
    ]);
  });

  it.each([0x1ff8, 0x1ffc])('fires once for a locked operation at %i', (lo) => {
    const { cpu } = guest();
    const { seen } = watch(cpu, 0x1ff8, 16, READ | WRITE);
    cpu.exchange64(lo, 0, 1, 2);
    cpu.compareExchange64(lo, 0, 1, 2, 3, 4);
    expect(seen).toEqual([
      [lo, 8, READ_MODIFY_WRITE],
      [lo, 8, READ_MODIFY_WRITE],
    ]);
  });

  it('fires for an access that crosses into its page', () => {
    const { cpu } = guest();
    const { seen } = watch(cpu, 0x2000, 1, READ);
    for (const _ of [1, 2]) cpu.read16(0x1fff, 0);
    expect(seen).toEqual([
      [0x1fff, 2, READ],
      [0x1fff, 2, READ],
    ]);
  });

  it('does not fire for an access that faults', () => {
    const { cpu } = guest();
    const { seen } = watch(cpu, 0x7ff8, 16, READ | WRITE);
    cpu.read64(0x7ffc, 0);
    cpu.write8(0x8000, 0, 1);
    expect([cpu.faulted, seen]).toEqual([14, []]);
  });

  it('covers linear bytes, not physical ones', () => {
    const { cpu } = guest().map(0x9000n, 0x1_1000n | ALL); // the frame of page 1
    const { seen } = watch(cpu, 0x1000, 8, WRITE);
    cpu.write8(0x9000, 0, 7);
    expect([cpu.read8(0x1000, 0), seen]).toEqual([7, []]);
  });

  it('fires in the upper half', () => {
    const upper = guest().map(0xffff_ffff_ffff_f000n, 0x1_0000n | ALL).cpu;
    const high = watch(upper, -8, 8, WRITE, -1).seen;
    upper.write8(-1, -1, 1);
    upper.write8(-9, -1, 1);
    expect(high).toEqual([[-1, 1, WRITE]]);
  });

  it('fires for an access that wraps around the top of 32-bit addresses', () => {
    const old = new Guest({ mode: '32-bit' }).map(0n, ALL).map(0xffff_f000n, 0x1000n | ALL).cpu;
    const { seen } = watch(old, 0, 1, READ);
    old.read32(-2, 0);
    expect([old.faulted, seen]).toEqual([0, [[-2, 4, READ]]]);
  });

  it('fires in large pages, also where they were hot before', () => {
    const { cpu } = new Guest().map(0n, ALL | PS, 2);
    for (const _ of [1, 2]) expect(cpu.read32(0x5000, 0) + cpu.read32(0x6000, 0)).toBe(0);
    const { seen } = watch(cpu, 0x6000, 4, READ);
    for (const _ of [1, 2]) cpu.read32(0x5000, 0);
    for (const _ of [1, 2]) cpu.read32(0x6000, 0);
    expect(seen).toHaveLength(2);
  });

  it('fires at halves given as unsigned numbers', () => {
    const upper = guest().map(0xffff_ffff_ffff_f000n, 0x1_0000n | ALL).cpu;
    const { seen } = watch(upper, 0xffff_fff8, 8, READ, 0xffff_ffff);
    for (const _ of [1, 2]) upper.read8(-1, -1);
    expect(seen).toHaveLength(2);
  });

  it.each([0x1010, 0x1011, 0x1ffd])('may use the CPU: the access at %i keeps its value and its high half', (lo) => {
    const { cpu } = guest();
    cpu.write64(0x3000, 0, 7, 8);
    const callback = (): void => {
      cpu.read64(0x3000, 0);
    };
    cpu.addWatch({ lo, hi: 0, length: 8, kinds: READ | WRITE | FETCH, callback });
    cpu.write64(lo, 0, 1, 2);
    expect([cpu.read64(lo, 0), cpu.valueHi]).toEqual([1, 2]);
    expect([cpu.fetch64(lo, 0), cpu.valueHi]).toEqual([1, 2]);
    expect([cpu.readForWrite(lo, 0, 8), cpu.valueHi]).toEqual([1, 2]);
    expect([cpu.exchange64(lo, 0, 3, 4), cpu.valueHi]).toEqual([1, 2]);
    expect([cpu.compareExchange64(lo, 0, 3, 4, 5, 6), cpu.valueHi]).toEqual([3, 4]);
    expect(cpu.long.read64(lo).toString(16)).toBe('600000005');
  });

  it('is silent once removed', () => {
    const { cpu } = guest();
    const { seen, watched } = watch(cpu, 0x1000, 4, READ);
    const other = watch(cpu, 0x1000, 4, READ);
    cpu.removeWatch(watched);
    cpu.read8(0x1000, 0);
    expect([seen.length, other.seen.length]).toEqual([0, 1]);
  });

  it('costs nothing elsewhere: other pages are answered without a TLB lookup', () => {
    const { cpu } = guest();
    const { seen, watched } = watch(cpu, 0x1010, 4, READ | WRITE);
    const lookups = (lo: number): number => {
      for (const _ of [1, 2]) cpu.write32(lo, 0, 1);
      cpu.read32(lo, 0);
      const { hits, misses } = cpu.counters;
      for (let time = 0; time < 100; time++) cpu.read32(lo, 0) + cpu.write32(lo, 0, time);
      return cpu.counters.hits - hits + cpu.counters.misses - misses;
    };
    expect([lookups(0x0ff0), lookups(0x2000), lookups(0x1800)]).toEqual([0, 0, 200]);
    expect(seen).toEqual([]);
    cpu.removeWatch(watched);
    expect(lookups(0x1800)).toBe(0);
  });

  it.each([0, 4097, 1.5, Number.NaN])('of %d bytes is refused', (length) => {
    expect(() => watch(guest().cpu, 0, length, READ)).toThrow(RangeError);
  });
});
