/** `pagewalk maps`: what the tables of one CPU map. */
import type { Cpu } from '../cpu/cpu.ts';
import { rightsText } from '../cpu/explain.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { qemuMemLines, qemuTlbLines } from '../image/qemu-listing.ts';
import { mappedRuns, placesOf, type RunsFilter } from '../inspect/mapped-runs.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';
import type { Enters, Run } from '../mmu/leaves.ts';
import { UsageError } from './failure.ts';

export interface MapsOptions extends RunsFilter {
  /** Default text. */
  readonly format?: string;
  /** The same as format json. */
  readonly json?: boolean;
}

const FORMATS = ['text', 'json', 'qemu-tlb', 'qemu-mem'];

/** The lines of a listing; `enters` as in `leaves`. UsageError for options that make no sense. */
export function mapsLines(cpu: Cpu, options: MapsOptions, enters: Enters = () => true): Iterable<string> {
  const { from, to, rights, without, size } = options;
  const format = formatOf(options);
  if (format.startsWith('qemu')) {
    if ([from, to, rights, without, size].some((option) => option !== undefined))
      throw new UsageError(`--format ${format} lists everything, as QEMU does; filters go with text and json`);
    return format === 'qemu-tlb' ? qemuTlbLines(cpu, enters) : qemuMemLines(cpu, enters);
  }
  const runs = mappedRuns(cpu, options, enters);
  const { linearBits } = cpu.registers.format.mode;
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
    const { start, end, physical } = placesOf(run, linearBits);
    const size = sizeText(run.pages * PAGE_SIZE).padStart(6);
    yield `${start}-${end} ${size}  ${physical}  ${rightsText(run.rights)}  ${pageSizeText(run, cpu)}`;
  }
}

function* jsonLines(runs: Iterable<Run>, cpu: Cpu, linearBits: number): Generator<string> {
  let before = '[';
  for (const run of runs) {
    const { start, end, physical } = placesOf(run, linearBits);
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
