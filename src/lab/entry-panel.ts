/** One slot in words: where it lies, the entry with its bits, and what to do with it. */
import { type ComponentChild, h } from 'preact';
import { ENTRY_NAMES, rightsText } from '../cpu/explain.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { hex64, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { Head } from './controls.ts';
import { bitFields } from './entry-bits.ts';
import type { Slot, Slots } from './slots.ts';

export interface EntryPanelProps {
  readonly slots: Slots;
  readonly slot: Slot;
  readonly isMissing: boolean;
  readonly onZoomIn: () => void;
  readonly onWalk: (address: string) => void;
}

/** The first address of a slot, 16 hex digits. */
export function slotAddress(slots: Slots, { page }: Slot): string {
  const { lo, hi } = slots.addressOf(page);
  return hex64(lo, hi);
}

/** One sentence: what a slot is. */
export function slotSentence(slots: Slots, slot: Slot): string {
  const { kind, entryLevel, level, index, rights, pages } = slot;
  const name = ENTRY_NAMES[entryLevel] ?? 'root';
  const here = `${slotAddress(slots, slot)}, ${sizeText(pages * PAGE_SIZE)}`;
  const pageSize = sizeText(slots.pagesOf(entryLevel) * PAGE_SIZE);
  if (kind === 'hole') return `${here}: hole; ${name} ${index} is not present`;
  if (kind === 'reserved') return `${here}: ${name} ${index} has a reserved bit set; every access faults`;
  if (kind === 'table')
    return `${here}: ${name} ${index} leads to a table of level ${level - 1}, rights ${rightsText(rights)} so far`;
  const part = entryLevel > level ? `part of a ${pageSize} page` : `${pageSize} page`;
  return `${here}: ${part}, ${rightsText(rights)}, mapped by ${name} ${index}`;
}

export function EntryPanel({ slots, slot, isMissing, onZoomIn, onWalk }: EntryPanelProps): ComponentChild {
  const { kind, entryLevel, lo, hi, table, index, frame, level } = slot;
  const bytes = slots.format.entryBytes;
  const raw = hex64(lo, hi).slice(bytes === 8 ? 0 : 8);
  const hasEntry = entryLevel <= slots.levels;
  return h(
    'section',
    { class: 'panel', 'aria-label': 'Selected slot' },
    h('h3', null, slotSentence(slots, slot)),
    hasEntry &&
      h(
        'p',
        null,
        `${ENTRY_NAMES[entryLevel]} ${index} of table ${hexNumber(table * PAGE_SIZE)}, at ${hexNumber(table * PAGE_SIZE + index * bytes)}: `,
        h('code', { class: 'entry' }, raw),
      ),
    isMissing && h('p', { class: 'warn' }, 'The image does not hold that table: what it maps is not known.'),
    kind === 'page' && h('p', null, `Physical address of the page: ${hexNumber(frame * PAGE_SIZE)}`),
    h(
      'p',
      { class: 'buttons' },
      h('button', { onClick: onZoomIn, disabled: kind !== 'table' || level === 1 }, 'Zoom in'),
      h('button', { onClick: () => onWalk(slotAddress(slots, slot)) }, 'Walk this address'),
    ),
    hasEntry &&
      h(
        'table',
        { class: 'bits' },
        h('caption', null, 'The bits of the entry'),
        h(Head, { names: ['Bits', 'Name', 'Value', 'Meaning'] }),
        h(
          'tbody',
          null,
          bitFields(slots.format, entryLevel, lo, hi).map(({ bits, name, value, meaning }) =>
            h(
              'tr',
              { key: bits },
              h('td', null, bits),
              h('th', { scope: 'row' }, name),
              h('td', null, value),
              h('td', null, meaning),
            ),
          ),
        ),
      ),
  );
}
