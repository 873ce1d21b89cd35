/** The machine at a step: tables with what just changed, frames, locks, and each CPU's caches. */
import { type ComponentChild, h } from 'preact';
import { hexNumber } from '../mmu/halves.ts';
import { CacheTable } from './cache-table.ts';
import type { RaceState } from './race-state.ts';
import { changesOf } from './walk-run.ts';

export interface PanelsProps {
  readonly state: RaceState;
  readonly before: RaceState;
}

export function Panels({ state, before }: PanelsProps): ComponentChild {
  return h(
    'div',
    { class: 'panels' },
    h(
      'section',
      { class: 'panel', id: 'race-tables' },
      h('h3', null, 'Tables'),
      state.tables.map((table) => {
        const earlier = before.tables.find(({ frame, level }) => frame === table.frame && level === table.level);
        return h(
          'div',
          { key: `${table.frame} ${table.level}` },
          h('strong', null, `L${table.level} ${hexNumber(table.frame)}`),
          table.lines.map((line) =>
            h('pre', { key: line, class: earlier?.lines.includes(line) === true ? '' : 'changed' }, line),
          ),
          table.lines.length === 0 && h('pre', { class: 'faint' }, 'empty'),
        );
      }),
    ),
    h(
      'section',
      { class: 'panel', id: 'race-frames' },
      h('h3', null, 'Frames'),
      h(Frames, { state, before }),
      h('h3', null, 'Locks'),
      state.locks.length === 0
        ? h('p', { class: 'faint' }, 'nobody holds a lock')
        : h(
            'ul',
            { id: 'race-locks' },
            state.locks.map((lock) =>
              h('li', { key: lock, class: before.locks.includes(lock) ? '' : 'changed' }, lock),
            ),
          ),
    ),
    h(
      'section',
      { class: 'panel', id: 'race-caches' },
      h('h3', null, 'TLBs and structure caches'),
      state.caches.map((entries, cpu) =>
        h(CacheTable, { key: cpu, caption: `CPU ${cpu}`, rows: changesOf(before.caches[cpu] ?? [], entries) }),
      ),
    ),
  );
}

/** Frames that were ever tables, with what they are now. */
function Frames({ state, before }: PanelsProps): ComponentChild {
  const used = state.frames.filter(({ life }) => life !== 'unused');
  return [
    h(
      'ul',
      { key: 'used', class: 'frames' },
      used.map(({ frame, life }) =>
        h(
          'li',
          { key: frame, class: `life-${life}${before.frames[frame]?.life === life ? '' : ' changed'}` },
          `${hexNumber(frame)} `,
          h('small', null, life),
        ),
      ),
    ),
    h('p', { key: 'unused', class: 'faint' }, `${state.frames.length - used.length} others were never tables`),
  ];
}
