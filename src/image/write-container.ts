/** Writes a `.ptpages` container: the way back from tables in memory to a file that other tools read. */
import { PAGE_SIZE } from '../mmu/halves.ts';
import { gzip } from './gzip.ts';
import type { Image } from './image.ts';

/** The container of an image's frames (ascending frame numbers), gzipped. RangeError where the image lacks one of them. */
export async function writeContainer(image: Image, frames: readonly number[]): Promise<Uint8Array> {
  const hex = (value: { toString(radix: number): string }): string => `0x${value.toString(16)}`;
  const header = {
    format: 'mmu-ptpages',
    version: 1,
    name: image.name,
    note: image.description,
    maxphyaddr: image.features.maxPhyAddr ?? 52,
    cpu_features: { pdpe1gb: image.features.page1gb ?? true, ...image.features },
    ram: image.ram.map(({ start, end }) => ({ start: hex(start), end: hex(end) })),
    pages: frames.length,
    cpus: image.cpus.map(({ index, cr0, cr2, cr3, cr4, efer, rip, cpl, paging }) => ({
      index,
      cr0: hex(cr0),
      cr2: hex(cr2),
      cr3: hex(cr3),
      cr4: hex(cr4),
      efer: hex(efer),
      ...(rip === undefined ? {} : { rip: hex(rip) }),
      cpl,
      paging,
    })),
  };
  const json = new TextEncoder().encode(JSON.stringify(header, null, 1));
  const bytes = new Uint8Array(12 + json.length + frames.length * (8 + PAGE_SIZE));
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('MMUPTP1\n'));
  view.setUint32(8, json.length, true);
  bytes.set(json, 12);
  frames.forEach((frame, index) => {
    const at = 12 + json.length + index * (8 + PAGE_SIZE);
    view.setUint32(at, (frame % 0x100000) * PAGE_SIZE, true);
    view.setUint32(at + 4, Math.floor(frame / 0x100000), true);
    if (!image.readFrame(frame, bytes.subarray(at + 8, at + 8 + PAGE_SIZE)))
      throw new RangeError(`the image does not hold frame 0x${frame.toString(16)}`);
  });
  return gzip(bytes);
}
