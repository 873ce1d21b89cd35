/**
 * The 31 enhanced litmus tests of COATCheck, as TransForm has them (github.com/naorinh/TransForm), on the explored machine.
 * For the notation see litmus-elt.ts.
 */
import { describe, expect, it } from 'vitest';
import { type Access, type EltMachine, eltOutcomes } from '../support/litmus-elt.ts';
import { forbidden, judge, permitted, type Says } from '../support/litmus-rows.ts';

const EVICTS: EltMachine = { evictions: 1 };
/** x and y are cached, and D is set in x. */
const CACHED: EltMachine = { warm: 'xy', dirty: 'x' };
const BUFFERED: EltMachine = { ...CACHED, dirty: 'xy', storeBuffers: true };

const walkTo = (frame: string, ...accesses: readonly Access[]): boolean =>
  accesses.every((access) => access.walks && access.frame === frame);

judge([
  permitted('null', 'Wx1', 'the store arrives, and D is set', (_, end) => end.data.a === 1 && end.entries.x.isDirty),
  permitted('readfrominitial', 'Rx', 'what is there at first', ([r]) => r.value === 0),
  permitted('rftest', 'Wx1 ‖ Rx', 'one reads what the other stores', ([, r]) => r.value === 1),
  permitted('ghosttest', 'Wx1 ‖ Wy1', 'each sets D of its own', (_, { entries: { x, y } }) => x.isDirty && y.isDirty),
  permitted('intelbug', 'Wx1;Ry', 'D of one page and a load of the other', ([w, r], end) => {
    return w.walks && end.entries.x.isDirty && !end.entries.y.isDirty && r.value === 0;
  }),
]);

const dirtied: Says = ([w, r]) => w.walks && r.walks && r.seesDirty;
const ownWalksToNew: Says = ([one, other], { entries: { x } }) =>
  walkTo('d', one, other) && other.value === 1 && x.frame === 'd' && x.isDirty;

judge([
  permitted('ptwalk3', 'Rx;Rx', 'both walk', ([one, other]) => one.walks && other.walks, EVICTS, {
    what: 'where caches hold on',
  }),
  permitted('invlpgtest', 'Ix;Rx', 'a walk, though nothing has changed', ([r]) => r.walks, CACHED, {
    what: 'without INVLPG',
    program: 'Rx',
    on: CACHED,
  }),
  permitted('dirtybittest', 'Wx1;Rx', 'both walk, and the load sees the D of the store', dirtied, EVICTS),
  permitted('dirtybit2', 'Px=d;Ix;Wx1;Rx', 'both walk to the new frame, and D is set there', ownWalksToNew, EVICTS),
  permitted('dirtybit3', 'Px=d;Ix;Rx;Wx1', 'both walk to the new frame, and D is set there', ownWalksToNew),
  permitted('dirtybit4', 'Px=d;Ix;Rx;Wx1', 'the load walks before D is set, and the store after it', ([r, w]) => {
    return walkTo('d', r, w) && !r.seesDirty && !w.seesDirty;
  }),
  permitted('dirtybit5', 'Wx1;Rx', 'both walk, and the load sees the D of the store', dirtied, EVICTS),
  permitted('dirtybit6', 'Wx1;Rx', 'both walk, and the load sees the D of the store', dirtied, EVICTS),
  permitted('ptwalktest', 'Px=d;Ix;Wx1;Rx', 'both walk to the new frame', (all) => walkTo('d', all[0], all[1]), EVICTS),
  forbidden('ptwalk2', 'Px=d;Ix;Rx', 'the old frame after INVLPG', ([r]) => r.frame === 'a', {
    what: 'without INVLPG',
    program: 'Px=d;Rx',
    on: CACHED,
  }),
  forbidden('mrf1', 'Px=d;Rx', 'a frame that is neither the old nor the new one', ([r]) => !'ad'.includes(r.frame)),
  forbidden(
    'mrf1',
    'Px=d;Rx',
    'without INVLPG, the own walk reads the entry as it was',
    ([r]) => walkTo('a', r),
    { what: 'where the store waits in a buffer: walks do not look there', on: { storeBuffers: true } },
    [{}, { warm: 'x' }, { warm: 'x', evictions: 1 }],
  ),
]);

const stores = 'Wx1;Wy1 ‖ Wx2;Wz1 ‖ Rx;Rx ‖ Rz;Ry';
judge([
  permitted('ipi_ordering', 'Rx ‖ Rx;Wx1', 'the one reads the store, the other what was there', ([one, other]) => {
    return one.value === 1 && other.value === 0;
  }),
  forbidden('mp', 'Wx1;Wy1 ‖ Ry;Rx', 'y is new and x is old', ([, , y, x]) => y.value === 1 && x.value === 0, {
    what: 'where the stores change places',
    program: 'Wy1;Wx1 ‖ Ry;Rx',
  }),
  permitted('sb', 'Wx1;Ry ‖ Wy1;Rx', 'both are old', ([, y, , x]) => y.value === 0 && x.value === 0, BUFFERED, {
    what: 'without store buffers',
  }),
  permitted(
    'n2',
    stores,
    'x changes from 1 to 2; z is new and y is old',
    ([, , , , one, other, z, y]) => one.value === 1 && other.value === 2 && z.value === 1 && y.value === 0,
    { warm: 'xyz', dirty: 'xyz', storeBuffers: true },
  ),
  forbidden(
    'n5',
    'Wx1;Rx ‖ Wx2;Rx',
    'each reads the store of the other',
    ([, r, , s]) => r.value === 2 && s.value === 1,
    {
      what: 'where the loads are those of others',
      program: 'Wx1 ‖ Wx2 ‖ Rx ‖ Rx',
      says: ([, , r, s]) => r.value === 2 && s.value === 1,
      on: { warm: 'x', dirty: 'x' },
    },
  ),
]);

// The IPI of a remap: a message that comes after the store to the entry, and an INVLPG when it is there.
const after = 'Py=d;!;Iy;Wx1;Rx;Ry ‖ ?;Iy;Rx;Wy2;Wx3';
const before = 'Py=d;!;Iy;Wx1;Rx;Ry ‖ Rx;Wy2;Wx3;?;Iy';
const sameY: Says = ([, , r, , w]) => r.frame === w.frame && r.frame !== 'a';
const otherY: Says = ([, , r, , w]) => r.frame !== w.frame;
const bothWalk: Says = ([, , r, , w]) => r.walks && w.walks;
const machines: readonly EltMachine[] = [{ ...CACHED, walks: ['y', 'y'] }, BUFFERED, { ...CACHED, evictions: 1 }];

judge([
  permitted('ipi3', after, 'y is the same frame for both', sameY, CACHED),
  forbidden(
    'ipi4',
    after,
    'y is another frame for the other CPU',
    (all, end) => all[2].walks && otherY(all, end),
    {
      what: 'without INVLPG there',
      program: 'Py=d;!;Iy;Wx1;Rx;Ry ‖ ?;Rx;Wy2;Wx3',
      on: BUFFERED,
    },
    machines,
  ),
  permitted(
    'ipi5',
    before,
    'y is another frame, before INVLPG there',
    (all, end) => {
      return all[1].walks && bothWalk(all, end) && otherY(all, end);
    },
    { evictions: 1 },
  ),
  permitted(
    'ipi6',
    after,
    'both walk for y, to the same frame',
    (all, end) => bothWalk(all, end) && sameY(all, end),
    CACHED,
  ),
  permitted(
    'ipi7',
    after,
    'both walk for y, to the same frame',
    (all, end) => bothWalk(all, end) && sameY(all, end),
    CACHED,
  ),
  forbidden(
    'ipi8',
    after,
    'both walk for y, to different frames',
    (all, end) => bothWalk(all, end) && otherY(all, end),
    {
      what: 'where INVLPG does not wait for the message',
      program: 'Py=d;Iy;Wx1;Rx;Ry ‖ Iy;Rx;Wy2;Wx3',
      on: CACHED,
    },
    machines,
  ),
  forbidden('ipi4 and ipi8, with IPIs', 'Py=d;Sy;!;Ry ‖ ?;Wy2', 'y is another frame', ([r, w]) => r.frame !== w.frame, {
    what: 'where nobody waits for the acknowledgement',
    on: { ...BUFFERED, plant: 'no-ack' },
  }),
]);

const synonym = 'Py=a;!;Iy;Wx1;Ry ‖ ?;Iy;Wy2;Rx';
const without = 'Wx1;Ry ‖ Wy2;Rx';

judge([
  forbidden(
    'n5_synonym',
    synonym,
    'each reads the store of the other',
    ([, y, , x]) => y.value === 2 && x.value === 1,
    {
      what: 'where x and y are two frames',
      program: without,
    },
    machines,
  ),
  forbidden(
    'sb_synonym',
    synonym,
    'both are old',
    ([, y, , x]) => y.value === 0 && x.value === 0,
    {
      what: 'where x and y are two frames',
      program: without,
      on: BUFFERED,
    },
    machines,
  ),
  permitted(
    'sb_synonym_permit',
    synonym,
    'each reads its own store',
    ([, y, , x]) => y.value === 1 && x.value === 2,
    BUFFERED,
  ),
  permitted(
    'new_sb_synonym_permit',
    synonym,
    'both read the same store',
    ([, y, , x]) => y.value === x.value,
    BUFFERED,
  ),
]);

describe('leaving out schedules that come to the same', () => {
  it.each<[string, EltMachine]>([
    ['Wx1 ‖ Px=d;Ix', { storeBuffers: true }],
    ['Dx ‖ Px=d;Ix', { storeBuffers: true }],
    ['Rx;Rx ‖ Wx1', { warm: 'x', dirty: 'x', storeBuffers: true }],
    ['Rx ‖ Px=d', { warm: 'x', evictions: 1 }],
    ['Wx1;Ry ‖ Wy1;Rx', BUFFERED],
    ['Wx1 ‖ Px=d;Sx', BUFFERED],
  ])('loses no outcome of %s', (program, machine) => {
    const texts = (of: EltMachine): string[] =>
      eltOutcomes(program, of)
        .map((outcome) => JSON.stringify(outcome))
        .sort();
    expect(texts(machine)).toEqual(texts({ ...machine, reductions: 'off' }));
  });
});
