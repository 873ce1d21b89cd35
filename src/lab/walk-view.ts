/** The Walk view: an access, step by step, and what it leaves in the caches. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { NONE, PF, vectorName } from '../cpu/fault.ts';
import { sizeText } from '../cpu/walk-text.ts';
import { parseAddress } from '../inspect/number-text.ts';
import { toHalves } from '../mmu/address.ts';
import { hex64, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { CacheTable } from './cache-table.ts';
import { CheckField, Head, Problem, SelectField, submitting, TextField } from './controls.ts';
import type { Subject } from './subject.ts';
import { errorCodeLines } from './walk-checks.ts';
import {
  type AccessForm,
  accessOf,
  applyRegisters,
  type CacheRow,
  changesBy,
  formOf,
  runAccess,
  type WalkRun,
} from './walk-run.ts';

export interface WalkViewProps {
  readonly subject: Subject;
  /** Where to begin: 16 hex digits. */
  readonly address: string;
}

export function WalkView({ subject, address }: WalkViewProps): ComponentChild {
  const { cpu } = subject;
  const [form, setForm] = useState<AccessForm>(() => formOf(cpu, address));
  const [run, setRun] = useState<WalkRun>();
  const [other, setOther] = useState<{ readonly what: string; readonly rows: readonly CacheRow[] }>();
  const [problem, setProblem] = useState('');

  /** What the form says, done by `action`; its complaints are shown. */
  const attempt = (action: (lo: number, hi: number) => void): void => {
    try {
      const { low, high } = toHalves(parseAddress(form.address.trim()));
      const refusal = applyRegisters(cpu, form);
      setProblem(refusal);
      if (refusal === '') action(low, high);
    } catch (failure) {
      setProblem((failure as Error).message);
    }
  };
  const walk = (): void =>
    attempt((lo, hi) => {
      setRun(runAccess(cpu, lo, hi, accessOf(form)));
      setOther(undefined);
    });
  const drop = (what: string, action: (lo: number, hi: number) => void): void =>
    attempt((lo, hi) => setOther({ what, rows: changesBy(cpu, () => action(lo, hi)) }));
  useEffect(() => {
    setForm(formOf(cpu, address));
    setRun(undefined);
    setOther(undefined);
  }, [cpu, address]);

  const check = (name: 'ac' | 'implicit' | 'stack' | 'wp' | 'smep' | 'smap', label: string): ComponentChild =>
    h(CheckField, {
      id: `walk-${name}`,
      label,
      value: form[name],
      onValue: (value: boolean) => setForm({ ...form, [name]: value }),
    });
  return h(
    'div',
    { class: 'view', id: 'walk' },
    h(
      'form',
      { onSubmit: submitting(walk) },
      h(
        'div',
        { class: 'row' },
        h(TextField, {
          id: 'walk-address',
          label: 'Linear address',
          value: form.address,
          onValue: (value: string) => setForm({ ...form, address: value }),
        }),
        h(SelectField, {
          id: 'walk-kind',
          label: 'access',
          value: form.kind,
          onValue: (kind: string) => setForm({ ...form, kind: kind as AccessForm['kind'] }),
          options: (['read', 'write', 'fetch', 'read-modify-write'] as const).map((kind) => [kind, kind] as const),
        }),
        h(SelectField, {
          id: 'walk-cpl',
          label: 'CPL',
          value: String(form.cpl),
          onValue: (cpl: string) => setForm({ ...form, cpl: Number(cpl) }),
          options: ['0', '1', '2', '3'].map((cpl) => [cpl, cpl] as const),
        }),
        h('button', { type: 'submit' }, 'Walk'),
        h('button', { type: 'button', onClick: () => drop('INVLPG', (lo, hi) => cpu.invlpg(lo, hi)) }, 'INVLPG'),
        h(
          'button',
          {
            type: 'button',
            onClick: () => drop('MOV CR3', () => cpu.setCr3(cpu.registers.cr3Lo, cpu.registers.cr3Hi)),
          },
          'MOV CR3',
        ),
      ),
      h(
        'div',
        { class: 'row' },
        check('wp', 'CR0.WP'),
        check('smep', 'CR4.SMEP'),
        check('smap', 'CR4.SMAP'),
        check('ac', 'EFLAGS.AC'),
        check('implicit', 'implicit supervisor access'),
        check('stack', 'through SS'),
        h(Problem, { text: problem }),
      ),
    ),
    run !== undefined && h(WalkResult, { run, linearBits: cpu.registers.format.mode.linearBits }),
    other !== undefined
      ? h(CacheTable, { rows: other.rows, caption: `Caches, and what ${other.what} dropped` })
      : run !== undefined &&
          h(CacheTable, {
            rows: run.caches,
            caption: 'Caches after the access: + new, − dropped, all others as before',
          }),
    run === undefined &&
      h('p', { class: 'faint' }, 'Accesses change this page’s copy of the image: A and D are set, the caches filled.'),
  );
}

function WalkResult({ run, linearBits }: { readonly run: WalkRun; readonly linearBits: number }): ComponentChild {
  const { walk, checks, began, vector, errorCode } = run;
  const physical = walk.physical === undefined ? '' : `physical ${hex64(walk.physical.low, walk.physical.high)}`;
  const size =
    walk.pageSize === 0 ? '' : `, ${sizeText(walk.pageSize)} page, ${walk.rights}, PAT index ${walk.patIndex}`;
  return h(
    'section',
    { class: 'panel', 'aria-live': 'polite' },
    h(
      'h3',
      { id: 'verdict', class: vector === NONE ? 'good' : 'bad' },
      vector === NONE
        ? physical + size
        : `${vectorName(vector)}${vector === PF ? `, error code ${hexNumber(errorCode)}` : ''}: ${walk.summary}`,
    ),
    h('p', { id: 'began' }, began),
    walk.steps.length > 0 && h(Steps, { walk, linearBits }),
    h('h4', null, 'Checks, in order'),
    h(
      'ol',
      { class: 'checks' },
      checks.map(({ passed, text }) =>
        h('li', { key: text, class: passed ? 'good' : 'bad' }, `${passed ? '✓' : '✗'} ${text}`),
      ),
    ),
    vector === PF && h('h4', null, `Error code ${hexNumber(errorCode)}`),
    vector === PF &&
      h(
        'ul',
        { id: 'error-code' },
        errorCodeLines(errorCode).map((line) => h('li', { key: line }, line)),
      ),
  );
}

function Steps({ walk, linearBits }: { readonly walk: WalkRun['walk']; readonly linearBits: number }): ComponentChild {
  const digits = linearBits === 32 ? 8 : 0;
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'steps' },
      h('caption', null, `What a walk from the root reads, ${walk.mode} paging`),
      h(Head, { names: ['Entry', 'Index', 'At', 'Holds', 'Flags', 'Outcome'] }),
      h(
        'tbody',
        null,
        walk.steps.map(({ name, index, entryAddress, entry, flags, outcome, frame }) =>
          h(
            'tr',
            { key: name },
            h('th', { scope: 'row' }, name),
            h('td', null, index),
            h('td', null, hexNumber(entryAddress.toNumber())),
            h('td', null, hex64(entry.low, entry.high).slice(digits)),
            h('td', null, flags),
            h('td', null, frame === undefined ? outcome : `${outcome} ${hexNumber(frame * PAGE_SIZE)}`),
          ),
        ),
      ),
    ),
  );
}
