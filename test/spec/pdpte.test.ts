/**
 * Paging rules 21 to 30: the four PDPTEs of PAE paging are registers, loaded and checked when control registers change.
 * Source: SDM 3A, "PDPTE Registers".
 */
import { describe, expect, it } from 'vitest';
import { CACHES, CR0, CR4, type Setup, setup } from '../support/tables.ts';

// One address in each of the first three gigabytes.
const FIRST = '0x400000';
const SECOND = '0x40400000';
const THIRD = '0x80400000';
const RW = 'P RW';

/** The second gigabyte leads to 0x300000 and, once its PDPTE in memory is loaded, to 0x301000. */
function stalePdpte(options: Parameters<typeof setup>[1]): Setup {
  const made = setup('pae', options);
  made.map(SECOND, 1, 0x300, RW);
  made.map(THIRD, 1, 0x301, RW);
  made.setEntry(SECOND, 3, made.entry(THIRD, 3));
  return made;
}

/** All that MOV to a control register might have changed. */
const registersOf = ({ cpu }: Setup) => cpu.registers.values();

describe.each(CACHES)('PDPTEs, %s', (_, caches) => {
  it.each([1, 2, 5, 6, 7, 8, 46, 47, 51, 52, 58, 62, 63])(
    '21: MOV CR3 with reserved bit %i in a present PDPTE is #GP(0) and keeps CR3 and PDPTEs',
    (bit) => {
      const made = setup('pae', { caches });
      made.map(SECOND, 1, 0x300, RW);
      const before = registersOf(made);
      made.setEntry(SECOND, 3, 1n | (1n << BigInt(bit)));
      made.cpu.setCr3(0x100018, 0);
      expect(made.outcome()).toBe('#GP 00');
      expect(registersOf(made)).toEqual(before);
      expect(made.translate(SECOND)).toBe('0x300000');
    },
  );

  it.each([0, 1, 2, 3])('21: MOV CR3 checks PDPTE %i', (index) => {
    const { cpu, setEntry } = setup('pae', { caches });
    setEntry(`0x${(index * 2 ** 30).toString(16)}`, 3, 3n);
    expect(cpu.setCr3(0x100000, 0)).toBe(13);
  });

  it.each([3, 4, 9, 10, 11, 45])('21: bit %i of a PDPTE is not reserved', (bit) => {
    const { cpu, setEntry } = setup('pae', { caches });
    setEntry(SECOND, 3, 1n | (1n << BigInt(bit)));
    expect(cpu.setCr3(0x100000, 0)).toBe(0);
  });

  it('22: reserved bits of a PDPTE with P = 0 do not fault', () => {
    const { cpu, setEntry, access } = setup('pae', { caches });
    setEntry(SECOND, 3, 0xfff00000000001e6n);
    expect(cpu.setCr3(0x100000, 0)).toBe(0);
    expect(access('supervisor read', SECOND)).toBe('#PF 00');
  });

  it('22: reserved bits of a PDPTE with P = 0 are #GP(0) where the policy says so', () => {
    const { cpu, setEntry } = setup('pae', { caches, policy: { absentPdpteReserved: 'checked' } });
    setEntry(SECOND, 3, 2n);
    expect(cpu.setCr3(0x100000, 0)).toBe(13);
    setEntry(SECOND, 3, 0n);
    expect(cpu.setCr3(0x100000, 0)).toBe(0);
  });

  it('23: a PDPTE changed in memory counts only after MOV CR3, even to the same value', () => {
    const { cpu, translate } = stalePdpte({ caches });
    expect(translate(SECOND)).toBe('0x300000');
    cpu.setCr3(0x100000, 0);
    expect(translate(SECOND)).toBe('0x301000');
  });

  it('23: a PDPTE made absent in memory still serves walks until MOV CR3', () => {
    const { cpu, setEntry, translate } = stalePdpte({ caches });
    setEntry(SECOND, 3, 0n);
    expect(translate(SECOND)).toBe('0x300000');
    cpu.setCr3(0x100000, 0);
    expect(translate(SECOND)).toBe('#PF 00');
  });

  it('24: INVLPG does not load PDPTEs', () => {
    const { cpu, translate } = stalePdpte({ caches });
    cpu.invlpg(0x40400000, 0);
    expect(translate(SECOND)).toBe('0x300000');
  });
});

describe.each(CACHES)('loading of PDPTEs by MOV CR0 and MOV CR4, %s', (_, caches) => {
  it.each([
    ['sets CD', CR0.WP, CR0.CD],
    ['clears CD', CR0.CD, CR0.CD],
    ['sets NW', CR0.CD, CR0.NW],
    ['clears NW', CR0.CD | CR0.NW, CR0.NW],
  ])('25: MOV CR0 that %s loads the PDPTEs', (_name, cr0, flag) => {
    const { cpu, translate } = stalePdpte({ caches, cr0 });
    expect(cpu.setCr0(cpu.registers.cr0 ^ flag)).toBe(0);
    expect(translate(SECOND)).toBe('0x301000');
  });

  it.each([
    ['sets TS', CR0.WP, CR0.TS],
    ['clears TS', CR0.TS, CR0.TS],
    ['sets WP', 0, CR0.WP],
    ['clears WP', CR0.WP, CR0.WP],
  ])('25: MOV CR0 that only %s does not load them', (_name, cr0, flag) => {
    const made = stalePdpte({ caches, cr0 });
    made.setEntry(FIRST, 3, 3n); // would be #GP
    expect(made.cpu.setCr0(made.cpu.registers.cr0 ^ flag)).toBe(0);
    expect(made.translate(SECOND)).toBe('0x300000');
  });

  it.each(['CD', 'PG'] as const)('25: MOV CR0 that sets %s is #GP(0) on a bad PDPTE and changes nothing', (name) => {
    const made = stalePdpte({ caches });
    if (name === 'PG') made.cpu.setCr0(CR0.PE);
    const before = registersOf(made);
    made.setEntry(THIRD, 3, 3n);
    expect(made.cpu.setCr0(made.cpu.registers.cr0 | CR0[name])).toBe(13);
    expect(registersOf(made)).toEqual(before);
  });

  it('25: MOV CR0 that sets PG loads the PDPTEs', () => {
    const { cpu, translate } = stalePdpte({ caches });
    cpu.setCr0(CR0.PE);
    expect(cpu.setCr0(cpu.registers.cr0 | CR0.PG)).toBe(0);
    expect(translate(SECOND)).toBe('0x301000');
  });

  it.each(['PGE', 'PSE', 'SMEP'] as const)('26: MOV CR4 that changes %s loads the PDPTEs', (name) => {
    for (const cr4 of [0, CR4[name]]) {
      const { cpu, translate } = stalePdpte({ caches, cr4 });
      expect(cpu.setCr4(cpu.registers.cr4 ^ CR4[name])).toBe(0);
      expect(translate(SECOND)).toBe('0x301000');
    }
  });

  it('26: MOV CR4 that sets PAE loads the PDPTEs', () => {
    const { cpu, translate } = stalePdpte({ caches });
    cpu.setCr4(0); // 32-bit paging, with the PDPT as its page directory
    expect(cpu.setCr4(CR4.PAE)).toBe(0);
    expect(translate(SECOND)).toBe('0x301000');
  });

  it.each(['PGE', 'PSE', 'SMEP'] as const)(
    '26: MOV CR4 that sets %s is #GP(0) on a bad PDPTE and changes nothing',
    (name) => {
      const made = stalePdpte({ caches });
      const before = registersOf(made);
      made.setEntry(THIRD, 3, 3n);
      expect(made.cpu.setCr4(CR4.PAE | CR4[name])).toBe(13);
      expect(registersOf(made)).toEqual(before);
    },
  );

  it.each(['OSFXSR', 'SMAP'] as const)('26: MOV CR4 that changes %s does not load them', (name) => {
    const { cpu, setEntry, translate } = stalePdpte({ caches });
    setEntry(FIRST, 3, 3n); // would be #GP
    expect(cpu.setCr4(CR4.PAE | CR4[name])).toBe(0);
    expect(translate(SECOND)).toBe('0x300000');
  });
});

describe.each(CACHES)('use of PDPTEs, %s', (_, caches) => {
  it.each(['none', 'upper'] as const)(
    '27: no access and no fault writes bit 5 of a PDPTE (A flags on faults: %s)',
    (accessedOnFault) => {
      const { cpu, map, entry, access } = setup('pae', { caches, policy: { accessedOnFault } });
      map(SECOND, 1, 0x300, RW);
      const before = [entry(SECOND, 3), cpu.registers.values()];
      for (const kind of ['supervisor write', 'supervisor fetch', 'user read'] as const) access(kind, SECOND);
      access('supervisor read', '0x40401000');
      cpu.setCpl(0);
      expect([entry(SECOND, 3), cpu.registers.values()]).toEqual(before);
    },
  );

  it('28: an access through a PDPTE with P = 0 is a page fault of an absent entry', () => {
    const { cpu, setEntry, access } = setup('pae', { caches });
    setEntry(SECOND, 3, 0n);
    expect(cpu.setCr3(0x100000, 0)).toBe(0);
    expect(access('supervisor read', SECOND)).toBe('#PF 00');
    expect(access('supervisor write', SECOND)).toBe('#PF 02');
    expect(access('supervisor fetch', SECOND)).toBe('#PF 10');
    expect(access('user read', SECOND)).toBe('#PF 04');
    expect(access('user write', SECOND)).toBe('#PF 06');
  });

  it.each([
    ['#TS', 10],
    ['#GP', 13],
  ] as const)(
    '29: a task switch to bad PDPTEs raises %s by policy, with CR3 loaded and no PDPTE left',
    (name, vector) => {
      const made = setup('pae', { caches, policy: { taskSwitchPdpteFault: vector } });
      made.map(FIRST, 1, 0x300, RW);
      expect(made.translate(FIRST)).toBe('0x300000');
      made.setEntry(SECOND, 3, 3n);
      expect(made.cpu.taskSwitch(0x100018)).toBe(vector);
      expect(made.outcome()).toBe(`${name} 00`);
      expect(registersOf(made)).toMatchObject({ cr3Lo: 0x100018, pdptes: [0, 0, 0, 0, 0, 0, 0, 0] });
      for (const va of [FIRST, SECOND, THIRD]) expect(made.translate(va)).toBe('#PF 00');
    },
  );

  it('29: a task switch to good PDPTEs loads them', () => {
    const { cpu, translate } = stalePdpte({ caches });
    expect(cpu.taskSwitch(0x100000)).toBe(0);
    expect(translate(SECOND)).toBe('0x301000');
  });

  it.each([0x100020, 0x100028, 0x100030, 0x10003f])(
    '30: CR3 %i points to the PDPTEs at the multiple of 32 below',
    (cr3) => {
      const { machine, cpu, map, entry, translate } = setup('pae', { caches });
      map(THIRD, 1, 0x300, RW);
      machine.host.write64(0x100028, entry(THIRD, 3)); // the second PDPTE of the four at 0x100020
      expect(cpu.setCr3(cr3, 0)).toBe(0);
      expect(translate(SECOND)).toBe('0x300000');
    },
  );
});
