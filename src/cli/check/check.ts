/** `pagewalk check`: replays whatever corpus a file holds, recognised by its content. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheOptions } from '../../cpu/cache-options.ts';
import { BEHAVIOURS, type BehaviourName } from '../../hypervisor/behaviour.ts';
import { isContainer } from '../../image/container.ts';
import { gunzip, isGzip } from '../../image/gzip.ts';
import { ImageError } from '../../image/image-error.ts';
import { openImage } from '../../image/open-image.ts';
import { bytesReader, type RandomAccess, readExactly } from '../../image/reader.ts';
import { EXIT_MISMATCH, FileError, UsageError } from '../failure.ts';
import { fileReader, MAX_TEXT } from '../image-file.ts';
import { print } from '../output.ts';
import { checkAccessVectors } from './access-vectors.ts';
import { corpusFormat } from './corpus-header.ts';
import { checkListings } from './image-listings.ts';
import { CheckReport } from './report.ts';
import { checkXenBoot } from './xen-boot.ts';
import { checkXenTraces } from './xen-traces.ts';

const CACHES: Readonly<Record<string, CacheOptions>> = {
  default: {},
  everything: { tlb: 'everything', structures: 'everything' },
  off: { tlb: 'off', structures: 'off' },
};

export interface CheckOptions {
  readonly caches: string;
  /** Of the mapping code that traces of Xen are compared with. */
  readonly behaviour: string;
  /** Of images, the only CPU whose listings are compared. */
  readonly cpu?: number | undefined;
  readonly json?: boolean;
}

/** The same, understood. */
interface Settings {
  readonly caches: CacheOptions;
  readonly behaviour: BehaviourName;
  readonly cpu: number | undefined;
}

/** Returns the exit status. A file in which nothing was compared is a failure. */
export async function check(paths: readonly string[], options: CheckOptions): Promise<number> {
  const caches = CACHES[options.caches];
  if (caches === undefined) throw new UsageError(`--caches is one of ${Object.keys(CACHES).join(', ')}`);
  if (!isBehaviour(options.behaviour))
    throw new UsageError(`--behaviour is one of ${Object.keys(BEHAVIOURS).join(', ')}`);
  const settings: Settings = { caches, behaviour: options.behaviour, cpu: options.cpu };
  const results = [];
  for (const path of paths.flatMap(filesIn)) {
    const report = new CheckReport();
    const note = await checkFile(path, settings, report);
    if (report.total === 0) throw new UsageError(`${path}: nothing to compare${note}`);
    if (options.json !== true) report.print(`${path}${note}`);
    results.push({ file: path, note: note.slice(2), report });
  }
  const passed = results.reduce((sum, { report }) => sum + report.passed, 0);
  const failed = results.reduce((sum, { report }) => sum + report.total - report.passed, 0);
  if (options.json === true)
    print(
      JSON.stringify({
        passed,
        failed,
        files: results.map(({ file, note, report }) => ({ file, note, ...report.toJson() })),
      }),
    );
  else print(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : EXIT_MISMATCH;
}

const isBehaviour = (name: string): name is BehaviourName => Object.hasOwn(BEHAVIOURS, name);

/** A directory stands for the corpora in it. */
function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const files = readdirSync(path).filter((name) => /\.(ptpages|jsonl)(\.gz)?$/.test(name));
  if (files.length === 0) throw new UsageError(`${path}: no .ptpages or .jsonl file in this directory`);
  return files.sort().map((name) => join(path, name));
}

/** Returns what to say of the file besides its counts. */
async function checkFile(path: string, settings: Settings, report: CheckReport): Promise<string> {
  const reader = fileReader(path);
  try {
    const content = isGzip(startOf(reader)) ? bytesReader(await gunzip(reader)) : reader;
    if (isContainer(startOf(content))) {
      await checkListings(path, await openImage(content), settings.cpu, report);
      return report.total === 0 ? ': no listing NAME.cpuN.tlb.txt.gz and the like beside it' : '';
    }
    if (settings.cpu !== undefined) throw new UsageError('--cpu goes with images; this file is none');
    return checkLines(textOf(content), settings, report);
  } catch (failure) {
    const isUnnamed =
      failure instanceof ImageError || (failure instanceof UsageError && !(failure instanceof FileError));
    throw isUnnamed ? new FileError(path, failure.message) : failure;
  } finally {
    reader.close();
  }
}

function startOf(content: RandomAccess): Uint8Array {
  const start = new Uint8Array(8);
  content.read(0, start);
  return start;
}

/** UsageError where the first byte shows that this is no corpus, or where it is absurdly long: before it is read. */
function textOf(content: RandomAccess): string {
  if (startOf(content)[0] !== 0x7b) throw new UsageError(UNKNOWN); // JSON lines begin with an opening brace
  if (content.size > MAX_TEXT) throw new UsageError(`a corpus of ${content.size} bytes, more than ${MAX_TEXT}`);
  const bytes = readExactly(content, 0, content.size);
  if (bytes === undefined) throw new UsageError('the file ended before its size');
  return new TextDecoder().decode(bytes);
}

const UNKNOWN =
  'neither a .ptpages container nor access vectors (format mmu-oracle-1), nor a trace of Xen (xen-map-trace, xen-mm-trace)';

function checkLines(text: string, { caches, behaviour }: Settings, report: CheckReport): string {
  const lines = text.split('\n');
  switch (corpusFormat(lines[0] ?? '')) {
    case 'mmu-oracle': {
      const { accesses, accessesPassed } = checkAccessVectors(lines, caches, report);
      return `: ${accessesPassed} of ${accesses} accesses`;
    }
    case 'xen-map-trace':
      return checkXenTraces(lines, behaviour, report);
    case 'xen-mm-trace':
      return checkXenBoot(lines, behaviour, report);
    default:
      throw new UsageError(UNKNOWN);
  }
}
