/** The page around the views: which image, which view, which colours. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { BUILT_IN, builtInBytes, bytesOfBase64 } from './built-in.ts';
import { ImageBar } from './image-bar.ts';
import { MapView } from './map-view.ts';
import { RaceView } from './race-view.ts';
import type { Start } from './start.ts';
import { type Subject, subjectFromBytes } from './subject.ts';
import { SuperpagesView } from './superpages-view.ts';
import { useTheme } from './theme.ts';
import { ThreadsView } from './threads-view.ts';
import { WalkView } from './walk-view.ts';

const TABS = ['Map', 'Walk', 'Superpages', 'Race', 'Threads'] as const;
type Tab = (typeof TABS)[number];

export interface PageProps {
  readonly start: Start;
}

export function Page({ start }: PageProps): ComponentChild {
  const [tab, setTab] = useState<Tab>(start.race === undefined ? 'Map' : 'Race');
  /** Views that were shown once: they stay as they are while others are looked at. */
  const visited = useRef(new Set<Tab>([tab]));
  const [subject, setSubject] = useState<Subject>();
  const [problem, setProblem] = useState('');
  const [address, setAddress] = useState('ffff82d040200000');
  const [theme, nextTheme] = useTheme();

  const asked = useRef(0);

  /** Opens an image; where another one is asked for meanwhile, that one is shown. */
  const take = (open: () => Promise<Subject> | Subject): void => {
    asked.current += 1;
    const nth = asked.current;
    const isLast = (): boolean => nth === asked.current;
    Promise.resolve()
      .then(open)
      .then(
        (opened) => {
          if (!isLast()) return;
          setSubject(opened);
          setProblem('');
        },
        (failure: Error) => {
          if (isLast()) setProblem(failure.message);
        },
      );
  };
  const takeFile = async (file: File): Promise<Subject> =>
    subjectFromBytes(new Uint8Array(await file.arrayBuffer()), file.name);
  useEffect(() => take(() => firstSubject(start)), []);

  const show = (name: Tab): void => {
    visited.current.add(name);
    setTab(name);
  };
  const walk = (from: string): void => {
    setAddress(from);
    show('Walk');
  };
  const keep = (bytes: Promise<Uint8Array>, title: string): void =>
    take(async () => subjectFromBytes(await bytes, title));
  const views: Readonly<Record<Tab, () => ComponentChild>> = {
    Map: () => subject !== undefined && h(MapView, { subject, theme, onWalk: walk }),
    Walk: () => subject !== undefined && h(WalkView, { subject, address }),
    Superpages: () => subject !== undefined && h(SuperpagesView, { subject, theme, onKeep: keep }),
    Race: () => h(RaceView, { start: start.race }),
    Threads: () => h(ThreadsView, null),
  };
  const usesImage = tab !== 'Race' && tab !== 'Threads';

  return h(
    'div',
    {
      class: 'page',
      onDragOver: (event: DragEvent) => event.preventDefault(),
      onDrop: (event: DragEvent) => {
        event.preventDefault();
        const file = event.dataTransfer?.files[0];
        if (file !== undefined) take(() => takeFile(file));
      },
    },
    h(
      'header',
      null,
      h('h1', null, 'pagewalk lab'),
      h(
        'nav',
        { role: 'tablist', 'aria-label': 'Views', onKeyDown: (event: KeyboardEvent) => tabKey(event, tab, show) },
        TABS.map((name) =>
          h(
            'button',
            {
              key: name,
              role: 'tab',
              'aria-selected': name === tab,
              'aria-controls': `view-${name}`,
              onClick: () => show(name),
            },
            name,
          ),
        ),
      ),
      h('button', { id: 'theme', onClick: nextTheme }, `Colours: ${theme}`),
    ),
    usesImage && h(ImageBar, { subject, problem, onTake: take, takeFile }),
    usesImage &&
      subject === undefined &&
      h('p', null, problem === '' ? 'Loading…' : 'Open an image, or take one of those above.'),
    h(
      'main',
      null,
      TABS.filter((name) => visited.current.has(name)).map((name) =>
        h(
          'div',
          { key: name, id: `view-${name}`, role: 'tabpanel', 'aria-label': name, hidden: name !== tab },
          views[name](),
        ),
      ),
    ),
  );
}

/** Arrow keys go to the tab beside. */
function tabKey(event: KeyboardEvent, tab: Tab, show: (name: Tab) => void): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  if (step === 0) return;
  const at = (TABS.indexOf(tab) + step + TABS.length) % TABS.length;
  show(TABS[at]!);
  (event.currentTarget as HTMLElement).querySelectorAll('button')[at]?.focus();
}

async function firstSubject({ image }: Start): Promise<Subject> {
  if (image === undefined) return subjectFromBytes(await builtInBytes(BUILT_IN[0]!.id), BUILT_IN[0]!.title);
  if (image.base64 !== undefined) return subjectFromBytes(bytesOfBase64(image.base64), image.title);
  const answer = await fetch(image.url!);
  if (!answer.ok) throw new Error(`the image cannot be had from the server: ${answer.statusText}`);
  return subjectFromBytes(new Uint8Array(await answer.arrayBuffer()), image.title);
}
