#!/usr/bin/env node
/** The `pagewalk` command. Exit status: 0 fine, 1 mismatch, 2 bad input or usage. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { explainWalk } from '../cpu/explain.ts';
import { openCpu } from '../image/open-image.ts';
import { EXAMINE } from '../mmu/access.ts';
import { toHalves } from '../mmu/address.ts';
import { check } from './check/check.ts';
import { EXIT_USAGE, sentenceFor } from './failure.ts';
import { openImageFile, parseAddress, parseCount, type RawOptions } from './image-file.ts';
import { infoJson, printInfo } from './info.ts';
import { type MapsOptions, mapsLines } from './maps.ts';
import { ClosedPipe, endProgress, flush, print, progress } from './output.ts';
import { tour } from './tour.ts';
import { walkJson, walkLines } from './walk-text.ts';

interface CpuOptions extends RawOptions {
  readonly cpu: string;
  readonly json?: boolean;
}

const MAX_CPU = 4095;

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** A subcommand that takes an image. */
function imageCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--cr3 <HEX>', 'CR3 of a raw dump')
    .option('--paging <MODE>', 'paging mode of a raw dump: 4-level, 5-level, pae, 32-bit')
    .option('--maxphyaddr <BITS>', 'physical address bits of the processor of a raw dump: 32 to 52 (default 52)')
    .option('--no-1g', 'the processor of a raw dump has no 1 GiB pages');
}

function commands(finish: (status: number) => void): Command {
  const program = new Command('pagewalk')
    .description('Walks x86 page tables exactly as the processor does. Without a command: a tour of a booted Xen.')
    .version(version())
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ writeOut: (text) => print(text.trimEnd()), writeErr: () => {} })
    .action(tour);

  imageCommand(program, 'walk', 'explain how an address translates, entry by entry')
    .argument('<image>', 'a .ptpages container, an ELF core of QEMU, or a raw dump')
    .argument('<address...>', 'linear addresses, hex')
    .option('--cpu <N>', 'whose CR3', '0')
    .option('--json', 'one JSON object a line')
    .action(async (path: string, addresses: string[], options: CpuOptions) => {
      const parsed = addresses.map((text) => toHalves(parseAddress(text)));
      const image = await openImageFile(path, options);
      const cpu = openCpu(image, parseCount(options.cpu, '--cpu', 0, MAX_CPU));
      for (const { low, high } of parsed) {
        const walk = explainWalk(cpu.translator, low, high, EXAMINE);
        if (options.json === true) print(JSON.stringify(walkJson(walk)));
        else for (const line of walkLines(walk)) print(line);
      }
    });

  imageCommand(program, 'maps', 'list what is mapped: linear range, size, physical address, rights, page size')
    .argument('<image>')
    .option('--cpu <N>', 'whose CR3', '0')
    .option('--format <FORMAT>', 'text, json, qemu-tlb (info tlb), qemu-mem (info mem)', 'text')
    .option('--json', 'the same as --format json')
    .option('--from <HEX>', 'first linear address')
    .option('--to <HEX>', 'last linear address')
    .option('--rights <LETTERS>', 'only what has these rights over all levels: of u, w, x')
    .option('--without <LETTERS>', 'only what lacks each of these rights')
    .option('--size <SIZE>', 'only pages of this size: 4K, 2M, 4M, 1G')
    .action(async (path: string, options: CpuOptions & MapsOptions) => {
      const image = await openImageFile(path, options);
      const cpu = openCpu(image, parseCount(options.cpu, '--cpu', 0, MAX_CPU));
      const format = options.json === true ? 'json' : options.format;
      let lines = 0;
      for (const line of mapsLines(cpu, { ...options, format })) {
        print(line);
        lines += 1;
        progress(() => `${lines} lines`);
      }
      endProgress();
    });

  imageCommand(program, 'info', 'what an image is: CPUs, paging modes, numbers of tables')
    .argument('<image>')
    .option('--json', 'as JSON')
    .action(async (path: string, options: RawOptions & { json?: boolean }) => {
      const image = await openImageFile(path, options);
      if (options.json === true) print(JSON.stringify(infoJson(image), null, 1));
      else printInfo(image);
    });

  program
    .command('check')
    .description('replay recorded corpora: access vectors, or an image against the listings beside it')
    .argument('<file...>', 'files, or directories of them')
    .option('--caches <KIND>', 'TLB and structure caches: default, everything (nothing is evicted), off', 'default')
    .option('--json', 'counts as JSON')
    .action(async (paths: string[], options: { caches: string; json?: boolean }) =>
      finish(await check(paths, options)),
    );
  return program;
}

async function main(): Promise<number> {
  let status = 0;
  const program = commands((result) => {
    status = result;
  });
  try {
    await program.parseAsync();
    flush();
    return status;
  } catch (failure) {
    return failed(failure);
  }
}

/** The exit status for what went wrong, after one line on standard error. */
function failed(failure: unknown): number {
  if (failure instanceof ClosedPipe) return 0;
  endProgress();
  if (failure instanceof CommanderError) {
    flush();
    if (failure.exitCode === 0) return 0;
    process.stderr.write(
      `pagewalk: ${failure.message.replace(/^error: /, '').replaceAll('\n', ' ')}; see pagewalk --help\n`,
    );
    return EXIT_USAGE;
  }
  const sentence = sentenceFor(failure);
  if (sentence === undefined) throw failure;
  process.stderr.write(`pagewalk: ${sentence}\n`);
  return EXIT_USAGE;
}

process.exitCode = await main();
