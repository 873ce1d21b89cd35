import { describe, expect, it } from 'vitest';
import { containerBytes, type Image, openCpu, openImage, writeContainer } from '../../src/image/index.ts';
import { fileOf, NAMES } from './samples.ts';

/** What a reader can see of an image, but for the capture's own header. */
function visible(image: Image): object {
  const frames = image.frameNumbers!.map((frame) => {
    const bytes = new Uint8Array(4096);
    expect(image.readFrame(frame, bytes)).toBe(true);
    return Buffer.from(bytes).toString('base64');
  });
  const { kind, name, features, ram, cpus, frameNumbers } = image;
  return { kind, name, features, ram, cpus, frameNumbers, frames };
}

describe('a written container', () => {
  it.each(NAMES)('of %s reads as the image it was written from, gzipped or not', async (name) => {
    const image = await openImage(fileOf(`${name}.ptpages.gz`));
    const plain = containerBytes(image, image.frameNumbers!);
    expect(new TextDecoder().decode(plain.subarray(0, 8))).toBe('MMUPTP1\n');
    const gzipped = await writeContainer(image, image.frameNumbers!);
    expect(gzipped.length).toBeLessThan(plain.length / 4);
    for (const bytes of [plain, gzipped]) expect(visible(await openImage(bytes))).toEqual(visible(image));
  });

  it('can be made from a raw dump and from an ELF core', async () => {
    const dump = new Uint8Array(8192);
    dump.set([0x83], 0x1000); // a 4 MiB page at 0
    const raw = await openImage(dump, { raw: { cr3: 0x1000, paging: '32-bit', page1gb: false } });
    const fromRaw = await openImage(containerBytes(raw, [1]));
    expect([...openCpu(fromRaw, 0).runs()]).toEqual([...openCpu(raw, 0).runs()]);
    expect(fromRaw.cpus[0]).toEqual(raw.cpus[0]);
    expect(fromRaw.features).toMatchObject({ maxPhyAddr: 52, page1gb: false });

    const core = await openImage(fileOf('linux4-nopti-2g-user.cr3page.elf.gz'));
    const fromCore = await openImage(containerBytes(core, [0x521f8]));
    expect(fromCore.cpus).toEqual(core.cpus);
  });

  it('reaches the last frame below 2^52', async () => {
    const image = await openImage(new Uint8Array(4096), { raw: { cr3: 0, paging: 'pae' } });
    const last = 2 ** 40 - 1;
    const frames = { ...image, readFrame: (_: number, target: Uint8Array) => target.fill(9).length > 0 };
    const again = await openImage(containerBytes(frames, [0, last]));
    expect(again.frameNumbers).toEqual([0, last]);
  });

  it.each([
    ['twice the same frame', [0, 0]],
    ['descending frames', [1, 0]],
    ['a negative frame', [-1]],
    ['half a frame', [0.5]],
    ['a frame past 2^52', [2 ** 40]],
    ['a frame that the image lacks', [5]],
  ])('refuses %s with a RangeError', async (_, frames) => {
    const image = await openImage(new Uint8Array(8192), { raw: { cr3: 0, paging: 'pae' } });
    expect(() => containerBytes(image, frames)).toThrow(RangeError);
    await expect(writeContainer(image, frames)).rejects.toThrow(RangeError);
  });
});
