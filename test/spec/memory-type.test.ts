import { describe, expect, it } from 'vitest';
import { combine, Machine, MEMORY_TYPE_NAMES, MemoryTypeRegisters, patIndex } from '../../src/index.ts';

// SDM 3A, "Effective Page-Level Memory Types for Pentium III and More Recent Processor Families": MTRR type, then PAT type.
const TABLE = `
  MTRR  UC  UC-  WC  WT  WB  WP
  UC    UC  UC   WC  UC  UC  UC
  WC    UC  WC   WC  UC  WC  UC
  WT    UC  UC   WC  WT  WT  WP
  WB    UC  UC   WC  WT  WB  WP
  WP    UC  WC   WC  WT  WP  WP`;

const encoding = (name: string): number =>
  Number(Object.entries(MEMORY_TYPE_NAMES).find(([, other]) => other === name)![0]);
const rows = TABLE.trim()
  .split('\n')
  .map((row) => row.trim().split(/\s+/));
const cells = rows
  .slice(1)
  .flatMap(([mtrr, ...types]) => types.map((type, at) => [mtrr!, rows[0]![at + 1]!, type] as const));

const PAT = 0x277;
const DEF_TYPE = 0x2ff;

describe('the effective memory type', () => {
  it.each(cells)('of MTRR %s and PAT %s is %s', (mtrr, pat, type) => {
    expect(MEMORY_TYPE_NAMES[combine(encoding(mtrr), encoding(pat))]).toBe(type);
  });

  it('is UC with CR0.CD = 1', () => {
    const types = new MemoryTypeRegisters(40);
    types.writeMsr(DEF_TYPE, 0x806, 0);
    expect([types.effectiveType(0, 1, false), types.effectiveType(0, 1, true)]).toEqual([6, 0]);
  });
});

describe('IA32_PAT', () => {
  it('is WB, WT, UC-, UC twice after reset', () => {
    const types = new MemoryTypeRegisters(40);
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((index) => MEMORY_TYPE_NAMES[types.patType(index)])).toEqual([
      'WB',
      'WT',
      'UC-',
      'UC',
      'WB',
      'WT',
      'UC-',
      'UC',
    ]);
  });

  it.each([2, 3, 8, 0x80])('refuses the reserved encoding %i and keeps its value', (reserved) => {
    const types = new MemoryTypeRegisters(40);
    expect(types.writeMsr(PAT, 0x06060606, (reserved << 8) | 0x06060006)).toBe(false);
    expect(types.patType(1)).toBe(4);
  });

  it('is indexed by PAT, PCD, PWT', () => expect(patIndex(1, 0, 1)).toBe(5));
});

describe('the MTRRs', () => {
  const withRange = (...ranges: [base: number, mask: number][]): MemoryTypeRegisters => {
    const types = new MemoryTypeRegisters(36);
    types.writeMsr(DEF_TYPE, 0xc06, 0);
    ranges.forEach(([base, mask], at) => {
      expect(types.writeMsr(0x200 + 2 * at, base, 0)).toBe(true);
      expect(types.writeMsr(0x201 + 2 * at, mask, 0xf)).toBe(true);
    });
    return types;
  };

  it('make everything UC while they are disabled, as after reset', () => {
    expect(new MemoryTypeRegisters(40).mtrrType(0x1234)).toBe(0);
  });

  it('give the default type where no range matches', () => expect(withRange().mtrrType(0x100)).toBe(6));

  it('put fixed ranges first, below 1 MiB', () => {
    const types = withRange([0, 0x800]);
    types.writeMsr(0x250, 0, 0x05000000); // the last 64 KiB below 0x80000 are WP
    types.writeMsr(0x259, 0x01, 0); // 0xa0000 to 0xa3fff are WC
    types.writeMsr(0x26f, 0, 0x04000000); // 0xff000 is WT
    expect([0x7f, 0x70, 0x6f, 0xa0, 0xa3, 0xa4, 0xff, 0xfe].map((frame) => types.mtrrType(frame))).toEqual([
      5, 5, 0, 1, 1, 0, 4, 0,
    ]);
  });

  it('match variable ranges by base and mask', () => {
    const types = withRange([0x80000000 | 1, 0xf0000800 | 0]);
    expect([0x80000, 0x8ffff, 0x90000, 0x7ffff].map((frame) => types.mtrrType(frame))).toEqual([1, 1, 6, 6]);
  });

  it.each([
    ['UC and WB', 0, 6, 0],
    ['WT and WB', 4, 6, 4],
    ['WB and WT', 6, 4, 4],
    ['WC and WC', 1, 1, 1],
    ['WC and WP, which the manual leaves undefined', 1, 5, 0],
  ])('overlapping %s', (_, first, second, type) => {
    expect(withRange([first, 0x800], [second, 0x800]).mtrrType(0x200)).toBe(type);
  });

  it.each([
    ['a reserved type in the default', DEF_TYPE, 0x802, 0],
    ['a reserved bit in the default', DEF_TYPE, 0x1806, 0],
    ['a reserved type in a base', 0x200, 0x2, 0],
    ['a base beyond MAXPHYADDR', 0x200, 0x6, 0x10],
    ['a reserved bit in a mask', 0x201, 0xc00, 0],
    ['UC- in a fixed range', 0x250, 7, 0],
    ['no such MSR', 0x123, 0, 0],
  ])('refuse %s', (_, msr, lo, hi) => expect(new MemoryTypeRegisters(36).writeMsr(msr, lo, hi)).toBe(false));
});

describe('a translation', () => {
  it('has its memory type when asked: PAT bit 12 of a superpage, PCD, CR0.CD', () => {
    const { cpus, host } = new Machine({ memory: { size: 1 << 24 } });
    const cpu = cpus[0]!;
    cpu.memoryTypes.writeMsr(DEF_TYPE, 0x806, 0);
    cpu.memoryTypes.writeMsr(PAT, 0x00070406, 0x00070501); // index 4 is WC
    host.write64(0x1000, 0x2003);
    host.write64(0x2000, 0x3003);
    host.write64(0x3000, 0x200083 | (1 << 12));
    host.write64(0x3008, 0x400083 | (1 << 4));
    cpu.enter({ cr0: 0x80000011, cr3: 0x1000, cr4: 0x20, efer: 0x500 });
    const typeAt = (lo: number): string | undefined => {
      expect(cpu.translate(lo, 0)).toBe(0);
      return MEMORY_TYPE_NAMES[cpu.memoryType];
    };
    expect([typeAt(0), typeAt(0x200000)]).toEqual(['WC', 'UC']);
    cpu.setCr0(0xc0000011 | 0);
    expect(typeAt(0)).toBe('UC');
  });
});
