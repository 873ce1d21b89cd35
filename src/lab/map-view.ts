/** The Map view: the picture with its controls, what is selected, and the same as tables. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ENTRY_NAMES } from '../cpu/explain.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { parseAddress } from '../inspect/number-text.ts';
import { toHalves } from '../mmu/address.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';
import { Problem, submitting, TextField } from './controls.ts';
import { EntryPanel, slotSentence } from './entry-panel.ts';
import { Legend } from './legend.ts';
import type { Picture } from './picture.ts';
import { PictureCanvas } from './picture-canvas.ts';
import type { View } from './picture-labels.ts';
import { RegionBar } from './region-bar.ts';
import { RunsPanel } from './runs-panel.ts';
import { type Slot, Slots } from './slots.ts';
import { StripTable } from './strip-table.ts';
import type { Subject } from './subject.ts';

export interface MapViewProps {
  readonly subject: Subject;
  readonly theme: string;
  readonly onWalk: (address: string) => void;
}

export function MapView({ subject, theme, onWalk }: MapViewProps): ComponentChild {
  const slots = useMemo(() => new Slots(subject.cpu), [subject]);
  const picture = useRef<Picture>();
  const [seen, setSeen] = useState<{ view: View; slot: Slot }>();
  const [sought, setSought] = useState('');
  const [problem, setProblem] = useState('');
  useEffect(() => {
    setSeen(undefined);
    setProblem('');
  }, [subject]);

  const search = (text: string): void => {
    try {
      const { low, high } = toHalves(parseAddress(text.trim()));
      const page = slots.pageOf(low, high);
      // As deep as there are tables: the leaf, or the entry that is not present.
      const leaf = slots.read(1, slots.slotOfPage(1, page));
      picture.current?.goTo(Math.min(Math.max(1, leaf.entryLevel), slots.levels), page);
      setProblem('');
    } catch (failure) {
      setProblem((failure as Error).message);
    }
  };

  if (slots.levels === 0) return h('p', null, 'This CPU runs without paging: linear addresses are physical addresses.');
  return h(
    'div',
    { class: 'view', id: 'map' },
    h(
      'form',
      { class: 'row', role: 'search', onSubmit: submitting(() => search(sought)) },
      h(TextField, {
        id: 'search',
        label: 'Address',
        value: sought,
        onValue: setSought,
        placeholder: 'ffff82d040200000',
      }),
      h('button', { type: 'submit' }, 'Find'),
      zoomButton('zoom-in', 'Zoom in', seen?.view.level === 1, () => picture.current?.zoomIn()),
      zoomButton('zoom-out', 'Zoom out', seen?.view.level === slots.levels, () => picture.current?.zoomOut()),
      zoomButton('wider', '+', false, () => picture.current?.magnify(2), 'Magnify'),
      zoomButton('narrower', '−', false, () => picture.current?.magnify(0.5), 'Show more slots'),
      h(Problem, { text: problem }),
    ),
    h(RegionBar, { slots, subject, onGoTo: (level: number, page: number) => picture.current?.goToUsed(level, page) }),
    h('p', { class: 'where', id: 'where' }, seen === undefined ? '' : whereText(slots, seen.view)),
    h(PictureCanvas, {
      slots,
      regions: subject.regions,
      theme,
      onReady: (made: Picture) => {
        picture.current = made;
      },
      onView: (view: View, slot: Slot) => setSeen({ view, slot }),
    }),
    h('p', { class: 'sr', 'aria-live': 'polite' }, seen === undefined ? '' : slotSentence(slots, seen.slot)),
    h(Legend, null),
    seen !== undefined &&
      h(EntryPanel, {
        slots,
        slot: seen.slot,
        isMissing: seen.slot.kind === 'table' && subject.missing.has(seen.slot.frame),
        onZoomIn: () => picture.current?.zoomIn(),
        onWalk,
      }),
    seen !== undefined &&
      h(StripTable, { slots, view: seen.view, onSelect: (slot: number) => picture.current?.select(slot) }),
    h(RunsPanel, { subject, onGoTo: (level: number, page: number) => picture.current?.goTo(level, page) }),
  );
}

function whereText(slots: Slots, { level, visible }: View): string {
  const each = sizeText(slots.pagesOf(level) * PAGE_SIZE);
  return `${ENTRY_NAMES[level]}s: ${visible} slots of ${each} each, ${sizeText(visible * slots.pagesOf(level) * PAGE_SIZE)} in all`;
}

const zoomButton = (
  id: string,
  text: string,
  disabled: boolean,
  onClick: () => void,
  title: string = text,
): ComponentChild => h('button', { type: 'button', id, disabled, onClick, title, 'aria-label': title }, text);
