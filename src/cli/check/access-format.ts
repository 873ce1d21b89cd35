/**
 * Access vectors as their lines hold them (format mmu-oracle-1), checked field by field: what is not of the format, or
 * compares nothing, is refused with the number of its line. Format: docs/corpora.md.
 */
import { type AccessOp, type Case, type Op, type Variant, VECTOR_FEATURES } from '../../testing/access-vector.ts';
import { UsageError } from '../failure.ts';

type Fields = Readonly<Record<string, unknown>>;
type Test = (value: unknown) => boolean;

const oneOf =
  (...values: unknown[]): Test =>
  (value) =>
    values.includes(value);
const optional =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value);
const isText: Test = (value) => typeof value === 'string';
const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isWord: Test = (value) => typeof value === 'string' && /^0x[0-9a-f]{1,16}$/i.test(value);
/** Of 8 bytes of physical memory. */
const isPlace: Test = (value) => isWord(value) && BigInt(value as string) <= 2n ** 52n - 8n;
const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isTracked: Test = (value) =>
  Array.isArray(value) && isPlace(value[0]) && isWord(value[1]) && optional(isWord)(value[2]);

const VARIANT: Readonly<Record<keyof Variant, Test>> = {
  variant: isText,
  mode: oneOf(2, 3, 4, 5),
  maxphyaddr: (value) => isCount(value) && (value as number) >= 32 && (value as number) <= 52,
  features: (value) =>
    Array.isArray(value) && value.every((name) => isText(name) && Object.hasOwn(VECTOR_FEATURES, name)),
  vendor: optional(oneOf('intel', 'amd')),
};

const CASE: Readonly<Record<keyof Case, Test>> = {
  id: isCount,
  cls: isText,
  ops: (value) => Array.isArray(value) && value.every(isObject),
};

const OPS: Readonly<Record<Op['op'], Readonly<Record<string, Test>>>> = {
  write: { pa: isPlace, v: isWord, n: oneOf(4, 8) },
  config: {
    ...{ cr0: isWord, cr3: isWord, cr4: isWord, efer: isWord, pkru: isWord, pkrs: optional(isWord) },
    gp: optional(oneOf(true)),
  },
  cr0: { v: isWord },
  cr3: { v: isWord },
  cr4: { v: isWord },
  pkru: { v: isWord },
  invlpg: { va: isWord },
  invpcid: { type: oneOf(0, 1, 2, 3), pcid: isWord, va: isWord },
  mem: { e: (value) => Array.isArray(value) && value.length > 0 && value.every(isTracked) },
  access: {
    ...{ va: isWord, kind: oneOf('read', 'write', 'fetch', 'implicit'), size: oneOf(1, 2, 4, 8) },
    ...{ cpl: oneOf(0, 3), ac: oneOf(0, 1), w: optional(isWord) },
    ...{ pa: optional(isPlace), pa2: optional(isPlace), val: optional(isWord), vdc: optional(isWord) },
    pf: optional((value) => isObject(value) && isCount(value['err']) && isWord(value['cr2'])),
    gp: optional(oneOf(0)),
  },
};

/** A line behind the first; UsageError names its number, from 1. */
export function parseVectorLine(line: string, number: number): Variant | Case {
  const place = `line ${number}`;
  const record = parse(line, place);
  if (isObject(record) && Object.hasOwn(record, 'id')) {
    checkFields(record, CASE, place);
    const vector = record as unknown as Case;
    vector.ops.forEach((op, at) => checkOp(op as unknown as Fields, `${place}: op ${at}`));
    if (!vector.ops.some(compares)) throw new UsageError(`${place}: case ${vector.id} compares nothing`);
    return vector;
  }
  if (!isObject(record) || !Object.hasOwn(record, 'variant'))
    throw new UsageError(`${place}: neither a variant nor a case`);
  checkFields(record, VARIANT, place);
  return record as unknown as Variant;
}

const compares = (op: Op): boolean =>
  op.op === 'access' || op.op === 'mem' || (op.op === 'config' && op['gp'] === true);

function parse(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new UsageError(`${place}: not JSON`);
  }
}

function checkFields(record: Fields, tests: Readonly<Record<string, Test>>, place: string): void {
  for (const [name, test] of Object.entries(tests))
    if (!test(record[name])) throw new UsageError(`${place}: ${name} is ${shown(record[name])}`);
}

function checkOp(op: Fields, place: string): void {
  const name = op['op'];
  if (typeof name !== 'string' || !Object.hasOwn(OPS, name)) throw new UsageError(`${place}: op is ${shown(name)}`);
  checkFields(op, OPS[name as Op['op']], place);
  if (name === 'access') checkOutcome(op as unknown as AccessOp, place);
}

/** Whatever an access leaves must be told, or its comparison would be none. */
function checkOutcome({ kind, va, size, w, pa, pa2, val, pf, gp }: AccessOp, place: string): void {
  if ([pa, pf, gp].filter((outcome) => outcome !== undefined).length !== 1)
    throw new UsageError(`${place}: an access has exactly one of pa, pf and gp`);
  if (kind === 'write' && w === undefined) throw new UsageError(`${place}: a write has w`);
  if (pa === undefined) return;
  if (kind === 'read' && val === undefined) throw new UsageError(`${place}: a read with pa has val`);
  const crosses = (kind === 'read' || kind === 'write') && Number(BigInt(va) & 0xfffn) + size > 4096;
  if (crosses !== (pa2 !== undefined))
    throw new UsageError(`${place}: an access has pa2 where it crosses into a second page`);
}

const shown = (value: unknown): string => (value === undefined ? 'missing' : JSON.stringify(value).slice(0, 60));
