/** An explained walk as text, for the command, for assertions, for whoever shows one. */
import Long from 'long';
import { type Frame, hex64, PAGE_SIZE } from '../mmu/halves.ts';
import type { ExplainedWalk, Step } from './explain.ts';
import { PF } from './fault.ts';

/** How parts of a text are marked; each takes what it marks. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly cyan: (text: string) => string;
  readonly green: (text: string) => string;
  readonly red: (text: string) => string;
}

const same = (text: string): string => text;
export const NO_PAINT: Paint = { bold: same, cyan: same, green: same, red: same };

export const hexOf = (value: Long): string => hex64(value.low, value.high);

/** An outcome of its own: what the processor found in a table that the image does not hold, nobody knows. */
export const NOT_HELD = 'the table is not in the image';

/**
 * The step that found no table, if there is one: the last, since a missing table reads as absent entries.
 * @param missing  what `openCpu` told of missing frames
 */
export function unheldStep({ steps }: ExplainedWalk, missing: ReadonlySet<Frame>): Step | undefined {
  const last = steps.at(-1);
  return last !== undefined && missing.has(Math.floor(last.entryAddress.toNumber() / PAGE_SIZE)) ? last : undefined;
}

/** One line for each entry read, then where the address leads. */
export function* walkLines(
  walk: ExplainedWalk,
  paint: Paint = NO_PAINT,
  missing: ReadonlySet<Frame> = new Set(),
): Generator<string> {
  const unheld = unheldStep(walk, missing);
  yield `${paint.bold(hexOf(walk.address))}  ${walk.mode} paging`;
  for (const step of walk.steps) yield step === unheld ? `${placeText(step)}  ${NOT_HELD}` : stepLine(step, paint);
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
  yield paint.green(`  -> ${hexOf(walk.physical)}`) + size;
}

const placeText = ({ name, index, entryAddress }: Step): string =>
  `  ${name.padEnd(5)} ${String(index).padStart(4)} at ${hexOf(entryAddress)}`;

function stepLine(step: Step, paint: Paint): string {
  const { entry, flags, outcome, frame } = step;
  const target = frame === undefined ? outcome : `${outcome} ${hexOf(Long.fromNumber(frame, true).shiftLeft(12))}`;
  return `${placeText(step)}  ${paint.cyan(hexOf(entry))}  ${flags.padEnd(24)}  ${target}`;
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
