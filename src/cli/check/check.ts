/** `pagewalk check`: replays whatever corpus a file holds, recognised by its content. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheOptions } from '../../cpu/cache-options.ts';
import { isContainer } from '../../image/container.ts';
import { gunzip, isGzip } from '../../image/gzip.ts';
import { ImageError } from '../../image/image-error.ts';
import { openImage } from '../../image/open-image.ts';
import { bytesReader } from '../../image/reader.ts';
import { EXIT_MISMATCH, UsageError } from '../failure.ts';
import { fileReader } from '../image-file.ts';
import { print } from '../output.ts';
import { checkAccessVectors } from './access-vectors.ts';
import { checkListings } from './image-listings.ts';
import { CheckReport } from './report.ts';

const CACHES: Readonly<Record<string, CacheOptions>> = {
  default: {},
  everything: { tlb: 'everything', structures: 'everything' },
  off: { tlb: 'off', structures: 'off' },
};

export interface CheckOptions {
  readonly caches: string;
  readonly json?: boolean;
}

/** Returns the exit status. A file in which nothing was compared is a failure. */
export async function check(paths: readonly string[], options: CheckOptions): Promise<number> {
  const caches = CACHES[options.caches];
  if (caches === undefined) throw new UsageError(`--caches is one of ${Object.keys(CACHES).join(', ')}`);
  const results = [];
  for (const path of paths.flatMap(filesIn)) {
    const report = new CheckReport();
    const note = await checkFile(path, caches, report);
    if (report.total === 0) throw new UsageError(`${path}: nothing to compare${note}`);
    if (options.json !== true) report.print(`${path}${note}`);
    results.push({ file: path, report });
  }
  const passed = results.reduce((sum, { report }) => sum + report.passed, 0);
  const failed = results.reduce((sum, { report }) => sum + report.total - report.passed, 0);
  if (options.json === true)
    print(JSON.stringify({ passed, failed, files: results.map(({ file, report }) => ({ file, ...report.toJson() })) }));
  else print(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : EXIT_MISMATCH;
}

/** A directory stands for the corpora in it. */
function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const files = readdirSync(path).filter((name) => /\.(ptpages|jsonl)(\.gz)?$/.test(name));
  if (files.length === 0) throw new UsageError(`${path}: no .ptpages or .jsonl file in this directory`);
  return files.sort().map((name) => join(path, name));
}

/** Returns what to say of the file besides its counts. */
async function checkFile(path: string, caches: CacheOptions, report: CheckReport): Promise<string> {
  const bytes = await contentOf(path);
  try {
    if (isContainer(bytes)) {
      checkListings(path, await openImage(bytes), report);
      return report.total === 0 ? ': no listing NAME.cpuN.tlb.txt.gz and the like beside it' : '';
    }
    return checkLines(bytes, caches, report);
  } catch (failure) {
    if (failure instanceof ImageError || failure instanceof UsageError)
      throw new UsageError(`${path}: ${failure.message}`);
    throw failure;
  }
}

function checkLines(bytes: Uint8Array, caches: CacheOptions, report: CheckReport): string {
  const lines = new TextDecoder().decode(bytes).split('\n');
  const format = formatOf(lines[0] ?? '');
  if (format !== 'mmu-oracle-1')
    throw new UsageError('neither a .ptpages container nor access vectors (format mmu-oracle-1)');
  const { accesses, accessesPassed } = checkAccessVectors(lines, caches, report);
  return `: ${accessesPassed} of ${accesses} accesses`;
}

function formatOf(line: string): unknown {
  try {
    return (JSON.parse(line) as { format?: unknown } | null)?.format;
  } catch {
    return undefined;
  }
}

async function contentOf(path: string): Promise<Uint8Array> {
  const reader = fileReader(path);
  try {
    const bytes = new Uint8Array(reader.size);
    reader.read(0, bytes);
    return isGzip(bytes) ? await gunzip(bytesReader(bytes)) : bytes;
  } catch (failure) {
    throw failure instanceof ImageError ? new ImageError(`${path}: ${failure.message}`) : failure;
  } finally {
    reader.close();
  }
}
