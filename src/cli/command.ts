/** The commands. Exit status: 0 fine, 1 a mismatch or an errno, 2 bad input or usage. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { explainWalk } from '../cpu/explain.ts';
import { walkLines } from '../cpu/walk-text.ts';
import { openCpu } from '../image/open-image.ts';
import { parseAddress, parseCount } from '../inspect/number-text.ts';
import { EXAMINE } from '../mmu/access.ts';
import { toHalves } from '../mmu/address.ts';
import { check } from './check/check.ts';
import { EXIT_USAGE, sentenceFor } from './failure.ts';
import { openImageFile, type RawOptions } from './image-file.ts';
import { infoJson, printInfo } from './info.ts';
import { lab } from './lab.ts';
import { type MapsOptions, mapsLines } from './maps.ts';
import { ClosedPipe, complain, endProgress, flush, print } from './output.ts';
import { paint } from './paint.ts';
import { race } from './race.ts';
import type { RaceOptions } from './race-options.ts';
import { type ReportOptions, report } from './report.ts';
import { TableWatch } from './table-watch.ts';
import { tour } from './tour.ts';
import { walkJson } from './walk-json.ts';
import { type XenOptions, xen } from './xen.ts';

interface ImageOptions extends RawOptions {
  readonly cpu?: string;
  readonly json?: boolean;
}

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
  const watch = new TableWatch();
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
    .option('--cpu <N>', 'whose CR3 (default 0)')
    .option('--json', 'one JSON object a line')
    .action(async (path: string, addresses: string[], options: ImageOptions) => {
      const parsed = addresses.map((text) => toHalves(parseAddress(text)));
      const image = await openImageFile(path, options);
      const { missing } = watch;
      const cpu = openCpu(image, cpuNumber(options) ?? 0, watch);
      for (const { low, high } of parsed) {
        const walk = explainWalk(cpu.translator, low, high, EXAMINE);
        if (options.json === true) print(JSON.stringify(walkJson(walk, missing)));
        else for (const line of walkLines(walk, paint, missing)) print(line);
      }
    });

  imageCommand(program, 'maps', 'list what is mapped: linear range, size, physical address, rights, page size')
    .argument('<image>')
    .option('--cpu <N>', 'whose CR3 (default 0)')
    .option('--format <FORMAT>', 'text (default), json, qemu-tlb (info tlb), qemu-mem (info mem)')
    .option('--json', 'the same as --format json')
    .option('--from <HEX>', 'first linear address')
    .option('--to <HEX>', 'last linear address')
    .option('--rights <LETTERS>', 'only what has these rights over all levels: of u, w, x')
    .option('--without <LETTERS>', 'only what lacks each of these rights')
    .option('--size <SIZE>', 'only pages of this size: 4K, 2M, 4M, 1G')
    .action(async (path: string, options: ImageOptions & MapsOptions) => {
      const image = await openImageFile(path, options);
      const cpu = openCpu(image, cpuNumber(options) ?? 0, watch);
      for (const line of mapsLines(cpu, options, watch.enters)) print(line);
      watch.note();
    });

  imageCommand(program, 'info', 'what an image is: CPUs, paging modes, numbers of tables')
    .argument('<image>')
    .option('--cpu <N>', 'only this CPU')
    .option('--json', 'as JSON')
    .action(async (path: string, options: ImageOptions) => {
      const image = await openImageFile(path, options);
      const cpu = cpuNumber(options);
      if (options.json === true) print(JSON.stringify(infoJson(image, cpu, watch), null, 1));
      else printInfo(image, cpu, watch);
      watch.note();
    });

  imageCommand(program, 'xen', "apply one of Xen's mapping operations to the tables, and tell what it changes")
    .argument('<image>')
    .argument('<operation>', 'map VIRT MFN NR FLAGS, modify START END FLAGS, or destroy START END')
    .argument('[operands...]', 'FLAGS: 24 bits in hex as Xen packs them, or names such as PAGE_HYPERVISOR_RO')
    .option('--cpu <N>', 'whose CR3 (default 0)')
    .option('--behaviour <NAME>', 'xen (as Xen does it), or pagewalk (where we do better)', 'pagewalk')
    .option('--heap <START-END>', 'RAM that new tables come from, hex (default, of a container: a free piece)')
    .option('-o, --output <FILE>', 'write the image as it is afterwards, as a container')
    .option('--json', 'as JSON')
    .action(
      async (path: string, operation: string, operands: string[], options: ImageOptions & Omit<XenOptions, 'cpu'>) =>
        finish(await xen(path, operation, operands, { ...options, cpu: cpuNumber(options) })),
    );

  program
    .command('check')
    .description('replay recorded corpora: access vectors, traces of Xen, or an image against the listings beside it')
    .argument('<file...>', 'files, or directories of them')
    .option('--cpu <N>', 'of an image, only the listings of this CPU')
    .option('--caches <KIND>', 'TLB and structure caches: default, everything (nothing is evicted), off', 'default')
    .option('--behaviour <NAME>', 'of the mapping code, for traces of Xen: pagewalk, xen', 'pagewalk')
    .option('--json', 'counts as JSON')
    .action(async (paths: string[], options: ImageOptions & { caches: string; behaviour: string }) =>
      finish(await check(paths, { ...options, cpu: cpuNumber(options) })),
    );

  program
    .command('race')
    .description('explore races of page-table code under every schedule; without a name, lists the scenarios')
    .argument('[name...]', 'scenarios, such as xsa-345')
    .option('--all', 'every scenario')
    .option('--variant <LABEL>', 'only this variant, such as l3')
    .option('--mode <MODE>', 'exhaustive, bounded or random (default: what each variant declares)')
    .option('--preemptions <N>', 'of bounded: at most so many (default 2)')
    .option('--strategy <NAME>', 'of random: pct (default) or uniform')
    .option('--seed <N>', 'of random (default 1)')
    .option('--runs <N>', 'of random: schedules (default 1000)')
    .option('--shard <I/N>', 'only part I of N of the work')
    .option('--max-states <N>', 'states at most (default 5 million)')
    .option('--replay <SCHEDULE>', 'do one schedule again, and show its trace')
    .option('--merge', 'the names are files: outputs of --json --shard, which are put together')
    .option('--json', 'as JSON')
    .action((names: string[], options: RaceOptions) => finish(race(names, options)));

  imageCommand(program, 'lab', 'serve a page to look at tables, walks and races, on this machine only')
    .argument('[image]', 'what to show first (default: a booted Xen)')
    .option('--port <N>', 'default: any that is free')
    .action(async (path: string | undefined, options: RawOptions & { port?: string }) =>
      finish(await lab(path, { ...options, port: parseCount(options.port ?? '0', '--port', 0, 65535) })),
    );

  imageCommand(program, 'report', 'the lab in one file, with an image or an explored scenario inside')
    .argument('<image-or-scenario>', 'a file, or the name of a scenario such as xsa-345')
    .requiredOption('-o, --output <FILE>', 'the page to write')
    .action(async (what: string, options: ReportOptions) => finish(await report(what, options)));
  return program;
}

const cpuNumber = ({ cpu }: ImageOptions): number | undefined =>
  cpu === undefined ? undefined : parseCount(cpu, '--cpu', 0, 4095);

async function main(): Promise<number> {
  try {
    const status = await run();
    flush();
    return status;
  } catch (failure) {
    return failed(failure);
  } finally {
    endProgress();
  }
}

async function run(): Promise<number> {
  let status = 0;
  const program = commands((result) => {
    status = result;
  });
  try {
    await program.parseAsync();
  } catch (failure) {
    // commander throws after --help and --version too.
    if (!(failure instanceof CommanderError && failure.exitCode === 0)) throw failure;
  }
  return status;
}

/** The exit status for what went wrong, after one line on standard error. */
function failed(failure: unknown): number {
  if (failure instanceof ClosedPipe) return 0;
  const sentence =
    failure instanceof CommanderError
      ? `${failure.message.replace(/^error: /, '').replaceAll('\n', ' ')}; see pagewalk --help`
      : sentenceFor(failure);
  try {
    flush(); // what was found before
  } catch {
    // The first failure is the one to tell.
  }
  if (sentence === undefined) throw failure;
  complain(sentence);
  return EXIT_USAGE;
}

process.exitCode = await main();
