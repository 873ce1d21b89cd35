import fc from 'fast-check';
import Long from 'long';
import { describe, expect, it } from 'vitest';
import { Machine } from '../../src/index.ts';
import { type Address, toHalves } from '../../src/mmu/address.ts';

const cyclic: { low: unknown; high: number } = { low: 0, high: 0 };
cyclic.low = cyclic;

const TOP = 0xffff_ffff_ffff_ffffn;

describe('an Address', () => {
  it.each<[string, Address, bigint]>([
    ['0', 0, 0n],
    ['-0', -0, 0n],
    ['the largest safe integer', 2 ** 53 - 1, 2n ** 53n - 1n],
    ['a number above 2^32', 0x1_2345_6789, 0x1_2345_6789n],
    ['-2^63', -(2n ** 63n), 2n ** 63n],
    ['-1n', -1n, TOP],
    ['2^64 - 1', TOP, TOP],
    ['a signed Long', Long.fromNumber(-1), TOP],
    ['an unsigned Long', Long.MAX_UNSIGNED_VALUE, TOP],
    ['the least Long', Long.MIN_VALUE, 2n ** 63n],
    ['a low and a high half', { low: -1, high: 1 }, 0x1_ffff_ffffn],
    ['unsigned halves', { low: 0xffff_ffff, high: 0xffff_8000 }, 0xffff_8000_ffff_ffffn],
    ['hex', '0x1a', 0x1an],
    ['upper-case hex', '0XFFFF8000DEADBEEF', 0xffff_8000_dead_beefn],
    ['16 hex digits', '0xffffffffffffffff', TOP],
  ])('is %s', (_what, address, value) => {
    const halves = toHalves(address);
    expect(halves.toBigInt()).toBe(value);
    expect(halves.unsigned).toBe(true);
  });

  it.each<[string, unknown]>([
    ['-1', -1],
    ['2^53', 2 ** 53],
    ['a fraction', 1.5],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['2^64', 2n ** 64n],
    ['below -2^63', -(2n ** 63n) - 1n],
    ['no digits', '0x'],
    ['17 digits', '0x10000000000000000'],
    ['decimal digits', '1234'],
    ['hex without 0x', 'ffff'],
    ['a sign', '-0x1'],
    ['a space', ' 0x1'],
    ['a line end', '0x1\n'],
    ['separators', '0x1_0'],
    ['the empty string', ''],
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['a symbol', Symbol('0x1')],
    ['a function', () => 1],
    ['an array', [1, 2]],
    ['one half', { low: 1 }],
    ['a fractional half', { low: 1.5, high: 0 }],
    ['a half of text', { low: '1', high: '0' }],
    ['a half that is no 32-bit value', { low: 2 ** 32, high: 0 }],
    ['halves that are bigints', { low: 1n, high: 2n }],
    ['an object that holds itself', cyclic],
    ['an object without a prototype', Object.create(null)],
  ])('is not %s', (_what, address) => {
    expect(() => toHalves(address as Address)).toThrow(RangeError);
  });

  it('means the same in each form', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: TOP }), (value) => {
        const { low, high } = toHalves(value);
        const forms: Address[] = [
          BigInt.asIntN(64, value),
          `0x${value.toString(16)}`,
          { low, high },
          Long.fromBits(low, high, false),
        ];
        if (value < 2n ** 53n) forms.push(Number(value));
        for (const form of forms) expect(toHalves(form).toBigInt()).toBe(value);
      }),
    );
  });

  it('is refused by the accessors of people before anything happens', () => {
    const cpu = new Machine({ memory: { size: 4096 } }).cpus[0]!;
    expect(() => cpu.long.read8(-1)).toThrow('not a 64-bit address: -1');
    expect(() => cpu.long.read8({ low: 1, high: 0.5 })).toThrow(
      'not a 64-bit address: an object whose low and high are not 32-bit integers',
    );
    expect(() => cpu.long.write64(0, 1.5)).toThrow(RangeError);
    expect(cpu.long.read64(0).toBigInt()).toBe(0n);
  });
});
