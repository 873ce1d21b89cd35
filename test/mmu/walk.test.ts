import { describe, expect, it } from 'vitest';
import { A, ALL, D, Guest, P, ROOT, RW } from '../support/guest.ts';
import { watching } from '../support/observe.ts';

describe('a walk', () => {
  it('marks every entry it used, and D in the leaf it writes through', () => {
    const guest = new Guest({ mode: '5-level', caches: { tlb: 'off', structures: 'off' } }).map(0x1234_5678_9000n, ALL);
    const marks = (): bigint[] =>
      [5, 4, 3, 2, 1].map((level) => guest.entryAt(guest.entryAddress(0x1234_5678_9000n, level)) & (A | D));
    guest.cpu.read8(0x5678_9000, 0x1234);
    expect(marks()).toEqual([A, A, A, A, A]);
    guest.cpu.write8(0x5678_9000, 0x1234, 1);
    expect(marks()).toEqual([A, A, A, A, A | D]);
  });

  it('writes nothing where nothing changes: tables in ROM work', () => {
    const guest = new Guest().map(0n, P);
    const { machine, cpu } = guest;
    machine.memory.protectRom(ROOT * 4096, 4 * 4096);
    machine.memory.clearDirty();
    cpu.read8(0, 0);
    expect([cpu.faulted, guest.entryAt(guest.entryAddress(0n, 1))]).toEqual([0, P]);
    expect(machine.memory.isDirty(ROOT)).toBe(false);
  });

  it('starts again where an entry changed after it was checked', () => {
    const guest = new Guest().map(0n, 0x1000n | ALL);
    const { cpu } = guest;
    const { host } = guest.machine;
    host.write32(0x1000, 1);
    host.write32(0x2000, 2);
    const leaf = guest.entryAddress(0n, 1);
    const { port, walker } = cpu.translator;
    let isFirst = true;
    port.observer = watching((operation, entry) => {
      if (operation !== 'compareExchange' || entry * 8 !== leaf || !isFirst) return;
      isFirst = false;
      host.write64(leaf, 0x2000n | ALL); // another CPU is faster
    });
    expect(cpu.read32(0, 0)).toBe(2);
    expect([walker.restarts, guest.entryAt(leaf)]).toEqual([1, 0x2000n | ALL | A]);
  });

  it('faults where the entry went away after it was checked', () => {
    const guest = new Guest().map(0n, 0x1000n | ALL);
    const { cpu } = guest;
    const leaf = guest.entryAddress(0n, 1);
    cpu.translator.port.observer = watching((operation, entry) => {
      if (operation === 'compareExchange' && entry * 8 === leaf) guest.machine.host.write64(leaf, 0);
    });
    expect([cpu.write8(0, 0, 1), cpu.fault.errorCode, guest.entryAt(leaf)]).toEqual([14, 2, 0n]);
  });

  it('ends in a table that is its own and only table', () => {
    const guest = new Guest({ mode: '5-level' });
    guest.machine.host.write64(ROOT * 4096, BigInt(ROOT * 4096) | P | RW);
    expect(guest.cpu.write32(8, 0, 77)).toBe(0);
    expect(guest.machine.host.read32(ROOT * 4096 + 8)).toBe(77);
    expect(guest.entryAt(ROOT * 4096)).toBe(BigInt(ROOT * 4096) | P | RW | A | D);
  });

  it.each([
    ['none', [0n, 0n, 0n]],
    ['upper', [A, A, A]],
  ] as const)('that faults marks the entries above: %s', (accessedOnFault, marks) => {
    const guest = new Guest({ policy: { accessedOnFault } }).map(0n, 0n);
    guest.cpu.read8(0, 0);
    expect([4, 3, 2].map((level) => guest.entryAt(guest.entryAddress(0n, level)) & A)).toEqual(marks);
  });
});
