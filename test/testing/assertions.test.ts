/** The assertions pass on what is so, and their messages show the walk where it is not. */
import { describe, expect, it } from 'vitest';
import { type Cpu, FETCH, GP, IMPLICIT, Machine, PF_P, PF_US, PF_WR, READ, STACK, WRITE } from '../../src/index.ts';
import {
  assertFaults,
  assertMaps,
  assertTranslates,
  type ExpectedRun,
  MmuAssertionError,
  PageTables,
} from '../../src/testing/index.ts';

const XEN = '0xffff830000000000';
const M2 = 2 << 20;

/** A supervisor page at 0x1000, two user pages behind it, and a superpage of Xen's. */
function guest(): { cpu: Cpu; tables: PageTables } {
  const { host, cpus } = new Machine({ memory: { size: 4 << 20 } });
  const tables = new PageTables(host)
    .map(0x1000, 0x5000, { flags: 'P RW XD' })
    .map(0x2000, 0x8000, { sizeBytes: 0x2000, flags: 'P US' })
    .map(XEN, 0x40_0000, { pageSize: M2, flags: 'P RW G' });
  const cpu = cpus[0]!;
  cpu.enter(tables.state());
  return { cpu, tables };
}

/** What is thrown; fails where nothing is. */
function thrownBy(run: () => void): MmuAssertionError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof MmuAssertionError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was thrown');
}

describe('assertTranslates', () => {
  it('passes where an access reaches the place, with the size and the rights of the page', () => {
    const { cpu } = guest();
    assertTranslates(cpu, 0x1234, 0x5234);
    assertTranslates(cpu, 0x1234, 0x5234n, { access: WRITE, pageSize: 4096, rights: '-rw-' });
    assertTranslates(cpu, `${XEN.slice(0, -4)}1234`, '0x401234', { access: FETCH, pageSize: M2, rights: '-rwx' });
    assertTranslates(cpu, 0x2000);
    expect([cpu.counters.walks, cpu.counters.faults]).toEqual([0, 0]);
  });

  it('shows the walk where the address leads elsewhere', () => {
    const { cpu } = guest();
    const { message, operator, actual, expected, name, code } = thrownBy(() => assertTranslates(cpu, 0x1234, 0x6234));
    expect(message.split('\n')).toEqual([
      'read of 0000000000001234: expected a translation to 0000000000006234, found 0000000000005234',
      '',
      '0000000000001234  4-level paging',
      '  PML4E    0 at 0000000000100000  0000000000101007  P RW US                   table 0000000000101000',
      '  PDPTE    0 at 0000000000101000  0000000000102007  P RW US                   table 0000000000102000',
      '  PDE      0 at 0000000000102000  0000000000103007  P RW US                   table 0000000000103000',
      '  PTE      1 at 0000000000103008  8000000000005003  P RW XD                   page 0000000000005000',
      '  -> 0000000000005234  4K page  -rw-  PAT index 0',
    ]);
    expect({ operator, actual, expected, name, code }).toEqual({
      operator: 'assertTranslates',
      actual: '0000000000005234',
      expected: '0000000000006234',
      name: 'AssertionError',
      code: 'ERR_ASSERTION',
    });
  });

  it.each<[string, number, object, string]>([
    [
      'the access is denied',
      0x2000,
      { access: WRITE },
      'write of 0000000000002000: expected a translation to any page, found #PF(03: P W)',
    ],
    ['the address is absent', 0x9000, {}, 'found #PF(00)'],
    [
      'the page is smaller',
      0x1000,
      { pageSize: M2 },
      'expected a translation to any page, 2097152 bytes, found 0000000000005000, 4096 bytes',
    ],
    ['the rights are others', 0x1000, { rights: 'urwx' }, 'to any page, urwx, found 0000000000005000, -rw-'],
    ['an implicit read is denied', 0x9000, { access: READ | IMPLICIT }, 'implicit read of 0000000000009000'],
  ])('fails where %s', (_, address, options, sentence) => {
    const { message } = thrownBy(() => assertTranslates(guest().cpu, address, undefined, options));
    expect(message).toContain(sentence);
    expect(message).toMatch(/\n {2}PML4E/);
  });

  it('asks the tables by default, and the CPU with what it has cached where told to; the message says where they differ', () => {
    const { cpu, tables } = guest();
    cpu.long.read8(0x2000);
    tables.set(0x2000, 1, 0x9005n);
    assertTranslates(cpu, 0x2000, 0x9000);
    assertTranslates(cpu, 0x2000, 0x8000, { by: 'cpu', pageSize: 4096, rights: 'ur-x' });
    const { message } = thrownBy(() => assertTranslates(cpu, 0x2000, 0x9000, { by: 'cpu' }));
    expect(message).toContain(
      'found 0000000000008000\nThe CPU used what it had cached; its tables give something else:',
    );
    expect(message).toContain('-> 0000000000009000');
    cpu.invlpg(0x2000, 0);
    assertTranslates(cpu, 0x2000, 0x9000, { by: 'cpu' });
  });
});

describe('assertFaults', () => {
  it('passes on the fault, with its error code where that is given', () => {
    const { cpu } = guest();
    assertFaults(cpu, 0x9000);
    assertFaults(cpu, 0x9000, { errorCode: PF_WR }, { access: WRITE });
    assertFaults(cpu, '0x8000000000000000', { vector: GP });
    cpu.setCpl(3);
    assertFaults(cpu, 0x1000, { errorCode: PF_P | PF_US });
    assertFaults(cpu, 0x1000, { errorCode: PF_P | PF_US }, { by: 'cpu' });
    expect(cpu.cr2Lo).toBe(0x1000);
  });

  it.each<[string, number | string, object, object, string]>([
    ['nothing faults', 0x1000, {}, {}, 'expected #PF, found 0000000000005000'],
    ['the code is another', 0x9000, { errorCode: PF_P | PF_US }, {}, 'expected #PF(05: P U), found #PF(00)'],
    ['the vector is another', '0x8000000000000000', {}, {}, 'expected #PF, found #GP'],
    [
      'it comes through the stack',
      '0x8000000000000000',
      { vector: GP },
      { access: READ | STACK },
      'stack read of 8000000000000000: expected #GP, found #SS',
    ],
  ])('fails where %s', (_, address, fault, options, sentence) => {
    const { message, operator } = thrownBy(() => assertFaults(guest().cpu, address, fault, options));
    expect(message).toContain(sentence);
    expect(operator).toBe('assertFaults');
  });
});

describe('assertMaps', () => {
  const ALL: ExpectedRun[] = [
    { linear: XEN, physical: 0x40_0000, sizeBytes: M2, rights: '-rwx' },
    { linear: 0x1000, physical: 0x5000, sizeBytes: 4096, rights: '-rw-' },
    { linear: 0x2000, physical: 0x8000, sizeBytes: 4096 },
    { linear: 0x3000, physical: 0x9000, sizeBytes: 4096, rights: 'ur-x' },
  ];

  it('passes on everything that is mapped, in any order and cut', () => {
    const { cpu } = guest();
    assertMaps(cpu, ALL);
    assertMaps(cpu, [ALL[1]!, { linear: 0x2000, physical: 0x8000, sizeBytes: 0x2000 }, ALL[0]!]);
    assertMaps(cpu, [...ALL, { linear: 0x4000, physical: undefined, sizeBytes: 4096 }]);
  });

  it('passes on some of it where anything may be elsewhere', () => {
    const { cpu } = guest();
    assertMaps(cpu, [ALL[3]!, { linear: 0x4000, physical: undefined, sizeBytes: 1 << 20 }], { elsewhere: 'anything' });
    assertMaps(cpu, [{ linear: '0xffff830000008000', physical: 0x40_8000, sizeBytes: 4096 }], {
      elsewhere: 'anything',
    });
    assertMaps(cpu, [], { elsewhere: 'anything' });
  });

  it('shows the first difference, its walk, and both lists', () => {
    const { message, actual, expected } = thrownBy(() =>
      assertMaps(guest().cpu, [...ALL.slice(0, 3), { ...ALL[3]!, physical: 0xa000 }]),
    );
    const lines = message.split('\n');
    expect(lines[0]).toBe('0000000000003000: expected 000000000000a000 ur-x, found 0000000000009000 ur-x');
    expect(lines.slice(2, 8)).toContainEqual(expect.stringContaining('  PTE      3 at 0000000000103018'));
    expect(lines.slice(8)).toEqual([
      '',
      'expected:',
      '  0000000000001000      4K  0000000000005000  -rw-',
      '  0000000000002000      4K  0000000000008000',
      '  0000000000003000      4K  000000000000a000  ur-x',
      '  ffff830000000000      2M  0000000000400000  -rwx',
      'found:',
      '  0000000000001000      4K  0000000000005000  -rw-',
      '  0000000000002000      8K  0000000000008000  ur-x',
      '  ffff830000000000      2M  0000000000400000  -rwx',
    ]);
    expect([actual, expected].map((list) => String(list).split('\n').length)).toEqual([3, 4]);
  });

  it.each<[string, ExpectedRun[], string]>([
    ['something else is mapped', ALL.slice(0, 3), '0000000000003000: expected nothing mapped, found 0000000000009000'],
    ['nothing should be', [], '0000000000001000: expected nothing mapped, found 0000000000005000 -rw-'],
    [
      'a page is missing',
      [...ALL, { linear: 0x4000, physical: 0, sizeBytes: 4096 }],
      '0000000000004000: expected 0000000000000000, found nothing mapped',
    ],
    [
      'rights differ',
      [{ ...ALL[0]!, rights: 'urwx' }, ...ALL.slice(1)],
      'ffff830000000000: expected 0000000000400000 urwx, found 0000000000400000 -rwx',
    ],
    [
      'the last page is missing',
      [{ ...ALL[0]!, sizeBytes: 2 * M2 }, ...ALL.slice(1)],
      'ffff830000200000: expected 0000000000600000 -rwx, found nothing mapped',
    ],
  ])('fails where %s', (_, runs, sentence) => {
    expect(thrownBy(() => assertMaps(guest().cpu, runs)).message).toContain(sentence);
  });

  it('compares the last page of the address space', () => {
    const { cpu, tables } = guest();
    const last = { linear: '0xfffffffffffff000', physical: 0x7000, sizeBytes: 4096, rights: 'urwx' };
    expect(thrownBy(() => assertMaps(cpu, [...ALL, last])).message).toContain('found nothing mapped');
    tables.map(last.linear, last.physical);
    assertMaps(cpu, [...ALL, last]);
    expect(thrownBy(() => assertMaps(cpu, ALL)).message).toContain('fffffffffffff000: expected nothing mapped');
  });

  it('compares the first page of the address space', () => {
    const { cpu, tables } = guest();
    tables.map(0, 0x7000);
    expect(thrownBy(() => assertMaps(cpu, ALL)).message).toContain('0000000000000000: expected nothing mapped');
  });

  it('shortens long lists', () => {
    const { cpu, tables } = guest();
    for (let page = 0; page < 40; page++) tables.map(0x10_0000 + page * 0x2000, 0x10_0000);
    const { message } = thrownBy(() => assertMaps(cpu, ALL));
    expect(message).toContain('  and 27 more');
    expect(message.split('\n').length).toBeLessThan(40);
  });

  it.each<[string, ExpectedRun[], string]>([
    ['runs that overlap', [ALL[1]!, ALL[1]!], 'two runs cover 0000000000001000'],
    ['half a page', [{ linear: 0x1000, physical: 0, sizeBytes: 2048 }], 'whole pages, not 2048 bytes'],
    ['no bytes', [{ linear: 0x1000, physical: 0, sizeBytes: 0 }], 'a whole number of pages, not 0 bytes'],
    [
      'an end past the last address',
      [{ linear: '0xfffffffffffff000', physical: 0, sizeBytes: 8192 }],
      'ends past the last address',
    ],
  ])('refuses %s', (_, runs, sentence) => {
    expect(() => assertMaps(guest().cpu, runs)).toThrow(RangeError);
    expect(() => assertMaps(guest().cpu, runs)).toThrow(sentence);
  });

  it('knows the modes of 32 bits', () => {
    for (const mode of ['32-bit', 'pae'] as const) {
      const { host, cpus } = new Machine({ memory: { size: 4 << 20 } });
      const tables = new PageTables(host, { mode }).map(0xffff_f000, 0x5000, { flags: 'P' });
      cpus[0]!.enter(tables.state());
      assertMaps(cpus[0]!, [{ linear: 0xffff_f000, physical: 0x5000, sizeBytes: 4096, rights: '-r-x' }]);
    }
  });
});
