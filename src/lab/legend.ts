/** What colours and heights of the picture mean. */
import { type ComponentChild, h } from 'preact';

const RIGHTS: readonly [string, string][] = [
  ['r', 'read only'],
  ['rw', 'read, write'],
  ['rx', 'read, execute'],
  ['rwx', 'read, write, execute'],
  ['mixed', 'a table of several of these'],
];

export function Legend(): ComponentChild {
  return h(
    'ul',
    { class: 'legend', 'aria-label': 'Legend' },
    RIGHTS.map(([name, text]) => h('li', { key: name }, h('i', { style: `background: var(--${name})` }), text)),
    h('li', null, h('i', { class: 'user' }), 'user mode may'),
    h('li', null, 'height: 4 KiB, 2 MiB, 1 GiB page; with a line on top: a table; nothing: a hole'),
  );
}
