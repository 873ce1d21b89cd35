/** The Threads view: whether this browser's threads keep to what the rest relies on. */
import { type ComponentChild, h } from 'preact';
import { useState } from 'preact/hooks';
import type { Locking } from '../hypervisor/behaviour.ts';
import { SelectField } from './controls.ts';
import { canShare, soak, tear } from './threads.ts';

const LOCKINGS: readonly (readonly [Locking, string])[] = [
  ['l3', 'l3: a lock for each L3 table (the fix of XSA-345)'],
  ['pgdir', 'pgdir: one lock for all'],
  ['reverify', 'reverify: look again once locked'],
  ['none-prefix', 'before the fix: goes wrong'],
];
const OPERATIONS = 2000;
const LOOKS = 10_000_000;

export function ThreadsView(): ComponentChild {
  const [locking, setLocking] = useState<Locking>('l3');
  const [lines, setLines] = useState<readonly string[]>([]);
  const [isBusy, setBusy] = useState(false);
  if (!canShare())
    return h(
      'p',
      { id: 'threads' },
      'This page may not share memory between threads: it is opened from a file. Under ',
      h('code', null, 'pagewalk lab'),
      ' it may.',
    );
  const run = (action: () => Promise<string>): void => {
    setBusy(true);
    action()
      .catch((failure: Error) => `failed: ${failure.message}`)
      .then((line) => {
        setLines((before) => [line, ...before]);
        setBusy(false);
      });
  };
  return h(
    'div',
    { class: 'view', id: 'threads' },
    h(
      'p',
      null,
      'The mapping code and the MMU run on threads over shared memory; here, on two workers of this browser.',
    ),
    h(
      'div',
      { class: 'row' },
      h(SelectField, {
        id: 'locking',
        label: 'Locking',
        value: locking,
        onValue: (value: string) => setLocking(value as Locking),
        options: LOCKINGS,
      }),
      h('button', { id: 'soak', disabled: isBusy, onClick: () => run(() => soakLine(locking)) }, 'Soak'),
      h(
        'button',
        { id: 'tear', disabled: isBusy, onClick: () => run(() => tearLine('whole')) },
        'Look for torn entries',
      ),
      h(
        'button',
        { id: 'tear-halves', disabled: isBusy, onClick: () => run(() => tearLine('halves')) },
        'The same with entries moved as halves',
      ),
    ),
    h(
      'ul',
      { id: 'threads-said', 'aria-live': 'polite' },
      lines.map((line, at) => h('li', { key: lines.length - at }, line)),
    ),
    isBusy && h('p', { class: 'faint' }, 'running…'),
  );
}

async function soakLine(locking: Locking): Promise<string> {
  const seed = 1 + Math.floor(Math.random() * 1000);
  const { operations, reads, faults, milliseconds, wrong } = await soak(locking, OPERATIONS, seed);
  const counts = `soak, ${locking}, seed ${seed}: ${operations} operations, ${reads} reads, ${faults} faults in ${Math.round(milliseconds)} ms`;
  return wrong.length === 0 ? `${counts}: all as it should be` : `${counts}: WRONG: ${wrong.slice(0, 3).join('; ')}`;
}

async function tearLine(how: 'whole' | 'halves'): Promise<string> {
  const { looks, changes, torn, stores } = await tear(how, LOOKS);
  return `entries moved ${how === 'whole' ? 'whole' : 'as halves'}: ${torn} torn in ${looks} looks, ${changes} changes seen of ${stores} stores`;
}
