/** A schedule as lanes, one a CPU, with the step that is looked at. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { LaneRow } from './race-run.ts';

export interface LanesProps {
  readonly rows: readonly LaneRow[];
  readonly cpus: number;
  readonly at: number;
  readonly length: number;
  readonly onGo: (at: number) => void;
}

export function Lanes({ rows, cpus, at, length, onGo }: LanesProps): ComponentChild {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const row = box.current?.querySelector('.now');
    // Only within the box: the page stays where it is.
    if (row instanceof HTMLElement && box.current !== null)
      box.current.scrollTop = row.offsetTop - box.current.clientHeight / 2;
  }, [at, rows]);
  const key = (event: KeyboardEvent): void => {
    const to: Record<string, number> = {
      ArrowUp: at - 1,
      ArrowLeft: at - 1,
      ArrowDown: at + 1,
      ArrowRight: at + 1,
      Home: 0,
      End: length,
    };
    const step = to[event.key];
    if (step === undefined) return;
    event.preventDefault();
    onGo(Math.min(length, Math.max(0, step)));
  };
  return h(
    'div',
    {
      class: 'scroll lanes',
      ref: box,
      tabIndex: 0,
      role: 'region',
      'aria-label': 'Schedule. Arrow keys go back and forward.',
      onKeyDown: key,
    },
    h(
      'table',
      null,
      h(
        'caption',
        null,
        rows.length === 0 ? 'Nothing has happened yet: choose who goes first' : 'Who did what; click a row to go there',
      ),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          h('th', { scope: 'col' }, 'Step'),
          Array.from({ length: cpus }, (_, cpu) => h('th', { key: cpu, scope: 'col' }, `CPU ${cpu}`)),
        ),
      ),
      h(
        'tbody',
        null,
        rows.map((row, nth) => {
          const isFirst = rows[nth - 1]?.step !== row.step;
          const when = row.step === at ? 'now' : row.step > at ? 'later' : '';
          return h(
            'tr',
            { key: nth, class: when, onClick: () => onGo(row.step) },
            h('th', { scope: 'row' }, isFirst ? h('button', { class: 'link' }, row.step) : ''),
            Array.from({ length: cpus }, (_, cpu) =>
              h(
                'td',
                { key: cpu, class: /^\d/.test(row.actor) ? `cpu${cpu}` : 'hardware' },
                cpu === row.cpu ? row.text : '',
              ),
            ),
          );
        }),
      ),
    ),
  );
}
