import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gunzip, gzip } from '../../src/image/gzip.ts';
import { bytesReader, ImageError, openImage } from '../../src/image/index.ts';
import { expectRefused, fileOf, joined, LONG, SparseFile } from './samples.ts';

const compressed = fileOf('xen-idle-6g.ptpages.gz');

describe('gunzip', () => {
  it('undoes gzip, ours and that of others', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200_000 }), async (bytes) => {
        expect(await gunzip(bytesReader(await gzip(bytes)))).toEqual(bytes);
        expect(await gunzip(bytesReader(gzipSync(bytes)))).toEqual(bytes);
        expect(new Uint8Array(gunzipSync(await gzip(bytes)))).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  it('reads a file longer than its chunks', async () => {
    const noise = Uint8Array.from({ length: 300_000 }, (_, at) => (Math.imul(at, 0x9e3779b1) >>> 13) & 0xff);
    const inflated = await gunzip(bytesReader(gzipSync(noise, { level: 0 })));
    expect(Buffer.compare(inflated, noise)).toBe(0);
  });

  it('refuses a stream cut anywhere', async () => {
    const step = LONG ? 1 : 97;
    for (let length = 2; length < compressed.length; length += step)
      await expectRefused(openImage(compressed.subarray(0, length)), 'the gzip data is damaged or cut short');
  });

  it.each([
    ['flipped bit', compressed.with(2000, compressed[2000]! ^ 0x10)],
    ['wrong checksum', compressed.with(compressed.length - 8, compressed[compressed.length - 8]! ^ 1)],
    ['wrong length', compressed.with(compressed.length - 1, 7)],
    ['unknown method', compressed.with(2, 9)],
    ['garbage behind the end', joined(compressed, Uint8Array.of(1, 2, 3))],
  ])('refuses a %s', (_, bytes) => expectRefused(openImage(bytes), 'the gzip data is damaged or cut short'));

  it('stops a bomb at its limit', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(16 << 20)));
    expect(bomb.length).toBeLessThan(20_000);
    await expect(gunzip(bytesReader(bomb), 1 << 20)).rejects.toThrow(ImageError);
    await expectRefused(openImage(bomb, { maxBytes: 1 << 20 }), 'inflates to more than 1048576 bytes');
    expect((await gunzip(bytesReader(bomb), 16 << 20)).length).toBe(16 << 20);
  });

  it('reads no further than its limit asks for', async () => {
    const noise = Uint8Array.from({ length: 4 << 20 }, (_, at) => (Math.imul(at, 0x9e3779b1) >>> 13) & 0xff);
    const file = new SparseFile(1 << 30, [[0, gzipSync(noise, { level: 0 })]]);
    await expect(gunzip(file, 100_000)).rejects.toThrow('more than 100000 bytes');
    expect(file.bytesRead).toBeLessThan(1 << 20);
  });

  it('passes on what the reader throws: a disk that fails is no damaged file', async () => {
    const failure = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    const opening = openImage({
      size: compressed.length,
      read(offset, target) {
        if (offset > 0) throw failure;
        return bytesReader(compressed.subarray(0, 100)).read(0, target);
      },
    });
    await expect(opening).rejects.toBe(failure);
  });
});
