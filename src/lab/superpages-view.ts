/** The Superpages view: Xen's mapping operations on the shown tables, step by step, with undo. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { BehaviourName } from '../hypervisor/behaviour.ts';
import { addressAt } from '../hypervisor/layout.ts';
import type { XenStep } from '../inspect/xen-steps.ts';
import { stepLines } from '../inspect/xen-text.ts';
import { Problem, SelectField, TextField } from './controls.ts';
import { slotSentence } from './entry-panel.ts';
import { Legend } from './legend.ts';
import { type Operation, OperationForm, proposalsFor } from './operation-form.ts';
import type { Picture } from './picture.ts';
import { PictureCanvas } from './picture-canvas.ts';
import type { View } from './picture-labels.ts';
import { type Slot, Slots } from './slots.ts';
import type { Subject } from './subject.ts';
import { ChangedTables, type Done } from './superpages.ts';

/** Slots across where an operation is looked at: few, so that each is seen well. */
const ACROSS = 64;

export interface SuperpagesViewProps {
  readonly subject: Subject;
  readonly theme: string;
  /** A new image, of the tables as they are now. */
  readonly onKeep: (bytes: Promise<Uint8Array>, title: string) => void;
}

export function SuperpagesView({ subject, theme, onKeep }: SuperpagesViewProps): ComponentChild {
  const { image, cpuIndex } = subject;
  const [behaviour, setBehaviour] = useState<BehaviourName>('pagewalk');
  const [heap, setHeap] = useState('');
  const [problem, setProblem] = useState('');
  const [shown, setShown] = useState<{ view: View; slot: Slot }>();
  /** Goes up with each change of the tables. */
  const [version, setVersion] = useState(0);
  const picture = useRef<Picture>();
  const tables = useMemo(() => {
    try {
      return new ChangedTables(image, { cpu: cpuIndex, behaviour, heap: heap.trim() });
    } catch (failure) {
      return failure as Error;
    }
  }, [image, cpuIndex, behaviour, heap]);
  const proposals = useMemo(() => proposalsFor(subject.cpu), [subject]);
  const [first, setFirst] = useState<Operation>(proposals[0]!);
  useEffect(() => setFirst(proposals[0]!), [proposals]);
  const cpu = tables instanceof Error ? subject.cpu : tables.cpu;
  const slots = useMemo(() => new Slots(cpu), [cpu]);

  const goTo = (step: XenStep): void => {
    if (!('level' in step)) return;
    const { low, high } = addressAt(step.page);
    picture.current?.goTo(step.level, slots.pageOf(low, high), ACROSS);
  };
  const attempt = (action: (changed: ChangedTables) => Done | undefined): void => {
    if (tables instanceof Error) return;
    try {
      const done = action(tables);
      setProblem('');
      picture.current?.summaries.clear();
      // Where the operation changed what is seen first: the highest entry that it stored to.
      const stored = done?.steps.filter((step) => 'level' in step) ?? [];
      const [top] = [...stored].sort((one, other) => other.level - one.level);
      if (top !== undefined) goTo(top);
      else picture.current?.redraw();
    } catch (failure) {
      setProblem((failure as Error).message);
    }
    setVersion(version + 1);
  };
  const run = ({ kind, operands }: Operation): void => attempt((changed) => changed.apply(kind, operands));

  const settings = h(
    'div',
    { class: 'row' },
    h(SelectField, {
      id: 'behaviour',
      label: 'Behaviour',
      value: behaviour,
      onValue: (value: string) => setBehaviour(value as BehaviourName),
      options: [
        ['pagewalk', 'pagewalk (where we do better)'],
        ['xen', 'xen (as Xen does it)'],
      ],
    }),
    h(TextField, {
      id: 'heap',
      label: 'RAM for new tables',
      value: heap,
      onValue: setHeap,
      size: 22,
      placeholder: 'any that is free',
    }),
  );
  if (tables instanceof Error)
    return h(
      'div',
      { class: 'view', id: 'superpages' },
      settings,
      h('p', { class: 'problem', role: 'alert' }, tables.message),
    );
  return h(
    'div',
    { class: 'view', id: 'superpages' },
    settings,
    h(
      'div',
      { class: 'row', role: 'group', 'aria-label': 'Proposals' },
      proposals.map((proposal) =>
        h(
          'button',
          {
            key: proposal.text,
            onClick: () => {
              setFirst(proposal);
              run(proposal);
            },
          },
          proposal.text,
        ),
      ),
    ),
    h(OperationForm, { first, onRun: run }),
    h(
      'div',
      { class: 'row' },
      h(
        'button',
        {
          id: 'undo',
          disabled: tables.done.length === 0,
          onClick: () =>
            attempt((changed) => {
              changed.undo();
              return undefined;
            }),
        },
        'Undo',
      ),
      h('button', { id: 'undo-zoom', onClick: () => picture.current?.zoomOut() }, 'Zoom out'),
      h('button', { onClick: () => picture.current?.zoomIn() }, 'Zoom in'),
      h(
        'button',
        {
          id: 'keep',
          disabled: tables.done.length === 0,
          onClick: () => onKeep(tables.container(), `${subject.title}, changed`),
        },
        'Look at these tables in Map and Walk',
      ),
      h(Problem, { text: problem }),
    ),
    h(PictureCanvas, {
      slots,
      regions: subject.regions,
      theme,
      onReady: (made: Picture) => {
        picture.current = made;
        if (shown !== undefined && shown.view.level <= slots.levels) made.view = shown.view;
      },
      onView: (view: View, slot: Slot) => setShown({ view, slot }),
    }),
    h(
      'p',
      { id: 'superpages-slot', 'aria-live': 'polite' },
      shown === undefined ? '' : slotSentence(slots, shown.slot),
    ),
    h(Legend, null),
    h(DoneList, { done: tables.done, onStep: goTo }),
  );
}

/** The operations, the last one first and open. */
function DoneList({
  done,
  onStep,
}: {
  readonly done: readonly Done[];
  readonly onStep: (step: XenStep) => void;
}): ComponentChild {
  if (done.length === 0)
    return h('p', { class: 'faint' }, 'Run an operation: what it does to the tables is listed here, in its own order.');
  return h(
    'ol',
    { class: 'done' },
    [...done].reverse().map((one, at) =>
      h(
        'li',
        { key: done.length - at, value: done.length - at },
        h(
          'details',
          { open: at === 0 },
          h('summary', null, h('code', null, one.call), ` returns ${one.result}: ${countsText(one)}`),
          one.steps.length === 0 && h('p', null, 'nothing changes'),
          one.steps.map((step, nth) => h(StepLines, { key: nth, step, onStep })),
        ),
      ),
    ),
  );
}

const countsText = ({ splits, coalesces, flushes, allocated, freed }: Done): string =>
  `${splits} split, ${coalesces} coalesced, ${flushes} flushed, ${allocated} tables allocated, ${freed} freed`;

function StepLines({
  step,
  onStep,
}: {
  readonly step: XenStep;
  readonly onStep: (step: XenStep) => void;
}): ComponentChild {
  const lines = [...stepLines(step)];
  return h(
    'div',
    { class: `step step-${step.action}` },
    lines.map((line) => {
      const tone = line.startsWith('  -') ? 'bad' : line.startsWith('  +') ? 'good' : '';
      return h('pre', { key: line, class: tone }, line);
    }),
    'level' in step && h('button', { class: 'link', onClick: () => onStep(step) }, 'show'),
  );
}
