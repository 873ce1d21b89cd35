import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import Long from 'long';
import { describe, expect, it } from 'vitest';
import { bytesReader, type Image, ImageError, openCpu, openImage, writeContainer } from '../../src/image/index.ts';
import { IMAGES } from '../support/command.ts';

const LONG = process.env['PAGEWALK_LONG'] === '1';
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

describe('a damaged image', () => {
  /** `opens`: some damage (a flipped byte of a page) leaves an image that opens; a checksum lets nothing through. */
  const fuzz = (name: string, bytes: Uint8Array, opens: boolean): void =>
    it(`${name}: nothing but ImageError, whatever is flipped, cut or inserted`, { timeout: 1_800_000 }, async () => {
      let opened = 0;
      let refused = 0;
      const change = fc.record({
        at: fc.oneof(fc.nat(Math.min(4000, bytes.length - 1)), fc.nat(bytes.length - 1)),
        value: fc.oneof(fc.constantFrom(0, 255, 127, 128), fc.nat(255)),
        how: fc.constantFrom('set', 'set', 'set', 'cut', 'insert'),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
          let damaged = bytes;
          for (const { at, value, how } of changes) damaged = apply(damaged, at, value, how);
          try {
            const image = await openImage(damaged);
            for (const { index } of image.cpus.slice(0, 4)) walkAbout(image, index);
            opened += 1;
          } catch (failure) {
            if (!(failure instanceof ImageError)) throw failure;
            refused += 1;
          }
        }),
        { numRuns: LONG ? 10_000 : 200 },
      );
      if (opens) expect(opened).toBeGreaterThan(0);
      expect(refused).toBeGreaterThan(0);
    });

  fuzz('container', container, true);
  fuzz('gzipped container', gz, false);
  fuzz('ELF core', elf, true);
});

function apply(bytes: Uint8Array, at: number, value: number, how: string): Uint8Array {
  if (how === 'cut') return bytes.slice(0, at);
  if (how === 'insert') return Uint8Array.of(...bytes.subarray(0, at), value, ...bytes.subarray(at));
  const copy = bytes.slice();
  if (at < copy.length) copy[at] = value;
  return copy;
}

/** What a person would ask of an image, in bounded amounts. */
function walkAbout(image: Image, index: number): void {
  const cpu = openCpu(image, index);
  let runs = 0;
  for (const _ of cpu.runs()) if (++runs === 50) break;
  for (const address of ['0x0', '0xffff830000000000', '0xc0000000']) cpu.long.explain(address);
}

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
