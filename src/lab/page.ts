/** The page around the views: which image, which view, which colours. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { BUILT_IN, builtInBytes, bytesOfBase64 } from './built-in.ts';
import { Problem, SelectField } from './controls.ts';
import { MapView } from './map-view.ts';
import { RaceView } from './race-view.ts';
import type { Start } from './start.ts';
import { emptySubject, type Subject, subjectFromBytes, subjectOf } from './subject.ts';
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
  const [subject, setSubject] = useState<Subject>();
  const [problem, setProblem] = useState('');
  const [address, setAddress] = useState('ffff82d040200000');
  const [theme, nextTheme] = useTheme();

  const take = (opening: Promise<Subject> | Subject): void => {
    Promise.resolve(opening).then(
      (opened) => {
        setSubject(opened);
        setProblem('');
      },
      (failure: Error) => setProblem(failure.message),
    );
  };
  const takeFile = async (file: File): Promise<Subject> =>
    subjectFromBytes(new Uint8Array(await file.arrayBuffer()), file.name);
  useEffect(() => take(firstSubject(start)), []);

  const walk = (from: string): void => {
    setAddress(from);
    setTab('Walk');
  };
  const view = (): ComponentChild => {
    if (tab === 'Race') return h(RaceView, { start: start.race });
    if (tab === 'Threads') return h(ThreadsView, null);
    if (subject === undefined)
      return h('p', null, problem === '' ? 'Loading…' : 'Open an image, or take one of those above.');
    return viewOf(subject);
  };
  const viewOf = (opened: Subject): ComponentChild => {
    switch (tab) {
      case 'Map':
        return h(MapView, { subject: opened, theme, onWalk: walk });
      case 'Walk':
        return h(WalkView, { subject: opened, address });
      case 'Superpages':
        return h(SuperpagesView, {
          subject: opened,
          theme,
          onKeep: (bytes: Promise<Uint8Array>, title: string) =>
            take(bytes.then((all) => subjectFromBytes(all, title))),
        });
    }
  };

  return h(
    'div',
    {
      class: 'page',
      onDragOver: (event: DragEvent) => event.preventDefault(),
      onDrop: (event: DragEvent) => {
        event.preventDefault();
        const file = event.dataTransfer?.files[0];
        if (file !== undefined) take(takeFile(file));
      },
    },
    h(
      'header',
      null,
      h('h1', null, 'pagewalk lab'),
      h(
        'nav',
        { role: 'tablist', 'aria-label': 'Views' },
        TABS.map((name) =>
          h('button', { key: name, role: 'tab', 'aria-selected': name === tab, onClick: () => setTab(name) }, name),
        ),
      ),
      h('button', { id: 'theme', onClick: nextTheme }, `Colours: ${theme}`),
    ),
    tab !== 'Race' && tab !== 'Threads' && h(ImageBar, { subject, problem, onTake: take, takeFile }),
    h('main', null, view()),
  );
}

async function firstSubject({ image }: Start): Promise<Subject> {
  if (image === undefined) return subjectFromBytes(await builtInBytes(BUILT_IN[0]!.id), BUILT_IN[0]!.title);
  if (image.base64 !== undefined) return subjectFromBytes(bytesOfBase64(image.base64), image.title);
  const answer = await fetch(image.url!);
  if (!answer.ok) throw new Error(`the image cannot be had from the server: ${answer.statusText}`);
  return subjectFromBytes(new Uint8Array(await answer.arrayBuffer()), image.title);
}

interface ImageBarProps {
  readonly subject: Subject | undefined;
  readonly problem: string;
  readonly onTake: (opening: Promise<Subject> | Subject) => void;
  readonly takeFile: (file: File) => Promise<Subject>;
}

function ImageBar({ subject, problem, onTake, takeFile }: ImageBarProps): ComponentChild {
  const cpus = subject?.image.cpus ?? [];
  return h(
    'div',
    { class: 'row images' },
    h('strong', { id: 'title' }, subject?.title ?? ''),
    cpus.length > 1 &&
      h(SelectField, {
        id: 'cpu',
        label: 'CPU',
        value: String(subject!.cpuIndex),
        onValue: (value: string) => onTake(subjectOf(subject!.image, subject!.title, Number(value))),
        options: cpus.map(({ index }) => [String(index), String(index)] as const),
      }),
    BUILT_IN.map(({ id, title }) =>
      h(
        'button',
        { key: id, id, onClick: () => onTake(builtInBytes(id).then((bytes) => subjectFromBytes(bytes, title))) },
        title,
      ),
    ),
    h('button', { id: 'empty', onClick: () => onTake(emptySubject()) }, 'Empty machine'),
    h(
      'label',
      { class: 'file' },
      'Open or drop an image ',
      h('input', {
        type: 'file',
        id: 'file',
        onChange: (event: Event) => {
          const file = (event.currentTarget as HTMLInputElement).files?.[0];
          if (file !== undefined) onTake(takeFile(file));
        },
      }),
    ),
    h(Problem, { text: problem }),
  );
}
