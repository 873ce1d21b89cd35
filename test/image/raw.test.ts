import Long from 'long';
import { describe, expect, it } from 'vitest';
import { type Image, openCpu, openImage } from '../../src/image/index.ts';
import type { PagingModeName } from '../../src/mmu/paging-mode.ts';
import { expectRefused, fileOf, SparseFile } from './samples.ts';

/** The frames of a container at their addresses in a file of many GiB. */
async function dumpOf(name: string, size: number): Promise<SparseFile> {
  const image = await openImage(fileOf(`${name}.ptpages.gz`));
  const pieces = image.frameNumbers!.map((frame) => {
    const bytes = new Uint8Array(4096);
    image.readFrame(frame, bytes);
    return [frame * 4096, bytes] as const;
  });
  return new SparseFile(size, pieces);
}

/** One text, since comparing 70,000 objects takes seconds. */
const runsText = (image: Image): string =>
  Array.from(openCpu(image, 0).runs(), ({ linear, physical, sizeBytes, rights }) =>
    [linear, physical, sizeBytes, rights].join(' '),
  ).join('\n');

describe('a raw dump', () => {
  it.each([
    ['xen-idle-6g', 2 ** 36],
    ['linux4-nopti-2g-user', 2 ** 31],
    ['linux32-pae-2g-user', 2 ** 31],
  ])('of %s maps what its container maps, read on demand', async (name, size) => {
    const container = await openImage(fileOf(`${name}.ptpages.gz`));
    const { cr3, paging } = container.cpus[0]!;
    const file = await dumpOf(name, size);
    const raw = { cr3, paging: paging as Exclude<PagingModeName, 'none'>, maxPhyAddr: 40 };
    const image = await openImage(file, { raw });
    expect(file.bytesRead).toBeLessThan(100);
    expect(image).toMatchObject({ kind: 'raw', ram: [{ start: 0, end: size }], frames: size / 4096 });
    expect(runsText(image)).toBe(runsText(container));
    expect(file.bytesRead).toBeLessThan(2 * 4096 * container.frameNumbers!.length);
  });

  it.each(['32-bit', 'pae', '4-level', '5-level'] as const)('has control registers for %s paging', async (paging) => {
    const image = await openImage(new Uint8Array(8192), { raw: { cr3: '0x1000', paging } });
    expect(openCpu(image, 0).translator.registers.format.mode.name).toBe(paging);
    expect(image.cpus[0]).toMatchObject({ index: 0, cpl: 0, ac: 0, cr3: new Long(0x1000, 0, true) });
    expect([image.cpus[0]?.rip, image.cpus[0]?.rflags]).toEqual([undefined, undefined]);
  });

  it('ends in the middle of a frame with zeros, and has no frame past its end', async () => {
    const image = await openImage(new Uint8Array(4100).fill(7), { raw: { cr3: 0, paging: '32-bit' } });
    const target = new Uint8Array(4096);
    expect(image.readFrame(1, target)).toBe(true);
    expect([target[3], target[4]]).toEqual([7, 0]);
    expect(image.readFrame(2, target)).toBe(false);
    expect(image.readFrame(2 ** 40 - 1, target)).toBe(false);
  });

  it('takes its CPU features from the options', async () => {
    const raw = { cr3: 0, paging: '4-level', maxPhyAddr: 36, page1gb: false } as const;
    const { features } = await openImage(new Uint8Array(4096), { raw });
    expect(features).toEqual({ maxPhyAddr: 36, page1gb: false });
  });

  it('is refused where it cannot hold the tables', async () => {
    const raw = { cr3: 0x2000, paging: '4-level' } as const;
    await expectRefused(openImage(new Uint8Array(100), { raw }), 'a raw dump of 100 bytes holds no page table');
    await expectRefused(openImage(new Uint8Array(8192), { raw }), 'CR3 is 0x2000, past the end of the dump (0x2000)');
    await expectRefused(openImage(new Uint8Array(0), { raw }), 'the file is empty');
  });

  it.each(['pae', '32-bit'] as const)(
    'is refused with a CR3 of more than the 32 bits it has in %s paging',
    async (paging) => {
      const opened = openImage(new Uint8Array(8192), { raw: { cr3: 0x1_0000_1000, paging } });
      await expectRefused(opened, `CR3 is 0x100001000, more than the 32 bits it has in ${paging} paging`);
    },
  );

  it('without registers is refused with a hint', () =>
    expectRefused(openImage(new Uint8Array(8192)), 'a raw dump needs --cr3 and --paging'));

  it('with registers that no processor has is a RangeError of the caller', async () => {
    const opened = openImage(new Uint8Array(4096), { raw: { cr3: 0, paging: '6-level' as '5-level' } });
    await expect(opened).rejects.toThrow(new RangeError('paging is one of 32-bit, pae, 4-level, 5-level, not 6-level'));
    await expect(openImage(new Uint8Array(4096), { raw: { cr3: -1, paging: 'pae' } })).rejects.toThrow(RangeError);
  });
});
