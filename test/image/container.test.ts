import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesReader, ImageError, openCpu, openImage } from '../../src/image/index.ts';
import {
  containerOf,
  expectRefused,
  type Header,
  headerOf,
  inflatedFile,
  joined,
  LONG,
  NAMES,
  record,
  refuses,
  SparseFile,
} from './samples.ts';

const xen = headerOf('xen-idle-6g');

/** A container of no pages whose header differs from Xen's. */
function withHeader(change: (header: Header) => void, pages: Uint8Array[] = []): Uint8Array {
  const header = structuredClone(xen);
  header['pages'] = pages.length;
  change(header);
  return containerOf(JSON.stringify(header), joined(...pages));
}

/** The first letter of the name is a byte that UTF-8 does not have. */
function brokenText(): Uint8Array {
  const bytes = withHeader(() => {});
  const at = new TextDecoder('latin1').decode(bytes).indexOf('xen-idle-6g');
  return bytes.with(at, 0xff);
}

describe('a .ptpages container', () => {
  it.each(NAMES)('of %s has every register, extent and feature of its header', async (name) => {
    const header = headerOf(name);
    const image = await openImage(inflatedFile(`${name}.ptpages.gz`));
    expect(image.header).toEqual(header);
    expect(image.ram).toEqual(
      header['ram'].map(({ start, end }: Header) => ({ start: Number(start), end: Number(end) })),
    );
    const { maxPhyAddr, page1gb, la57, pcid, nx } = image.features;
    const given = header['cpu_features'];
    expect({ maxPhyAddr, page1gb, la57, pcid, nx }).toEqual({
      maxPhyAddr: header['maxphyaddr'],
      page1gb: given.pdpe1gb,
      la57: given.la57,
      pcid: given.pcid,
      nx: given.nx,
    });
    expect(image.cpus).toHaveLength(header['cpus'].length);
    image.cpus.forEach((cpu, at) => {
      const expected = header['cpus'][at];
      for (const register of ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'rflags', 'rip'] as const)
        expect(`${register} 0x${cpu[register]?.toString(16)}`).toBe(`${register} ${expected[register]}`);
      expect([cpu.index, cpu.cpl, cpu.paging, cpu.sameAs]).toEqual([
        expected.index,
        expected.cpl,
        expected.paging,
        expected.same_as,
      ]);
    });
  });

  it.each(NAMES)('of %s lists its frames ascending, and holds them', async (name) => {
    const image = await openImage(inflatedFile(`${name}.ptpages.gz`));
    const frames = image.frameNumbers!;
    expect(frames).toHaveLength(headerOf(name)['pages']);
    expect(frames).toEqual([...frames].sort((a, b) => a - b));
    for (const frame of frames) expect(image.readFrame(frame, new Uint8Array(4096))).toBe(true);
    for (const { cr3 } of image.cpus) expect(frames).toContain(cr3.shiftRightUnsigned(12).toNumber());
  });

  it('holds the last frame below 2^52', async () => {
    const image = await openImage(withHeader(() => {}, [record(0x1000), record(0xfffff000 | 0, 0xfffff, 0xab)]));
    const target = new Uint8Array(4096);
    expect(image.frameNumbers).toEqual([1, 2 ** 40 - 1]);
    expect([image.readFrame(2 ** 40 - 1, target), target[4095]]).toEqual([true, 0xab]);
  });

  it('takes EFLAGS.AC from RFLAGS, so that SMAP is judged as the CPU would', async () => {
    const image = await openImage(
      withHeader((header) => {
        header['cpus'][0].rflags = '0x40002';
      }),
    );
    expect(image.cpus.map(({ ac }) => ac)).toEqual([1, 0]);
    expect(openCpu(image, 0).translator.registers.ac).toBe(1);
  });

  it.each<[string, Uint8Array, string]>([
    ['cut inside the first 12 bytes', containerOf('{}').subarray(0, 11), 'ends inside its first 12 bytes'],
    [
      'a header longer than the file',
      inflatedFile('xen-idle-6g.ptpages.gz').subarray(0, 100),
      "container's header claims",
    ],
    ['an empty header', containerOf(''), 'not JSON'],
    ['a header that is a list', containerOf('[]'), 'not a JSON object'],
    ['a header that is null', containerOf('null'), 'not a JSON object'],
    ['a header in broken UTF-8', brokenText(), 'not JSON'],
    ['fewer records than promised', withHeader((h) => h['pages']++, [record(0)]), 'promises 2 pages'],
    ['more records than promised', withHeader((h) => h['pages']--, [record(0)]), 'promises 0 pages'],
    [
      'bytes behind the last record',
      joined(
        withHeader(() => {}),
        Uint8Array.of(0),
      ),
      'promises 0 pages, but 1 bytes',
    ],
    ['records out of order', withHeader(() => {}, [record(0x2000), record(0x1000)]), '0x1000 is out of order'],
    ['a record twice', withHeader(() => {}, [record(0x2000), record(0x2000)]), '0x2000 is out of order'],
    ['an unaligned record', withHeader(() => {}, [record(0x2008)]), 'page 0 has address 0x2008'],
    ['a record past 2^52', withHeader(() => {}, [record(0, 0x100000)]), 'page 0 has address 0x10000000000000'],
  ])('with %s is refused', (_, bytes, message) => refuses(bytes, message));

  it.each<[string, (header: Header) => void, string]>([
    ['format missing', (h) => delete h['format'], 'format is missing'],
    ['version 2', (h) => Object.assign(h, { version: 2 }), 'has version 2'],
    ['version "1"', (h) => Object.assign(h, { version: '1' }), 'has version "1"'],
    ['no name', (h) => delete h['name'], 'name is missing'],
    // String() of this object throws.
    ['a note that is no text', (h) => Object.assign(h, { note: { toString: 1 } }), 'note is {"toString":1}'],
    ['a source that is no object', (h) => Object.assign(h, { source: 5 }), 'source is not an object'],
    ['MAXPHYADDR 31', (h) => Object.assign(h, { maxphyaddr: 31 }), 'maxphyaddr is 31'],
    ['MAXPHYADDR 53', (h) => Object.assign(h, { maxphyaddr: 53 }), 'maxphyaddr is 53'],
    ['pages below 0', (h) => Object.assign(h, { pages: -1 }), 'pages is -1'],
    ['pages 1e300', (h) => Object.assign(h, { pages: 1e300 }), 'pages is 1e+300'],
    ['a feature that is a text', (h) => Object.assign(h['cpu_features'], { nx: 'no' }), 'cpu_features.nx is "no"'],
    ['no RAM list', (h) => delete h['ram'], 'ram is not a list'],
    ['RAM that ends past 2^52', (h) => Object.assign(h['ram'][0], { end: '0x10000000000001' }), 'past 2^52'],
    ['RAM that ends before it starts', (h) => Object.assign(h['ram'][0], { start: '0xb0000' }), 'RAM from "0xb0000"'],
    ['no CPU list', (h) => delete h['cpus'], 'cpus is not a list'],
    ['no CPU in its list', (h) => Object.assign(h, { cpus: [] }), 'names no CPU'],
    ['a CPU that is a number', (h) => Object.assign(h, { cpus: [1] }), 'cpus is not a list of objects'],
    ['two CPUs of one index', (h) => Object.assign(h['cpus'][1], { index: 0 }), 'two CPUs have index 0'],
    ['a CPU without CR3', (h) => delete h['cpus'][0].cr3, 'cr3 is missing'],
    ['a register of 65 bits', (h) => Object.assign(h['cpus'][0], { cr4: '0x10000000000000000' }), 'cr4 is "0x1'],
    ['a register that is a number', (h) => Object.assign(h['cpus'][0], { efer: 1 }), 'efer is 1'],
    ['CPL 4', (h) => Object.assign(h['cpus'][0], { cpl: 4 }), 'cpl is 4'],
    ['paging of an unknown name', (h) => Object.assign(h['cpus'][0], { paging: 'toString' }), 'paging is "toString"'],
  ])('with %s is refused', (_, change, message) => refuses(withHeader(change), message));

  it('whose registers do not make its paging mode is refused when a CPU is opened', async () => {
    const image = await openImage(withHeader((header) => Object.assign(header['cpus'][0], { paging: 'pae' })));
    expect(() => openCpu(image, 0)).toThrow('the header says pae, its registers say 4-level');
    expect(() => openCpu(image, 9)).toThrow(new ImageError('the image has no CPU 9; it has 0, 1'));
  });

  it('of absurd size is refused before it is taken into memory', async () => {
    const file = new SparseFile(2 ** 45, [[0, containerOf('{}')]]);
    await expectRefused(openImage(file), 'a container of 35184372088832 bytes');
    expect(file.bytesRead).toBeLessThan(100);
    await expectRefused(
      openImage(
        withHeader(() => {}),
        { maxBytes: 100 },
      ),
      'more than 100',
    );
  });

  it('whose reader gives less than its size is refused', async () => {
    const start = bytesReader(containerOf('{}'));
    await expectRefused(openImage({ size: 5000, read: start.read }), 'ended before its size');
  });
});

describe('a header of any JSON', () => {
  it('gives nothing but ImageError', { timeout: 1_800_000 }, async () => {
    const odd = fc.oneof(
      fc.constantFrom<unknown>(null, true, -1, 1.5, 1e308, '', '0x', '0xffffffffffffffff', '-0x1', [], {}, [[]]),
      fc.constantFrom<unknown>({ toString: 1 }, { valueOf: null, toString: null }, { length: 9 }, [null], '\u0000'),
      fc.jsonValue(),
    );
    let opened = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(), odd), { minLength: 1, maxLength: 2 }), async (changes) => {
        const header = structuredClone(xen);
        header['pages'] = 0;
        for (const [pick, value] of changes) replaceOne(header, pick, structuredClone(value));
        try {
          const image = await openImage(containerOf(JSON.stringify(header)));
          for (const { index } of image.cpus) openCpu(image, index);
          opened += 1;
        } catch (failure) {
          if (!(failure instanceof ImageError)) throw failure;
          refused += 1;
        }
      }),
      { numRuns: LONG ? 10_000 : 300 },
    );
    expect(Math.min(opened, refused)).toBeGreaterThan(20);
  });
});

/** Puts `value` in place of one of the values anywhere in a header. */
function replaceOne(header: Header, pick: number, value: unknown): void {
  const places: [holder: Header, key: string][] = [];
  const collect = (holder: Header): void => {
    for (const [key, inner] of Object.entries(holder)) {
      places.push([holder, key]);
      if (typeof inner === 'object' && inner !== null) collect(inner);
    }
  };
  collect(header);
  const [holder, key] = places[pick % places.length]!;
  holder[key] = value;
}
