/** An explained walk as text and as JSON. */
import Long from 'long';
import type { ExplainedWalk, Step } from '../cpu/explain.ts';
import { PF } from '../cpu/fault.ts';
import { type Frame, hex64, PAGE_SIZE } from '../mmu/halves.ts';
import { paint } from './paint.ts';

const hex = (value: Long): string => hex64(value.low, value.high);

/** An outcome of its own: what the processor found in a table that the image does not hold, nobody knows. */
const NOT_HELD = 'the table is not in the image';

/**
 * The step that found no table, if there is one: the last, since a missing table reads as absent entries.
 * @param missing  what `openCpu` told of missing frames
 */
function unheldStep({ steps }: ExplainedWalk, missing: ReadonlySet<Frame>): Step | undefined {
  const last = steps.at(-1);
  return last !== undefined && missing.has(Math.floor(last.entryAddress.toNumber() / PAGE_SIZE)) ? last : undefined;
}

/** One line for each entry read, then where the address leads. */
export function* walkLines(walk: ExplainedWalk, missing: ReadonlySet<Frame> = new Set()): Generator<string> {
  const unheld = unheldStep(walk, missing);
  yield `${paint.bold(hex(walk.address))}  ${walk.mode} paging`;
  for (const step of walk.steps) yield step === unheld ? `${placeText(step)}  ${NOT_HELD}` : stepLine(step);
  if (unheld !== undefined) {
    yield paint.red(`  not known: ${NOT_HELD}`);
    return;
  }
  if (walk.physical === undefined) {
    const code = walk.vector === PF ? `, error code ${walk.errorCode.toString(16).padStart(2, '0')}` : '';
    yield paint.red(`  not mapped: ${walk.summary}${code}`);
    return;
  }
  const size =
    walk.pageSize === 0 ? '' : `  ${sizeText(walk.pageSize)} page  ${walk.rights}  PAT index ${walk.patIndex}`;
  yield paint.green(`  -> ${hex(walk.physical)}`) + size;
}

const placeText = ({ name, index, entryAddress }: Step): string =>
  `  ${name.padEnd(5)} ${String(index).padStart(4)} at ${hex(entryAddress)}`;

function stepLine(step: Step): string {
  const { entry, flags, outcome, frame } = step;
  const target = frame === undefined ? outcome : `${outcome} ${hex(Long.fromNumber(frame, true).shiftLeft(12))}`;
  return `${placeText(step)}  ${paint.cyan(hex(entry))}  ${flags.padEnd(24)}  ${target}`;
}

export function walkJson(walk: ExplainedWalk, missing: ReadonlySet<Frame> = new Set()): object {
  const unheld = unheldStep(walk, missing);
  return {
    address: `0x${hex(walk.address)}`,
    mode: walk.mode,
    steps: walk.steps.map((step) => ({
      ...step,
      entryAddress: `0x${hex(step.entryAddress)}`,
      entry: step === unheld ? null : `0x${hex(step.entry)}`,
      outcome: step === unheld ? NOT_HELD : step.outcome,
      frame: step.frame === undefined ? null : `0x${step.frame.toString(16)}`,
    })),
    mapped: walk.physical !== undefined,
    vector: unheld === undefined ? walk.vector : null,
    errorCode: unheld === undefined ? walk.errorCode : null,
    summary: unheld === undefined ? walk.summary : NOT_HELD,
    physical: walk.physical === undefined ? null : `0x${hex(walk.physical)}`,
    pageSize: walk.pageSize,
    rights: walk.rights,
    patIndex: walk.patIndex,
  };
}

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
