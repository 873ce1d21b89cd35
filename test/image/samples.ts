/** Good images to damage, and readers to watch. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { bytesReader, type Image, ImageError, openImage, type RandomAccess } from '../../src/image/index.ts';
import { IMAGES } from '../support/command.ts';

export const NAMES = ['xen-idle-6g', 'linux4-nopti-2g-user', 'linux32-pae-2g-user'] as const;

export const LONG: boolean = process.env['PAGEWALK_LONG'] === '1';

export const fileOf = (name: string): Uint8Array => new Uint8Array(readFileSync(`${IMAGES}/${name}`));
export const inflatedFile = (name: string): Uint8Array => new Uint8Array(gunzipSync(fileOf(name)));

// biome-ignore lint/suspicious/noExplicitAny: a header that tests damage at will
export type Header = Record<string, any>;

/** The JSON beside a container, as captured. */
export const headerOf = (name: string): Header => JSON.parse(readFileSync(`${IMAGES}/${name}.json`, 'utf8'));

/** A container of any header text and any bytes behind it. */
export function containerOf(header: string, records: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(header);
  const start = new Uint8Array(12);
  start.set(new TextEncoder().encode('MMUPTP1\n'));
  new DataView(start.buffer).setUint32(8, json.length, true);
  return joined(start, json, records);
}

/** A record: a page address in two halves, and 4096 bytes of `fill`. */
export function record(lo: number, hi: number = 0, fill: number = 0): Uint8Array {
  const bytes = new Uint8Array(8 + 4096).fill(fill, 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, lo, true);
  view.setUint32(4, hi, true);
  return bytes;
}

export function joined(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A file of `size` bytes, all zero but for pieces at some offsets; it counts what is read. */
export class SparseFile implements RandomAccess {
  readonly size: number;
  bytesRead = 0;
  readonly #pieces: readonly (readonly [offset: number, bytes: Uint8Array])[];

  constructor(size: number, pieces: readonly (readonly [offset: number, bytes: Uint8Array])[]) {
    this.size = size;
    this.#pieces = pieces;
  }

  read(offset: number, target: Uint8Array): number {
    const count = Math.max(0, Math.min(target.length, this.size - offset));
    target.fill(0, 0, count);
    for (const [start, bytes] of this.#pieces) {
      const from = Math.max(start, offset);
      const to = Math.min(start + bytes.length, offset + count);
      if (from < to) bytesReader(bytes).read(from - start, target.subarray(from - offset, to - offset));
    }
    this.bytesRead += count;
    return count;
  }
}

/** Expects an ImageError of one line that holds `message`, and nothing else thrown. */
export async function expectRefused(opening: Promise<Image>, message: string): Promise<void> {
  const failure = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(failure).toBeInstanceOf(ImageError);
  expect((failure as ImageError).message).toContain(message);
  expect((failure as ImageError).message).not.toContain('\n');
}

export const refuses = (bytes: Uint8Array, message: string): Promise<void> => expectRefused(openImage(bytes), message);
