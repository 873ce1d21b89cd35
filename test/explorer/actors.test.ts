import { expect, it } from 'vitest';
import { actorsOf } from '../../src/explorer/actors.ts';

const all = (cpus: number) => actorsOf({ cpus, hasWalks: () => true, evicts: true, buffersStores: true });

it('actors have names of their own, code first', () => {
  const names = all(2).map(({ name }) => name);
  expect(names).toEqual(['0', '1', 'w0', 'w1', 'i0', 'i1', 'p0', 'p1', 't0', 't1', 'd0', 'd1']);
});

it('are refused where there are more than 31', () => {
  expect(all(5)).toHaveLength(30);
  expect(() => all(6)).toThrow(
    new RangeError('a scenario has 31 actors at most, not 36: fewer CPUs, walks or options'),
  );
});
