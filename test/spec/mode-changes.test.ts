/**
 * Which changes of CR0, CR4 and EFER the paging mode forbids: #GP(0), and nothing has changed.
 * Source: SDM 3A, "Paging Modes and Control Bits", "Paging-Mode Enabling".
 */
import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../src/index.ts';
import { CR0, CR4, EFER, setup } from '../support/tables.ts';

type Row = readonly [change: string, mode: Parameters<typeof setup>[0], run: (cpu: Cpu) => number];

const cr0 = (cpu: Cpu, set: number, clear = 0): number => cpu.setCr0((cpu.registers.cr0 | set) & ~clear);
const cr4 = (cpu: Cpu, set: number, clear = 0): number => cpu.setCr4((cpu.registers.cr4 | set) & ~clear);
const efer = (cpu: Cpu, set: number, clear = 0): number => cpu.setEfer((cpu.registers.efer | set) & ~clear);

/** Out of long mode by the one way there is, as far as CR0.PG = 0. */
function stopPaging(cpu: Cpu): void {
  cpu.setCsL(0);
  expect(cr0(cpu, 0, CR0.PG)).toBe(0);
}

const REFUSED: readonly Row[] = [
  ['CR0.PE is not cleared while paging', '32-bit', (cpu) => cr0(cpu, 0, CR0.PE)],
  ['EFER.LME is not set while paging', '32-bit', (cpu) => efer(cpu, EFER.LME)],
  ['EFER.LME is not set while paging', 'pae', (cpu) => efer(cpu, EFER.LME)],
  ['EFER.LME is not cleared while paging', '4-level', (cpu) => efer(cpu, 0, EFER.LME)],
  ['EFER.LME is not cleared while paging', '5-level', (cpu) => efer(cpu, 0, EFER.LME)],
  ['CR4.PAE is not cleared in long mode', '4-level', (cpu) => cr4(cpu, 0, CR4.PAE)],
  ['CR4.LA57 is not cleared in long mode', '5-level', (cpu) => cr4(cpu, 0, CR4.LA57)],
  ['CR4.PCIDE is not set outside long mode', 'pae', (cpu) => cr4(cpu, CR4.PCIDE)],
  ['CR0.PG is not cleared by 64-bit code', '4-level', (cpu) => cr0(cpu, 0, CR0.PG)],
];

describe('changes of the paging mode', () => {
  it.each(REFUSED)('%s: %s', (_change, mode, run) => {
    const { cpu, outcome } = setup(mode);
    const before = cpu.registers.values();
    expect([run(cpu), outcome(), cpu.registers.values()]).toEqual([13, '#GP 00', before]);
  });

  it('EFER.LME changes without paging, and counts when paging begins', () => {
    const { cpu } = setup('4-level');
    stopPaging(cpu);
    expect([efer(cpu, 0, EFER.LME), cr0(cpu, CR0.PG), cpu.registers.format.mode.name]).toEqual([0, 0, 'pae']);
    expect([cr0(cpu, 0, CR0.PG), efer(cpu, EFER.LME), cpu.registers.efer & EFER.LMA]).toEqual([0, 0, 0]);
    expect([cr0(cpu, CR0.PG), cpu.registers.format.mode.name]).toEqual([0, '4-level']);
    expect(cpu.registers.efer & EFER.LMA).toBe(EFER.LMA);
  });

  it('EFER written with the LME it has is not refused while paging', () => {
    const { cpu } = setup('4-level');
    expect([efer(cpu, 0, EFER.NXE), efer(cpu, EFER.NXE)]).toEqual([0, 0]);
  });

  it('CR0.PG is not set with EFER.LME = 1 where CR4.PAE = 0, or where CS.L = 1', () => {
    const { cpu } = setup('4-level');
    stopPaging(cpu);
    cpu.setCsL(1);
    expect(cr0(cpu, CR0.PG)).toBe(13);
    cpu.setCsL(0);
    expect([cr4(cpu, 0, CR4.PAE), cr0(cpu, CR0.PG)]).toEqual([0, 13]);
    expect([cr4(cpu, CR4.PAE), cr0(cpu, CR0.PG)]).toEqual([0, 0]);
  });

  it('CR0.PG is not cleared with CR4.PCIDE = 1', () => {
    const { cpu } = setup('4-level', { cr4: CR4.PCIDE });
    cpu.setCsL(0);
    expect([cr0(cpu, 0, CR0.PG), cr4(cpu, 0, CR4.PCIDE), cr0(cpu, 0, CR0.PG)]).toEqual([13, 0, 0]);
  });

  it('CR4.PCIDE is not set where CR3 has bits 11:0', () => {
    const { cpu } = setup('4-level');
    for (const bit of [0, 3, 4, 11]) {
      cpu.setCr3(0x100000 | (1 << bit), 0);
      expect(cr4(cpu, CR4.PCIDE)).toBe(13);
    }
    cpu.setCr3(0x100000, 0);
    expect(cr4(cpu, CR4.PCIDE)).toBe(0);
  });
});
