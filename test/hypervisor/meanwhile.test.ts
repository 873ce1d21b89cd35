/** What another CPU does between two steps of an operation, one place at a time. */
import { describe, expect, it } from 'vitest';
import { INVALID_MFN } from '../../src/hypervisor/index.ts';
import { type Booted, boot, M2 } from '../support/hypervisor.ts';

const PGDIR = -1;

/** Lets CPU 1 act once, when CPU 0 is about to take a lock: an L3 table's, or map_pgdir_lock. */
function actBeforeLock(xen: Booted, which: 'L3' | 'pgdir', act: () => void): void {
  const recorder = xen.record();
  let hasActed = false;
  recorder.onEnter = (operation, [lock]) => {
    if (operation !== 'lock' || hasActed || (lock === PGDIR) !== (which === 'pgdir')) return;
    hasActed = true;
    act();
  };
}

describe('rollback', () => {
  it('gives back a table that it has reserved and another CPU has added meanwhile', () => {
    const xen = boot({ cpus: 2, behaviour: { onFailure: 'rollback' } });
    xen.map(M2, 0x105); // the tables above
    actBeforeLock(xen, 'L3', () => expect(xen.mapOn(1, 7, 0x107)).toBe(0));
    expect(xen.mapOn(0, 5, 0x105)).toBe(0);
    expect([xen.read(5), xen.read(7)]).toEqual([0x105, 0x107]);
    expect([xen.mm.heap.frees, xen.problems()]).toEqual([1, []]);
  });
});

// With the L3 lock nobody can come between; without it these looks at the entry are all there is.
describe('removing an empty table, before the fix of XSA-345', () => {
  const emptied = (act: (xen: Booted) => void): Booted => {
    const xen = boot({ cpus: 2, locking: 'none-prefix', behaviour: 'xen' });
    for (const frame of [0x200, 0x201]) xen.machine.host.write32(frame * 4096, 0); // zero like an empty table
    xen.map(0, 0x105);
    actBeforeLock(xen, 'pgdir', () => act(xen));
    expect(xen.destroy(0, 1)).toBe(0);
    return xen;
  };

  it('leaves a superpage that was mapped over it meanwhile', () => {
    const xen = emptied((on) => expect(on.mapOn(1, 0, 0x200, M2)).toBe(0));
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it('leaves an entry that was unmapped meanwhile, table and all', () => {
    const xen = emptied((on) => expect(on.mapOn(1, 0, INVALID_MFN, M2, 0)).toBe(0));
    expect([xen.mapped(), xen.problems()]).toEqual([[], []]);
  });
});
