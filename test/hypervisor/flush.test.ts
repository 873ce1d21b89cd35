/** Edge cases 60, 63 to 69, 72 to 74 and 84: who drops what when, assisted flushes, CPUs that come and go. */
import { describe, expect, it } from 'vitest';
import {
  FLUSH_CACHE_WRITEBACK,
  FLUSH_NO_ASSIST,
  FLUSH_ORDER,
  FLUSH_TLB,
  FLUSH_TLB_GLOBAL,
  FLUSH_VA_VALID,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
} from '../../src/hypervisor/index.ts';
import { G } from '../../src/mmu/entry.ts';
import { CR4 } from '../support/control-bits.ts';
import { type Booted, boot, G1, M2, PRESETS } from '../support/hypervisor.ts';

const XD = 1n << 63n;

/** What is mapped first, what replaces it, a page that a third CPU has cached, and what it reads before and after. */
type Change = readonly [
  what: string,
  prepare: (xen: Booted) => void,
  change: (xen: Booted) => number,
  page: number,
  before: number | string,
  after: number | string,
];

const CHANGES: readonly Change[] = [
  ['a 4 KiB page remapped', (xen) => xen.map(5, 0x105), (xen) => xen.map(5, 0x106), 5, 0x105, 0x106],
  ['a 4 KiB page unmapped', (xen) => xen.map(5, 0x105), (xen) => xen.unmap(5), 5, 0x105, '#PF(0)'],
  ['a 2 MiB page remapped', (xen) => xen.map(0, 0x200, M2), (xen) => xen.map(0, 0, M2), 7, 0x207, 7],
  ['a 1 GiB page remapped', (xen) => xen.map(0, 0, G1), (xen) => xen.map(0, G1, G1), 7, 7, 'no RAM'],
  ['a 1 GiB page unmapped', (xen) => xen.map(0, 0, G1), (xen) => xen.unmap(0, G1), 7, 7, '#PF(0)'],
  ['an L1 table replaced', (xen) => xen.map(0, 0x101, M2), (xen) => xen.map(0, 0, M2), 7, 0x108, 7],
  [
    'an L2 table replaced',
    (xen) => {
      xen.map(0, 0, G1);
      xen.map(7, 0x107);
    },
    (xen) => xen.map(0, 0, G1),
    7,
    0x107,
    7,
  ],
  ['a page of 2 MiB remapped', (xen) => xen.map(0, 0x200, M2), (xen) => xen.map(7, 0x107), 7, 0x207, 0x107],
  ['a page of 1 GiB remapped', (xen) => xen.map(0, 0, G1), (xen) => xen.map(7, 0x107), 7, 7, 0x107],
  ['a page of 1 GiB destroyed', (xen) => xen.map(0, 0, G1), (xen) => xen.destroy(7, 8), 7, 7, '#PF(0)'],
  ['the last page destroyed', (xen) => xen.map(7, 0x107), (xen) => xen.destroy(7, 8), 7, 0x107, '#PF(0)'],
  ['1 GiB destroyed', (xen) => xen.map(0, 0, G1), (xen) => xen.destroy(0, G1), 7, 7, '#PF(0)'],
];

describe.each(PRESETS)('shootdowns, behaviour %s', (behaviour) => {
  it.each(CHANGES)(
    '63, 84: %s: a third CPU may keep what it has until the first flush, and not past the call',
    (...row) => {
      const [, prepare, change, page, before, after] = row;
      const xen = boot({ behaviour, cpus: 3 });
      prepare(xen);
      expect(xen.read(page, 2)).toBe(before);
      const seen: (number | string)[] = [];
      xen.record().onEnter = (operation) => {
        if (operation === 'shootdown') seen.push(xen.read(page, 2));
      };
      expect(change(xen)).toBe(0);
      expect(seen[0]).toBe(before);
      expect([0, 1, 2].map((cpu) => xen.read(page, cpu))).toEqual([after, after, after]);
    },
  );

  it('63: a shootdown returns when every other CPU has acknowledged it', () => {
    const xen = boot({ behaviour, cpus: 3 });
    xen.map(5, 0x105);
    const { mailboxes } = xen.machine;
    const before = xen.cpus.map(({ counters }) => counters.invalidations);
    xen.map(5, 0x106);
    expect(mailboxes.unserved(0)).toEqual([]);
    expect(xen.cpus.map(({ counters }, cpu) => counters.invalidations - before[cpu]!)).toEqual([1, 1, 1]);
    expect([xen.mm.flush.requests, xen.mm.flush.ipis]).toEqual([1, 2]);
  });

  it('63, 74: a third CPU that walks again between store and flush has the new entry, or the old one until the flush', () => {
    const xen = boot({ behaviour, cpus: 3 });
    xen.map(0, 0x101, 20);
    expect(xen.read(3, 2)).toBe(0x104);
    const recorder = xen.record();
    let between: (number | string)[] = [];
    recorder.onEnter = (operation) => {
      // Through the cached L2 entry it still reaches the table that was unlinked.
      if (operation === 'shootdown') between = [xen.read(3, 2), xen.read(9, 2), xen.read(19, 2)];
    };
    xen.unmap(0, M2);
    expect(between).toEqual([0x104, 0x10a, 0x114]);
    expect([3, 9, 19].map((page) => xen.read(page, 2))).toEqual(['#PF(0)', '#PF(0)', '#PF(0)']);
  });

  it('66: a walk through a cached entry to the old L1 table is legal between coalesce and flush, and over after it', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0x200, M2);
    xen.map(7, 0x207, 1, PAGE_HYPERVISOR_RO);
    const levels: number[] = [];
    const recorder = xen.record();
    recorder.onEnter = (operation) => {
      if (operation !== 'shootdown' || xen.entry(0, 1) !== undefined) return;
      expect(xen.read(300, 1)).toBe(0x200 + 300);
      levels.push(xen.cpus[1]!.translator.level);
    };
    recorder.onLeave = ({ operation }) => {
      // Fills the structure caches again after the flush of the page itself.
      if (operation === 'acknowledge' && levels.length === 0) expect(xen.read(6, 1)).toBe(0x206);
    };
    expect(xen.read(5, 1)).toBe(0x205);
    xen.map(7, 0x207);
    xen.mm.observer = null;
    expect(levels).toEqual([1]);
    expect(xen.read(301, 1)).toBe(0x200 + 301);
    expect(xen.cpus[1]!.translator.level).toBe(2);
  });

  it('67: a flush of order 0 drops one page and leaves the others cached', () => {
    const xen = boot({ behaviour, cpus: 2, hitViews: 'off' });
    xen.map(0, 0x100, 10);
    for (let page = 0; page < 10; page++) for (const cpu of [0, 1]) xen.read(page, cpu);
    xen.map(4, 0x204);
    for (const cpu of [0, 1]) expect(missed(xen, cpu, [...Array(10).keys()])).toEqual([4]);
  });

  it('67: a flush of a higher order drops everything', () => {
    const xen = boot({ behaviour, cpus: 2, hitViews: 'off' });
    xen.map(0, 0x200, M2);
    xen.map(G1, 0x100, 3);
    for (const page of [0, G1, G1 + 1]) xen.read(page, 1);
    xen.map(0, 0, M2);
    expect(missed(xen, 1, [0, G1, G1 + 1])).toEqual([0, G1, G1 + 1]);
  });

  it('60: with interrupts off only the own TLB may be flushed', () => {
    const { mm } = boot({ behaviour, cpus: 2 });
    mm.locks.irqsOn = false;
    expect(() => mm.flush.all(0, FLUSH_TLB)).toThrow('BUG: CPU 0 flushes others with interrupts off');
    expect(() => mm.flush.mask(0b10, 0, FLUSH_TLB)).toThrow('BUG: CPU 0 flushes others with interrupts off');
    mm.flush.mask(0b01, 0, FLUSH_TLB);
    expect(mm.flush.ipis).toBe(0);
  });

  it('60: with interrupts off nothing degrades to a flush of the own TLB alone, whatever is locked', () => {
    const xen = boot({ behaviour, cpus: 2, systemState: 1 });
    xen.map(5, 0x105);
    xen.mm.locks.irqsOn = false;
    expect(() => xen.mapOn(0, 5, 0x106)).toThrow('BUG: CPU 0 flushes others with interrupts off');
  });

  it('72: a CPU that goes offline while it is in the mask is not waited for', () => {
    const { mailboxes, xen } = offlineDuring(behaviour);
    expect(xen.map(5, 0x106)).toBe(0);
    expect([mailboxes.isOnline(1), xen.read(5), xen.read(5, 2)]).toEqual([false, 0x106, 0x106]);
  });

  it('72: a CPU that is offline gets no IPI, and a mask with it alone flushes nobody', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(5, 0x105);
    xen.machine.mailboxes.setOffline(1);
    xen.map(5, 0x106);
    xen.mm.flush.mask(0b10, 0, FLUSH_TLB);
    expect(xen.mm.flush.ipis).toBe(0);
  });

  it('72: a CPU that was parked drops everything before it runs again', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(5, 0x105);
    expect(xen.read(5, 1)).toBe(0x105);
    xen.cpus[1]!.park();
    expect(xen.mapOn(0, 5, 0x106)).toBe(0);
    xen.cpus[1]!.unpark();
    expect(xen.read(5, 1)).toBe(0x106);
    expect(xen.problems()).toEqual([]);
  });

  it.each(CHANGES)('73: %s: is flushed where CR4.PGE = 0', (...row) => {
    const [, prepare, change, page, before, after] = row;
    const xen = boot({ behaviour, cpus: 2, cr4: 0 });
    prepare(xen);
    expect(xen.read(page, 1)).toBe(before);
    change(xen);
    expect(xen.read(page, 1)).toBe(after);
  });

  // flush_area_local() of order 0 is INVLPG of the current PCID; Xen then drops the address for each of its PCIDs.
  for (const [what, prepare, change, page, before, after] of CHANGES)
    it(`73: ${what}: is flushed for every PCID of Xen`, () => {
      const xen = boot({ behaviour, cpus: 2, cr4: CR4.PCIDE });
      const use = (pcid: number): void => {
        expect(xen.cpus[1]!.setCr3((xen.xen.root * 4096) | pcid, 1 << 31)).toBe(0);
      };
      prepare(xen);
      for (const pcid of [1, 2]) {
        use(pcid);
        expect(xen.read(page, 1)).toBe(before);
      }
      change(xen);
      for (const pcid of [0, 1, 2]) {
        use(pcid);
        expect(xen.read(page, 1)).toBe(after);
      }
    });
});

/** Which of these pages a CPU's TLB does not have. */
function missed(xen: Booted, cpu: number, pages: readonly number[]): number[] {
  const { counters } = xen.cpus[cpu]!;
  return pages.filter((page) => {
    const before = counters.misses;
    xen.read(page, cpu);
    return counters.misses > before;
  });
}

/** CPU 1 of three goes offline after the mask was made, before it could answer. */
function offlineDuring(behaviour: 'xen' | 'pagewalk'): { xen: Booted; mailboxes: Booted['machine']['mailboxes'] } {
  const machine: { mailboxes?: Booted['machine']['mailboxes'] } = {};
  const assistedFlush = (): boolean => {
    machine.mailboxes!.setOffline(1);
    return false;
  };
  const xen = boot({ behaviour, cpus: 3, assistedFlush });
  machine.mailboxes = xen.machine.mailboxes;
  xen.map(5, 0x105);
  for (const cpu of [0, 2]) xen.read(5, cpu);
  return { xen, mailboxes: machine.mailboxes };
}

describe('INVLPG', () => {
  it('68: of any address in a superpage drops all of it', () => {
    for (const pages of [M2, G1]) {
      const xen = boot();
      xen.map(0, 0, pages);
      expect([xen.read(3), xen.read(0x155)]).toEqual([3, 0x155]);
      xen.poke(0, pages === M2 ? 2 : 3, XD | BigInt(G1 * 4096) | 0x1e3n);
      expect(xen.read(3)).toBe(3);
      xen.mm.flush.local(xen.directmap + 400, FLUSH_TLB | FLUSH_ORDER(0));
      expect([xen.read(3), xen.read(0x155), xen.read(9)]).toEqual(['no RAM', 'no RAM', 'no RAM']);
    }
  });

  it('68: drops the entries of all sizes that cover the address', () => {
    const xen = boot({ hitViews: 'off' });
    xen.map(0, 0x201, M2);
    expect([xen.read(3), xen.read(4)]).toEqual([0x204, 0x205]);
    // Behind the TLB's back: the same address in two sizes.
    xen.poke(0, 2, XD | 0x1e3n);
    xen.cpu.translator.structures.flushAll();
    expect([xen.read(3), xen.read(5)]).toEqual([0x204, 5]);
    xen.poke(0, 2, XD | 0x20_01e3n);
    xen.mm.flush.local(xen.directmap + 3, FLUSH_TLB | FLUSH_ORDER(0));
    expect([xen.read(3), xen.read(5)]).toEqual([0x203, 0x205]);
    // Of the small pages one was named, the other stays.
    expect(xen.read(4)).toBe(0x205);
  });
});

describe('the window that modify leaves', () => {
  /** CPU 0 destroys pages 5 to 9 one by one; CPU 1 maps page 5 anew as soon as it gets the lock; CPU 2 has it cached. */
  function windowed(behaviour: 'xen' | 'pagewalk'): [xen: Booted, seenBy2: number | string] {
    const xen = boot({ behaviour, cpus: 3 });
    xen.map(0, 0x100, 20);
    expect(xen.read(5, 2)).toBe(0x105);
    let seen: number | string = 'never';
    xen.record().onLeave = ({ operation, operands }) => {
      if (operation !== 'unlock' || operands[0] === -1 || seen !== 'never') return;
      expect(xen.mapOn(1, 5, 0x205)).toBe(0);
      seen = xen.read(5, 2);
    };
    xen.destroy(5, 10);
    return [xen, seen];
  }

  it('64: xen: a page that another CPU maps anew meanwhile is still the old one for a third', () => {
    const [xen, seen] = windowed('xen');
    expect([seen, xen.read(5, 2)]).toEqual([0x105, 0x205]);
  });

  it('64: pagewalk: has no such window: what was cleared is flushed before the lock is dropped', () => {
    const [xen, seen] = windowed('pagewalk');
    expect([seen, xen.read(5, 2)]).toEqual([0x205, 0x205]);
  });
});

describe('A and D that hardware sets', () => {
  it('65: a D set while a page is split or modified may be lost, and the next write sets it again', () => {
    for (const behaviour of PRESETS) {
      const xen = boot({ behaviour, cpus: 2 });
      xen.map(0, 0x200, M2, PAGE_HYPERVISOR & ~0x60);
      const recorder = xen.record();
      recorder.onEnter = (operation) => {
        if (operation === 'publish') xen.canWrite(9, 1);
      };
      xen.map(5, 0x105);
      recorder.onEnter = () => {};
      expect([xen.read(9, 1), xen.canWrite(9, 1), xen.walk(9).at(-1)!.flags]).toEqual([0x209, true, 'P RW A D G XD']);
    }
  });
});

describe('assisted flushes', () => {
  /** A hypervisor below that does as it is asked; what it was asked. */
  function assisted(behaviour: 'xen' | 'pagewalk', flushes = true): { xen: Booted; asked: string[] } {
    const asked: string[] = [];
    const below: { xen?: Booted } = {};
    const assistedFlush = (mask: number, page: number, flags: number): boolean => {
      asked.push(`${mask} ${page - below.xen!.directmap} ${flags.toString(16)}`);
      for (const cpu of flushes ? below.xen!.cpus : [])
        if ((mask & (1 << cpu.index)) !== 0) {
          if ((flags & FLUSH_TLB_GLOBAL) !== 0) cpu.translator.dropAll();
          else cpu.translator.dropNonGlobal();
        }
      return flushes;
    };
    const xen = boot({ behaviour, cpus: 2, assistedFlush, hitViews: 'off' });
    below.xen = xen;
    return { xen, asked };
  }

  it.each(PRESETS)(
    '69: behaviour %s: without GLOBAL global entries of other CPUs stay, with it they go',
    (behaviour) => {
      const { xen, asked } = assisted(behaviour);
      xen.map(0, 0x100);
      xen.map(M2, 0x200, M2, PAGE_HYPERVISOR & ~G);
      for (const page of [0, M2]) xen.read(page, 1);
      xen.map(M2, 0, M2);
      expect(missed(xen, 1, [0, M2])).toEqual([M2]);
      xen.map(M2, 0x200, M2);
      expect(missed(xen, 1, [0, M2])).toEqual([0, M2]);
      expect(asked).toEqual(['2 512 10a', '2 512 30a']);
      expect(xen.mm.flush.ipis).toBe(0);
    },
  );

  it.each(PRESETS)('69: behaviour %s: every entry that a request made stale is gone after it', (behaviour) => {
    const { xen } = assisted(behaviour);
    xen.map(0, 0, G1);
    for (const page of [3, 5, 600]) xen.read(page, 1);
    xen.map(5, 0x105, 3, PAGE_HYPERVISOR_RO);
    xen.map(5, 5, 3);
    xen.modify(0, 700, PAGE_HYPERVISOR_RO);
    expect([xen.read(5, 1), xen.canWrite(600, 1)]).toEqual([5, false]);
  });

  it('69: natively a flush without GLOBAL drops global entries as well', () => {
    const xen = boot({ cpus: 2, hitViews: 'off' });
    xen.map(0, 0x100);
    xen.read(0, 1);
    xen.mm.flush.all(0, FLUSH_TLB);
    expect(missed(xen, 1, [0])).toEqual([0]);
  });

  it('69: NO_ASSIST sends IPIs', () => {
    const { xen, asked } = assisted('pagewalk');
    xen.mm.flush.all(xen.directmap, FLUSH_TLB | FLUSH_NO_ASSIST);
    expect([asked, xen.mm.flush.ipis]).toEqual([[], 1]);
  });

  it('69: whole caches are flushed by IPIs; lines by address and TLBs need no more than assistance', () => {
    const { xen, asked } = assisted('pagewalk');
    xen.mm.flush.all(xen.directmap, FLUSH_TLB | FLUSH_CACHE_WRITEBACK | FLUSH_ORDER(0));
    expect([asked.length, xen.mm.flush.ipis, xen.mms[1]!.flush.cacheFlushes.length]).toEqual([0, 1, 1]);
    xen.mm.flush.all(xen.directmap, FLUSH_TLB | FLUSH_CACHE_WRITEBACK | FLUSH_VA_VALID | FLUSH_ORDER(0));
    expect([asked.length, xen.mm.flush.ipis, xen.mms[1]!.flush.cacheFlushes.length]).toEqual([1, 1, 1]);
  });

  it('69: where the hypervisor below declines, IPIs are sent', () => {
    const { xen, asked } = assisted('pagewalk', false);
    xen.map(5, 0x105);
    xen.read(5, 1);
    xen.map(5, 0x106);
    expect([asked.length, xen.mm.flush.ipis, xen.read(5, 1)]).toEqual([1, 1, 0x106]);
  });

  it('69, 70: stops the clock, so that every comparison says flush', () => {
    const { xen } = assisted('pagewalk');
    const { clock } = xen.mm.flush;
    const { now } = clock;
    xen.mm.flush.all(0, FLUSH_TLB);
    expect([clock.now, clock.needsFlush(0, 0), clock.needsFlush(1, 12345)]).toEqual([now, true, true]);
  });
});
