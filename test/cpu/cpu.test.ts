import { describe, expect, it } from 'vitest';
import { GP, Machine } from '../../src/index.ts';
import { ALL, Guest, P } from '../support/guest.ts';

const machine = () => new Machine({ memory: { size: 1 << 16 } });

describe('enter()', () => {
  it('takes over a state in which 64-bit code runs, with empty caches', () => {
    const guest = new Guest().map(0n, 0x1000n | ALL);
    const { cpu, machine } = guest;
    for (const _ of [1, 2, 3]) cpu.write8(0, 0, 1);
    machine.host.write64(guest.entryAddress(0n, 1), 0);
    expect(
      cpu.enter({ cr0: 0x8001_0001, cr3: 0x10_0000, cr4: 0x20, efer: 0x900, cpl: 3, ac: 1, pkru: 5, pkrs: 6 }),
    ).toBe(0);
    const { cpl, ac, pkru, pkrs, csL, is64Bit, efer } = cpu.registers;
    expect([cpl, ac, pkru, pkrs, csL, is64Bit, efer]).toEqual([3, 1, 5, 6, 1, true, 0xd00]);
    expect([cpu.write8(0, 0, 1), cpu.snapshot().tlb]).toEqual([14, []]);
  });

  it('takes EFER.LMA from CR0.PG and EFER.LME', () => {
    const { cpus } = machine();
    cpus[0]!.enter({ cr0: 1, cr3: 0, cr4: 0x20, efer: 0xd00 });
    expect([cpus[0]!.registers.efer, cpus[0]!.registers.is64Bit]).toEqual([0x900, false]);
  });

  it('loads the PDPTE registers of PAE paging, or takes those given', () => {
    const { cpus, host } = machine();
    const [cpu] = cpus as [(typeof cpus)[0]];
    const state = { cr0: 0x8000_0001, cr3: 0x1020, cr4: 0x20, efer: 0 };
    host.write64(0x1028, 0x5001);
    expect(cpu.enter(state)).toBe(0);
    expect([...cpu.registers.pdptes.values]).toEqual([0, 0, 0x5001, 0, 0, 0, 0, 0]);
    expect(cpu.enter({ ...state, pdptes: [1, 2, 3, 4, 5, 6, 7, 8] })).toBe(0);
    expect([...cpu.registers.pdptes.values]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('refuses a malformed PDPTE, and nothing has changed', () => {
    const { cpus, host } = machine();
    const [cpu] = cpus as [(typeof cpus)[0]];
    host.write64(0x1000, 3);
    const before = cpu.registers.values();
    expect([cpu.enter({ cr0: 0x8000_0001, cr3: 0x1000, cr4: 0x20, efer: 0 }), cpu.faulted]).toEqual([GP, GP]);
    expect(cpu.registers.values()).toEqual(before);
  });

  it.each([
    ['none', 'none'],
    ['32-bit', '32-bit'],
    ['pae', 'pae'],
    ['4-level', '4-level'],
    ['5-level', '5-level'],
  ] as const)('knows the mode %s', (mode, name) => {
    const guest = new Guest({ mode });
    const { cpu } = guest;
    if (mode !== 'none') guest.map(0x1000n, 0x1000n | P);
    expect([cpu.registers.format.mode.name, cpu.translate(0x1234, 0), cpu.physicalLo]).toEqual([name, 0, 0x1234]);
  });
});
