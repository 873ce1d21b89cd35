/** Mistakes that others made: found where the code is wrong, not where it is right, and not where what they take is missing. */
import { describe, expect, it } from 'vitest';
import type { Declared } from '../../src/explorer/declared.ts';
import { read } from '../../src/explorer/scenario.ts';
import { DEMONSTRATIONS } from '../../src/explorer/scenarios/demonstrations.ts';
import { PAGE } from '../../src/explorer/scenarios/mistakes.ts';
import { explore, withAnotherCpu } from '../support/declared.ts';

/** With how many preemptions each is found, and in which words. */
const FOUND: Readonly<Record<string, readonly [number, string]>> = {
  'free-before-flush': [0, 'the walker of CPU 1 reads a table that is free'],
  'stale-timestamp': [1, 'CPU 1 still translates page 0x830000000 (4K) to frame 0x200 when an operation of CPU 0 ends'],
  promotion: [0, 'CPU 1 still translates page 0x830000001 (4K) to frame 0x201 when an operation of CPU 0 ends'],
  'request-first': [2, 'CPU 1 uses a page that is gone'],
  pcids: [0, 'a structure cache of CPU 0 leads to a table that is freed'],
  'lost-request': [1, 'CPU 1 uses a page that is gone'],
  'lost-dirty': [0, 'D was set by hardware after the entry was read, and is lost'],
  'no-grace-period': [1, 'CPU 1 reads a table that is free'],
};

const variantOf = ({ variants }: Declared, at: number): Declared['variants'][number] => variants[at]!;

it('there are as many as are told of here', () => {
  expect(DEMONSTRATIONS.map(({ name }) => name)).toEqual(Object.keys(FOUND));
});

describe.each(DEMONSTRATIONS)('$name', (declared) => {
  const [preemptions, text] = FOUND[declared.name]!;

  it('right: every schedule is clean', () => {
    const right = variantOf(declared, 0);
    const { kinds, truncated } = explore(right);
    expect([right.preemptions, kinds, truncated]).toEqual([undefined, [], undefined]);
  });

  it('wrong: it is found, for the reason that is told, with as few preemptions as are declared', () => {
    const wrong = variantOf(declared, 1);
    const come = explore(wrong);
    expect([wrong.preemptions, come.preemptions, come.truncated]).toEqual([preemptions, preemptions, undefined]);
    expect(come.kinds).toEqual(wrong.finds);
    expect(come.texts).toContain(text);
  });

  it('wrong, without what it takes: nothing is found', () => {
    const missing = variantOf(declared, 2);
    const { kinds, truncated } = explore(missing);
    expect([missing.preemptions, kinds, truncated]).toEqual([
      preemptions === 0 ? undefined : preemptions - 1,
      [],
      undefined,
    ]);
  });
});

describe.runIf(process.env['PAGEWALK_LONG'] === '1')('demonstrations, and one more CPU walks', () => {
  // The others are about CPUs that are named.
  const names = ['free-before-flush', 'stale-timestamp', 'promotion', 'lost-dirty', 'no-grace-period'];
  it.each(DEMONSTRATIONS.filter(({ name }) => names.includes(name)))('$name: right is clean', (declared) => {
    const scenario = withAnotherCpu(variantOf(declared, 0).scenario, read(PAGE), read(PAGE));
    const { kinds, truncated } = explore({ scenario }, 10_000_000);
    expect([kinds, truncated]).toEqual([[], undefined]);
  });
});
