/** The locking `reverify`: what is locked when, what is done again, and when tables are freed. One schedule each. */
import { describe, expect, it } from 'vitest';
import { INSIDE, ofCpu, SHOOTDOWNS } from '../../src/hypervisor/control.ts';
import { INVALID_MFN, lookUp, mapToMfn, PAGE_HYPERVISOR_RO, virtToXenL1e, Xen } from '../../src/hypervisor/index.ts';
import { Machine, StuckError } from '../../src/index.ts';
import { type Booted, boot, G1, M2, PRESETS, type Recorder, va } from '../support/hypervisor.ts';

const bootReverify = (options: object = {}): Booted => {
  const xen = boot({ locking: 'reverify', cpus: 2, ...options });
  xen.machine.mailboxes.patienceMs = 5;
  return xen;
};

/** Lets CPU 1 act once, when CPU 0 comes to an operation for the nth time. */
function at(recorder: Recorder, operation: string, nth: number, act: () => void): void {
  let seen = 0;
  recorder.onEnter = (entered) => {
    if (entered === operation && ++seen === nth) act();
  };
}

/** All of 1 GiB as it was but for page 5, so that mapping that coalesces twice. */
const nearly1G = (): Booted => {
  const xen = bootReverify();
  xen.map(0, 0, G1);
  xen.map(5, 0x105);
  return xen;
};

describe('a lock per table', () => {
  it('is taken where an entry changes, and not on the way there', () => {
    const xen = bootReverify();
    xen.map(0, 0x100);
    const trace = xen.recorded(() => xen.map(7, 0x107));
    expect(trace.steps()).toEqual(['lock L1', 'write L1', 'unlock L1']);
  });

  it('is not taken to read', () => {
    const xen = bootReverify();
    xen.map(0, 0x100);
    const trace = xen.recorded(() => {
      expect(mapToMfn(xen.mm, xen.directmap)).toBe(0x100);
      expect(lookUp(xen.mm, va(0)).level).toBe(1);
    });
    expect(trace.steps()).toEqual([]);
    expect([trace.count('begin'), trace.count('end')]).toEqual([2, 2]);
  });

  it('is kept while the request goes on in the same table, and what changed there is flushed before the next', () => {
    const xen = bootReverify();
    xen.map(0, 0x101, 2 * M2);
    const trace = xen.recorded(() => xen.map(M2 - 2, 0x301, 4));
    expect(trace.steps()).toEqual([
      ...['lock L1', 'write L1', 'write L1', 'flush all G', 'unlock L1'],
      ...['lock L1', 'write L1', 'write L1', 'flush all G', 'unlock L1'],
    ]);
  });

  it('coalescing takes that of the table above, then that of the table, which ends stale', () => {
    const xen = nearly1G();
    const trace = xen.recorded(() => xen.map(5, 5));
    expect(trace.steps()).toEqual([
      ...['lock L1', 'write L1', 'flush 0 G', 'unlock L1'],
      ...['lock L2', 'lock L1', 'write L2', 'retire L1', 'flush 9 G', 'unlock L2'],
      ...['lock L3', 'lock L2', 'write L3', 'retire L2', 'flush 18 G', 'unlock L3'],
      ...['free L1', 'free L2'],
    ]);
  });

  it('replacing tables makes them stale from the top after the store, before the flush', () => {
    const xen = nearly1G();
    const trace = xen.recorded(() => xen.map(0, G1, G1));
    expect(trace.steps()).toEqual([
      ...['lock L3', 'write L3', 'lock L2', 'retire L2', 'lock L1', 'retire L1'],
      ...['flush 18 G', 'unlock L3', 'free L1', 'free L2'],
    ]);
  });

  it('destroying the last page takes that of the table above, then that of the table', () => {
    const xen = bootReverify();
    xen.map(0, 0x100);
    const trace = xen.recorded(() => xen.destroy(0, 1));
    expect(trace.steps('lock', 'unlock', 'retire', 'write', 'free')).toEqual([
      ...['lock L1', 'clear L1', 'unlock L1'],
      ...['lock L2', 'lock L1', 'clear L2', 'retire L1', 'unlock L2'],
      ...['lock L3', 'lock L2', 'clear L3', 'retire L2', 'unlock L3', 'free L1', 'free L2'],
    ]);
  });

  it('L4 entries are under map_pgdir_lock, as with the others', () => {
    const xen = bootReverify();
    const trace = xen.recorded(() => virtToXenL1e(xen.mm, va(0)));
    expect(trace.steps('lock', 'unlock', 'publish')).toEqual([
      ...['lock pgdir', 'link L3', 'unlock pgdir'],
      ...['lock L3', 'link L2', 'unlock L3', 'lock L2', 'link L1', 'unlock L2'],
    ]);
  });

  it('a table of an image that is replaced is neither freed nor stale', () => {
    const xen = bootReverify();
    xen.map(0, 0x101, 9);
    const l1 = xen.table(0, 1)!;
    xen.xen.frames.mark(l1, 1);
    const trace = xen.recorded(() => xen.mapOn(0, 0, 0, M2));
    expect(trace.steps('lock', 'unlock', 'retire')).toEqual(['lock L2', 'lock L1', 'unlock L1', 'unlock L2']);
    expect(xen.xen.frames.info(l1).state).toBe('in use');
  });
});

describe('what another CPU does between a look and the lock', () => {
  const cases: readonly [string, prepare: (xen: Booted) => void, act: (xen: Booted) => void, string[]][] = [
    [
      'the same page',
      (xen) => xen.map(0, 0x100),
      (xen) => xen.mapOn(1, 7, 0x109),
      ['0x0: 1 x 4K', '0x7: 1 x 4K -> 0x107'],
    ],
    ['a split', (xen) => xen.map(0, 0, M2), (xen) => xen.mapOn(1, 9, 0x109), ['0x7: 1 x 4K -> 0x107', '0x9: 1 x 4K']],
    ['a superpage', () => {}, (xen) => xen.mapOn(1, 0, 0, M2), ['0x0: 7 x 4K', '0x7: 1 x 4K -> 0x107']],
    ['a new table', () => {}, (xen) => xen.mapOn(1, 9, 0x109), ['0x7: 1 x 4K -> 0x107', '0x9: 1 x 4K']],
  ];

  it.each(cases)('%s: the step is done again, over what is there now', (_what, prepare, act, expected) => {
    for (const behaviour of PRESETS) {
      const xen = bootReverify({ behaviour });
      xen.map(G1, 0x100); // the L3 table
      prepare(xen);
      at(xen.record(), 'lock', 1, () => act(xen));
      expect(xen.mapOn(0, 7, 0x107)).toBe(0);
      xen.mm.observer = null;
      const mapped = xen.mapped().join('\n');
      for (const run of expected) expect(mapped).toContain(run);
      expect(xen.problems()).toEqual([]);
    }
  });

  it('the table became stale: the step begins again above it', () => {
    const xen = nearly1G();
    const recorder = xen.record();
    at(recorder, 'lock', 1, () => expect(() => xen.mapOn(1, 5, 5)).toThrow(StuckError)); // done, but for the free
    expect(xen.mapOn(0, 7, 0x107)).toBe(0);
    xen.mm.observer = null;
    expect(recorder.steps('lock', 'publish', 'write').slice(0, 5)).toEqual([
      ...['lock L1', 'lock L3', 'link L2', 'lock L2', 'link L1'],
    ]);
    expect([5, 6, 7, 8].map((page) => xen.read(page))).toEqual([5, 6, 0x107, 8]);
    expect(xen.mapOn(1, G1, 0x100)).toBe(0); // and now the free
    expect(xen.problems()).toEqual([]);
  });

  it('a page that was unmapped and is mapped again is flushed in between', () => {
    const xen = bootReverify();
    xen.map(0, 0x101, 2 * M2);
    expect(xen.read(1)).toBe(0x102);
    // CPU 0 has unmapped the pages of one table and goes on to the next, when CPU 1 maps one of them.
    at(xen.record(), 'lock', 2, () => {
      expect(xen.mapOn(1, 1, 0x300)).toBe(0);
      expect([xen.read(1), xen.read(1, 1)]).toEqual([0x300, 0x300]);
    });
    expect(xen.mapOn(0, 1, INVALID_MFN, M2 + 5, 0)).toBe(0);
    expect(xen.read(1)).toBe(0x300);
  });

  it('a walk without a lock, interrupted between two loads, comes to a table that is stale and not free', () => {
    const xen = nearly1G();
    const recorder = xen.record(1);
    let reads = 0;
    recorder.onLeave = ({ operation }) => {
      if (operation === 'read' && ++reads === 2) expect(() => xen.mapOn(0, 5, 5)).toThrow(StuckError);
    };
    expect(lookUp(xen.mms[1]!, va(5)).level).toBe(2); // as it was when the L2 table was unlinked
    xen.mms[1]!.observer = null;
    expect(lookUp(xen.mms[1]!, va(5)).level).toBe(3);
  });
});

describe('a grace period', () => {
  const shared = (): { machine: Machine; xen: Xen; control: Int32Array } => {
    const machine = new Machine({ memory: { size: 1 << 16, shared: true }, cpus: 3 });
    const xen = new Xen(machine, { heap: { start: 0, size: 1 << 16 }, locking: 'reverify' });
    machine.mailboxes.patienceMs = 5;
    return { machine, xen, control: new Int32Array(xen.share().state.control) };
  };

  it('waits for an operation that began before, and not for one that began since', () => {
    const { xen } = shared();
    const [one, two] = [xen.on(0).grace, xen.on(1).grace];
    two.enter();
    expect(() => one.period()).toThrow(/CPU 0 waited 5 ms for the end of all operations that read tables/);
    const number = 2; // the one that comes next
    expect(one.isOver(number)).toBe(false);
    two.leave();
    expect(one.period()).toBe(number);
    two.enter();
    expect([one.isOver(number), one.isOver(number + 1)]).toEqual([true, false]);
  });

  it('waits for no CPU that is parked, offline, or waits itself', () => {
    const { machine, xen } = shared();
    const { grace } = xen.on(0);
    for (const cpu of [1, 2]) xen.on(cpu).grace.enter();
    expect(grace.isOver(1)).toBe(false);
    machine.cpus[1]!.park();
    expect(grace.isOver(1)).toBe(false);
    machine.mailboxes.setOffline(2);
    expect(grace.isOver(1)).toBe(true);
    grace.enter();
    expect(grace.isOver(1)).toBe(true);
  });

  it('counts past the end of its numbers', () => {
    const { xen, control } = shared();
    const { grace } = xen.on(0);
    for (const last of [2 ** 31 - 1, -2, -1, 0]) {
      control[SHOOTDOWNS] = last;
      xen.on(1).grace.enter();
      const next = last === -1 ? 1 : (last + 1) | 0;
      expect([last, grace.isOver(next)]).toEqual([last, false]);
      xen.on(1).grace.leave();
      control[SHOOTDOWNS] = next;
      xen.on(1).grace.enter();
      expect([last, grace.isOver(next)]).toEqual([last, true]);
    }
  });

  it('whoever runs a CPU anew is outside', () => {
    const { xen, control } = shared();
    xen.on(1).grace.enter();
    expect(control[ofCpu(1, INSIDE)]).not.toBe(0);
    Xen.attach(xen.share(), 1);
    expect(control[ofCpu(1, INSIDE)]).toBe(0);
  });

  it('a request that fails ends its operation too', () => {
    const xen = bootReverify({ behaviour: { requests: 'strict' } });
    xen.map(0, 0x100);
    xen.mm.heap.budget = 0;
    expect(xen.map(G1, 0x100)).toBeLessThan(0);
    expect(xen.modify(0, 5, PAGE_HYPERVISOR_RO)).toBeLessThan(0);
    expect(xen.mms[1]!.grace.isOver(1)).toBe(true);
  });
});
