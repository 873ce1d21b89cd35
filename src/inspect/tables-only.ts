/** The page tables of an image and nothing else of its memory: small enough to be sent to a browser. */
import { takeCensus } from '../image/census.ts';
import type { Image } from '../image/image.ts';
import { openCpu } from '../image/open-image.ts';
import { writeContainer } from '../image/write-container.ts';
import { type Frame, frameFrom } from '../mmu/halves.ts';

/**
 * A gzipped container of the tables that the CPUs of an image reach; those that the image lacks stay missing. ImageError
 * where its registers contradict it.
 */
export function tablesOnly(image: Image): Promise<Uint8Array> {
  const tables = new Set<Frame>();
  const missing = new Set<Frame>();
  for (const { index, sameAs, paging, cr3 } of image.cpus) {
    if (sameAs !== undefined || paging === 'none') continue;
    const root = frameFrom(cr3.low, cr3.high & 0xf_ffff);
    tables.add(root); // in PAE paging nothing else tells of it
    takeCensus(openCpu(image, index, { missing }), missing, (table) => {
      tables.add(table);
      return true;
    });
  }
  for (const frame of missing) tables.delete(frame);
  return writeContainer(
    image,
    [...tables].sort((one, other) => one - other),
  );
}
