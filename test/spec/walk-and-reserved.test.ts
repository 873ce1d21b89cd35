/**
 * Paging rules 1 to 20: which entry decides a walk, and which bits of it must be zero.
 * Source: SDM 3A, "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging", "Page-Fault Exceptions".
 */
import { describe, expect, it } from 'vitest';
import { AMD } from '../../src/index.ts';
import { CACHES, CR4, EFER, hi, type Kind, lo, setup } from '../support/tables.ts';

const VA = '0x12345678000';
const VA32 = '0x45678000';
const RWU = 'P RW US';

/** `bits(13, 15)` is 13, 14, 15. */
const bits = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe.each(CACHES)('presence and reserved bits, %s', (_, caches) => {
  it('1: a reserved bit in a PDE that is not present is not reported (00)', () => {
    const { map, upper, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, RWU);
    upper(VA, 2, 'RW US bit51');
    expect(access('supervisor read', VA)).toBe('#PF 00');
  });

  it.each([
    [36, bits(36, 51)],
    [46, bits(46, 51)],
    [51, [51]],
  ])(
    '2: with MAXPHYADDR %i a user write through a PTE with an address bit above it reports P, W, U and RSVD (0F)',
    (maxPhyAddr, reserved) => {
      const { map, access } = setup('4-level', { caches, features: { maxPhyAddr } });
      for (const bit of reserved) {
        map(VA, 1, 0x300, `${RWU} bit${bit}`);
        expect(access('user write', VA), `bit ${bit}`).toBe('#PF 0F');
      }
      map(VA, 1, 0x300, `${RWU} bit${maxPhyAddr - 1}`);
      expect(access('user write', VA)).toBe('ok');
    },
  );

  it.each([1, 2, 3, 4])('2: a reserved bit in an entry of level %i is reported (0F)', (level) => {
    const { map, upper, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, RWU);
    upper(VA, level, `${RWU} bit46`);
    expect(access('user write', VA)).toBe('#PF 0F');
  });

  it('3: a reserved bit in the PTE comes before U/S = 0 in the PML4E (0D)', () => {
    const { map, upper, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, `${RWU} bit51`);
    upper(VA, 4, 'P RW');
    expect(access('user read', VA)).toBe('#PF 0D');
  });

  it('4: an absent PTE comes before U/S = 0 in the PML4E (04)', () => {
    const { map, upper, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'RW US');
    upper(VA, 4, 'P RW');
    expect(access('user read', VA)).toBe('#PF 04');
  });

  it('5: an absent PDPTE comes before R/W = 0 in the PML4E (06)', () => {
    const { map, upper, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, RWU);
    upper(VA, 4, 'P US');
    upper(VA, 3, 'RW US');
    expect(access('user write', VA)).toBe('#PF 06');
  });

  it.each([
    ['PML4E', '4-level', 4],
    ['PML4E', '5-level', 4],
    ['PML5E', '5-level', 5],
  ] as const)('6: PS = 1 in a %s is reserved in %s paging (09)', (_name, mode, level) => {
    const { map, upper, access } = setup(mode, { caches });
    map(VA, 1, 0x300, RWU);
    upper(VA, level, `${RWU} PS`);
    expect(access('supervisor read', VA)).toBe('#PF 09');
  });
});

describe.each(CACHES)('reserved bits of superpages, %s', (_, caches) => {
  it('7: PS = 1 in a PDPTE is reserved on a processor without 1 GiB pages (09)', () => {
    const { map, upper, access } = setup('4-level', { caches, features: { page1gb: false } });
    map(VA, 1, 0x300, RWU);
    upper(VA, 3, `${RWU} PS`);
    expect(access('supervisor read', VA)).toBe('#PF 09');
  });

  it.each(bits(13, 29))('7: bit %i of a PDPTE that maps 1 GiB is reserved (09)', (bit) => {
    const { map, access } = setup('4-level', { caches });
    map(VA, 3, 0x40000, `${RWU} bit${bit}`);
    expect(access('supervisor read', VA)).toBe('#PF 09');
  });

  it('7: bit 12 of a PDPTE that maps 1 GiB is PAT and leaves the address alone', () => {
    const { map, translate } = setup('4-level', { caches });
    map(VA, 3, 0x40000, `${RWU} bit12`);
    expect(translate(VA)).toBe('0x45678000');
  });

  it.each(bits(13, 20))('8: bit %i of a PDE that maps 2 MiB is reserved (09)', (bit) => {
    const { map, access } = setup('4-level', { caches });
    map(VA, 2, 0x400, `${RWU} bit${bit}`);
    expect(access('supervisor read', VA)).toBe('#PF 09');
  });

  it('8: bit 12 of a PDE that maps 2 MiB is PAT and leaves the address alone', () => {
    const { map, translate } = setup('4-level', { caches });
    map(VA, 2, 0x400, `${RWU} bit12`);
    expect(translate(VA)).toBe('0x478000');
  });
});

describe.each(CACHES)('bit 63 without NXE, and bits 62:52, %s', (_, caches) => {
  const outcomes: readonly (readonly [Kind, string])[] = [
    ['supervisor read', '#PF 09'],
    ['supervisor write', '#PF 0B'],
    ['supervisor fetch', '#PF 09'],
    ['user read', '#PF 0D'],
    ['user write', '#PF 0F'],
    ['user fetch', '#PF 0D'],
  ];

  it.each([
    ['4-level', VA, 4],
    ['5-level', VA, 5],
    ['pae', VA32, 2],
  ] as const)(
    '9: with NXE = 0 bit 63 of any present entry is reserved for every access in %s paging',
    (mode, va, levels) => {
      for (const level of bits(1, levels)) {
        const { map, upper, access } = setup(mode, { caches, efer: 0 });
        map(va, 1, 0x300, RWU);
        upper(va, level, `${RWU} XD`);
        for (const [kind, outcome] of outcomes) expect(access(kind, va), `${kind}, level ${level}`).toBe(outcome);
      }
    },
  );

  it.each([2, 3])('9: with NXE = 0 bit 63 of a superpage of level %i is reserved (09)', (level) => {
    const { map, access } = setup('4-level', { caches, efer: 0 });
    map(VA, level, 0x40000, `${RWU} XD`);
    expect(access('supervisor read', VA)).toBe('#PF 09');
  });

  it('9: bit 63 becomes reserved as soon as NXE is cleared (09)', () => {
    const { cpu, map, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, `${RWU} XD`);
    cpu.setEfer(EFER.LME);
    expect(access('supervisor read', VA)).toBe('#PF 09');
  });

  it.each([1, 2, 3, 4])('10: with NXE = 0 bit 63 of an absent entry of level %i is not reported (00)', (level) => {
    const { map, upper, access } = setup('4-level', { caches, efer: 0 });
    map(VA, 1, 0x300, RWU);
    upper(VA, level, 'RW US XD');
    expect(access('supervisor read', VA)).toBe('#PF 00');
  });

  it.each(bits(52, 62))('11: bit %i is reserved in a PAE PTE, PDE and 2 MiB PDE (09)', (bit) => {
    const { map, upper, access } = setup('pae', { caches });
    map(VA32, 1, 0x300, `${RWU} bit${bit}`);
    expect(access('supervisor read', VA32), 'PTE').toBe('#PF 09');
    upper(VA32, 2, `${RWU} bit${bit}`);
    expect(access('supervisor read', VA32), 'PDE').toBe('#PF 09');
    map(VA32, 2, 0x400, `${RWU} bit${bit}`);
    expect(access('supervisor read', VA32), '2 MiB PDE').toBe('#PF 09');
  });

  it.each(bits(52, 62))('11: bit %i is ignored in every entry of 5-level paging', (bit) => {
    const { map, upper, translate } = setup('5-level', { caches });
    map(VA, 1, 0x300, RWU);
    for (const level of bits(1, 5)) upper(VA, level, `${RWU} bit${bit}`);
    expect(translate(VA)).toBe('0x300000');
  });
});

describe.each(CACHES)('4 MiB and 2 MiB pages of 32-bit linear addresses, %s', (_, caches) => {
  it.each([
    ['MAXPHYADDR 52', { maxPhyAddr: 52 }, 21],
    ['MAXPHYADDR 40', { maxPhyAddr: 40 }, 21],
    ['MAXPHYADDR 36', { maxPhyAddr: 36 }, 17],
    ['MAXPHYADDR 32', { maxPhyAddr: 32 }, 13],
    ['no PSE-36', { pse36: false }, 13],
  ])(
    '12: with %s bits of a 4 MiB PDE are reserved from 21 down to the first that PSE-36 leaves (09)',
    (_name, features, first) => {
      for (const bit of bits(12, 21)) {
        const { map, access } = setup('32-bit', { caches, features, cr4: CR4.PSE });
        map(VA32, 2, 0x400, `${RWU} bit${bit}`);
        expect(access('supervisor read', VA32), `bit ${bit}`).toBe(bit < first ? 'ok' : '#PF 09');
      }
    },
  );

  it('13: with CR4.PSE = 0 the PS flag of a 32-bit PDE is ignored', () => {
    const { map, upper, translate } = setup('32-bit', { caches });
    map(VA32, 1, 0x300, RWU);
    upper(VA32, 2, `${RWU} PS`);
    expect(translate(VA32)).toBe('0x300000');
  });

  it('14: with CR4.PSE = 0 a PAE PDE with PS = 1 maps 2 MiB', () => {
    const { map, translate } = setup('pae', { caches });
    map(VA32, 2, 0x400, RWU);
    expect(translate(VA32)).toBe('0x478000');
  });

  it.each([
    ['0x12', 0x00c24083n, 0x1200e78000],
    ['0xED', 0x00dda083n, 0xed00e78000],
  ])('15: bits 20:13 of a 4 MiB PDE, here %s, are bits 39:32 of the physical address', (_name, pde, physical) => {
    const { machine, cpu, setEntry } = setup('32-bit', { caches, cr4: CR4.PSE, sparse: true });
    setEntry(VA32, 2, pde);
    machine.host.write32(physical, 0x1234567);
    expect(cpu.read32(lo(VA32), 0)).toBe(0x1234567);
  });
});

describe.each(CACHES)('address bits, and what else is reserved or ignored, %s', (_, caches) => {
  it.each(bits(12, 51))('16: with MAXPHYADDR 52 bit %i of a PTE is an address bit', (bit) => {
    const { map, translate } = setup('4-level', { caches, features: { maxPhyAddr: 52 } });
    map(VA, 1, 0, `${RWU} bit${bit}`);
    expect(translate(VA)).toBe(`0x${(2 ** bit).toString(16)}`);
  });

  it('16: with MAXPHYADDR 52 a page table may lie at 2^51', () => {
    const features = { maxPhyAddr: 52 };
    const { machine, map, setEntry, translate } = setup('4-level', { caches, features, sparse: true });
    map(VA, 1, 0, '');
    setEntry(VA, 2, 0x8000000000007n);
    machine.host.write64(2 ** 51 + 0x78 * 8, 0x300007n); // 0x78 is the table index of VA
    expect(translate(VA)).toBe('0x300000');
  });

  it.each([
    ['reserved on AMD (09)', 4, AMD, '#PF 09'],
    ['reserved on AMD (09)', 5, AMD, '#PF 09'],
    ['ignored on AMD', 2, AMD, 'ok'],
    ['ignored on AMD', 3, AMD, 'ok'],
    ['ignored on Intel', 4, {}, 'ok'],
    ['ignored on Intel', 5, {}, 'ok'],
  ])('17: G = 1 in a table entry is %s at level %i', (_name, level, features, outcome) => {
    const { map, upper, access } = setup('5-level', { caches, features });
    map(VA, 1, 0x300, RWU);
    upper(VA, level, `${RWU} G`);
    expect(access('supervisor read', VA)).toBe(outcome);
  });

  it.each(bits(46, 63))('18: MOV CR3 with reserved bit %i is #GP(0) and changes nothing', (bit) => {
    const { cpu, map, translate, outcome } = setup('4-level', { caches });
    map(VA, 1, 0x300, RWU);
    const value = `0x${(0x200000n | (1n << BigInt(bit))).toString(16)}`;
    cpu.setCr3(lo(value), hi(value));
    expect(outcome()).toBe('#GP 00');
    expect([cpu.registers.cr3Lo, cpu.registers.cr3Hi]).toEqual([0x100000, 0]);
    expect(translate(VA)).toBe('0x300000');
  });

  it('19: protection keys in entries that point to tables do not matter', () => {
    const { map, upper, access } = setup('5-level', { caches, cr4: CR4.PKE, pkru: ~3 }); // all keys but 0 deny access
    map(VA, 1, 0x300, RWU);
    for (const level of bits(2, 5)) upper(VA, level, `${RWU} bit59 bit60 bit61 bit62`);
    expect(access('user write', VA)).toBe('ok');
    map('0x400000', 1, 0x301, RWU, { key: 15 });
    expect(access('user write', '0x400000')).toBe('#PF 27');
  });

  it('20: a PML4 that points to itself is found by its own address, with A and after a write D in that entry', () => {
    const { setEntry, entry, translate, access } = setup('4-level', { caches });
    const self = '0xffffff7fbfdfe000'; // index 510 at all four levels
    setEntry(self, 4, 0x100003n);
    expect(translate(self)).toBe('0x100000');
    expect(entry(self, 4)).toBe(0x100023n);
    expect(access('supervisor write', self)).toBe('ok');
    expect(entry(self, 4)).toBe(0x100063n);
  });
});

// Only a TLB can show that it was left alone.
describe('MOV CR3 refused', () => {
  it('18: a refused MOV CR3 leaves the TLB as it was', () => {
    const { cpu, map, access, translate } = setup('4-level', { caches: CACHES[0]![1] });
    map(VA, 1, 0x300, RWU);
    access('supervisor read', VA);
    map(VA, 1, 0x301, RWU);
    cpu.setCr3(0x100000, 1 << 14);
    expect(translate(VA)).toBe('0x300000');
    cpu.setCr3(0x100000, 0);
    expect(translate(VA)).toBe('0x301000');
  });
});
