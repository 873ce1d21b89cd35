/** Built tables are what a CPU walks: every page size of every mode, rights, and entries that are malformed. */
import { describe, expect, it } from 'vitest';
import { type Cpu, type Features, Machine, PF_P, PF_RSVD, PF_US, WRITE } from '../../src/index.ts';
import { assertFaults, assertMaps, assertTranslates, PageTables, type TableMode } from '../../src/testing/index.ts';

const K4 = 4096;
const M2 = 2 << 20;
const M4 = 4 << 20;
const G1 = 2 ** 30;

function guest(mode: TableMode, features: Partial<Features> = {}): { cpu: Cpu; tables: PageTables } {
  const { host, cpus } = new Machine({ memory: { size: 4 << 20 }, features });
  const tables = new PageTables(host, { mode, features });
  return { cpu: cpus[0]!, tables };
}

const SIZES: readonly [TableMode, number, string][] = [
  ['32-bit', K4, '0xfff'],
  ['32-bit', M4, '0x3ff'],
  ['pae', K4, '0x3ffff'],
  ['pae', M2, '0x3fff'],
  ['4-level', K4, '0x3ffff'],
  ['4-level', M2, '0x3fff'],
  ['4-level', G1, '0xff'],
  ['5-level', K4, '0x3ffff'],
  ['5-level', M2, '0x3fff'],
  ['5-level', G1, '0xff'],
];

describe('built tables', () => {
  it.each(SIZES)('map pages: %s, %i bytes', (mode, pageSize) => {
    const { cpu, tables } = guest(mode);
    const linear = BigInt(pageSize) * 3n;
    const top = { '32-bit': 0xffff_ffffn, pae: 0xffff_ffffn, '4-level': 2n ** 64n - 1n, '5-level': 2n ** 64n - 1n }[
      mode
    ];
    const last = top - BigInt(pageSize) + 1n;
    tables.map(linear, pageSize, { pageSize, sizeBytes: 2 * pageSize, flags: 'P US' });
    tables.map(last, 0, { pageSize, flags: 'P RW' });
    cpu.enter(tables.state());
    const rights = mode === '32-bit' ? 'ur-x' : 'ur-x';
    assertMaps(cpu, [
      { linear, physical: pageSize, sizeBytes: 2 * pageSize, rights },
      { linear: last, physical: 0, sizeBytes: pageSize, rights: '-rwx' },
    ]);
    assertTranslates(cpu, linear + BigInt(pageSize) + 5n, 2 * pageSize + 5, { pageSize });
  });

  it('lead above 4 GiB: by PSE-36 in 32-bit paging, by their own bits elsewhere', () => {
    for (const mode of ['32-bit', 'pae', '4-level'] as const) {
      const { cpu, tables } = guest(mode);
      const pageSize = mode === '32-bit' ? M4 : M2;
      tables.map(0, 0xab_c000_0000n, { pageSize });
      cpu.enter(tables.state());
      assertTranslates(cpu, 0x1234, 0xab_c000_1234n);
    }
  });

  it('have the flags of their leaves, by name and by number', () => {
    const { tables } = guest('4-level');
    tables.map(0x1000, 0x5000, { flags: 'P RW US PWT PCD A D PAT G XD key5 bit9 bit52' });
    expect(tables.entry(0x1000, 1).toString(16)).toBe('a8100000000053ff');
    tables.map(0x20_0000, 0x20_0000, { pageSize: M2, flags: 'P PAT' });
    expect(tables.entry(0x20_0000, 2).toString(16)).toBe('201081');
    tables.map(0x2000, 0, { flags: 5n });
    expect(tables.entry(0x2000, 1)).toBe(5n);
  });

  it('change flags at every level, and point where they did', () => {
    const { cpu, tables } = guest('4-level');
    tables.map(0x1000, 0x5000).change(0x1000, 3, { remove: 'RW' }).change(0x1000, 2, { add: 'XD', remove: 'US' });
    cpu.enter(tables.state());
    assertTranslates(cpu, 0x1000, 0x5000, { rights: '-r--' });
    assertFaults(cpu, 0x1000, { errorCode: 3 }, { access: WRITE });
  });

  it.each<[TableMode, number[]]>([
    ['32-bit', []],
    ['pae', [1, 2]],
    ['4-level', [1, 2, 3, 4]],
    ['5-level', [1, 2, 3, 4, 5]],
  ])('have entries with a reserved bit set, at each level that has one: %s', (mode, levels) => {
    for (const level of [1, 2, 3, 4, 5].slice(0, mode === 'pae' ? 2 : mode === '32-bit' ? 2 : Number(mode[0]))) {
      const { cpu, tables } = guest(mode);
      tables.map(0x1000, 0x5000);
      if (!levels.includes(level)) {
        expect(() => tables.spoil(0x1000, level, 'reserved')).toThrow(RangeError);
        continue;
      }
      tables.spoil(0x1000, level, 'reserved');
      cpu.enter(tables.state());
      assertFaults(cpu, 0x1000, { errorCode: PF_P | PF_RSVD });
      const { level: stopped } = cpu.fault;
      expect(stopped).toBe(0);
      expect(cpu.explain(0x1000, 0).steps.at(-1)).toMatchObject({ level, outcome: 'reserved bit set' });
    }
  });

  it('have superpages with a reserved bit set, also where few bits are', () => {
    const { cpu, tables } = guest('32-bit', { maxPhyAddr: 36 });
    tables.map(0, 0, { pageSize: M4 }).spoil(0, 2, 'reserved');
    expect(tables.entry(0, 2)).toBe(0x20_0087n);
    cpu.enter(tables.state());
    assertFaults(cpu, 0, { errorCode: PF_P | PF_RSVD });
  });

  it('have PDPTEs that MOV CR3 refuses', () => {
    const { cpu, tables } = guest('pae');
    tables.map(0x4000_0000, 0x5000).spoil(0x4000_0000, 3, 'reserved');
    expect(cpu.enter(tables.state())).toBe(13);
  });

  it('may grow after PAE paging has loaded its PDPTEs', () => {
    const { cpu, tables } = guest('pae');
    cpu.enter(tables.state());
    tables.map(0xc000_0000, 0x5000);
    assertTranslates(cpu, 0xc000_0000, 0x5000);
  });

  it('have absent entries that keep their other bits', () => {
    const { cpu, tables } = guest('4-level');
    tables.map(0x1000, 0x5000).spoil(0x1000, 3, 'absent');
    expect(tables.entry(0x1000, 3) & 1n).toBe(0n);
    expect(tables.entry(0x1000, 3)).not.toBe(0n);
    cpu.enter({ ...tables.state(), cpl: 3 });
    assertFaults(cpu, 0x1000, { errorCode: PF_US });
  });

  it('take any entry as it is', () => {
    const { cpu, tables } = guest('4-level');
    tables.set(0xffff_8000_0000_0000n, 4, 0xffff_ffff_ffff_ffffn);
    cpu.enter(tables.state());
    assertFaults(cpu, 0xffff_8000_0000_0000n, { errorCode: PF_P | PF_RSVD });
    expect(tables.entryAddress(0xffff_8000_0000_0000n, 4)).toBe(0x10_0000 + 256 * 8);
  });

  it('begin empty, whatever memory held', () => {
    const { host, cpus } = new Machine({ memory: { size: 4 << 20 } });
    host.write(0x10_0000, new Uint8Array(1 << 20).fill(0x77));
    const tables = new PageTables(host).map(0x1000, 0x5000);
    cpus[0]!.enter(tables.state());
    assertMaps(cpus[0]!, [{ linear: 0x1000, physical: 0x5000, sizeBytes: 4096 }]);
  });

  it.each<[string, (tables: PageTables) => void, string]>([
    ['an address that is not aligned', (it) => it.map(0x1000, 0, { pageSize: M2 }), '0x1000 and 0x0 are not both'],
    [
      'a size that the mode has not',
      (it) => it.map(0, 0, { pageSize: M4 }),
      'no page of 4-level paging has 4194304 bytes',
    ],
    ['a part of a page', (it) => it.map(0, 0, { sizeBytes: 5000 }), '5000 bytes are no whole number of pages of 4096'],
    ['a flag that is none', (it) => it.map(0, 0, { flags: 'P WR' }), 'no flag of an entry: "WR"'],
    ['a key that is none', (it) => it.map(0, 0, { flags: 'key16' }), 'no flag of an entry: "key16"'],
    ['a flag of JavaScript', (it) => it.map(0, 0, { flags: 'toString' }), 'no flag of an entry: "toString"'],
    ['a frame past the last', (it) => it.map(0, 2n ** 52n), 'no entry of 4-level paging leads to 0x10000000000000'],
    ['a level that the mode has not', (it) => it.entry(0, 5), '4-level paging has levels 1 to 4, not 5'],
    ['a page below a larger one', (it) => it.map(0, 0, { pageSize: M2 }).map(0x1000, 0), 'mapped at level 2'],
  ])('refuse %s', (_, build, sentence) => {
    expect(() => build(guest('4-level').tables)).toThrow(RangeError);
    expect(() => build(guest('4-level').tables)).toThrow(sentence);
  });

  it('refuse a 1 GiB page where the processor has none', () => {
    expect(() => guest('4-level', { page1gb: false }).tables.map(0, 0, { pageSize: G1 })).toThrow('no page of 4-level');
  });

  it('refuse a root that is not a frame', () => {
    const { host } = new Machine({ memory: { size: 4 << 20 } });
    expect(() => new PageTables(host, { root: 100 })).toThrow(RangeError);
  });
});
