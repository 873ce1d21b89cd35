/** The explored machine is x86-TSO with store buffers, and sequentially consistent without: 92 litmus tests, both ways. */
import { describe, expect, it } from 'vitest';
import type { Scenario } from '../../src/explorer/scenario.ts';
import type { XenMm } from '../../src/hypervisor/index.ts';
import { type Outcome, outcomesOf } from '../support/litmus.ts';
import { type Step, TSO_TESTS, type TsoTest } from '../support/litmus-tso.ts';

const LOCATIONS = 'xyz';
/** Words of a CPU's own, for its fences. */
const FENCES = 16;

it('has 92 tests, of which 20 need store buffers', () => {
  const count = (verdict: TsoTest['verdict']): number => TSO_TESTS.filter((test) => test.verdict === verdict).length;
  expect([count('permitted'), count('required'), count('forbidden')]).toEqual([20, 4, 68]);
});

describe.each(TSO_TESTS)('$name: $text', (test) => {
  it(`is ${test.verdict === 'required' ? 'seen' : 'never seen'} without store buffers`, () => {
    expect(isSeen(test, false)).toBe(test.verdict === 'required');
  });

  it(`is ${test.verdict === 'forbidden' ? 'never seen' : 'seen'} with store buffers`, () => {
    expect(isSeen(test, true)).toBe(test.verdict !== 'forbidden');
  });
});

const hasFence = ({ cpus }: TsoTest): boolean => cpus.some((steps) => steps.some(({ kind }) => kind === 'fence'));

it('needs the fences of all forbidden tests but two', () => {
  const fenced = TSO_TESTS.filter((test) => test.verdict === 'forbidden' && hasFence(test));
  const needless = fenced.filter((test) => !isSeen(withoutFences(test), true));
  expect(fenced).toHaveLength(23);
  expect(needless.map(({ name }) => name)).toEqual(['mp+fences', 'safe023']);
});

const withoutFences = (test: TsoTest): TsoTest => ({
  ...test,
  cpus: test.cpus.map((steps) => steps.filter(({ kind }) => kind !== 'fence')),
});

function isSeen(test: TsoTest, storeBuffers: boolean): boolean {
  let words = 0;
  const scenario: Scenario = {
    name: test.name,
    about: test.text,
    machine: { frames: 4, pool: 0 },
    hardware: { storeBuffers },
    prepare: (mm) => {
      words = mm.heap.alloc() * 512;
    },
    cpus: test.cpus.map((steps, cpu) => [{ name: 'program', run: (mm) => run(mm, steps, cpu, words) }]),
  };
  const last = [...test.last];
  const all = outcomesOf(scenario, (mm) => last.map(([location]) => load(mm, words + LOCATIONS.indexOf(location))));
  const isIt = ({ results, last: found }: Outcome): boolean =>
    results.every(([values], cpu) => values === wanted(test.cpus[cpu]!)) &&
    last.every(([, value], at) => found[at] === value);
  return all.some(isIt);
}

/** Runs one CPU's program. Returns what was read where the test says something about it, one digit each. */
function run(mm: XenMm, steps: readonly Step[], cpu: number, words: number): number {
  const { tables } = mm;
  let values = 0;
  for (const step of steps) {
    const word = step.kind === 'fence' ? words + FENCES + cpu : words + LOCATIONS.indexOf(step.location);
    if (step.kind === 'store') tables.write(word, 4, step.value, 0);
    else if (step.kind === 'load') values = values * 10 + load(mm, word);
    else {
      tables.exchange(word, 4, step.kind === 'fence' ? 0 : step.stores, 0);
      if (step.kind === 'exchange' && step.value !== undefined) values = values * 10 + tables.frame;
    }
  }
  return values;
}

function load(mm: XenMm, word: number): number {
  mm.tables.read(word);
  return mm.tables.frame;
}

/** What `run` returns where all that is read is as the test says. */
const wanted = (steps: readonly Step[]): number =>
  steps.reduce(
    (values, step) =>
      'value' in step && step.kind !== 'store' && step.value !== undefined ? values * 10 + step.value : values,
    0,
  );
