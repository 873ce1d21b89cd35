/** Checks an image against the listings that lie beside it: every line that QEMU printed for its tables. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Cpu } from '../../cpu/cpu.ts';
import { NONE } from '../../cpu/fault.ts';
import { gunzip } from '../../image/gzip.ts';
import type { Image, ImageCpu } from '../../image/image.ts';
import { ImageError } from '../../image/image-error.ts';
import { cpuState, openCpu } from '../../image/open-image.ts';
import { leafLines, qemuMemLines, qemuTlbLines } from '../../image/qemu-listing.ts';
import { EXAMINE } from '../../mmu/access.ts';
import { toHalves } from '../../mmu/address.ts';
import { hex64 } from '../../mmu/halves.ts';
import { FileError } from '../failure.ts';
import { fileReader, MAX_TEXT } from '../image-file.ts';
import { endProgress, progress } from '../output.ts';
import { TableWatch } from '../table-watch.ts';
import type { CheckReport } from './report.ts';

interface Listing {
  readonly kind: string;
  /** Whether an image that has listings has this one for a CPU with tables of its own. */
  readonly belongsTo: (cpu: ImageCpu) => boolean;
  readonly compare: (listing: Listed, cpu: Cpu, report: CheckReport) => void;
}

/** The lines of a listing file, and its class in the report: `cpu0 tlb`. */
interface Listed {
  readonly path: string;
  readonly name: string;
  readonly lines: readonly string[];
}

const LISTINGS: readonly Listing[] = [
  { kind: 'tlb', belongsTo: () => true, compare: comparing(qemuTlbLines) },
  // QEMU 7.2 has none with 5-level paging.
  { kind: 'mem', belongsTo: () => false, compare: comparing(qemuMemLines) },
  { kind: 'leaves', belongsTo: ({ index }) => index === 0, compare: comparing(leafLines) },
  { kind: 'gva2gpa', belongsTo: () => true, compare: compareTranslations },
];

/**
 * `path` is the image's; its listings are NAME.cpuN.KIND.txt.gz beside it, one missing among others is a failure. Compares
 * nothing where there are none.
 * @param index  of the only CPU to check, perhaps
 */
export async function checkListings(
  path: string,
  image: Image,
  index: number | undefined,
  report: CheckReport,
): Promise<void> {
  const base = path.replace(/\.ptpages(\.gz)?$/, '');
  const cpus = index === undefined ? image.cpus : [cpuState(image, index)];
  const fileOf = (cpu: ImageCpu, kind: string): string => `${base}.cpu${cpu.index}.${kind}.txt.gz`;
  if (!cpus.some((cpu) => LISTINGS.some(({ kind }) => existsSync(fileOf(cpu, kind))))) return;
  const watch = new TableWatch();
  for (const state of cpus) {
    const cpu = openCpu(image, state.index, watch);
    for (const { kind, belongsTo, compare } of LISTINGS) {
      const file = fileOf(state, kind);
      const name = `cpu${state.index} ${kind}`;
      if (existsSync(file)) compare({ path: file, name, lines: await linesOf(file) }, cpu, report);
      else if (hasOwnTables(state) && belongsTo(state)) report.count(name, () => `no file ${basename(file)}`);
    }
  }
  endProgress();
  watch.note();
}

const hasOwnTables = ({ paging, sameAs }: ImageCpu): boolean => paging !== 'none' && sameAs === undefined;

function comparing(actual: (cpu: Cpu) => Iterable<string>): Listing['compare'] {
  return ({ name, lines }, cpu, report) => {
    let at = 0;
    for (const line of actual(cpu)) {
      const wanted = lines[at];
      report.count(
        name,
        line === wanted ? undefined : () => `line ${at + 1}: expected ${wanted ?? 'nothing'}, got ${line}`,
      );
      at += 1;
      progress(() => `${name} ${at} of ${lines.length}`);
    }
    for (; at < lines.length; at++) {
      const wanted = lines[at];
      report.count(name, () => `line missing: ${wanted}`);
    }
  };
}

function compareTranslations({ path, name, lines }: Listed, cpu: Cpu, report: CheckReport): void {
  lines.forEach((line, at) => {
    const [, address, expected] = /^([0-9a-f]{16}) ([0-9a-f]{16}|unmapped)$/.exec(line) ?? [];
    if (address === undefined) throw new FileError(path, `line ${at + 1}: not an address and what it translates to`);
    const { low, high } = toHalves(`0x${address}`);
    const found = cpu.probe(low, high, EXAMINE) === NONE;
    const actual = found ? hex64(cpu.physicalLo, cpu.physicalHi) : 'unmapped';
    report.count(name, actual === expected ? undefined : () => `${address}: expected ${expected}, got ${actual}`);
  });
}

async function linesOf(path: string): Promise<string[]> {
  const reader = fileReader(path);
  try {
    const text = new TextDecoder().decode(await gunzip(reader, MAX_TEXT));
    return text === '' ? [] : text.replace(/\n$/, '').split('\n');
  } catch (failure) {
    throw failure instanceof ImageError ? new FileError(path, failure.message) : failure;
  } finally {
    reader.close();
  }
}
