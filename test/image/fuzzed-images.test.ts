/** Damaged images of every kind: nothing but ImageError, in opening them and in what the commands then do. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { infoJson } from '../../src/cli/info.ts';
import { mapsLines } from '../../src/cli/maps.ts';
import { TableWatch } from '../../src/cli/table-watch.ts';
import { walkJson } from '../../src/cli/walk-json.ts';
import { NO_PAINT, walkLines } from '../../src/cpu/walk-text.ts';
import {
  type Image,
  ImageError,
  type OpenOptions,
  openCpu,
  openImage,
  type RawRegisters,
} from '../../src/image/index.ts';
import { fileOf, inflatedFile, joined, LONG } from './samples.ts';

interface Change {
  readonly at: number;
  readonly value: number;
  readonly how: string;
}

/**
 * `opens`: some damage (a flipped byte of a page) leaves an image that opens; a checksum lets nothing through.
 * `start`: bytes of headers, which are changed more often than the rest.
 */
function fuzz(name: string, bytes: Uint8Array, options: { opens: boolean; start: number; open?: OpenOptions }): void {
  it(`${name}: nothing but ImageError, whatever is flipped, cut or inserted`, { timeout: 1_800_000 }, async () => {
    let opened = 0;
    let refused = 0;
    const change: fc.Arbitrary<Change> = fc.record({
      at: fc.oneof(fc.nat(Math.min(options.start, bytes.length) - 1), fc.nat(bytes.length - 1)),
      value: fc.oneof(fc.constantFrom(0, 255, 127, 128), fc.nat(255)),
      how: fc.constantFrom('set', 'set', 'set', 'cut', 'insert'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        try {
          const image = await openImage(changes.reduce(changed, bytes), options.open);
          runCommands(image);
          opened += 1;
        } catch (failure) {
          if (!(failure instanceof ImageError)) throw failure;
          refused += 1;
        }
      }),
      // The short run is the same each time: whether a hundred changes spoil a file is then no matter of luck.
      LONG ? { numRuns: 10_000 } : { numRuns: 100, seed: 7 },
    );
    if (options.opens) expect(opened).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });
}

function changed(bytes: Uint8Array, { at, value, how }: Change): Uint8Array {
  if (how === 'cut') return bytes.slice(0, at);
  if (how === 'insert') return joined(bytes.subarray(0, at), Uint8Array.of(value), bytes.subarray(at));
  const copy = bytes.slice();
  if (at < copy.length) copy[at] = value;
  return copy;
}

const FORMATS = ['text', 'json', 'qemu-tlb', 'qemu-mem'];
const ADDRESSES = [
  [0, 0],
  [0, 0xffff_8300 | 0],
  [0xc000_0000 | 0, 0],
  [-4096, -1],
  [0, 0x8000],
] as const;

/** What a person would ask of an image, in bounded amounts. */
function runCommands(image: Image): void {
  infoJson(image, undefined, new TableWatch());
  for (const { index } of image.cpus.slice(0, 4)) {
    for (const format of FORMATS) {
      const watch = new TableWatch();
      const cpu = openCpu(image, index, watch);
      // Damaged tables can lead to one another without end: the rest of them is left out.
      let tables = 200;
      let lines = 50;
      for (const _ of mapsLines(cpu, { format }, () => tables-- > 0)) if (--lines === 0) break;
      for (const [lo, hi] of ADDRESSES) {
        const walk = cpu.explain(lo, hi);
        expect([...walkLines(walk, NO_PAINT, watch.missing)].length).toBeGreaterThan(1);
        JSON.stringify(walkJson(walk, watch.missing));
      }
    }
  }
}

/** 32 KiB with a table in each of some frames: a path to a page of each size, one past the end, one to the root itself. */
function dump(): Uint8Array {
  const bytes = new Uint8Array(0x8000);
  const view = new DataView(bytes.buffer);
  for (let table = 1; table < 6; table++) {
    view.setBigUint64(table * 4096, BigInt((table + 1) * 4096) | 1n, true);
    view.setBigUint64(table * 4096 + 8, 0x4000_0000n | 0x83n, true);
    view.setBigUint64(table * 4096 + 16, 0x1_2345_6000n | 7n, true);
    view.setBigUint64(table * 4096 + 24, 0x1007n, true);
  }
  return bytes;
}

describe('a damaged image', () => {
  const container = inflatedFile('xen-idle-6g.ptpages.gz');
  fuzz('container', container, { opens: true, start: 4000 });
  fuzz('gzipped container', fileOf('xen-idle-6g.ptpages.gz'), { opens: false, start: 4000 });
  fuzz('PAE container', inflatedFile('linux32-pae-2g-user.ptpages.gz'), { opens: true, start: 4000 });

  const core = inflatedFile('xen-idle-6g.cr3page.elf.gz');
  fuzz('ELF core', core, { opens: true, start: 0x790 });
  fuzz('gzipped ELF core', gzipSync(core), { opens: false, start: 100 });

  for (const paging of ['4-level', '5-level', 'pae', '32-bit'] as const) {
    const raw: RawRegisters = { cr3: 0x1000, paging };
    fuzz(`raw dump with ${paging} paging`, dump(), { opens: true, start: 0x8000, open: { raw } });
  }
  fuzz('gzipped raw dump', gzipSync(dump()), {
    opens: false,
    start: 100,
    open: { raw: { cr3: 0x1000, paging: 'pae' } },
  });
});
