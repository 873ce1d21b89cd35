import { describe, expect, it } from 'vitest';
import {
  ALL,
  cachesOf,
  conflict,
  EVERYTHING,
  endingIn,
  entriesOf,
  type Footprint,
  footprint,
  lifeOf,
  linkOf,
  lockOf,
  NOTHING,
  poolOf,
  requestsTo,
} from '../../src/explorer/footprint.ts';

const reads = (object: number, part = ALL): Footprint => footprint(object, part, 0);
const writes = (object: number, part = ALL): Footprint => footprint(object, part, 1);

describe('conflict', () => {
  it.each<[string, Footprint, Footprint, boolean]>([
    ['two reads of one entry', reads(entriesOf(3), 7), reads(entriesOf(3), 7), false],
    ['a read and a write of one entry', reads(entriesOf(3), 7), writes(entriesOf(3), 7), true],
    ['two writes of one entry', writes(entriesOf(3), 7), writes(entriesOf(3), 7), true],
    ['writes of two entries of a table', writes(entriesOf(3), 7), writes(entriesOf(3), 8), false],
    ['writes of the same entry of two tables', writes(entriesOf(3), 7), writes(entriesOf(4), 7), false],
    ['a scan and a write of an entry', reads(entriesOf(3)), writes(entriesOf(3), 8), true],
    ['a scan and a read of an entry', reads(entriesOf(3)), reads(entriesOf(3), 8), false],
    ['a table and its life', writes(entriesOf(3)), writes(lifeOf(3)), false],
    ['the lock of a table and that of all tables', writes(lockOf(3)), writes(lockOf(-1)), false],
    ['caches of two CPUs', writes(cachesOf(0)), writes(cachesOf(1)), false],
    ['something and nothing', writes(entriesOf(3)), NOTHING, false],
    ['something and everything', reads(entriesOf(3)), EVERYTHING, true],
    ['nothing and everything', NOTHING, EVERYTHING, true],
  ])('%s: %#', (_name, one, other, expected) => {
    expect([conflict(one, other), conflict(other, one)]).toEqual([expected, expected]);
  });

  it('of the end of an operation is with whatever it is judged by', () => {
    const end = endingIn(NOTHING);
    for (const judged of [entriesOf(3), lifeOf(3), cachesOf(1)]) {
      expect(conflict(end, writes(judged))).toBe(true);
      expect(conflict(end, reads(judged))).toBe(false);
    }
    for (const other of [lockOf(3), poolOf(0), requestsTo(1)]) expect(conflict(end, writes(other))).toBe(false);
    expect(conflict(end, end)).toBe(false);
  });

  it('never takes two objects for one, in the largest machine', () => {
    const objects = [0, 1, 31, 4095].flatMap((n) => [entriesOf(n), lifeOf(n), lockOf(n), poolOf(n), linkOf(n)]);
    expect(new Set(objects).size).toBe(objects.length);
  });
});
