import { describe, expect, it } from 'vitest';
import { type ExplainedWalk, PF, READ, SS, STACK, WRITE } from '../../src/index.ts';
import { ALL, Guest, P, PS, US } from '../support/guest.ts';

const shown = ({ steps }: ExplainedWalk): string[] =>
  steps.map(
    ({ name, entryAddress, index, entry, flags, outcome, frame }) =>
      `${name} ${entryAddress.toString(16)} [${index}] ${entry.toString(16)} ${flags}: ${outcome} ${frame?.toString(16) ?? '-'}`,
  );

describe('an explained walk', () => {
  it('tells every step to a page', () => {
    const { cpu } = new Guest().map(0xffff_8000_0020_1000n, 0x5000n | P | US);
    const walk = cpu.explain(0x20_1234, -0x8000);
    expect(shown(walk)).toEqual([
      'PML4E 100800 [256] 101007 P RW US: table 101',
      'PDPTE 101000 [0] 102007 P RW US: table 102',
      'PDE 102008 [1] 103007 P RW US: table 103',
      'PTE 103008 [1] 5005 P US: page 5',
    ]);
    expect(walk).toMatchObject({
      mode: '4-level',
      vector: 0,
      summary: 'mapped by the PTE',
      pageSize: 4096,
      rights: 'ur-x',
      patIndex: 0,
    });
    expect([walk.address.toString(16), walk.physical?.toString(16)]).toEqual(['ffff800000201234', '5234']);
  });

  it.each<[string, bigint, number, Partial<ExplainedWalk>]>([
    ['the PDE is not present', 0n, 2, { vector: PF, errorCode: 2, pageSize: 0, rights: '----', physical: undefined }],
    ['the PDE has a reserved bit set', ALL | PS | 0x2000n, 2, { vector: PF, errorCode: 11 }],
    ['the access rights deny the access', P | US | PS, 2, { vector: PF, errorCode: 3 }],
    ['the protection key denies the access', ALL | (1n << 59n), 1, { vector: PF, errorCode: 0x23 }],
    ['mapped by the PDPTE', ALL | PS | 0x1018n, 3, { vector: 0, pageSize: 2 ** 30, patIndex: 7, rights: 'urwx' }],
  ])('ends with why it stopped: %s', (summary, leaf, level, about) => {
    const { cpu } = new Guest({ cr4: 1 << 22 }).map(0n, leaf, level);
    cpu.setPkru(8);
    expect(cpu.explain(0, 0, WRITE)).toMatchObject({ summary, ...about });
    expect([cpu.counters.walks, cpu.counters.faults, cpu.cr2Lo]).toEqual([0, 0, 0]);
  });

  it('begins with the PDPTE register in PAE paging, whether it is present or not', () => {
    const { cpu } = new Guest({ mode: 'pae' }).map(0x4000_0000n, 0x5000n | ALL);
    expect(shown(cpu.explain(0x4000_0000, 0))).toEqual([
      'PDPTE 100008 [1] 101001 P: table 101',
      'PDE 101000 [0] 102007 P RW US: table 102',
      'PTE 102000 [0] 5007 P RW US: page 5',
    ]);
    expect(shown(cpu.explain(0, 0))).toEqual(['PDPTE 100000 [0] 0 : not present -']);
    expect(cpu.explain(0, 0)).toMatchObject({ vector: PF, errorCode: 0, summary: 'the PDPTE is not present' });
  });

  it('has no steps for an address that is not canonical, nor without paging', () => {
    expect(new Guest().cpu.explain(0, 0x8000)).toMatchObject({
      steps: [],
      vector: 13,
      summary: 'the address is not canonical',
    });
    expect(new Guest().cpu.explain(0, 0x8000, READ | STACK)).toMatchObject({
      steps: [],
      vector: SS,
      errorCode: 0,
      summary: 'the address is not canonical',
    });
    const walk = new Guest({ mode: 'none' }).cpu.explain(0x1234, 0);
    expect(walk).toMatchObject({ steps: [], vector: 0, mode: 'none', pageSize: 0, rights: 'urwx' });
    expect(walk.physical?.toNumber()).toBe(0x1234);
  });
});
