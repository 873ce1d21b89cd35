/** Everything that is mapped, as a list that can be filtered. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { rightsText } from '../cpu/explain.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { placesOf, type RunsFilter } from '../inspect/mapped-runs.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';
import type { Run } from '../mmu/leaves.ts';
import { Head, isOpen, Problem, SelectField, submitting, TextField } from './controls.ts';
import { RunsList } from './runs-list.ts';
import type { Subject } from './subject.ts';

/** Rows that are added at a time. */
const PIECE = 100;

export interface RunsPanelProps {
  readonly subject: Subject;
  readonly onGoTo: (level: number, page: number) => void;
}

export function RunsPanel({ subject, onGoTo }: RunsPanelProps): ComponentChild {
  const [filter, setFilter] = useState<RunsFilter>({});
  const [found, setFound] = useState<RunsList>();
  const [, setLength] = useState(0);
  const [isShown, setShown] = useState(false);
  const [problem, setProblem] = useState('');

  const list = (): void => {
    try {
      const listed = new RunsList(subject.cpu, given(filter));
      more(listed);
      setFound(listed);
      setProblem('');
    } catch (failure) {
      setProblem((failure as Error).message);
    }
  };
  const more = (listed: RunsList): void => {
    listed.more(PIECE);
    setLength(listed.runs.length);
  };
  useEffect(() => {
    if (isShown) list();
  }, [subject, isShown]);

  const field = (name: 'from' | 'to' | 'rights' | 'without', label: string, size: number): ComponentChild =>
    h(TextField, {
      id: `runs-${name}`,
      label,
      size,
      value: filter[name] ?? '',
      onValue: (value: string) => setFilter({ ...filter, [name]: value }),
    });
  return h(
    'details',
    { id: 'runs', onToggle: (event: Event) => setShown(isOpen(event)) },
    h('summary', null, 'List and filter what is mapped'),
    h(
      'form',
      {
        class: 'row',
        onSubmit: submitting(list),
      },
      field('from', 'From', 17),
      field('to', 'to', 17),
      field('rights', 'with rights (of u, w, x)', 4),
      field('without', 'without', 4),
      h(SelectField, {
        id: 'runs-size',
        label: 'page size',
        value: filter.size ?? '',
        onValue: (size: string) => setFilter({ ...filter, size }),
        options: ['', '4K', '2M', '4M', '1G'].map((size) => [size, size === '' ? 'any' : size] as const),
      }),
      h('button', { type: 'submit' }, 'List'),
      h(Problem, { text: problem }),
    ),
    isShown && found !== undefined && runTable(subject, found.runs, onGoTo),
    found?.isCut === true &&
      h('p', { class: 'warn' }, 'The list is cut short: the tables map more than can be listed in a few seconds.'),
    found?.isOver === false && h('button', { onClick: () => more(found) }, `${PIECE} more`),
  );
}

/** Without what was left empty. */
function given(filter: RunsFilter): RunsFilter {
  return Object.fromEntries(
    Object.entries(filter).flatMap(([name, value]) => (value.trim() === '' ? [] : [[name, value.trim()]])),
  );
}

function runTable(
  subject: Subject,
  runs: readonly Run[],
  onGoTo: (level: number, page: number) => void,
): ComponentChild {
  const { format } = subject.cpu.registers;
  const { linearBits } = format.mode;
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      null,
      h('caption', null, runs.length === 0 ? 'Nothing is mapped there' : `${runs.length} runs`),
      h(Head, { names: ['From', 'To', 'Size', 'Physical', 'Rights', 'Pages of'] }),
      h(
        'tbody',
        null,
        runs.map((run) => {
          const { start, end, physical } = placesOf(run, linearBits);
          return h(
            'tr',
            { key: run.page },
            h(
              'th',
              { scope: 'row' },
              h('button', { class: 'link', onClick: () => onGoTo(run.level, run.page) }, start),
            ),
            h('td', null, end),
            h('td', null, sizeText(run.pages * PAGE_SIZE)),
            h('td', null, physical),
            h('td', null, rightsText(run.rights)),
            h('td', null, sizeText(format.pageFrames(run.level) * PAGE_SIZE)),
          );
        }),
      ),
    ),
  );
}
