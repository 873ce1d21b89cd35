/** Corpora as JSON lines, a record each behind the header, checked field by field before they are used. */
import { UsageError } from '../failure.ts';

export type Fields = Readonly<Record<string, unknown>>;
/** Whether a field may be so. */
export type Test = (value: unknown) => boolean;
export type Tests<T> = Readonly<Record<keyof T & string, Test>>;

export const isText: Test = (value) => typeof value === 'string';
export const isInteger: Test = (value) => Number.isSafeInteger(value);
/** 0 to `most`. */
export const isUpTo =
  (most: number): Test =>
  (value) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
export const matches =
  (pattern: RegExp): Test =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const isListOf =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test);
/** A list of as many elements as tests; `optional` ones at the end may be missing. */
export const isTuple =
  (...tests: Test[]): Test =>
  (value) =>
    Array.isArray(value) && value.length <= tests.length && tests.every((test, nth) => test(value[nth]));
export const optional =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value);

/** Refuses a record whose fields are not as they should be. */
export function checkFields(record: Fields, tests: Readonly<Record<string, Test>>, place: string): void {
  for (const [name, test] of Object.entries(tests))
    if (!test(record[name])) throw new UsageError(`${place}: ${name} is ${shown(record[name])}`);
}

/** The records behind the header, each with its place for complaints; UsageError where a line is none. */
export function* parseRecords(lines: readonly string[]): Generator<{ record: Fields; place: string }> {
  for (let at = 1; at < lines.length; at++) {
    if (lines[at] === '') continue;
    const place = `line ${at + 1}`;
    const record = parse(lines[at]!, place);
    if (!isObject(record)) throw new UsageError(`${place}: not an object`);
    yield { record, place };
  }
}

function parse(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new UsageError(`${place}: not JSON`);
  }
}

const shown = (value: unknown): string => (value === undefined ? 'missing' : JSON.stringify(value).slice(0, 60));
