/** What a TLB and structure caches hold, as a table with what changed. */
import { type ComponentChild, h } from 'preact';
import { ENTRY_NAMES, rightsText } from '../cpu/explain.ts';
import { DIRTY, GLOBAL } from '../mmu/access.ts';
import { GLOBAL_CONTEXT } from '../mmu/generations.ts';
import { hex64, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { Head } from './controls.ts';
import type { CacheRow } from './walk-run.ts';

const MARKS = { new: '+ ', dropped: '− ', kept: '' } as const;

export function CacheTable({
  rows,
  caption,
}: {
  readonly rows: readonly CacheRow[];
  readonly caption: string;
}): ComponentChild {
  if (rows.length === 0) return h('p', { class: 'faint' }, `${caption}: empty`);
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'caches' },
      h('caption', null, caption),
      h(Head, { names: ['Cache', 'Address', 'Leads to', 'Rights', 'PCID'] }),
      h(
        'tbody',
        null,
        rows.map(({ key, entry, change }) => {
          const { kind, level, lo, hi, context, frame, rights } = entry;
          const more =
            kind === 'page' ? `${(rights & DIRTY) !== 0 ? ' D' : ''}${(rights & GLOBAL) !== 0 ? ' G' : ''}` : '';
          return h(
            'tr',
            { key, class: `cache-${change}` },
            h(
              'th',
              { scope: 'row' },
              `${MARKS[change]}${kind === 'page' ? `TLB, level ${level}` : `${ENTRY_NAMES[level]} cache`}`,
            ),
            h('td', null, hex64(lo, hi)),
            h('td', null, `${kind === 'page' ? 'page' : 'table'} ${hexNumber(frame * PAGE_SIZE)}`),
            h('td', null, rightsText(rights) + more),
            h('td', null, context === GLOBAL_CONTEXT ? 'all' : context),
          );
        }),
      ),
    ),
  );
}
