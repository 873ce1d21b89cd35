import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type MapsOptions, mapsLines } from '../../src/cli/maps.ts';
import { openCpu, openImage } from '../../src/image/index.ts';
import { IMAGES } from '../support/command.ts';

describe('the lines of maps', () => {
  /** How often a table of each level is read. */
  async function tablesRead(options: MapsOptions): Promise<number[]> {
    const image = await openImage(readFileSync(`${IMAGES}/linux4-nopti-2g-user.ptpages.gz`));
    const read = [0, 0, 0, 0, 0];
    const lines = mapsLines(openCpu(image, 0), options, (_, level) => {
      read[level]! += 1;
      return true;
    });
    for (const _ of lines);
    return read;
  }

  it('come from the tables that can hold pages of the size asked for, and no other', async () => {
    for (const [size, lowest] of Object.entries({ '4K': 1, '2M': 2, '1G': 3 })) {
      const read = await tablesRead({ size });
      expect(read.findIndex((count) => count > 0)).toBe(lowest);
      expect(Math.min(...read.slice(lowest))).toBeGreaterThan(0);
    }
  });

  it('of every format ask before each table, so that there can be progress', async () => {
    for (const format of ['text', 'json', 'qemu-tlb', 'qemu-mem'])
      expect((await tablesRead({ format })).reduce((sum, count) => sum + count)).toBeGreaterThan(100);
  });
});
