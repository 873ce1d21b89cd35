/** Fields of forms, and small pieces that every view uses. */
import { type ComponentChild, h } from 'preact';

interface FieldProps<T> {
  readonly id: string;
  readonly label: string;
  readonly value: T;
  readonly onValue: (value: T) => void;
}

export function TextField({
  id,
  label,
  value,
  onValue,
  size = 18,
  placeholder = '',
}: FieldProps<string> & { readonly size?: number; readonly placeholder?: string }): ComponentChild {
  const onInput = (event: Event): void => onValue((event.currentTarget as HTMLInputElement).value);
  return h('label', null, `${label} `, h('input', { id, size, value, placeholder, spellcheck: false, onInput }));
}

export function SelectField({
  id,
  label,
  value,
  onValue,
  options,
}: FieldProps<string> & { readonly options: readonly (readonly [value: string, text: string])[] }): ComponentChild {
  const onChange = (event: Event): void => onValue((event.currentTarget as HTMLSelectElement).value);
  return h(
    'label',
    null,
    `${label} `,
    h(
      'select',
      { id, value, onChange },
      options.map(([key, text]) => h('option', { key, value: key }, text)),
    ),
  );
}

export function CheckField({ id, label, value, onValue }: FieldProps<boolean>): ComponentChild {
  const onChange = (event: Event): void => onValue((event.currentTarget as HTMLInputElement).checked);
  return h('label', null, h('input', { id, type: 'checkbox', checked: value, onChange }), ` ${label}`);
}

/** A sentence about what went wrong; nothing where nothing did. */
export function Problem({ text }: { readonly text: string }): ComponentChild {
  return text === '' ? null : h('span', { class: 'problem', role: 'alert' }, text);
}

/** The row of a table's head. */
export function Head({ names }: { readonly names: readonly string[] }): ComponentChild {
  return h(
    'thead',
    null,
    h(
      'tr',
      null,
      names.map((name) => h('th', { key: name, scope: 'col' }, name)),
    ),
  );
}

/** Runs an action instead of sending a form. */
export const submitting =
  (action: () => void): ((event: Event) => void) =>
  (event) => {
    event.preventDefault();
    action();
  };

export const isOpen = (event: Event): boolean => (event.currentTarget as HTMLDetailsElement).open;
