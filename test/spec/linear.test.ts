/**
 * Paging rules 56 to 64: what is checked of a linear address before any table is read.
 * Source: SDM 3A, "Canonical Addressing", "Linear-Address Pre-Processing".
 */
import { describe, expect, it } from 'vitest';
import { STACK } from '../../src/index.ts';
import { CACHES, CR4, hi, lo, setup } from '../support/tables.ts';

const BAD = '0x800000000000';

describe.each(CACHES)('a canonical check, %s', (_, caches) => {
  it('56: raises #SS for an access through SS and #GP for any other', () => {
    const { cpu, access, outcome } = setup('4-level', { caches });
    expect(access('read', BAD)).toBe('#GP 00');
    expect(access('stack read', BAD)).toBe('#SS 00');
    cpu.read64(lo(BAD), hi(BAD), STACK);
    expect(outcome()).toBe('#SS 00');
    cpu.write64(lo(BAD), hi(BAD), 0, 0, STACK);
    expect(outcome()).toBe('#SS 00');
    cpu.write8(lo(BAD), hi(BAD), 0);
    expect(outcome()).toBe('#GP 00');
  });

  it('57: comes before paging, and looks at every byte', () => {
    const { map, access } = setup('4-level', { caches });
    expect(access('read', '0x7ffffffffffc', 8)).toBe('#GP 00');
    map('0x7ffffffff000', 1, 0x300, 'P RW US');
    expect(access('read', '0x7ffffffffffc', 8)).toBe('#GP 00');
    expect(access('read', '0x7ffffffffffc', 4)).toBe('ok');
    expect(access('write', '0x7ffffffffffd', 4)).toBe('#GP 00');
  });

  it('57: does not change CR2', () => {
    const { cpu, access } = setup('4-level', { caches });
    expect(access('read', '0x1000')).toBe('#PF 00');
    expect(access('read', BAD)).toBe('#GP 00');
    expect([cpu.cr2Lo, cpu.cr2Hi]).toEqual([0x1000, 0]);
  });

  it('58: of a base takes the widest form of the processor, of an access the one in use', () => {
    const va = '0x80000000000000';
    const { cpu, access } = setup('4-level', { caches, features: { la57: true } });
    expect(cpu.isCanonicalForBase(lo(va), hi(va))).toBe(true);
    expect(cpu.isCanonicalForBase(lo('0x100000000000000'), hi('0x100000000000000'))).toBe(false);
    expect(access('fetch', va)).toBe('#GP 00');
    const old = setup('4-level', { caches, features: { la57: false } }).cpu;
    expect(old.isCanonicalForBase(lo(va), hi(va))).toBe(false);
  });

  it('59: CR4.LA57 cannot change in long mode, alone or with another bit', () => {
    const { cpu } = setup('4-level', { caches });
    const before = cpu.registers.cr4;
    expect(cpu.setCr4(before | CR4.LA57)).toBe(13);
    expect(cpu.setCr4(before | CR4.LA57 | CR4.PGE)).toBe(13);
    expect(cpu.registers.cr4).toBe(before);
  });

  it('60: INVLPG of a bad address does nothing; INVPCID type 0 refuses it', () => {
    const { cpu, map, access } = setup('4-level', { caches, features: { la57: false } });
    map('0x1000', 1, 0x300, 'P RW');
    expect(access('read', '0x1000')).toBe('ok');
    const before = cpu.counters.invalidations;
    cpu.invlpg(lo(BAD), hi(BAD));
    expect(cpu.counters.invalidations).toBe(before);
    expect(cpu.invpcid(0, 0, 0, lo(BAD), hi(BAD))).toBe(13);
    expect(cpu.invpcid(1, 0, 0, lo(BAD), hi(BAD))).toBe(0);
  });

  it('64: a 32-bit access wraps from the last bytes of 4 GiB to the first', () => {
    const { machine, map, access, cpu } = setup('32-bit', { caches });
    map('0xfffff000', 1, 0x300, 'P RW');
    map('0x0', 1, 0x301, 'P RW');
    machine.host.write(0x300ffe, Uint8Array.of(1, 2));
    machine.host.write(0x301000, Uint8Array.of(3, 4));
    expect(cpu.read32(-2, 0)).toBe(0x04030201);
    expect(access('write', '0xfffffffe')).toBe('ok');
    expect(machine.host.read32(0x301000)).toBe(0);
  });

  it('64: a 64-bit access in compatibility mode has 32 address bits', () => {
    const { cpu, map, access } = setup('4-level', { caches });
    map('0x1000', 1, 0x300, 'P RW');
    expect(access('read', '0x7fff00001000')).toBe('#PF 00');
    cpu.setCsL(0);
    expect(access('read', '0x7fff00001000')).toBe('ok');
    cpu.setCsL(1);
    expect(access('read', '0x7fff00001000')).toBe('#PF 00');
  });
});

describe('LAM and LASS', () => {
  it.skip('61 and 62: need LAM, which this MMU does not have', () => {});
  it.skip('63: needs LASS, which this MMU does not have', () => {});
});
