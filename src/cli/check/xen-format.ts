/**
 * Traces of Xen as their lines hold them: of its mapping code alone (format xen-map-trace, test/corpus/xen-traces/FORMAT.md)
 * and of a boot (format xen-mm-trace, test/corpus/xen-boot/FORMAT.md). What is not of the format is refused.
 */
import {
  checkFields,
  type Fields,
  isInteger,
  isListOf,
  isObject,
  isText,
  isTuple,
  isUpTo,
  matches,
  optional,
  parseRecords,
  type Test,
  type Tests,
} from './json-lines.ts';

/** Allocate, free, flush (address, flags), write (table, index, value, entries, growth of the value). */
export type TraceEvent =
  | readonly ['a', number]
  | readonly ['f', number]
  | readonly ['F', string, number]
  | readonly ['w', number, number, string, number?, string?];

export interface UpdateCounts {
  readonly alloc: number;
  readonly free: number;
  readonly flush: number;
  readonly flushFlags: number;
}

interface Traced {
  readonly va: string;
  /** Allocations that succeed; -1: all. */
  readonly budget: number;
  readonly rc: number;
  readonly tables: number;
  readonly count: UpdateCounts;
  readonly leaves: readonly (readonly [string, string, number, number, number])[];
  readonly ev?: readonly TraceEvent[];
}

export interface TracedMap extends Traced {
  readonly op: 'map';
  readonly mfn: string;
  readonly n: number;
  readonly flags: number;
}

export interface TracedModify extends Traced {
  readonly op: 'modify';
  readonly end: string;
  readonly nf: number;
}

export type TracedOp = TracedMap | TracedModify;

export interface Scenario {
  readonly scenario: number;
  readonly page1gb: number;
  readonly pool: number;
  readonly root: number;
  readonly ops: readonly TracedOp[];
}

/** `set`: index, entries, value of the first, step. */
export interface TableDiff {
  readonly pages?: Readonly<Record<string, { new?: boolean; set: readonly [number, number, string, string][] }>>;
  readonly gone?: readonly string[];
}

export interface TracedCall {
  readonly i: number;
  readonly fn: 'map_pages_to_xen' | 'modify_xen_mappings' | 'destroy_xen_mappings' | 'modify_xen_mappings_lite';
  readonly args: Readonly<Record<string, string>>;
  readonly caller?: string;
  readonly tag?: string;
  readonly root: string;
  readonly pre: TableDiff;
  readonly ret?: number;
  readonly post: TableDiff;
  readonly root_after?: string;
}

const isHex = matches(/^[0-9a-f]{1,16}$/);
const isWord = matches(/^0x[0-9a-f]{1,16}$/);
/** Of a table: below 1 TiB. */
const isPlace = matches(/^0x[0-9a-f]{0,7}000$/);
const isFrame = isUpTo(2 ** 36);
const isFlags = isUpTo(2 ** 24 - 1);
const isNumberOf = isUpTo(2 ** 24);
const isPages = isUpTo(2 ** 52);
const isIndex = isUpTo(511);
const is =
  (value: unknown): Test =>
  (other) =>
    other === value;

const isEvent: Test = (value) =>
  [
    isTuple(is('a'), isFrame),
    isTuple(is('f'), isFrame),
    isTuple(is('F'), isHex, isNumberOf),
    isTuple(is('w'), isFrame, isIndex, isHex, optional(isUpTo(512)), optional(matches(/^[0-9a-f]{1,7}$/))),
  ].some((isThis) => isThis(value));

const SCENARIO: Tests<Scenario> = {
  scenario: isInteger,
  page1gb: isUpTo(1),
  pool: isFrame,
  root: isFrame,
  ops: (value) => Array.isArray(value) && value.length > 0 && value.every(isObject),
};

const COUNTS: Tests<UpdateCounts> = { alloc: isNumberOf, free: isNumberOf, flush: isPages, flushFlags: isNumberOf };

const TRACED: Tests<Traced> = {
  va: isHex,
  budget: (value) => value === -1 || isNumberOf(value),
  rc: isInteger,
  tables: isNumberOf,
  count: (value) => isObject(value) && Object.entries(COUNTS).every(([name, test]) => test(value[name])),
  leaves: isListOf(isTuple(isHex, isHex, isPages, isUpTo(3), isFlags)),
  ev: optional(isListOf(isEvent)),
};

const ARGUMENTS: Readonly<Record<string, Readonly<Record<string, Test>>>> = {
  map: { mfn: isHex, n: isPages, flags: isFlags },
  modify: { end: isHex, nf: isFlags },
};

/** Of each function a boot's trace tells of, in order. */
export const CALL_ARGUMENTS: Readonly<Record<TracedCall['fn'], readonly string[]>> = {
  map_pages_to_xen: ['virt', 'mfn', 'nr_mfns', 'flags'],
  modify_xen_mappings: ['s', 'e', 'nf'],
  destroy_xen_mappings: ['s', 'e'],
  modify_xen_mappings_lite: ['s', 'e', 'nf'],
};

const isRun: Test = (value) =>
  isTuple(isIndex, isUpTo(512), isWord, isWord)(value) && (value as number[])[0]! + (value as number[])[1]! <= 512;
const isTable: Test = (value) =>
  isObject(value) && [undefined, true, false].includes(value['new'] as undefined) && isListOf(isRun)(value['set']);
const isDiff: Test = (value) =>
  isObject(value) &&
  optional((pages) => isObject(pages) && Object.keys(pages).every(isPlace) && Object.values(pages).every(isTable))(
    value['pages'],
  ) &&
  optional(isListOf(isPlace))(value['gone']);

const CALL: Tests<TracedCall> = {
  i: isInteger,
  fn: (value) => isText(value) && Object.hasOwn(CALL_ARGUMENTS, value as string),
  args: isObject,
  caller: optional(isText),
  tag: optional(isText),
  root: isPlace,
  pre: isDiff,
  ret: optional(isInteger),
  post: isDiff,
  root_after: optional(isPlace),
};

/** The scenarios of a trace; UsageError where a line is none. */
export function* parseScenarios(lines: readonly string[]): Generator<Scenario> {
  for (const { record, place } of parseRecords(lines)) {
    checkFields(record, SCENARIO, place);
    for (const [nth, op] of (record['ops'] as Fields[]).entries()) {
      const at = `${place}: op ${nth}`;
      checkFields(op, { op: (name) => isText(name) && Object.hasOwn(ARGUMENTS, name as string) }, at);
      checkFields(op, { ...TRACED, ...ARGUMENTS[op['op'] as string] }, at);
    }
    checkFields(record, { root: is(record['pool']) }, place); // the first frame that was allocated
    yield record as unknown as Scenario;
  }
}

/** The calls of a boot's trace; UsageError where a line is none. */
export function* parseCalls(lines: readonly string[]): Generator<TracedCall> {
  for (const { record, place } of parseRecords(lines)) {
    checkFields(record, CALL, place);
    const call = record as unknown as TracedCall;
    const tests = CALL_ARGUMENTS[call.fn].map((name): [string, Test] => [name, isWord]);
    checkFields(call.args, Object.fromEntries(tests), place);
    yield call;
  }
}
