/** Checks an image against the listings that lie beside it: every line that QEMU printed for its tables. */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Cpu } from '../../cpu/cpu.ts';
import { NONE } from '../../cpu/fault.ts';
import type { Image } from '../../image/image.ts';
import { openCpu } from '../../image/open-image.ts';
import { leafLines, qemuMemLines, qemuTlbLines } from '../../image/qemu-listing.ts';
import { EXAMINE } from '../../mmu/access.ts';
import { toHalves } from '../../mmu/address.ts';
import { hex64 } from '../../mmu/halves.ts';
import { UsageError } from '../failure.ts';
import { endProgress, progress } from '../output.ts';
import type { CheckReport } from './report.ts';

const LISTINGS: readonly [string, (cpu: Cpu) => Iterable<string>][] = [
  ['tlb', qemuTlbLines],
  ['mem', qemuMemLines],
  ['leaves', leafLines],
];

/** `path` is the image's; its listings are NAME.cpuN.KIND.txt.gz beside it. */
export function checkListings(path: string, image: Image, report: CheckReport): void {
  const base = path.replace(/\.ptpages(\.gz)?$/, '');
  for (const { index } of image.cpus) {
    const prefix = `${base}.cpu${index}`;
    const cpu = openCpu(image, index);
    for (const [kind, lines] of LISTINGS) {
      const expected = readLines(`${prefix}.${kind}.txt.gz`);
      if (expected !== undefined) compareLines(`cpu${index} ${kind}`, expected, lines(cpu), report);
    }
    for (const line of readLines(`${prefix}.gva2gpa.txt.gz`) ?? [])
      checkTranslation(`cpu${index} gva2gpa`, line, cpu, report);
  }
  endProgress();
}

function compareLines(name: string, expected: readonly string[], actual: Iterable<string>, report: CheckReport): void {
  let at = 0;
  for (const line of actual) {
    const wanted = expected[at];
    report.count(
      name,
      line === wanted ? undefined : () => `line ${at + 1}: expected ${wanted ?? 'nothing'}, got ${line}`,
    );
    at += 1;
    progress(() => `${name} ${at} of ${expected.length}`);
  }
  for (; at < expected.length; at++) {
    const wanted = expected[at];
    report.count(name, () => `line missing: ${wanted}`);
  }
}

function checkTranslation(name: string, line: string, cpu: Cpu, report: CheckReport): void {
  const [address = '', expected] = line.split(' ');
  const { low, high } = toHalves(`0x${address}`);
  const found = cpu.probe(low, high, EXAMINE) === NONE;
  const actual = found ? hex64(cpu.physicalLo, cpu.physicalHi) : 'unmapped';
  report.count(name, actual === expected ? undefined : () => `${address}: expected ${expected}, got ${actual}`);
}

/** The lines of a gzipped listing, or undefined where there is no such file. */
function readLines(path: string): string[] | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const text = gunzipSync(readFileSync(path)).toString();
    return text === '' ? [] : text.replace(/\n$/, '').split('\n');
  } catch {
    throw new UsageError(`${path}: the gzip data is damaged or cut short`);
  }
}
