/** The strip that is shown, as a table: for screen readers, and for whoever likes text. Holes are one row each. */
import { type ComponentChild, h } from 'preact';
import { useState } from 'preact/hooks';
import { rightsText } from '../cpu/explain.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { Head, isOpen } from './controls.ts';
import { slotAddress } from './entry-panel.ts';
import type { View } from './picture-labels.ts';
import type { Slot, Slots } from './slots.ts';

interface Row {
  readonly first: Slot;
  count: number;
}

/** Slots of a view; neighbours that are holes, or parts of the same page, are one row. */
export function rowsOf(slots: Slots, { level, first, visible }: View): Row[] {
  const rows: Row[] = [];
  const end = Math.min(slots.countOf(level), Math.ceil(first + visible));
  for (let slot = Math.floor(first); slot < end; slot++) {
    const read = slots.read(level, slot);
    const last = rows.at(-1);
    const isSame =
      last !== undefined &&
      last.first.kind === read.kind &&
      (read.kind === 'hole' ||
        (read.entryLevel > level && last.first.index === read.index && last.first.table === read.table));
    if (isSame) last.count += 1;
    else rows.push({ first: read, count: 1 });
  }
  return rows;
}

export interface StripTableProps {
  readonly slots: Slots;
  readonly view: View;
  readonly onSelect: (slot: number) => void;
}

export function StripTable({ slots, view, onSelect }: StripTableProps): ComponentChild {
  const [isShown, setShown] = useState(false);
  return h(
    'details',
    { id: 'strip-table', onToggle: (event: Event) => setShown(isOpen(event)) },
    h('summary', null, 'The picture as a table'),
    isShown &&
      h(
        'div',
        { class: 'scroll' },
        h(
          'table',
          null,
          h(
            'caption',
            null,
            `Level ${view.level}, slots ${Math.floor(view.first)} to ${Math.ceil(view.first + view.visible) - 1}`,
          ),
          h(Head, { names: ['Address', 'Size', 'What', 'Rights', 'Leads to'] }),
          h(
            'tbody',
            null,
            rowsOf(slots, view).map(({ first, count }) =>
              h(
                'tr',
                { key: first.slot, class: first.kind },
                h(
                  'th',
                  { scope: 'row' },
                  h('button', { class: 'link', onClick: () => onSelect(first.slot) }, slotAddress(slots, first)),
                ),
                h('td', null, sizeText(count * first.pages * PAGE_SIZE)),
                h(
                  'td',
                  null,
                  first.kind === 'page' ? `${sizeText(slots.pagesOf(first.entryLevel) * PAGE_SIZE)} page` : first.kind,
                ),
                h('td', null, first.kind === 'hole' ? '' : rightsText(first.rights)),
                h('td', null, first.kind === 'hole' ? '' : hexNumber(first.frame * PAGE_SIZE)),
              ),
            ),
          ),
        ),
      ),
  );
}
