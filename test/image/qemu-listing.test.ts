/** QEMU's habits that no shipped capture shows, on tables of our own: test/corpus/images/FORMAT.md. */
import { describe, expect, it } from 'vitest';
import { leafLines, qemuMemLines, qemuTlbLines } from '../../src/image/index.ts';
import { A, ALL, D, G, Guest, P, PS, ROOT, RW, US, XD } from '../support/guest.ts';

const tlb = ({ cpu }: Guest): string[] => [...qemuTlbLines(cpu)];
const mem = ({ cpu }: Guest): string[] => [...qemuMemLines(cpu)];

/** Sets more bits in an entry that is there. */
function set(guest: Guest, address: bigint, level: number, bits: bigint): Guest {
  const at = guest.entryAddress(address, level);
  guest.machine.host.write64(at, guest.entryAt(at) | bits);
  return guest;
}

describe('info tlb', () => {
  it('shows nine flags of the leaf alone', () => {
    const guest = new Guest()
      .map(0x1000n, 0x5000n | P)
      .map(0x2000n, 0x6000n | ALL | A | D | G | XD)
      .map(0x3000n, 0x7000n | P | 0x18n);
    set(guest, 0n, 4, XD);
    expect(tlb(guest)).toEqual([
      '0000000000001000: 0000000000005000 ---------',
      '0000000000002000: 0000000000006000 XG-DA--UW',
      '0000000000003000: 0000000000007000 -----CT--',
    ]);
  });

  it('shows neither PAT: bit 7 of a 4 KiB entry, bit 12 of a larger one', () => {
    const guest = new Guest()
      .map(0x1000n, 0x5000n | P | PS)
      .map(0x20_0000n, 0x60_0000n | P | PS | 0x1000n, 2)
      .map(0x4000_0000n, 0x8000_0000n | P | PS | 0x1000n, 3);
    expect(tlb(guest)).toEqual([
      '0000000000001000: 0000000000005000 ---------',
      '0000000000200000: 0000000000600000 --P------',
      '0000000040000000: 0000000080000000 --P------',
    ]);
  });

  it('takes frames, of pages and of tables, up to address bit 49', () => {
    const above = 3n << 50n;
    const guest = new Guest()
      .map(0x1000n, (1n << 49n) | above | 0x5000n | P)
      .map(0x20_0000n, above | 0x60_0000n | P | PS, 2);
    set(guest, 0n, 3, above);
    expect(tlb(guest)).toEqual([
      '0000000000001000: 0002000000005000 ---------',
      '0000000000200000: 0000000000600000 --P------',
    ]);
  });

  it('checks no reserved bit, and takes a 1 GiB page on any processor', () => {
    const guest = new Guest({ features: { page1gb: false, maxPhyAddr: 32 } })
      .map(0n, 0x1_0000_5000n | P)
      .map(0x20_0000n, 0x60_2000n | P | PS, 2)
      .map(0x4000_0000n, 0x8000_2000n | P | PS, 3);
    expect(tlb(guest)).toEqual([
      '0000000000000000: 0000000100005000 ---------',
      '0000000000200000: 0000000000600000 --P------',
      '0000000040000000: 0000000080000000 --P------',
    ]);
    expect([...guest.cpu.leaves()]).toEqual([]);
  });

  it('ignores PS of a PML4E and a PML5E', () => {
    for (const mode of ['4-level', '5-level'] as const) {
      const guest = new Guest({ mode }).map(0x1000n, 0x5000n | P);
      for (let level = mode === '4-level' ? 4 : 5; level >= 4; level--) set(guest, 0n, level, PS);
      expect(tlb(guest)).toEqual(['0000000000001000: 0000000000005000 ---------']);
    }
  });

  it('loses bits 39 to 32 of a 4 MiB page, and keeps its reserved bit 21', () => {
    const guest = new Guest({ mode: '32-bit' })
      .map(0x40_0000n, 0x80_2000n | P | RW | PS, 2)
      .map(0x80_0000n, 0xe0_0000n | P | PS, 2)
      .map(0xffff_f000n, 0xffff_f000n | P | US | PS);
    expect(tlb(guest)).toEqual([
      '0000000000400000: 0000000000800000 --P-----W',
      '0000000000800000: 0000000000e00000 --P------',
      '00000000fffff000: 00000000fffff000 -------U-',
    ]);
    expect([...leafLines(guest.cpu)][0]).toBe('0000000000400000 4M 000100800000 -wx 0000000000802083');
  });

  it('takes a PDE for a table whatever its PS, where CR4.PSE = 0', () => {
    const guest = new Guest({ mode: '32-bit' }).map(0x40_1000n, 0x5000n | P | RW);
    guest.machine.host.write32(ROOT * 4096 + 4, Number(guest.entryAt(ROOT * 4096 + 4) | PS));
    expect(tlb(guest)).toEqual(['0000000000400000: 0000000000000000 --P----UW']);
    guest.cpu.enter({ cr0: 0x8001_0001, cr3: ROOT * 4096, cr4: 0, efer: 0 });
    expect(tlb(guest)).toEqual(['0000000000401000: 0000000000005000 --------W']);
  });

  it('prints XD and whatever is set above bit 51 as part of the address, in PAE paging', () => {
    const guest = new Guest({ mode: 'pae' })
      .map(0x3000_0000n, XD | (1n << 55n) | 0x5000n | P)
      .map(0x3020_0000n, XD | 0x1_0060_0000n | P | PS, 2)
      .map(0x3040_0000n, 0x90_0000n | P | PS, 2);
    expect(tlb(guest)).toEqual([
      '0000000030000000: 8080000000005000 X--------',
      '0000000030200000: 8000000100600000 X-P------',
      '0000000030400000: 0000000000900000 --P------',
    ]);
  });

  it('takes the PDPTEs of PAE paging from memory, as they are now', () => {
    const guest = new Guest({ mode: 'pae' }).map(0x1000n, 0x5000n | P);
    const [first, second] = [guest.entryAddress(0n, 3), guest.entryAddress(0x4000_0000n, 3)];
    guest.machine.host.write64(second, guest.entryAt(first) | (3n << 50n) | 0x1e6n); // A MOV CR3 would refuse it
    guest.machine.host.write64(first, 0);
    expect(tlb(guest)).toEqual(['0000000040001000: 0000000000005000 ---------']);
  });

  it('extends the sign from bit 47, from bit 56 with 5-level paging, and not in 32-bit modes', () => {
    const address = 0xffff_8000_0000_1000n;
    expect(tlb(new Guest().map(address, 0x5000n | P))[0]).toMatch(/^ffff800000001000:/);
    const wide = new Guest({ mode: '5-level' }).map(0xff00_0000_0000_1000n, 0x5000n | P);
    expect(tlb(wide.map(0xffff_8000_0000_0000n, 0x6000n | P))).toEqual([
      'ff00000000001000: 0000000000005000 ---------',
      'ffff800000000000: 0000000000006000 ---------',
    ]);
    expect(tlb(new Guest({ mode: '5-level' }).map(0x8000_0000_0000n, P))[0]).toMatch(/^0000800000000000:/);
    expect(tlb(new Guest({ mode: 'pae' }).map(0x8000_0000n, P))[0]).toMatch(/^0000000080000000:/);
  });

  it('is empty without paging', () => {
    const guest = new Guest({ mode: 'none' });
    expect([...tlb(guest), ...mem(guest), ...leafLines(guest.cpu)]).toEqual([]);
  });
});

describe('info mem', () => {
  it('merges what follows with the same U/S and R/W over all levels, whatever the frames, sizes, XD and G', () => {
    const guest = new Guest()
      .map(0x1f_f000n, 0x7000n | ALL | G)
      .map(0x20_0000n, 0x80_0000n | ALL | PS | XD, 2)
      .map(0x40_0000n, 0x9000n | P | US)
      .map(0x40_1000n, 0x1000n | P | RW);
    expect(mem(guest)).toEqual([
      '00000000001ff000-0000000000400000 0000000000201000 urw',
      '0000000000400000-0000000000401000 0000000000001000 ur-',
      '0000000000401000-0000000000402000 0000000000001000 -rw',
    ]);
    const at = guest.entryAddress(0n, 4);
    guest.machine.host.write64(at, guest.entryAt(at) & ~US);
    expect(mem(guest)).toEqual([
      '00000000001ff000-0000000000400000 0000000000201000 -rw',
      '0000000000400000-0000000000401000 0000000000001000 -r-',
      '0000000000401000-0000000000402000 0000000000001000 -rw',
    ]);
  });

  it('passes END and LENGTH through the sign extension too', () => {
    expect(mem(new Guest().map(0x7fff_ffff_f000n, P))).toEqual([
      '00007ffffffff000-ffff800000000000 0000000000001000 -r-',
    ]);
    expect(mem(new Guest().map(0xffff_ffff_ffff_f000n, P))).toEqual([
      'fffffffffffff000-0001000000000000 0000000000001000 -r-',
    ]);
    const half = new Guest();
    for (let entry = 0n; entry < 512n; entry++) half.map(entry << 30n, (entry << 30n) | P | PS, 3);
    for (let entry = 1; entry < 256; entry++)
      half.machine.host.write64(ROOT * 4096 + 8 * entry, half.entryAt(ROOT * 4096));
    expect(mem(half)).toEqual(['0000000000000000-ffff800000000000 ffff800000000000 -r-']);
  });

  it('merges over the middle of the address space', () => {
    const guest = new Guest().map(0x7fff_ffff_f000n, 0x1000n | P).map(0xffff_8000_0000_0000n, 0x9000n | P);
    expect(mem(guest)).toEqual(['00007ffffffff000-ffff800000001000 0000000000002000 -r-']);
  });

  it('of 5-level paging is what the 4-level rules give, with bit 56 as sign', () => {
    const guest = new Guest({ mode: '5-level' })
      .map(0xff_ffff_ffff_f000n, P)
      .map(0xff00_0000_0000_0000n, 0x9000n | P | US)
      .map(0xffff_ffff_ffff_f000n, P);
    expect(mem(guest)).toEqual([
      '00fffffffffff000-ff00000000000000 0000000000001000 -r-',
      'ff00000000000000-ff00000000001000 0000000000001000 ur-',
      'fffffffffffff000-0200000000000000 0000000000001000 -r-',
    ]);
  });

  it('of PAE and 32-bit paging has the rights of PDE and PTE', () => {
    const pae = new Guest({ mode: 'pae' }).map(0xffff_f000n, P | US); // the PDPTE has neither RW nor US
    expect(mem(pae)).toEqual(['00000000fffff000-0000000100000000 0000000000001000 ur-']);
    const old = new Guest({ mode: '32-bit' }).map(0xffff_f000n, P | RW);
    expect(mem(old)).toEqual(['00000000fffff000-0000000100000000 0000000000001000 -rw']);
  });
});

describe('the leaves listing', () => {
  it('has size, address without attributes, rights over all levels and the raw entry', () => {
    const guest = new Guest()
      .map(0x1000n, 0x5000n | ALL)
      .map(0x20_0000n, 0x60_1000n | P | PS | XD, 2)
      .map(0x4000_0000n, 0x8000_0000n | ALL | PS, 3);
    set(guest, 0n, 2, XD);
    expect([...leafLines(guest.cpu)]).toEqual([
      '0000000000001000 4K 000000005000 uw- 0000000000005007',
      '0000000000200000 2M 000000600000 --- 8000000000601081',
      '0000000040000000 1G 000080000000 uwx 0000000080000087',
    ]);
  });
});
