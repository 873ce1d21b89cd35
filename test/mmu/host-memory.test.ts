import { describe, expect, it } from 'vitest';
import { Machine } from '../../src/index.ts';

const host = () =>
  new Machine({
    memory: {
      ranges: [
        { start: 0, size: 0x2000 },
        { start: 0x3000, size: 0x1000 },
      ],
    },
  }).host;

describe('host memory', () => {
  it('is little-endian, and 64-bit values are unsigned', () => {
    const memory = host();
    memory.write64(8, -2n);
    expect(memory.read64(8).toBigInt()).toBe(0xffff_ffff_ffff_fffen);
    expect(memory.read32(8)).toBe(0xffff_fffe);
    memory.write32(16, 0x0403_0201);
    const bytes = new Uint8Array(6);
    memory.read(15, bytes);
    expect([...bytes]).toEqual([0xff, 1, 2, 3, 4, 0]);
  });

  it('crosses pages and holes, unaligned', () => {
    const memory = host();
    memory.write64(0xffd, '0x1122334455667788');
    expect(memory.read64(0xffd).toString(16)).toBe('1122334455667788');
    expect(memory.read32(0xfff)).toBe(0x3344_5566);
    memory.write(0x1ffe, new Uint8Array(0x1004).fill(7)); // two bytes, a hole, two bytes
    const bytes = new Uint8Array(0x1004);
    memory.read(0x1ffe, bytes);
    expect([...bytes.subarray(0, 3), ...bytes.subarray(-3)]).toEqual([7, 7, 0xff, 0xff, 7, 7]);
    expect(memory.read32(0x1ffe)).toBe(0xffff_0707);
    expect(memory.read32(0x3000)).toBe(0x0707);
  });

  it('takes any Address as a value', () => {
    const memory = host();
    memory.write64(0, { low: 1, high: -1 });
    expect(memory.read64(0).toString(16)).toBe('ffffffff00000001');
    expect(() => memory.write64(0, 2n ** 64n)).toThrow(RangeError);
    expect(memory.read64(0).toString(16)).toBe('ffffffff00000001');
  });

  it.each([-1, 2 ** 52, 0.5, Number.NaN])('refuses the address %d', (address) => {
    const memory = host();
    expect(() => memory.read32(address)).toThrow(RangeError);
    expect(() => memory.write32(address, 1)).toThrow(RangeError);
    expect(() => memory.read64(address)).toThrow(RangeError);
    expect(() => memory.write64(address, 1)).toThrow(RangeError);
    expect(() => memory.read(address, new Uint8Array(1))).toThrow(RangeError);
  });

  it('reads and writes nothing where the length is 0', () => {
    const memory = host();
    memory.write(0, new Uint8Array(0));
    memory.read(2 ** 60, new Uint8Array(0));
    expect(memory.read32(0)).toBe(0);
  });
});
