/**
 * What x86 says beyond the models: entries that are absent, read-only, global; A and D that software clears; frames that are
 * used again; interrupts in the wrong order. E6 to E8, E10 to E12 and E14 of the list; the others are about the levels above
 * (litmus-structures.test.ts). Source: SDM 3A, "Caching Translation Information". For the notation see litmus-elt.ts.
 */
import type { EltMachine } from '../support/litmus-elt.ts';
import { forbidden, judge, permitted, type Says } from '../support/litmus-rows.ts';

const ABSENT: EltMachine = { mapped: 'x=0' };
const READ_ONLY: EltMachine = { mapped: 'x=ar', warm: 'x' };
const WARM: EltMachine = { warm: 'x' };
const DIRTY: EltMachine = { warm: 'x', dirty: 'x' };
const SPURIOUS: EltMachine = { ...READ_ONLY, deniedHit: 'fault' };

const faults: Says = ([one]) => one.faults;
const succeeds: Says = ([one]) => !one.faults;

judge([
  permitted('E6', 'Px=a ‖ Rx', 'a fault', faults, ABSENT),
  permitted('E6', 'Px=a ‖ Rx', 'no fault', succeeds, ABSENT),
  permitted('E6', 'Px=a;Rx', 'a fault, where the store is on its way', faults, { ...ABSENT, storeBuffers: true }),
  forbidden(
    'E6',
    'Px=a;! ‖ Rx;?;Rx',
    'a fault again: what is absent is not cached',
    ([, again]) => again.faults,
    undefined,
    [ABSENT, { ...ABSENT, storeBuffers: true, walks: ['', 'x'] }],
  ),
  permitted('E7', 'Px=a;! ‖ ?;Wx1', 'a fault, by what is cached', ([w]) => w.faults, SPURIOUS),
  forbidden('E7', 'Px=a;! ‖ ?;Ix;Wx1', 'a fault after INVLPG', ([w]) => w.faults, undefined, [READ_ONLY, SPURIOUS]),
  forbidden('E7', 'Px=a;! ‖ ?;Wx1;Wx2', 'a fault twice', ([w, again]) => w.faults && again.faults, undefined, [
    SPURIOUS,
  ]),
  permitted('E7', 'Px=ar;! ‖ ?;Wx1', 'a store to a read-only page, by what is cached', succeeds, DIRTY),
  forbidden('E7', 'Px=ar;! ‖ ?;Ix;Wx1', 'a store to a read-only page after INVLPG', succeeds),
  permitted('E8', 'Px=a;Wx1', 'D is not set again', (_, { entries: { x } }) => !x.isDirty, DIRTY),
  forbidden('E8', 'Px=a;Ix;Wx1', 'D is not set again after INVLPG', (_, { entries: { x } }) => !x.isDirty),
  permitted('E8', 'Px=an;Rx', 'A is not set again', (_, { entries: { x } }) => !x.isAccessed, WARM),
  forbidden('E8', 'Px=an;Ix;Rx', 'A is not set again after INVLPG', (_, { entries: { x } }) => !x.isAccessed),
]);

// Frame a is used again through page z, once nobody uses it through x any more.
const REUSED: EltMachine = { mapped: 'z=a', warm: 'xz', dirty: 'xz' };
const reuses = [
  REUSED,
  { ...REUSED, storeBuffers: true },
  { ...REUSED, evictions: 1 },
  { ...REUSED, walks: ['', 'x'] },
];
const GLOBAL: EltMachine = { mapped: 'x=ag', warm: 'x' };
const old: Says = ([r]) => r.frame === 'a';

judge([
  forbidden(
    'E10',
    'Px=d;Sx;Wz2 ‖ Rx',
    'new content by the old mapping',
    ([, r]) => r.frame === 'a' && r.value === 2,
    { what: 'where nobody waits for the acknowledgement', on: { ...REUSED, plant: 'no-ack' } },
    reuses,
  ),
  forbidden(
    'E10',
    'Px=d;Sx;Wz2 ‖ Wx1',
    'a store by the old mapping in new content',
    (_, { data }) => data.a === 1,
    { what: 'where the acknowledgement comes first', on: { ...REUSED, plant: 'ack-before-flush' } },
    reuses,
  ),
  permitted(
    'E11',
    'Sx;Px=d;Ix;! ‖ Rx;?;Rx',
    'the old frame, cached again after the IPI',
    ([, r]) => r.frame === 'a',
    WARM,
  ),
  forbidden('E11', 'Px=d;Sx;! ‖ Rx;?;Rx', 'the old frame, where the IPI comes last', ([, r]) => r.frame === 'a'),
  permitted('E12', 'Px=dg;C;Rx', 'the old frame after MOV to CR3: it was global', old, GLOBAL),
  forbidden('E12', 'Px=dg;C;Rx', 'the old frame after MOV to CR3, where it was not', old, undefined, [WARM]),
  forbidden('E12', 'Px=dg;G;Rx', 'the old frame after everything was dropped', old, undefined, [GLOBAL, WARM]),
  forbidden('E12', 'Px=dg;Ix;Rx', 'the old frame after INVLPG, which drops global ones', old, undefined, [
    GLOBAL,
    WARM,
  ]),
]);

judge([
  forbidden(
    'E14',
    'Ex=d ‖ Wx1',
    'D is lost',
    ([e, w]) => w.frame === 'a' && e.value === 0,
    {
      what: 'where the entry is loaded and stored',
      program: 'Lx;Px=d ‖ Wx1',
    },
    [{}, WARM, { ...WARM, storeBuffers: true, evictions: 1 }],
  ),
  forbidden('E14', 'Ex=d ‖ Wx1', 'the new entry is lost', (_, { entries: { x } }) => x.frame === 'a', {
    what: 'where D is set by a load and a store',
    program: 'Ex=d ‖ Dx',
  }),
]);
