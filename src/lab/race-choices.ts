/** Who may go next from here. */
import { type ComponentChild, h } from 'preact';
import type { Choice } from './race-run.ts';

export interface ChoicesProps {
  readonly choices: readonly Choice[];
  readonly isOver: boolean;
  readonly onChoose: (actor: number) => void;
  readonly onRunToEnd: () => void;
}

export function Choices({ choices, isOver, onChoose, onRunToEnd }: ChoicesProps): ComponentChild {
  return h(
    'section',
    { class: 'panel choices', id: 'choices' },
    h('h3', null, isOver ? 'Nobody goes on from here' : 'Who goes next?'),
    choices.map(({ actor, name, what, canGo }) =>
      h('button', { key: name, 'data-actor': name, disabled: !canGo || isOver, onClick: () => onChoose(actor) }, what),
    ),
    h('button', { id: 'run-to-end', disabled: isOver, onClick: onRunToEnd }, 'Go on to the end without switching'),
    h('p', { class: 'faint' }, 'A choice replaces what came after this step.'),
  );
}
