/** An explained walk as text and as JSON. */
import Long from 'long';
import pc from 'picocolors';
import type { ExplainedWalk, Step } from '../cpu/explain.ts';
import { PF } from '../cpu/fault.ts';
import { hex64 } from '../mmu/halves.ts';

const hex = (value: Long): string => hex64(value.low, value.high);

/** One line for each entry read, then where the address leads. */
export function* walkLines(walk: ExplainedWalk): Generator<string> {
  yield `${pc.bold(hex(walk.address))}  ${walk.mode} paging`;
  for (const step of walk.steps) yield stepLine(step);
  if (walk.physical === undefined) {
    const code = walk.vector === PF ? `, error code ${walk.errorCode.toString(16).padStart(2, '0')}` : '';
    yield pc.red(`  not mapped: ${walk.summary}${code}`);
    return;
  }
  const size =
    walk.pageSize === 0 ? '' : `  ${sizeText(walk.pageSize)} page  ${walk.rights}  PAT index ${walk.patIndex}`;
  yield pc.green(`  -> ${hex(walk.physical)}`) + size;
}

function stepLine({ name, index, entryAddress, entry, flags, outcome, frame }: Step): string {
  const target = frame === undefined ? outcome : `${outcome} ${hex(Long.fromNumber(frame, true).shiftLeft(12))}`;
  return `  ${name.padEnd(5)} ${String(index).padStart(4)} at ${hex(entryAddress)}  ${pc.cyan(hex(entry))}  ${flags.padEnd(24)}  ${target}`;
}

export const walkJson = (walk: ExplainedWalk): object => ({
  address: `0x${hex(walk.address)}`,
  mode: walk.mode,
  steps: walk.steps.map((step) => ({
    ...step,
    entryAddress: `0x${hex(step.entryAddress)}`,
    entry: `0x${hex(step.entry)}`,
    frame: step.frame === undefined ? null : `0x${step.frame.toString(16)}`,
  })),
  mapped: walk.physical !== undefined,
  vector: walk.vector,
  errorCode: walk.errorCode,
  summary: walk.summary,
  physical: walk.physical === undefined ? null : `0x${hex(walk.physical)}`,
  pageSize: walk.pageSize,
  rights: walk.rights,
  patIndex: walk.patIndex,
});

/** 4K, 1412K, 2M, 3G: the largest unit that divides. */
export function sizeText(bytes: number): string {
  const units = ['K', 'M', 'G', 'T', 'P'];
  let value = bytes / 1024;
  let unit = 0;
  while (value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value}${units[unit]}`;
}
