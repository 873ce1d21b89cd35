import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import Long from 'long';
import { describe, expect, it } from 'vitest';
import { bytesReader, type Image, ImageError, openCpu, openImage, writeContainer } from '../../src/image/index.ts';
import { IMAGES } from '../support/command.ts';

const gz = new Uint8Array(readFileSync(`${IMAGES}/xen-idle-6g.ptpages.gz`));
const container = new Uint8Array(gunzipSync(gz));
const elf = new Uint8Array(gunzipSync(readFileSync(`${IMAGES}/xen-idle-6g.cr3page.elf.gz`)));

const hex = (value: Long | undefined): string => `0x${value?.toString(16)}`;

describe('a .ptpages container', () => {
  it('is read as its header says, gzipped or not', async () => {
    for (const bytes of [gz, container]) {
      const image = await openImage(bytes);
      expect(image).toMatchObject({
        kind: 'ptpages',
        name: 'xen-idle-6g',
        frames: 26,
        features: { maxPhyAddr: 40, page1gb: true },
      });
      expect(image.ram.at(-1)).toEqual({ start: 0x100000000, end: 0x1c0000000 });
      expect(hex(image.cpus[0]?.cr3)).toBe('0xbfc6e000');
    }
  });

  it('holds the frames it lists and no other', async () => {
    const image = await openImage(container);
    const frame = new Uint8Array(4096);
    expect(image.readFrame(0xbfc6e, frame)).toBe(true);
    expect(new DataView(frame.buffer).getBigUint64(261 * 8, true)).toBe(0xbfc6d063n);
    expect(image.readFrame(0xbfc6f, frame)).toBe(false);
  });

  it('survives writing and reading again', async () => {
    const image = await openImage(container);
    const again = await openImage(await writeContainer(image, framesOf(image)));
    expect([...openCpu(again, 0).runs()]).toEqual([...openCpu(image, 0).runs()]);
    expect(again.cpus.map(({ cr3 }) => hex(cr3))).toEqual(image.cpus.map(({ cr3 }) => hex(cr3)));
    await expect(writeContainer(image, [1])).rejects.toThrow('does not hold frame 0x1');
  });
});

/** Frames below 8 GiB that an image holds. */
function framesOf(image: Image): number[] {
  const target = new Uint8Array(4096);
  return Array.from({ length: 0x200000 }, (_, frame) => frame).filter((frame) => image.readFrame(frame, target));
}

describe('an ELF core', () => {
  it.each(['xen-idle-6g', 'linux4-nopti-2g-user', 'linux32-pae-2g-user'])(
    'of %s has the registers of its notes',
    async (name) => {
      const image = await openImage(new Uint8Array(readFileSync(`${IMAGES}/${name}.cr3page.elf.gz`)));
      const header = JSON.parse(readFileSync(`${IMAGES}/${name}.json`, 'utf8'));
      expect(image.kind).toBe('elf-core');
      expect(image.cpus).toHaveLength(header.cpus.length);
      header.cpus.forEach((expected: Record<string, string | number>, at: number) => {
        const { cr0, cr3, cr4, rip, cpl, paging } = image.cpus[at]!;
        expect({ cr0: hex(cr0), cr3: hex(cr3), cr4: hex(cr4), rip: hex(rip), cpl, paging }).toEqual({
          cr0: expected['cr0'],
          cr3: expected['cr3'],
          cr4: expected['cr4'],
          rip: expected['rip'],
          cpl: expected['cpl'],
          paging: expected['paging'],
        });
      });
    },
  );

  it('is read on demand: headers, notes and the frames asked for', async () => {
    let bytesRead = 0;
    const reader = bytesReader(elf);
    const image = await openImage({
      size: elf.length,
      read(offset, target) {
        bytesRead += target.length;
        return reader.read(offset, target);
      },
    });
    const opened = bytesRead;
    expect(opened).toBeLessThan(4096);
    expect(image.readFrame(0xbfc6e, new Uint8Array(4096))).toBe(true);
    expect(bytesRead - opened).toBe(4096);
  });

  const patched = (patch: (view: DataView) => void): Uint8Array => {
    const copy = elf.slice();
    patch(new DataView(copy.buffer));
    return copy;
  };

  it.each([
    ['header cut short', elf.subarray(0, 40), 'header is cut short'],
    ['class 3', patched((view) => view.setUint8(4, 3)), 'class 3'],
    ['big-endian', patched((view) => view.setUint8(5, 2)), 'not little-endian'],
    ['not a core', patched((view) => view.setUint16(16, 2, true)), 'not a core'],
    ['another machine', patched((view) => view.setUint16(18, 183, true)), 'machine 183'],
    ['program headers outside', patched((view) => view.setUint32(32, 0x7fffffff, true)), 'program headers lie outside'],
    ['absurd number of segments', patched((view) => view.setUint16(56, 0xfffe, true)), 'program headers lie outside'],
    [
      'extended numbering without a section',
      patched((view) => {
        view.setUint16(56, 0xffff, true);
        view.setUint32(40, 0x7fffffff, true);
      }),
      'section header',
    ],
    [
      'a segment past the end',
      patched((view) => view.setUint32(0xc0 + 32, 0x7fffffff, true)),
      'segment 0 lies outside',
    ],
    ['a note that overruns', patched((view) => view.setUint32(0x130 + 4, 0x7fffffff, true)), 'runs over its segment'],
    [
      'no QEMU notes',
      patched((view) => [0x3f8, 0x3f8 + 0x1cc].forEach((note) => view.setUint8(note + 12, 0x58))),
      'no QEMU notes',
    ],
    ['a short QEMU note', patched((view) => view.setUint32(0x3f8 + 4, 0x100, true)), 'has 256 bytes'],
  ])('with damage (%s) is refused in a sentence', async (_, bytes, message) => {
    await expect(openImage(bytes)).rejects.toThrow(ImageError);
    await expect(openImage(bytes)).rejects.toThrow(message);
  });
});

describe('raw registers', () => {
  it('are refused for a file that has its own', async () => {
    await expect(openImage(container, { raw: { cr3: 0, paging: 'pae' } })).rejects.toThrow('this file has its own');
  });

  it('make a dump an image', async () => {
    const image = await openImage(new Uint8Array(16384), { raw: { cr3: 0x1000, paging: '32-bit' } });
    expect(image).toMatchObject({ kind: 'raw', frames: 4 });
    expect([...openCpu(image, 0).runs()]).toEqual([]);
    expect(image.cpus[0]?.cr3).toEqual(new Long(0x1000, 0, true));
  });
});
