/** Which image is looked at, and which else there are. */
import { type ComponentChild, h } from 'preact';
import { BUILT_IN, builtInBytes } from './built-in.ts';
import { Problem, SelectField } from './controls.ts';
import { emptySubject, type Subject, subjectFromBytes, subjectOf } from './subject.ts';

export interface ImageBarProps {
  readonly subject: Subject | undefined;
  readonly problem: string;
  readonly onTake: (open: () => Promise<Subject> | Subject) => void;
  readonly takeFile: (file: File) => Promise<Subject>;
}

export function ImageBar({ subject, problem, onTake, takeFile }: ImageBarProps): ComponentChild {
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
        onValue: (value: string) => onTake(() => subjectOf(subject!.image, subject!.title, Number(value))),
        options: cpus.map(({ index }) => [String(index), String(index)] as const),
      }),
    BUILT_IN.map(({ id, title }) =>
      h(
        'button',
        { key: id, id, onClick: () => onTake(() => builtInBytes(id).then((bytes) => subjectFromBytes(bytes, title))) },
        title,
      ),
    ),
    h('button', { id: 'empty', onClick: () => onTake(emptySubject) }, 'Empty machine'),
    h(
      'label',
      { class: 'file' },
      'Open or drop an image ',
      h('input', {
        type: 'file',
        id: 'file',
        onChange: (event: Event) => {
          const file = (event.currentTarget as HTMLInputElement).files?.[0];
          if (file !== undefined) onTake(() => takeFile(file));
        },
      }),
    ),
    h(Problem, { text: problem }),
  );
}
