/** Steps of a mapping operation as text and as JSON. */

import { NO_PAINT, type Paint, sizeText } from '../cpu/walk-text.ts';
import { MAP_SMALL_PAGES, pagesOf } from '../hypervisor/flags.ts';
import { addressAt } from '../hypervisor/layout.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import { flagNames, frameOf, type Level, PAT_LARGE } from '../mmu/entry.ts';
import { type Frame, hex64, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { type EntryStep, type FlushStep, kindOf, type RawEntry, type XenStep } from './xen-steps.ts';

const NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E'];

/** An address in 16 digits. */
export const linearText = (page: number): string => addressAt(page).toString(16).padStart(16, '0');
/** A physical address, as short as it is. */
export const physicalText = (frame: Frame): string => (frame * PAGE_SIZE).toString(16);

export function* stepLines(step: XenStep, paint: Paint = NO_PAINT): Generator<string> {
  if (step.action === 'flush') yield flushText(step);
  else if (step.action === 'free') yield `free      table ${physicalText(step.table)}, from ${origin(step.provenance)}`;
  else yield* entryLines(step, paint);
}

const origin = (provenance: string | undefined): string =>
  provenance === 'heap' ? 'the heap' : provenance === 'boot' ? 'the image' : `${provenance}`;

function* entryLines(step: EntryStep, paint: Paint): Generator<string> {
  const { action, level, table, index, page, count, before, after } = step;
  const last = count > 1 ? `-${index + count - 1}` : '';
  const bytes = sizeText(count * pagesOf(level) * PAGE_SIZE);
  const place = `${NAMES[level]} ${index}${last} of table ${physicalText(table)}`;
  yield `${action.padEnd(9)} ${paint.bold(linearText(page))} ${bytes}: ${place}`;
  if (action === 'rewrite') {
    yield `  = ${entryText(level, after, count)}`;
    return;
  }
  yield paint.red(`  - ${entryText(level, before, count)}`);
  yield paint.green(`  + ${entryText(level, after, count)}${filledText(step)}`);
}

function entryText(level: number, { lo, hi }: RawEntry, count: number): string {
  const kind = kindOf(level, lo);
  if (kind === 'nothing') return `${hex64(lo, hi)}  not present`;
  const times = count > 1 ? `${count} x ` : '';
  const what = kind === 'table' ? 'table' : `${times}${sizeOf(level)}`;
  return `${hex64(lo, hi)}  ${what} at ${physicalText(target(level, lo, hi))}  ${flagText(level, lo, hi)}`;
}

function filledText({ action, level, filled }: EntryStep): string {
  if (action !== 'link' && action !== 'split') return '';
  if (filled === undefined) return '; new and empty';
  const { lo, hi } = filled;
  const from = physicalText(target(level - 1, lo, hi));
  return `; new, ${ENTRIES} x ${sizeOf(level - 1)} at ${from}  ${flagText(level - 1, lo, hi)}`;
}

const sizeOf = (level: number): string => sizeText(pagesOf(level) * PAGE_SIZE);

/** First frame of what a present entry leads to. */
function target(level: number, lo: number, hi: number): Frame {
  const frame = frameOf(lo, hi);
  return level > 1 && kindOf(level, lo) === 'page' ? frame - (frame % 2) : frame; // bit 0: PAT
}

/** Besides the processor's flags: PAT of a superpage, and Xen's bit that keeps pages small. */
function flagText(level: number, lo: number, hi: number): string {
  const names = [flagNames(level as Level, lo, hi)];
  if (level > 1 && kindOf(level, lo) === 'page' && (lo & PAT_LARGE) !== 0) names.push('PAT');
  if ((lo & MAP_SMALL_PAGES) !== 0) names.push('SMALL');
  return names.join(' ');
}

function flushText({ page, order, global, cache }: FlushStep): string {
  const area = order < 0 ? 'everything' : `${linearText(page)} ${sizeText(PAGE_SIZE * 2 ** order)}`;
  const caches = cache === 'no' ? '' : cache === 'whole' ? '; evicts caches whole' : '; evicts its cache lines';
  return `flush     ${area}${global ? ', global pages too' : ''}${caches}`;
}

export function stepJson(step: XenStep): object {
  switch (step.action) {
    case 'flush':
      return {
        ...step,
        page: undefined,
        linear: `0x${linearText(step.page)}`,
        order: step.order < 0 ? null : step.order,
      };
    case 'free':
      return { ...step, table: hexNumber(step.table * PAGE_SIZE) };
    default:
      return {
        action: step.action,
        level: step.level,
        table: hexNumber(step.table * PAGE_SIZE),
        index: step.index,
        count: step.count,
        linear: `0x${linearText(step.page)}`,
        before: entryJson(step.level, step.before),
        after: entryJson(step.level, step.after),
        filled: step.filled === undefined ? undefined : entryJson(step.level - 1, step.filled),
      };
  }
}

function entryJson(level: number, { lo, hi }: RawEntry): object {
  const kind = kindOf(level, lo);
  const entry = `0x${hex64(lo, hi)}`;
  if (kind === 'nothing') return { entry, kind };
  return { entry, kind, physical: hexNumber(target(level, lo, hi) * PAGE_SIZE), flags: flagText(level, lo, hi) };
}
