import { describe, expect, it } from 'vitest';
import { type Cpu, PF, READ_MODIFY_WRITE } from '../../src/index.ts';
import { ALL, Guest, P } from '../support/guest.ts';

const LOW = 0x5566_7788;
const HIGH = 0x1122_3344;

interface Size {
  readonly size: number;
  /** What a read of 0x1122334455667788 gives. */
  readonly old: number;
  exchange(cpu: Cpu, lo: number): number;
  /** Stores 0xfedcba9876543210 where there is (expected, expectedHi). */
  compareExchange(cpu: Cpu, lo: number, expected: number, expectedHi: number): number;
}

const NEW_LOW = 0x7654_3210;
const NEW_HIGH = 0xfedc_ba98 | 0;

const SIZES: readonly Size[] = [
  {
    size: 1,
    old: 0x88,
    exchange: (cpu, lo) => cpu.exchange8(lo, 0, NEW_LOW),
    compareExchange: (cpu, lo, expected) => cpu.compareExchange8(lo, 0, expected, NEW_LOW),
  },
  {
    size: 2,
    old: 0x7788,
    exchange: (cpu, lo) => cpu.exchange16(lo, 0, NEW_LOW),
    compareExchange: (cpu, lo, expected) => cpu.compareExchange16(lo, 0, expected, NEW_LOW),
  },
  {
    size: 4,
    old: LOW,
    exchange: (cpu, lo) => cpu.exchange32(lo, 0, NEW_LOW),
    compareExchange: (cpu, lo, expected) => cpu.compareExchange32(lo, 0, expected, NEW_LOW),
  },
  {
    size: 8,
    old: LOW,
    exchange: (cpu, lo) => cpu.exchange64(lo, 0, NEW_LOW, NEW_HIGH),
    compareExchange: (cpu, lo, expected, expectedHi) =>
      cpu.compareExchange64(lo, 0, expected, expectedHi, NEW_LOW, NEW_HIGH),
  },
];

const VALUE = 0xfedc_ba98_7654_3210n;
const OLD = 0x1122_3344_5566_7788n;

/** Pages 1 and 2 are RAM, far apart; 3 is read-only, 4 ROM, 5 a device, 6 absent. */
function guest(): Guest {
  const made = new Guest()
    .map(0x1000n, 0x9000n | ALL)
    .map(0x2000n, 0x4000n | ALL)
    .map(0x3000n, 0x6000n | P)
    .map(0x4000n, 0x7000n | ALL)
    .map(0x5000n, 0xfee0_0000n | ALL);
  made.machine.memory.protectRom(0x7000, 0x1000);
  return made;
}

/** Bytes around an address, as one number. */
const bytesAt = (cpu: Cpu, lo: number, count: number): bigint =>
  cpu.long.readBytes(lo, count).reduce((sum, byte, at) => sum | (BigInt(byte) << BigInt(8 * at)), 0n);
const mask = (size: number): bigint => (1n << BigInt(8 * size)) - 1n;

describe.each(SIZES)('locked operations of $size bytes', ({ size, old, exchange, compareExchange }) => {
  // Aligned, within a quadword, across quadwords, across pages.
  const places = [0x1010, 0x1011, 0x1013, 0x100d, 0x100f, 0x1ffd, 0x1fff];

  it.each(places)('exchange at %i', (lo) => {
    const { cpu } = guest();
    cpu.long.write64(lo, OLD);
    expect([exchange(cpu, lo), cpu.faulted]).toEqual([old, 0]);
    if (size === 8) expect(cpu.valueHi).toBe(HIGH);
    expect(bytesAt(cpu, lo, 8)).toBe((OLD & ~mask(size)) | (VALUE & mask(size)));
    expect(bytesAt(cpu, lo - 4, 4)).toBe(0n);
  });

  it.each(places)('store where the bytes are as expected, and only there, at %i', (lo) => {
    const { cpu } = guest();
    cpu.long.write64(lo, OLD);
    expect([compareExchange(cpu, lo, old ^ 1, HIGH), cpu.faulted]).toEqual([old, 0]);
    expect(bytesAt(cpu, lo, 8)).toBe(OLD);
    if (size === 8) {
      expect([compareExchange(cpu, lo, old, HIGH ^ 1), cpu.valueHi]).toEqual([old, HIGH]);
      expect(bytesAt(cpu, lo, 8)).toBe(OLD);
    }
    expect(compareExchange(cpu, lo, old, HIGH)).toBe(old);
    expect(bytesAt(cpu, lo, 8)).toBe((OLD & ~mask(size)) | (VALUE & mask(size)));
  });

  it('compare what a 32-bit register holds, high bits and sign aside', () => {
    const { cpu } = guest();
    const all = size === 1 ? 0xff : size === 2 ? 0xffff : -1;
    for (const lo of [0x1010, 0x100f, 0x1fff])
      for (const expected of [-1, 0xffff_ffff]) {
        cpu.long.write64(lo, 2n ** 64n - 1n);
        expect(compareExchange(cpu, lo, expected, expected)).toBe(all);
        expect(bytesAt(cpu, lo, size)).toBe(VALUE & mask(size));
      }
  });

  it('are judged as writes, whether they store or not, and set D', () => {
    for (const act of [exchange, compareExchange]) {
      const made = guest();
      const { cpu } = made;
      expect([act(cpu, 0x3008, 12_345, 0), cpu.faulted, cpu.fault.errorCode]).toEqual([0, PF, 3]);
      expect([act(cpu, 0x6008, 12_345, 0), cpu.faulted, cpu.fault.errorCode, cpu.fault.access]).toEqual([
        0,
        PF,
        2,
        READ_MODIFY_WRITE,
      ]);
      act(cpu, 0x1008, 12_345, 0);
      expect(made.entryAt(made.entryAddress(0x1000n, 1)) & 0x60n).toBe(0x60n);
    }
  });

  it('change nothing where the second page faults', () => {
    const { cpu } = guest().map(0x6000n, 0x8000n | ALL);
    if (size === 1) return;
    for (const act of [exchange, compareExchange]) {
      expect([act(cpu, 0x6fff, 0, 0), cpu.faulted, cpu.cr2Lo]).toEqual([0, PF, 0x7000]);
      expect(cpu.read8(0x6fff, 0)).toBe(0);
    }
  });

  it('leave ROM as it is and return what is there', () => {
    const made = guest();
    const { memory, host } = made.machine;
    memory.unprotectRom(0x7000, 0x1000);
    host.write64(0x7010, OLD);
    memory.protectRom(0x7000, 0x1000);
    expect([exchange(made.cpu, 0x4010), made.cpu.faulted]).toEqual([old, 0]);
    expect(compareExchange(made.cpu, 0x4010, old, HIGH)).toBe(old);
    expect(host.read64(0x7010).toBigInt()).toBe(OLD);
  });

  it.each([0x10, 0x17])('read a device once and write it once, in pieces of at most 4 bytes, at byte %i', (at) => {
    const { cpu, machine } = guest();
    const log: unknown[] = [];
    machine.memory.addDevice(0xfee0_0000, 0x1000, {
      // Another value at each look: a counter, a queue.
      read: (offset, bytes) => (log.push(['read', offset, bytes]) > 2 ? 0 : offset === at + 4 ? HIGH : LOW),
      write: (offset, bytes, value) => log.push(['write', offset, bytes, value]),
    });
    const piece = Math.min(size, 4);
    const narrow = piece === 4 ? NEW_LOW : NEW_LOW & (2 ** (8 * piece) - 1);
    const reads = [['read', at, piece], ...(size === 8 ? [['read', at + 4, 4]] : [])];
    const writes = [['write', at, piece, narrow], ...(size === 8 ? [['write', at + 4, 4, NEW_HIGH]] : [])];
    for (const act of [exchange, compareExchange]) {
      log.length = 0;
      expect([act(cpu, 0x5000 + at, old, HIGH), cpu.faulted]).toEqual([old, 0]);
      if (size === 8) expect(cpu.valueHi).toBe(HIGH);
      expect(log).toEqual([...reads, ...writes]);
    }
  });

  it('see a hole as all ones', () => {
    const { cpu } = guest();
    expect(exchange(cpu, 0x5010)).toBe(size === 1 ? 0xff : size === 2 ? 0xffff : -1);
    expect(cpu.faulted).toBe(0);
  });
});

describe('locked operations that are told of while they run', () => {
  it('store once and keep what they return, though `onCodeWrite` uses the CPU', () => {
    const { cpu, machine } = guest();
    let told = 0;
    machine.memory.onCodeWrite = () => {
      told += 1;
      cpu.read64(0x2000, 0);
    };
    for (const lo of [0x1010, 0x1013]) {
      cpu.long.write64(lo, OLD);
      machine.memory.markCode(9);
      told = 0;
      expect([cpu.exchange64(lo, 0, 1, 2), cpu.valueHi, told]).toEqual([LOW, HIGH, 1]);
      expect([cpu.compareExchange64(lo, 0, 1, 2, 3, 4), cpu.valueHi, told]).toEqual([1, 2, 2]);
      machine.memory.unmarkCode(9);
      expect([cpu.read64(lo, 0), cpu.valueHi]).toEqual([3, 4]);
    }
  });

  it('go to the pages they were translated to, though a device on the second uses the CPU', () => {
    const { cpu, machine } = guest().map(0x4000n, 0xb000n | ALL);
    const inside = (): number => {
      cpu.read16(0x1fff, 0); // another access across pages
      return 0x77;
    };
    machine.memory.addDevice(0xfee0_0000, 0x1000, { read: inside, write: inside });
    for (const act of [
      () => cpu.exchange16(0x4fff, 0, 0x1234),
      () => cpu.compareExchange16(0x4fff, 0, 0x7700, 0x1234),
    ]) {
      cpu.write8(0x4fff, 0, 0);
      expect([act(), cpu.read8(0x4fff, 0), cpu.read8(0x1fff, 0)]).toEqual([0x7700, 0x34, 0]);
    }
  });
});
