/** CPUs over images that lack some of their tables, or hold more than fits into memory. */
import { describe, expect, it } from 'vitest';
import { takeCensus } from '../../src/image/census.ts';
import {
  ImageError,
  openCpu,
  openImage,
  qemuMemLines,
  qemuTlbLines,
  type RawRegisters,
} from '../../src/image/index.ts';
import { fileOf, LONG } from './samples.ts';

/** A dump of 64 KiB in which some quadwords are not zero. */
function dump(entries: readonly (readonly [at: number, entry: bigint])[]): Uint8Array {
  const bytes = new Uint8Array(0x1_0000);
  for (const [at, entry] of entries) new DataView(bytes.buffer).setBigUint64(at, entry, true);
  return bytes;
}

const PAST_END = 0x12_3450_0003n;

describe('a table that an image does not hold', () => {
  // Read as all ones it would be 512 pages, or tables, at 000ffffffffff000: MAXPHYADDR of a dump is 52.
  it.each<[string, RawRegisters['paging'], [number, bigint][], string[]]>([
    [
      '4-level',
      '4-level',
      [
        [0x1000, 0x2003n],
        [0x2000, 0x3003n],
        [0x3000, PAST_END],
        [0x3008, 0x20_0083n],
      ],
      ['200000'],
    ],
    [
      '5-level',
      '5-level',
      [
        [0x1000, PAST_END],
        [0x1008, 0x2003n],
        [0x2000, 0x3003n],
        [0x3000, 0x83n],
      ],
      ['1000000000000'],
    ],
    [
      'pae',
      'pae',
      [
        [0x1000, 0x2001n],
        [0x1008, 0x0fff_f001n],
        [0x2000, PAST_END],
        [0x2008, 0x83n],
      ],
      ['200000'],
    ],
    ['32-bit', '32-bit', [[0x1000, 0x0fff_f003n | (0x83n << 32n)]], ['400000']],
  ])('maps nothing: %s', async (_, paging, entries, mapped) => {
    const missing = new Set<number>();
    const image = await openImage(dump(entries), { raw: { cr3: 0x1000, paging } });
    const cpu = openCpu(image, 0, { missing });
    expect([...cpu.runs()].map(({ linear }) => linear.toString(16))).toEqual(mapped);
    expect([...qemuTlbLines(cpu)].map((line) => line.split(':')[0])).toEqual(mapped.map((va) => va.padStart(16, '0')));
    expect([...qemuMemLines(cpu)]).toHaveLength(1);
    expect(cpu.long.probe(0)).toBeUndefined();
    const { missing: counted, tables } = takeCensus(cpu, missing);
    expect([...missing].every((frame) => frame >= 16)).toBe(true);
    expect([counted, tables]).toEqual([missing.size, new Set(entries.map(([at]) => at >> 12)).size]);
  });

  it('is told of once, however often it is pointed to', async () => {
    const missing = new Set<number>();
    const entries = [0x1000, 0x1008, 0x1010, 0x1018].map((at) => [at, PAST_END] as const);
    const image = await openImage(dump(entries), { raw: { cr3: 0x1000, paging: '4-level' } });
    expect([...openCpu(image, 0, { missing }).leaves()]).toEqual([]);
    expect([...missing]).toEqual([0x123_4500]);
  });

  it('may be the root', async () => {
    const image = await openImage(fileOf('linux32-pae-2g-user.cr3page.elf.gz'));
    const missing = new Set<number>();
    const cpu = openCpu(image, 1, { missing });
    expect([...cpu.leaves()]).toEqual([]);
    expect(takeCensus(cpu, missing)).toMatchObject({ tables: 0, missing: 1 });
  });

  it('of a core with one page of Xen leaves the entries that this page holds of itself', async () => {
    const image = await openImage(fileOf('xen-idle-6g.cr3page.elf.gz'));
    const missing = new Set<number>();
    expect([...openCpu(image, 0, { missing }).leaves()]).toHaveLength(5);
    expect(missing.size).toBe(4);
  });
});

describe('frames of an image', () => {
  /** Every frame is there, and empty. */
  const endless = async (): ReturnType<typeof openImage> => {
    const image = await openImage(new Uint8Array(4096), { raw: { cr3: 0, paging: '4-level' } });
    return { ...image, readFrame: () => true };
  };

  it('are taken into memory up to the limit; a further one is refused, not read as no RAM', async () => {
    const cpu = openCpu(await endless(), 0, { maxFrames: 3 });
    const { port } = cpu.translator;
    for (const frame of [0, 1, 2, 1]) port.load(frame, 0, 8);
    expect(() => port.load(3, 0, 8)).toThrow(new ImageError('the page tables take more than 3 frames'));
    expect(() => port.load(4, 0, 8)).toThrow(ImageError);
  });

  it.runIf(LONG)('may be more than 2^18', async () => {
    const { port } = openCpu(await endless(), 0).translator;
    for (let frame = 0; frame <= 1 << 18; frame++) {
      port.load(frame, 0, 8);
      expect(port.lo).toBe(0);
    }
  });
});
