/** What exploring a variant has found: the ways in which it ends badly, or that there are none. */
import { type ComponentChild, h } from 'preact';
import type { ExploredVariant } from './start.ts';

export interface EndingsProps {
  readonly found: ExploredVariant | undefined;
  readonly onShow: (schedule: string) => void;
}

export function Endings({ found, onShow }: EndingsProps): ComponentChild {
  if (found === undefined) return null;
  const { failures, claim } = found;
  return h(
    'section',
    { class: 'panel', id: 'endings' },
    h('h3', { class: failures.length === 0 ? 'good' : 'bad' }, failures.length === 0 ? 'Clean' : 'Goes wrong'),
    claim !== undefined && h('p', { class: 'faint' }, claim),
    h(
      'ul',
      null,
      failures.map(({ kind, what, schedule }) =>
        h(
          'li',
          { key: schedule },
          h('button', { class: 'link', 'data-kind': kind, onClick: () => onShow(schedule) }, `${kind}: ${what}`),
        ),
      ),
    ),
  );
}
