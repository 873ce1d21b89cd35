/** `pagewalk maps`: what the tables of one CPU map. */
import type { Cpu } from '../cpu/cpu.ts';
import { rightsText } from '../cpu/explain.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { qemuMemLines, qemuTlbLines } from '../image/qemu-listing.ts';
import { rootsOfCpu } from '../image/roots.ts';
import { NO_EXECUTE, USER, WRITABLE } from '../mmu/access.ts';
import { toHalves } from '../mmu/address.ts';
import { hex64, hiOf, loOf, PAGE_SIZE } from '../mmu/halves.ts';
import { addressOf, type Enters, type Leaf, leaves, pageAfter, pageAt, type Run, runsOf } from '../mmu/leaves.ts';
import { UsageError } from './failure.ts';
import { parseAddress } from './image-file.ts';

export interface MapsOptions {
  /** Default text. */
  readonly format?: string;
  /** The same as format json. */
  readonly json?: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly rights?: string;
  readonly without?: string;
  readonly size?: string;
}

const RIGHTS = WRITABLE | USER | NO_EXECUTE;
const FORMATS = ['text', 'json', 'qemu-tlb', 'qemu-mem'];
const SIZES: Readonly<Record<string, { readonly pages: number; readonly level: number }>> = {
  '4K': { pages: 1, level: 1 },
  '2M': { pages: 512, level: 2 },
  '4M': { pages: 1024, level: 2 },
  '1G': { pages: 0x40000, level: 3 },
};

/** The lines of a listing; `enters` as in `leaves`. UsageError for options that make no sense. */
export function mapsLines(cpu: Cpu, options: MapsOptions, enters: Enters = () => true): Iterable<string> {
  const { from, to, rights, without, size } = options;
  const format = formatOf(options);
  if (format.startsWith('qemu')) {
    if ([from, to, rights, without, size].some((option) => option !== undefined))
      throw new UsageError(`--format ${format} lists everything, as QEMU does; filters go with text and json`);
    return format === 'qemu-tlb' ? qemuTlbLines(cpu, enters) : qemuMemLines(cpu, enters);
  }
  if (size !== undefined && !Object.hasOwn(SIZES, size))
    throw new UsageError(`--size is one of ${Object.keys(SIZES).join(', ')}, not ${JSON.stringify(size)}`);
  const wanted = SIZES[size ?? ''];
  const needed = letters(rights ?? '');
  const refused = letters(without ?? '');
  const keeps = ({ pages, rights: raw }: Leaf): boolean =>
    (wanted === undefined || pages === wanted.pages) &&
    needed.every((test) => test(raw)) &&
    !refused.some((test) => test(raw));
  const { registers, port } = cpu.translator;
  const { linearBits } = registers.format.mode;
  const first = toHalves(parseAddress(from ?? '0'));
  const last = toHalves(parseAddress(to ?? 'ffffffffffffffff'));
  const all = leaves(
    port,
    registers.format,
    rootsOfCpu(cpu),
    pageAt(first.low, first.high, linearBits),
    pageAfter(last.low, last.high, linearBits),
    (table, level) => level >= (wanted?.level ?? 1) && enters(table, level), // below, all pages are smaller
  );
  const runs = runsOf(filter(all, keeps), linearBits, RIGHTS, 'same');
  return format === 'json' ? jsonLines(runs, cpu, linearBits) : textLines(runs, cpu, linearBits);
}

function formatOf({ format, json }: MapsOptions): string {
  if (format !== undefined && !FORMATS.includes(format))
    throw new UsageError(`--format is one of ${FORMATS.join(', ')}, not ${JSON.stringify(format)}`);
  if (json !== true) return format ?? 'text';
  if (format !== undefined && format !== 'json')
    throw new UsageError(`--json is --format json, and does not go with --format ${format}`);
  return 'json';
}

function* textLines(runs: Iterable<Run>, cpu: Cpu, linearBits: number): Generator<string> {
  for (const run of runs) {
    const { start, end, physical } = places(run, linearBits);
    const size = sizeText(run.pages * PAGE_SIZE).padStart(6);
    yield `${start}-${end} ${size}  ${physical}  ${rightsText(run.rights)}  ${pageSizeText(run, cpu)}`;
  }
}

function* jsonLines(runs: Iterable<Run>, cpu: Cpu, linearBits: number): Generator<string> {
  let before = '[';
  for (const run of runs) {
    const { start, end, physical } = places(run, linearBits);
    const [linear, last, at] = [start, end, physical].map((address) => `0x${address}`);
    const pageSize = cpu.registers.format.pageFrames(run.level) * PAGE_SIZE;
    yield before +
      JSON.stringify({
        linear,
        last,
        physical: at,
        sizeBytes: run.pages * PAGE_SIZE,
        rights: rightsText(run.rights),
        pageSize,
      });
    before = ',';
  }
  yield before === '[' ? '[]' : ']';
}

const pageSizeText = (run: Run, cpu: Cpu): string => sizeText(cpu.registers.format.pageFrames(run.level) * PAGE_SIZE);

/** First and last linear byte, first physical byte: 16 hex digits each. */
function places({ page, pages, frame }: Run, linearBits: number): { start: string; end: string; physical: string } {
  const first = addressOf(page, linearBits);
  const last = addressOf(page + pages - 1, linearBits);
  const physical = frame * PAGE_SIZE;
  return {
    start: hex64(first.lo, first.hi),
    end: hex64(last.lo | 0xfff, last.hi),
    physical: hex64(loOf(physical), hiOf(physical)),
  };
}

function* filter(all: Iterable<Leaf>, keeps: (leaf: Leaf) => boolean): Generator<Leaf> {
  for (const leaf of all) if (keeps(leaf)) yield leaf;
}

const TESTS: Readonly<Record<string, (rights: number) => boolean>> = {
  u: (rights) => (rights & USER) !== 0,
  w: (rights) => (rights & WRITABLE) !== 0,
  x: (rights) => (rights & NO_EXECUTE) === 0,
};

function letters(text: string): ((rights: number) => boolean)[] {
  return [...text].map((letter) => {
    const test = TESTS[letter];
    if (test === undefined) throw new UsageError(`rights are letters of u, w, x, not ${JSON.stringify(letter)}`);
    return test;
  });
}
