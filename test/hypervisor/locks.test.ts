/** Edge cases 55 to 61, 86 and 87: what is locked, in which order, and what would be a deadlock. One schedule each. */
import { describe, expect, it } from 'vitest';
import {
  type Locking,
  lookUp,
  mapPages,
  PAGE_HYPERVISOR_RO,
  SYS_STATE_ACTIVE,
  SYS_STATE_BOOT,
  SYS_STATE_SMP_BOOT,
  SYS_STATE_SUSPEND,
} from '../../src/hypervisor/index.ts';
import { StuckError } from '../../src/index.ts';
import { type Booted, boot, G1, G512, M2, PRESETS, type Recorder, va } from '../support/hypervisor.ts';

const PGDIR = -1;

/** Runs something on another CPU, once, when CPU 0 comes to an operation. */
function at(recorder: Recorder, operation: string, run: () => void, what?: number): void {
  let hasRun = false;
  recorder.onEnter = (entered, operands) => {
    if (hasRun || entered !== operation || (what !== undefined && operands[0] !== what)) return;
    hasRun = true;
    run();
  };
}

describe.each(PRESETS)('L3 locks, behaviour %s', (behaviour) => {
  it('56: CPUs below different L3 tables do not wait for each other', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0x100);
    xen.map(G512, 0x100);
    at(xen.record(), 'writeRun', () => {
      expect(xen.mm.locks.isHolding).toBe(true);
      expect(xen.mapOn(1, G512 + 5, 0x105)).toBe(0);
    });
    expect(xen.map(5, 0x105)).toBe(0);
    expect([xen.read(5, 1), xen.read(G512 + 5)]).toEqual([0x105, 0x105]);
  });

  it('56: CPUs below the same L3 table wait for each other', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0x100);
    xen.machine.mailboxes.patienceMs = 5;
    const waited = `CPU 1 waited 5 ms for the lock of L3 table 0x${xen.table(0, 3)!.toString(16)}`;
    at(xen.record(), 'writeRun', () => {
      expect(() => xen.mapOn(1, 5 * G1, 0x105)).toThrow(StuckError);
      expect(() => xen.mapOn(1, 5 * G1, 0x105)).toThrow(waited);
    });
    expect(xen.map(5, 0x105)).toBe(0);
    expect(xen.mapOn(1, 5 * G1, 0x105)).toBe(0);
    expect(xen.problems()).toEqual([]);
  });

  it('56: a waiting CPU serves the flush that the holder of the lock waits for', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0x100);
    expect(xen.read(0, 1)).toBe(0x100);
    xen.machine.mailboxes.patienceMs = 5;
    at(xen.record(), 'shootdown', () => expect(() => xen.mapOn(1, 0, 0x105)).toThrow(StuckError));
    xen.map(0, 0x101);
    expect(xen.read(0, 1)).toBe(0x101);
  });

  it('58: an L3 lock after map_pgdir_lock is out of order', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    xen.mm.begin();
    xen.mm.locks.lockPgdir();
    expect(() => xen.mm.locks.lockBelow(xen.table(0, 3)!)).toThrow(
      /BUG: lock order: CPU 0 takes the lock of L3 table 0x\w+ while it holds map_pgdir_lock/,
    );
    xen.mm.locks.unlockPgdir();
  });

  it('58: a second L3 lock is out of order', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    xen.map(G512, 0x100);
    xen.mm.begin();
    xen.mm.locks.lockBelow(xen.table(0, 3)!);
    expect(() => xen.mm.locks.lockBelow(xen.table(G512, 3)!)).toThrow(/BUG: lock order/);
    xen.mm.locks.unlockBelow();
  });

  it('59: taking a lock that one holds is a deadlock, and found', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    const { locks } = xen.mm;
    xen.mm.begin();
    locks.lockBelow(xen.table(0, 3)!);
    expect(() => locks.lockBelow(xen.table(0, 3)!)).toThrow(/BUG: CPU 0 already holds the lock of L3 table 0x\w+/);
    locks.lockPgdir();
    expect(() => locks.lockPgdir()).toThrow('BUG: CPU 0 already holds map_pgdir_lock: it would wait for itself');
    locks.unlockPgdir();
    locks.unlockBelow();
    expect(locks.isHolding).toBe(false);
  });

  it('59: a request from inside a request of the same CPU is a deadlock, and found', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    at(xen.record(), 'writeRun', () => {
      expect(() => xen.mapOn(0, 7, 0x107)).toThrow(
        /BUG: an operation begins while this CPU holds the lock of L3 table/,
      );
    });
    expect(xen.map(5, 0x105)).toBe(0);
  });

  it('59: so is one from the hook for L4 entries', () => {
    const xen = boot(behaviour);
    xen.mm.onL4Entry = () => xen.mapOn(0, 7, 0x107);
    expect(() => xen.mapOn(0, 5, 0x105)).toThrow('BUG: an operation begins while this CPU holds map_pgdir_lock');
  });

  it('60, 61: with interrupts off no lock is taken while another CPU is online, waited for or not', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0x100);
    xen.mm.locks.irqsOn = false;
    const takes = /BUG: CPU 0 takes the lock of L3 table 0x\w+ with interrupts off while other CPUs are online/;
    expect(() => xen.mapOn(0, 5, 0x105)).toThrow(takes);
    expect(() => xen.mapOn(0, G512, 0x105)).toThrow('BUG: CPU 0 takes map_pgdir_lock with interrupts off');
    expect(xen.read(5)).toBe('#PF(0)');
  });

  it('60: with interrupts off the only CPU online may do everything', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0, G1);
    xen.machine.mailboxes.setOffline(1);
    xen.mm.locks.irqsOn = false;
    expect(xen.map(5, 0x105)).toBe(0);
    expect([xen.read(5), xen.mm.flush.ipis]).toEqual([0x105, 0]);
  });

  it('86: the last step keeps the L3 lock to the end: unlocking is the last thing that happens', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.map(5, 5, 1, PAGE_HYPERVISOR_RO);
    const trace = xen.recorded(() => xen.map(5, 5));
    expect(trace.steps().at(-1)).toBe('unlock L3');
    expect(trace.steps('free')).toEqual(['free L1', 'free L2']);
  });

  it('86: a failure inside leaves no lock, and one to add an L3 table takes none', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    xen.mm.heap.budget = 0;
    const inside = xen.recorded(() => expect(xen.map(M2, 0x105)).toBeLessThan(0));
    expect(inside.steps('lock', 'unlock')).toEqual(['lock L3', 'unlock L3']);
    const outside = xen.recorded(() => expect(xen.map(G512, 0x105)).toBeLessThan(0));
    expect(outside.steps('lock', 'unlock')).toEqual([]);
    expect(xen.mm.locks.isHolding).toBe(false);
  });

  it('86: a failure at the second L3 table comes after the lock of the first was dropped', () => {
    const xen = boot(behaviour);
    xen.map(G512 - 5, 0x100);
    xen.mm.heap.budget = 0;
    const trace = xen.recorded(() => expect(xen.map(G512 - 2, 0x100, 5)).toBeLessThan(0));
    expect(trace.steps().slice(-2)).toEqual(['unlock L3', 'alloc']);
  });

  it.each([
    ['boot to smp_boot', SYS_STATE_BOOT, SYS_STATE_SMP_BOOT, 0],
    ['active to boot', SYS_STATE_ACTIVE, SYS_STATE_BOOT, 1],
    ['active to suspend', SYS_STATE_ACTIVE, SYS_STATE_SUSPEND, 1],
  ])('87: a change from %s during a request unbalances no lock', (_what, before, after, locked) => {
    const xen = boot({ behaviour, systemState: before });
    xen.map(0, 0x100);
    const recorder = xen.record();
    at(recorder, 'alloc', () => {
      xen.xen.systemState = after;
    });
    xen.map(M2, 0x100, 600, PAGE_HYPERVISOR_RO);
    expect(recorder.count('lock')).toBe(recorder.count('unlock'));
    expect(recorder.count('lock') > 0 ? 1 : 0).toBe(locked);
    expect(xen.mm.locks.isHolding).toBe(false);
    expect(xen.map(7, 0x107)).toBe(0);
  });

  it('an exception on the way leaves no L3 lock behind', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    at(xen.record(), 'writeRun', () => {
      throw new Error('unwound');
    });
    expect(() => xen.mapOn(0, 5, 0x105)).toThrow('unwound');
    xen.mm.observer = null;
    expect(xen.problems()).toEqual([]);
  });
});

describe('the locking', () => {
  it('pgdir: is one lock for everything', () => {
    const xen = boot({ locking: 'pgdir', cpus: 2 });
    xen.map(0, 0x100);
    xen.map(G512, 0x100);
    xen.machine.mailboxes.patienceMs = 5;
    const recorder = xen.record();
    at(recorder, 'writeRun', () =>
      expect(() => xen.mapOn(1, G512 + 5, 0x105)).toThrow(/for map_pgdir_lock; CPU 0 .*holds map_pgdir_lock/),
    );
    expect(xen.map(M2, 0x105)).toBe(0);
    expect(recorder.steps('lock', 'unlock')).toEqual(['lock pgdir', 'unlock pgdir']);
    expect(xen.problems()).toEqual([]);
  });

  it('pgdir: maps, splits, coalesces and frees like the others', () => {
    const xen = boot({ locking: 'pgdir' });
    xen.map(0, 0, G1);
    xen.map(5, 0x105, 3, PAGE_HYPERVISOR_RO);
    xen.map(5, 5, 3);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
    xen.destroy(5, 6);
    xen.destroy(0, G1);
    expect(xen.xen.frames.tables()).toHaveLength(2);
  });

  it('none-prefix: takes map_pgdir_lock around the linking of tables only, and the behaviour xen', () => {
    const xen = boot({ locking: 'none-prefix', behaviour: 'xen' });
    xen.map(0, 0, G1);
    const trace = xen.recorded(() => xen.map(5, 0x105, 1, PAGE_HYPERVISOR_RO));
    expect(trace.steps('lock', 'unlock', 'publish', 'write')).toEqual([
      ...['lock pgdir', 'link L2', 'unlock pgdir'],
      ...['lock pgdir', 'link L1', 'unlock pgdir'],
      'write L1',
    ]);
    expect(() => boot({ locking: 'none-prefix', behaviour: 'pagewalk' })).toThrow(RangeError);
  });
});

/** 1 GiB that is one run of 2 MiB pages and 4 KiB pages but for page 5. */
function nearly1G(locking: Locking): Booted {
  const xen = boot({ locking, behaviour: 'xen', cpus: 2 });
  xen.machine.mailboxes.patienceMs = 5;
  xen.map(0, 0, G1);
  xen.map(5, 5, 1, PAGE_HYPERVISOR_RO);
  return xen;
}
const restoreOn1 = (xen: Booted): number => xen.mapOn(1, 5, 5);

describe('races of XSA-345, one schedule each', () => {
  /** What CPU 0 does, at which of its operations CPU 1 does what, and how that ends without L3 locks. */
  const RACES: readonly [string, (xen: Booted) => () => void, RegExp][] = [
    [
      'R1: a write into an L2 table that another CPU has freed',
      (xen) => {
        at(xen.record(), 'write', () => restoreOn1(xen));
        return () => {
          xen.mapOn(0, M2, M2, M2, PAGE_HYPERVISOR_RO);
          xen.mm.observer = null;
          for (let frame = 0; frame >= 0; ) frame = xen.mms[1]!.heap.alloc();
        };
      },
      /use of table 0x\w+, which is free|was written after the table was freed/,
    ],
    [
      'R1b: a 1 GiB page in the way of a walk that saw a table',
      (xen) => {
        const l3e = xen.table(0, 3)! * 512; // the directmap begins with an L3 table
        let reads = 0;
        xen.record().onLeave = ({ operation, operands }) => {
          if (operation === 'read' && operands[0] === l3e && reads++ === 0) restoreOn1(xen);
        };
        return () => xen.mapOn(0, M2 + 1, 7, 1, PAGE_HYPERVISOR_RO);
      },
      /BUG: virt_to_xen_l2e\(0xffff830000201000\): a superpage of level 3 is in the way/,
    ],
    [
      'R2: tables that two CPUs replaced are freed twice',
      (xen) => {
        at(xen.record(), 'write', () => xen.mapOn(1, 0, G1, G1));
        return () => xen.mapOn(0, 0, 2 * G1, G1);
      },
      /BUG: double free of table|use of table 0x\w+, which is free/,
    ],
  ];

  it.each(RACES)('55: %s: goes wrong without L3 locks', (_what, prepare, wrong) => {
    expect(prepare(nearly1G('none-prefix'))).toThrow(wrong);
  });

  it.each(RACES)('55: %s: CPU 1 waits with L3 locks', (_what, prepare) => {
    const xen = nearly1G('l3');
    expect(prepare(xen)).toThrow(StuckError);
    xen.mm.observer = null;
    expect(restoreOn1(xen)).toBe(0);
  });

  /** CPU 0 coalesces; between its scan and its store CPU 1 changes one page and returns success. */
  function lostUpdate(locking: Locking): Booted {
    const xen = boot({ locking, behaviour: 'xen', cpus: 2 });
    xen.machine.mailboxes.patienceMs = 5;
    xen.mapEach(0, 0x200, 511);
    at(xen.record(), 'write', () => expect(xen.mapOn(1, 7, 0x107, 1, PAGE_HYPERVISOR_RO)).toBe(0));
    return xen;
  }

  it('55: R3: a page that changes between scan and coalesce is lost without L3 locks', () => {
    const xen = lostUpdate('none-prefix');
    xen.mapOn(0, 511, 0x3ff);
    expect(xen.read(7)).toBe(0x207);
  });

  it('55: R3: CPU 1 waits with L3 locks', () => {
    const xen = lostUpdate('l3');
    expect(() => xen.mapOn(0, 511, 0x3ff)).toThrow(StuckError);
    expect(mapPages(xen.mms[1]!, xen.directmap + 7, 0x107, 1, PAGE_HYPERVISOR_RO)).toBe(0);
    expect(xen.read(7)).toBe(0x107);
  });

  it.each([
    ['1 GiB', 0, 7, 'link L2'],
    ['2 MiB', M2, M2 + 7, 'link L1'],
  ])('53, 55: who loses the race to split %s frees its own table after its flush, and uses the other one', (...row) => {
    const [, first, page, link] = row;
    const xen = boot({ locking: 'none-prefix', behaviour: 'xen', cpus: 2 });
    xen.map(first, first, first === 0 ? G1 : M2);
    const recorder = xen.record();
    at(recorder, 'lock', () => xen.mapOn(1, page + 1, 0x108, 1, PAGE_HYPERVISOR_RO), PGDIR);
    xen.mapOn(0, page, 0x107, 1, PAGE_HYPERVISOR_RO);
    expect(recorder.steps('publish')).not.toContain(link);
    expect(recorder.steps('shootdown', 'free').slice(0, 2)).toEqual([
      first === 0 ? 'flush 18 G' : 'flush 9 G',
      'free unused',
    ]);
    expect([page - 1, page, page + 1].map((each) => xen.read(each))).toEqual([page - 1, 0x107, 0x108]);
    expect(xen.problems()).toEqual([]);
  });

  it('62: a walk without a lock, interrupted between two loads, comes to a freed table', () => {
    const xen = nearly1G('l3');
    const recorder = xen.record(1);
    let reads = 0;
    recorder.onLeave = ({ operation }) => {
      // It has read the L3 entry, which leads to the L2 table.
      if (operation === 'read' && ++reads === 2) xen.mapOn(0, 5, 5);
    };
    expect(() => lookUp(xen.mms[1]!, va(5))).toThrow(/BUG: use of table 0x\w+, which is free/);
  });

  it('57: map_pgdir_lock is held over the re-check and the store, and nothing else', () => {
    for (const behaviour of PRESETS) {
      const xen = boot(behaviour);
      xen.map(0, 0, G1);
      const recorder = xen.record();
      xen.map(5, 5, 1, PAGE_HYPERVISOR_RO);
      xen.map(5, 5);
      xen.destroy(0, 5);
      xen.destroy(0, G1);
      const within: string[] = [];
      let isHeld = false;
      for (const { operation, operands } of recorder.events) {
        if (operation === 'unlock' && operands[0] === PGDIR) isHeld = false;
        if (isHeld) within.push(operation);
        if (operation === 'lock' && operands[0] === PGDIR) isHeld = true;
      }
      expect(within.length).toBeGreaterThan(10);
      const looks = behaviour === 'pagewalk' ? ['isKept'] : [];
      expect(new Set(within)).toEqual(new Set(['read', 'publish', 'scan', 'write', 'scanEmpty', ...looks]));
    }
  });
});
