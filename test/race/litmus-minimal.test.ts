/**
 * The 32 minimal forbidden programs of TransForm's axioms up to seven events: without any part of one, its outcome is
 * permitted. Each is forbidden here, and seen with something left out: a test that cannot fail is no test. Numbers are
 * those of the list; several rows of a number are several outcomes. For the notation see litmus-elt.ts.
 */
import type { Access, EltMachine } from '../support/litmus-elt.ts';
import { forbidden, judge, type Says } from '../support/litmus-rows.ts';

const WARM: EltMachine = { warm: 'x', dirty: 'x' };
const BUFFERED: EltMachine = { storeBuffers: true };
const EVICTS: EltMachine = { evictions: 1 };
/** Where no hardware walks for no reason: who hits knows who filled. */
const COLD: readonly EltMachine[] = [{}, BUFFERED];
const EVICTING: readonly EltMachine[] = [EVICTS, { ...EVICTS, ...BUFFERED }];

/** Where D is not set at first: who sees it knows that it was set. */
const UNSET: readonly EltMachine[] = [...COLD, ...EVICTING, { warm: 'x', ...EVICTS, ...BUFFERED }];

const usesOld: Says = ([one]) => one.frame === 'a';
/** A store went to the new frame, and D is not set in the new entry. */
const losesD = ({ frame }: Access, { entries: { x } }: Parameters<Says>[1]): boolean => frame === 'd' && !x.isDirty;
/** A walk that misses D. */
const missesD = ({ walks, seesDirty }: Access): boolean => walks && !seesDirty;

// 1 to 9: a mapping changes. Sets of D as no hardware does them stand in for a walker that is wrong.
judge([
  forbidden('1', 'Px=d;Ix;Rx', 'the old frame', usesOld, { what: 'without INVLPG', program: 'Px=d;Rx', on: BUFFERED }),
  forbidden('2', 'Px=d;Ix;Wx1', 'the old frame', usesOld, { what: 'without INVLPG', program: 'Px=d;Wx1', on: WARM }),
  forbidden('2', 'Px=d;Ix;Wx1', 'D is lost', (_, { entries: { x } }) => !x.isDirty, {
    what: 'without INVLPG',
    program: 'Px=d;Wx1',
    on: BUFFERED,
  }),
  forbidden('3', '?;Ix;Rx ‖ Px=d;!;Ix', 'the old frame', usesOld, {
    what: 'without INVLPG there',
    program: '?;Rx ‖ Px=d;!;Ix',
    on: WARM,
  }),
  forbidden('3, with an IPI', '?;Rx ‖ Px=d;Sx;!', 'the old frame', usesOld, {
    what: 'where nobody waits for the acknowledgement',
    on: { ...WARM, plant: 'no-ack' },
  }),
  forbidden('4', '?;Ix;Wx1 ‖ Px=d;!;Ix', 'the old frame', usesOld, {
    what: 'without INVLPG there',
    program: '?;Wx1 ‖ Px=d;!;Ix',
    on: WARM,
  }),
  forbidden('4, with an IPI', '?;Wx1 ‖ Px=d;Sx;!', 'the old frame', usesOld, {
    what: 'where nobody waits for the acknowledgement',
    on: { ...WARM, plant: 'no-ack' },
  }),
  forbidden('5', 'Wx1;Px=d;Ix', 'D is set after the new entry', (_, { entries: { x } }) => x.isDirty, {
    what: 'where the store is that of another CPU',
    program: 'Wx1 ‖ Px=d;Ix',
  }),
  forbidden('5', 'Wx1 ‖ Px=d;Ix', 'D brings the old entry back', (_, { entries: { x } }) => x.frame === 'a', {
    what: 'where D is set by a load and a store',
    program: 'Dx ‖ Px=d;Ix',
  }),
  forbidden('6', 'Px=d;Ix;Wx1;Rx', 'the second walk misses D', ([, r]) => missesD(r), {
    what: 'where the load comes first',
    program: 'Px=d;Ix;Rx;Wx1',
    says: ([r]) => missesD(r),
  }),
  forbidden(
    '7',
    'Rx;Rx;Ix ‖ Px=d;!;Ix',
    'the first walk finds the new frame, the second one the old frame',
    ([one, other]) => one.walks && one.frame === 'd' && other.walks && other.frame === 'a',
    { what: 'where the loads are those of two CPUs', program: 'Rx ‖ Rx ‖ Px=d' },
  ),
  forbidden('8', 'Ix;Rx;Wx1 ‖ Px=d;!;Ix', 'D is lost', ([, w], end) => losesD(w, end), {
    what: 'where the old entry was used',
    says: ([, w], { entries: { x } }) => w.frame === 'a' && x.frame === 'd' && !x.isDirty,
  }),
  forbidden('9', 'Rx;Wx1;Ix ‖ Px=d;!;Ix', 'D is lost', ([, w], end) => losesD(w, end), {
    what: 'where the old entry was used',
    says: ([, w], { entries: { x } }) => w.frame === 'a' && x.frame === 'd' && !x.isDirty,
  }),
]);

const apart = 'where the two are those of two CPUs';

// 10 to 24: one CPU. A walk comes before its access, and accesses go in order: with store buffers this still holds.
judge([
  forbidden('10', 'Rx;Wx1', 'the load reads the store', ([r]) => r.value === 1, { what: apart, program: 'Rx ‖ Wx1' }),
  forbidden(
    '10',
    'Rx;Wx1',
    'the walk of the load sees D',
    ([r]) => r.seesDirty,
    { what: apart, program: 'Rx ‖ Wx1' },
    UNSET,
  ),
  forbidden('11', 'Rx;Wx1', 'the load uses the walk of the store', ([r]) => !r.walks, { what: 'warm', on: WARM }, COLD),
  forbidden('12', 'Wx1;Rx', 'the load misses the store', ([, r]) => r.value === 0, {
    what: apart,
    program: 'Wx1 ‖ Rx',
  }),
  forbidden('13', 'Wx1;Rx', 'the store uses the walk of the load', ([w]) => !w.walks, { what: 'warm', on: WARM }, COLD),
  forbidden('14', 'Wx1;Wx2', 'the first store is last', (_, { data }) => data.a === 1, {
    what: apart,
    program: 'Wx1 ‖ Wx2',
  }),
  forbidden(
    '14',
    'Wx1;Wx2',
    'the first walk sees D',
    ([w]) => w.seesDirty,
    { what: apart, program: 'Wx1 ‖ Wx2' },
    UNSET,
  ),
  forbidden(
    '15',
    'Wx1;Wx2',
    'the first store uses the walk of the second',
    ([w]) => !w.walks,
    { what: 'warm', on: WARM },
    COLD,
  ),
  forbidden(
    '16',
    'Rx;Wx1',
    'the walk of the load sees D, or it the store',
    ([r]) => r.seesDirty || r.value === 1,
    {
      what: apart,
      program: 'Rx ‖ Wx1',
    },
    UNSET,
  ),
  forbidden('17', 'Wx1;Rx', 'the second walk misses D', ([, r]) => missesD(r), { what: apart, program: 'Wx1 ‖ Rx' }),
  forbidden('18', 'Wx1;Wx2', 'the second walk misses D', ([, w]) => missesD(w), { what: apart, program: 'Wx1 ‖ Wx2' }),
  forbidden('19', 'Wx1;Wx2;Rx', 'the load reads the first store', ([, , r]) => r.value === 1, {
    what: apart,
    program: 'Wx1 ‖ Wx2;Rx',
  }),
  forbidden('20', 'Wx1;Wx2;Rx', 'the last walk misses D', ([, , r]) => missesD(r), {
    what: 'where the load is that of another CPU',
    program: 'Wx1;Wx2 ‖ Rx',
  }),
  forbidden(
    '21',
    'Wx1;Wx2;Rx',
    'the first store uses a later walk',
    ([w, , r]) => !w.walks && r.walks,
    { what: 'warm', on: { ...WARM, ...EVICTS } },
    EVICTING,
  ),
  forbidden(
    '22',
    'Wx1;Wx2;Rx',
    'the first store uses the walk of the second',
    ([w, v]) => !w.walks && v.walks,
    { what: 'warm', on: { ...WARM, ...EVICTS } },
    EVICTING,
  ),
  forbidden(
    '23',
    'Rx;Wx1;Rx',
    'the first load uses the last walk',
    ([r, , s]) => !r.walks && s.walks,
    { what: 'warm', on: { ...WARM, ...EVICTS } },
    EVICTING,
  ),
  forbidden(
    '24',
    'Wx1;Ix;Rx;Wx2',
    'the load uses the last walk',
    ([, r]) => !r.walks,
    { what: 'without what drops the first walk', program: 'Wx1;Rx;Wx2' },
    COLD,
  ),
]);

const newThenOld: Says = ([r, s]) => r.value === 1 && s.value === 0;
const threeApart = 'where all are those of three CPUs';

// 25 to 32: coherence between two CPUs.
judge([
  forbidden(
    '25',
    'Rx;Rx ‖ Wx1',
    'new, then old, by one walk',
    newThenOld,
    { what: threeApart, program: 'Rx ‖ Rx ‖ Wx1' },
    [...COLD, WARM],
  ),
  forbidden('26', 'Rx;Rx ‖ Wx1', 'new, then old, by two walks', newThenOld, undefined, EVICTING),
  forbidden(
    '27',
    'Rx;Rx ‖ Wx1',
    'new, then old, of the entry: the second walk misses D',
    ([r, s]) => r.seesDirty && missesD(s),
    {
      what: threeApart,
      program: 'Rx ‖ Rx ‖ Wx1',
    },
  ),
  forbidden(
    '28',
    'Rx;Wx1 ‖ Wx2',
    'the load reads what is stored after its own',
    ([r], { data }) => r.value === 2 && data.a === 2,
    {
      what: threeApart,
      program: 'Rx ‖ Wx1 ‖ Wx2',
    },
  ),
  forbidden(
    '28',
    'Rx;Wx1 ‖ Wx2',
    'the walk of the load sees D, that of the store does not',
    ([r, w]) => r.seesDirty && missesD(w),
    { what: threeApart, program: 'Rx ‖ Wx1 ‖ Wx2' },
  ),
  forbidden(
    '29',
    'Rx;Wx1 ‖ Wx2',
    'the same by the walk of the store',
    ([r], { data }) => r.value === 2 && data.a === 2,
    undefined,
    [WARM, { warm: 'x', ...BUFFERED }],
  ),
  forbidden(
    '30',
    'Wx1 ‖ Wx2;Rx',
    'the load reads what is stored before its own',
    ([, , r], { data }) => r.value === 1 && data.a === 2,
    {
      what: threeApart,
      program: 'Wx1 ‖ Wx2 ‖ Rx',
    },
  ),
  forbidden(
    '31',
    'Wx1 ‖ Wx2;Rx',
    'the same by a walk of the load',
    ([, , r], { data }) => r.walks && r.value === 1 && data.a === 2,
    undefined,
    EVICTING,
  ),
  forbidden(
    '32',
    'Xx1 ‖ Wx2',
    'a store between the halves of an exchange',
    ([x], { data }) => x.value === 0 && data.a === 1,
    {
      what: 'where the halves are a load and a store',
      program: 'Rx;Wx1 ‖ Wx2',
    },
  ),
]);
