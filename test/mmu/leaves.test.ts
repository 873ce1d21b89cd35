import { describe, expect, it } from 'vitest';
import type { MappedRun } from '../../src/index.ts';
import { leaves, rootsOf } from '../../src/mmu/leaves.ts';
import { MemoryPort } from '../../src/mmu/memory-port.ts';
import { PAGING_MODES, PagingFormat } from '../../src/mmu/paging-mode.ts';
import { PhysicalMemory } from '../../src/mmu/physical-memory.ts';
import { ALL, G, Guest, P, PS, ROOT, RW, US, XD } from '../support/guest.ts';
import { watching } from '../support/observe.ts';

const hex = (value: { toString(radix: number): string }): string => value.toString(16);
const shown = (runs: Iterable<MappedRun>): string[] =>
  [...runs].map(
    ({ linear, physical, sizeBytes, rights }) => `${hex(linear)} ${hex(physical)} ${hex(sizeBytes)} ${rights}`,
  );

describe('runs', () => {
  it('coalesce pages of any size that continue, with the same rights', () => {
    const { cpu } = new Guest()
      .map(0x1f_f000n, 0x7ff_f000n | ALL)
      .map(0x20_0000n, 0x800_0000n | ALL | PS, 2)
      .map(0x40_0000n, 0x820_0000n | ALL | G)
      .map(0x40_1000n, 0x820_1000n | P | US)
      .map(0x40_2000n, 0x820_2000n | P | US | XD)
      .map(0x40_4000n, 0x820_4000n | P | US | XD);
    expect(shown(cpu.runs())).toEqual([
      '1ff000 7fff000 202000 urwx',
      '401000 8201000 1000 ur-x',
      '402000 8202000 1000 ur--',
      '404000 8204000 1000 ur--',
    ]);
  });

  it('show the rights of all levels together', () => {
    const guest = new Guest().map(0n, ALL);
    guest.machine.host.write64(guest.entryAddress(0n, 3), guest.entryAt(guest.entryAddress(0n, 3)) & ~US);
    guest.machine.host.write64(guest.entryAddress(0n, 2), guest.entryAt(guest.entryAddress(0n, 2)) | XD);
    expect(shown(guest.cpu.runs())).toEqual(['0 0 1000 -rw-']);
  });

  it('lie at sign-extended addresses in the upper half', () => {
    const guest = new Guest()
      .map(0x7fff_ffff_f000n, 0x1000n | P)
      .map(0xffff_8000_0000_0000n, 0x5000n | P)
      .map(0xffff_ffff_ffff_f000n, 0x6000n | P);
    expect(shown(guest.cpu.runs())).toEqual([
      '7ffffffff000 1000 1000 -r-x',
      'ffff800000000000 5000 1000 -r-x',
      'fffffffffffff000 6000 1000 -r-x',
    ]);
    const wide = new Guest({ mode: '5-level' }).map(0xff00_0000_0000_0000n, 0x5000n | P);
    expect(shown(wide.cpu.runs())).toEqual(['ff00000000000000 5000 1000 -r-x']);
  });

  it('end at the hole of addresses that are not canonical', () => {
    const guest = new Guest().map(0x7fff_ffff_f000n, 0x1000n | P).map(0xffff_8000_0000_0000n, 0x2000n | P);
    expect(shown(guest.cpu.runs())).toEqual(['7ffffffff000 1000 1000 -r-x', 'ffff800000000000 2000 1000 -r-x']);
  });

  it('leave out entries with reserved bits', () => {
    const { cpu } = new Guest()
      .map(0n, (1n << 51n) | ALL)
      .map(0x20_0000n, 0x2000n | ALL | PS, 2)
      .map(0x40_0000n, ALL);
    expect(shown(cpu.runs())).toEqual(['400000 0 1000 urwx']);
  });

  it('lie in the range asked for, from page to page', () => {
    const guest = new Guest();
    for (let page = 0n; page < 8n; page++) guest.map(0x3f_e000n + (page << 12n), (page << 13n) | P);
    guest.map(0xffff_8000_0000_0000n, P);
    const linear = (from: string, to: string): string[] => [...guest.cpu.runs(from, to)].map((run) => hex(run.linear));
    expect(linear('0x3ff123', '0x401000')).toEqual(['3ff000', '400000', '401000']);
    expect(linear('0x400000', '0x400000')).toEqual(['400000']);
    expect(linear('0x405000', '0xffff7fffffffffff')).toEqual(['405000']);
    expect(linear('0x406000', '0xffffffffffffffff')).toEqual(['ffff800000000000']);
    expect(linear('0x401000', '0x400000')).toEqual([]);
  });

  it('take a bound inside the hole, or past the end of 32-bit addresses, as what it is', () => {
    const guest = new Guest().map(0x1000n, P).map(0xffff_8000_0000_0000n, P);
    expect(shown(guest.cpu.runs('0x1000', '0x1000000000000'))).toEqual(['1000 0 1000 -r-x']);
    expect(shown(guest.cpu.runs('0x1000000000000'))).toEqual(['ffff800000000000 0 1000 -r-x']);
    const old = new Guest({ mode: '32-bit' }).map(0x1000n, P);
    expect(shown(old.cpu.runs(0, 2 ** 32))).toEqual(['1000 0 1000 -r-x']);
    expect(shown(old.cpu.runs(2 ** 32))).toEqual([]);
  });

  it('are those of PAE and 32-bit tables', () => {
    const pae = new Guest({ mode: 'pae' }).map(0x3000_0000n, 0x20_0000n | ALL | PS, 2).map(0xffff_f000n, 0x1000n | P);
    expect(shown(pae.cpu.runs())).toEqual(['30000000 200000 200000 urwx', 'fffff000 1000 1000 -r-x']);
    const old = new Guest({ mode: '32-bit' })
      .map(0x40_0000n, 0x80_0000n | ALL | PS, 2)
      .map(0x80_0000n, 0xc0_0000n | P | RW);
    expect(shown(old.cpu.runs())).toEqual(['400000 800000 400000 urwx', '800000 c00000 1000 -rwx']);
  });

  it('are none without paging', () => {
    expect(shown(new Guest({ mode: 'none' }).cpu.runs())).toEqual([]);
  });
});

describe('leaves', () => {
  it('skip absent subtrees: two far leaves cost two paths', () => {
    const guest = new Guest().map(0n, P).map(0xffff_ffff_ffff_f000n, P);
    let loads = 0;
    guest.cpu.translator.port.observer = watching(() => (loads += 1));
    expect([...guest.cpu.leaves()].map(({ page }) => page)).toEqual([0, 2 ** 36 - 1]);
    expect(loads).toBe(7 * 512);
  });

  it('end in a root that maps itself', () => {
    const guest = new Guest();
    guest.map(0x1000n, 0x5000n | ALL);
    guest.machine.host.write64(ROOT * 4096 + 8 * 258, BigInt(ROOT * 4096) | ALL);
    // The self-map shows each table as a page, once.
    const inside = [...guest.cpu.leaves()].filter(({ page }) => page !== 1);
    expect(inside.map(({ frame }) => frame)).toEqual([0x103, 0x102, 0x101, 0x100]);
  });

  it('end quickly in a lattice of empty tables', () => {
    const guest = new Guest({ mode: '5-level' });
    const { host } = guest.machine;
    // 512 ways into one table at each level, and nothing at the end.
    for (let level = 5; level >= 2; level--)
      for (let index = 0; index < 512; index++)
        host.write64((ROOT + 5 - level) * 4096 + 8 * index, BigInt((ROOT + 6 - level) * 4096) | ALL);
    let loads = 0;
    guest.cpu.translator.port.observer = watching(() => (loads += 1));
    expect([...guest.cpu.leaves()]).toEqual([]);
    expect(loads).toBe(5 * 512);
  });

  it('come lazily from a lattice that maps 2^45 pages', () => {
    const guest = new Guest({ mode: '5-level' });
    const { host } = guest.machine;
    for (let index = 0; index < 512; index++) host.write64(ROOT * 4096 + 8 * index, BigInt(ROOT * 4096) | ALL);
    const first = guest.cpu.leaves();
    expect([first.next().value?.page, first.next().value?.page]).toEqual([0, 1]);
    const runs = guest.cpu.runs();
    for (let run = 0; run < 1000; run++) expect(runs.next().value?.sizeBytes).toBe(4096);
  });

  it('do not forget a table of which only a part was in range', () => {
    const guest = new Guest().map(0x1f_f000n, P);
    const table = guest.entryAt(guest.entryAddress(0n, 2));
    guest.map(0x20_0000n, table, 2); // the same table again
    expect([...guest.cpu.leaves(0x10_0000, 0x3f_f000)].map(({ page }) => page)).toEqual([0x1ff, 0x3ff]);
    expect([...guest.cpu.leaves(0, 0x20_0000)].map(({ page }) => page)).toEqual([0x1ff]);
  });

  it('carry level, size, frame and the raw entry', () => {
    const guest = new Guest().map(0x4000_0000n, 0x1_8000_0000n | ALL | PS, 3);
    expect([...guest.cpu.leaves()]).toMatchObject([
      { page: 0x4_0000, pages: 0x4_0000, level: 3, frame: 0x18_0000, lo: -0x8000_0000 | 0x87, hi: 1 },
    ]);
  });

  it('come from the PDPTE registers that are present', () => {
    const memory = new PhysicalMemory({ size: 1 << 16 });
    const features = {
      maxPhyAddr: 40,
      nxe: true,
      pse: true,
      pse36: true,
      pat: true,
      page1gb: true,
      vendor: 'intel',
    } as const;
    const format = new PagingFormat(PAGING_MODES.pae, features);
    memory.words[1024] = 0x83;
    const roots = rootsOf(0, [0, 0, 0x1001, 0, 0x1000, 0, 0x1001, 0]);
    expect(roots).toEqual([
      { frame: 1, page: 0x4_0000 },
      { frame: 1, page: 0xc_0000 },
    ]);
    expect([...leaves(new MemoryPort(memory), format, roots)].map(({ page }) => page)).toEqual([0x4_0000, 0xc_0000]);
  });
});
