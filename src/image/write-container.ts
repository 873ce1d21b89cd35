/** Writes a `.ptpages` container: the way back from tables in memory to a file that other tools read. */
import { type Frame, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { gzip } from './gzip.ts';
import type { Image, ImageCpu } from './image.ts';

/** An image without the frames it may list: what a header tells, and a way to read a frame. */
export type Writable = Pick<Image, 'name' | 'description' | 'features' | 'ram' | 'cpus' | 'readFrame'>;

const RECORD = 8 + PAGE_SIZE;

/**
 * The container of an image's frames, gzipped.
 * @param frames  ascending frame numbers, 0 to 2^40 - 1
 * RangeError where they are not, or the image lacks one of them.
 */
export async function writeContainer(image: Writable, frames: readonly Frame[]): Promise<Uint8Array> {
  return gzip(containerBytes(image, frames));
}

/** The same without gzip. */
export function containerBytes(image: Writable, frames: readonly Frame[]): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(headerOf(image, frames.length), null, 1));
  const bytes = new Uint8Array(12 + json.length + frames.length * RECORD);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('MMUPTP1\n'));
  view.setUint32(8, json.length, true);
  bytes.set(json, 12);
  let previous = -1;
  frames.forEach((frame, index) => {
    if (!Number.isInteger(frame) || frame <= previous || frame >= 2 ** 40)
      throw new RangeError(`frame ${frame} after ${previous}: frames ascend, from 0 to 2^40 - 1`);
    previous = frame;
    const at = 12 + json.length + index * RECORD;
    view.setUint32(at, (frame % 0x100000) * PAGE_SIZE, true);
    view.setUint32(at + 4, Math.floor(frame / 0x100000), true);
    if (!image.readFrame(frame, bytes.subarray(at + 8, at + RECORD)))
      throw new RangeError(`the image does not hold frame ${hexNumber(frame)}`);
  });
  return bytes;
}

function headerOf({ name, description, features, ram, cpus }: Writable, pages: number): object {
  const { maxPhyAddr = 52, page1gb = true, vendor: _vendor, ...flags } = features;
  return {
    format: 'mmu-ptpages',
    version: 1,
    name,
    note: description,
    maxphyaddr: maxPhyAddr,
    cpu_features: { pdpe1gb: page1gb, ...flags },
    ram: ram.map(({ start, end }) => ({ start: hexNumber(start), end: hexNumber(end) })),
    pages,
    cpus: cpus.map(cpuHeader),
  };
}

function cpuHeader({ index, cr0, cr2, cr3, cr4, efer, rflags, rip, cpl, paging, sameAs }: ImageCpu): object {
  const hex = (value: { toString(radix: number): string }): string => `0x${value.toString(16)}`;
  return {
    index,
    cr0: hex(cr0),
    cr2: hex(cr2),
    cr3: hex(cr3),
    cr4: hex(cr4),
    efer: hex(efer),
    ...(rflags === undefined ? {} : { rflags: hex(rflags) }),
    ...(rip === undefined ? {} : { rip: hex(rip) }),
    cpl,
    paging,
    ...(sameAs === undefined ? {} : { same_as: sameAs }),
  };
}
