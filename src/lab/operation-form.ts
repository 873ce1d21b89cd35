/** The form of a mapping operation, and operations that are worth a look on the tables at hand. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Cpu } from '../cpu/cpu.ts';
import { USER } from '../mmu/access.ts';
import { hex64 } from '../mmu/halves.ts';
import { addressOf, type Leaf } from '../mmu/leaves.ts';
import { SelectField, submitting, TextField } from './controls.ts';

export interface Operation {
  readonly kind: 'map' | 'modify' | 'destroy';
  readonly operands: readonly string[];
}

export interface Proposal extends Operation {
  readonly text: string;
}

const FIELDS: Readonly<Record<Operation['kind'], readonly (readonly [label: string, size: number])[]>> = {
  map: [
    ['virt', 17],
    ['mfn (hex)', 10],
    ['nr_mfns', 8],
    ['flags', 22],
  ],
  modify: [
    ['start', 17],
    ['end', 17],
    ['flags', 22],
  ],
  destroy: [
    ['start', 17],
    ['end', 17],
  ],
};

const KINDS = [
  ['map', 'map_pages_to_xen'],
  ['modify', 'modify_xen_mappings'],
  ['destroy', 'destroy_xen_mappings'],
] as const;

export interface OperationFormProps {
  readonly first: Operation;
  readonly onRun: (operation: Operation) => void;
}

export function OperationForm({ first, onRun }: OperationFormProps): ComponentChild {
  const [kind, setKind] = useState(first.kind);
  const [operands, setOperands] = useState(first.operands);
  useEffect(() => {
    setKind(first.kind);
    setOperands(first.operands);
  }, [first]);
  const fields = FIELDS[kind];
  return h(
    'form',
    {
      class: 'row',
      onSubmit: submitting(() => onRun({ kind, operands: fields.map((_, at) => (operands[at] ?? '').trim()) })),
    },
    h(SelectField, {
      id: 'operation',
      label: '',
      value: kind,
      onValue: (value: string) => setKind(value as Operation['kind']),
      options: KINDS,
    }),
    fields.map(([label, size], at) =>
      h(TextField, {
        key: label,
        id: `operand-${at}`,
        label,
        size,
        value: operands[at] ?? '',
        onValue: (value: string) => setOperands(fields.map((_, nth) => (nth === at ? value : (operands[nth] ?? '')))),
      }),
    ),
    h('button', { type: 'submit' }, 'Run'),
  );
}

const SIZES = ['', '4 KiB', '2 MiB', '1 GiB'];

/** Splits the first superpage that there is, and makes it whole again; else maps one. */
export function proposalsFor(cpu: Cpu): Proposal[] {
  const superpage = firstSuperpage(cpu);
  if (superpage === undefined) {
    const virt = 'ffff830000000000';
    return [
      { text: 'Map 1 GiB', kind: 'map', operands: [virt, '0', '262144', 'PAGE_HYPERVISOR'] },
      { text: 'Map 4 KiB pages, small', kind: 'map', operands: [virt, '0', '512', 'PAGE_HYPERVISOR|MAP_SMALL_PAGES'] },
    ];
  }
  const at = (page: number): string => {
    const { lo, hi } = addressOf(superpage.page + page, 48);
    return hex64(lo, hi);
  };
  const size = SIZES[superpage.level]!;
  const mfn = superpage.frame.toString(16);
  return [
    { text: `Make 4 KiB of a ${size} page read-only`, kind: 'modify', operands: [at(0), at(1), 'PAGE_HYPERVISOR_RO'] },
    { text: 'Map it writable again', kind: 'map', operands: [at(0), mfn, '1', 'PAGE_HYPERVISOR'] },
    { text: `Map the ${size} again`, kind: 'map', operands: [at(0), mfn, `${superpage.pages}`, 'PAGE_HYPERVISOR'] },
    { text: `Unmap half of the ${size}`, kind: 'destroy', operands: [at(0), at(superpage.pages / 2)] },
  ];
}

/** Leaves that are looked at for a proposal at most: some tables map each other over and over. */
const LOOKED_AT = 100_000;

/** Of 1 GiB where there is one; the supervisor's, and in the upper half. */
function firstSuperpage(cpu: Cpu): Leaf | undefined {
  let found: Leaf | undefined;
  let seen = 0;
  for (const leaf of cpu.leaves('0xffff800000000000')) {
    if (++seen > LOOKED_AT) break;
    if (leaf.level === 1 || (leaf.rights & USER) !== 0 || leaf.hi >= 0) continue;
    if (leaf.level === 3) return leaf;
    found ??= leaf;
  }
  return found;
}
