/** Where a schedule or a report is pasted, or a report's file is opened. */
import { type ComponentChild, h } from 'preact';
import { useState } from 'preact/hooks';
import { submitting } from './controls.ts';

export function LoadForm({ onLoad }: { readonly onLoad: (text: string) => void }): ComponentChild {
  const [text, setText] = useState('');
  const open = (event: Event): void => {
    const file = (event.currentTarget as HTMLInputElement).files?.[0];
    file?.text().then(onLoad);
  };
  return h(
    'details',
    { id: 'load' },
    h('summary', null, 'Load a schedule, or a report of pagewalk race --json'),
    h(
      'form',
      { class: 'row', onSubmit: submitting(() => onLoad(text)) },
      h('textarea', {
        id: 'load-text',
        'aria-label': 'Schedule or JSON report',
        placeholder: 'pw1:…',
        rows: 2,
        value: text,
        onInput: (event: Event) => setText((event.currentTarget as HTMLTextAreaElement).value),
      }),
      h('button', { type: 'submit' }, 'Load'),
      h('label', null, 'or a file ', h('input', { type: 'file', id: 'load-file', onChange: open })),
    ),
  );
}
