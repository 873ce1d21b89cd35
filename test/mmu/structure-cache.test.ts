import { describe, expect, it } from 'vitest';
import { ALL, Guest, P, ROOT, US } from '../support/guest.ts';
import { watching } from '../support/observe.ts';

/** How many entries a walk read. */
function loads(guest: Guest, access: () => void): number {
  let count = 0;
  const { port } = guest.cpu.translator;
  port.observer = watching((operation) => (count += operation === 'load' ? 1 : 0));
  access();
  port.observer = null;
  return count;
}

describe('paging-structure caches', () => {
  it('let a walk start at the deepest table known', () => {
    const guest = new Guest();
    for (const address of [0n, 0x1000n, 0x20_0000n, 0x4000_0000n, 0x80_0000_0000n]) guest.map(address, ALL);
    const { cpu } = guest;
    expect(loads(guest, () => cpu.read8(0, 0))).toBe(4);
    expect(loads(guest, () => cpu.read8(0x1000, 0))).toBe(1);
    expect(loads(guest, () => cpu.read8(0x20_0000, 0))).toBe(2);
    expect(loads(guest, () => cpu.read8(0x4000_0000, 0))).toBe(3);
    expect(loads(guest, () => cpu.read8(0, 0x80))).toBe(4);
    expect(loads(guest, () => cpu.read8(0, 0))).toBe(0); // the TLB knows
  });

  it('are off where asked for', () => {
    const guest = new Guest({ caches: { structures: 'off' } }).map(0n, ALL).map(0x1000n, ALL);
    guest.cpu.read8(0, 0);
    expect(loads(guest, () => guest.cpu.read8(0x1000, 0))).toBe(4);
  });

  it('hold the combined rights of the entries above', () => {
    const guest = new Guest({ caches: { tlb: 'off' } }).map(0n, ALL);
    guest.machine.host.write64(guest.entryAddress(0n, 4), guest.entryAt(guest.entryAddress(0n, 4)) & ~US);
    const { cpu } = guest;
    cpu.read8(0, 0);
    expect(loads(guest, () => expect(cpu.read8(0, 0)).toBe(0))).toBe(1);
    cpu.setCpl(3);
    cpu.read8(0, 0);
    expect([cpu.faulted, cpu.fault.errorCode]).toEqual([14, 5]);
  });

  it('keep leading to the old table until they are told', () => {
    const guest = new Guest({ caches: { tlb: 'off' } }).map(0n, ALL);
    const { cpu } = guest;
    const { host } = guest.machine;
    cpu.read8(0, 0);
    host.write64(guest.entryAddress(0n, 2), 0);
    cpu.read8(0, 0);
    expect(cpu.faulted).toBe(0);
    cpu.invlpg(0x4000_0000, 0); // any address drops all of the PCID
    cpu.read8(0, 0);
    expect([cpu.faulted, cpu.fault.level]).toEqual([14, 2]);
  });

  it('hold nothing of a walk that faulted', () => {
    const guest = new Guest().map(0n, 0n);
    const { cpu } = guest;
    expect([loads(guest, () => cpu.read8(0, 0)), loads(guest, () => cpu.read8(0, 0))]).toEqual([4, 4]);
    guest.map(0n, P);
    expect(loads(guest, () => cpu.read8(0, 0))).toBe(4);
  });

  it('hold PDEs of 4 MiB in 32-bit paging', () => {
    const guest = new Guest({ mode: '32-bit' }).map(0n, ALL).map(0x3f_f000n, ALL).map(0x40_0000n, ALL);
    expect(loads(guest, () => guest.cpu.read8(0, 0))).toBe(2);
    expect(loads(guest, () => guest.cpu.read8(0x3f_f000, 0))).toBe(1);
    expect(loads(guest, () => guest.cpu.read8(0x40_0000, 0))).toBe(2);
    expect(guest.cpu.registers.root).toBe(ROOT);
  });
});
