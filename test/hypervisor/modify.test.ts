/** Edge cases 41 to 48 of `modify_xen_mappings`, and what the default does better. */
import { describe, expect, it } from 'vitest';
import {
  ENOMEM,
  MAP_SMALL_PAGES,
  mapPages,
  modifyPages,
  modifyXenMappings,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RX,
  PAGE_HYPERVISOR_UC,
  PAGE_HYPERVISOR_WC,
} from '../../src/hypervisor/index.ts';
import { FETCH } from '../../src/index.ts';
import { A, D, NX, RW } from '../../src/mmu/entry.ts';
import { type Booted, boot, G1, G512, halves, M2, PRESETS, va } from '../support/hypervisor.ts';

describe.each(PRESETS)('modifying, behaviour %s', (behaviour) => {
  it('41: RW becomes RO and RW again, seen by a CPU that has the page cached', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(5, 0x105, 3);
    expect(xen.canWrite(6, 1)).toBe(true);
    expect(xen.modify(6, 7, PAGE_HYPERVISOR_RO)).toBe(0);
    expect([xen.canWrite(5, 1), xen.canWrite(6, 1), xen.read(6, 1)]).toEqual([true, false, 0x106]);
    xen.modify(6, 7, PAGE_HYPERVISOR);
    expect([xen.canWrite(6), xen.canWrite(6, 1)]).toEqual([true, true]);
    expect(xen.mapped()).toEqual(['0x5: 3 x 4K -> 0x105 RW']);
  });

  it('41: NX comes and goes', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    const fetches = (): boolean => xen.cpu.translate(...halves(5), FETCH) === 0;
    expect(fetches()).toBe(false);
    xen.modify(5, 6, PAGE_HYPERVISOR_RX);
    expect(fetches()).toBe(true);
    xen.modify(5, 6, PAGE_HYPERVISOR_RO);
    expect(fetches()).toBe(false);
  });

  it.each([
    ['a 4 KiB page', 1],
    ['2 MiB', M2],
    ['1 GiB', G1],
  ])('41: %s keeps its frame, G, memory type and software bits, whatever the new flags say of them', (_size, pages) => {
    const xen = boot(behaviour);
    const kept = PAGE_HYPERVISOR_UC | (1 << 10) | (1 << 14);
    xen.map(0, G1, pages, kept);
    xen.modify(0, pages, PAGE_HYPERVISOR_WC & ~RW);
    const [run] = xen.mapped();
    expect(run!.endsWith(`-> 0x40000 0x${(kept & ~RW).toString(16)}`)).toBe(true);
    expect(xen.cpu.long.explain(va(0)).patIndex).toBe(3);
  });

  it('41: A and D go where the new flags lack them', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    xen.modify(5, 6, PAGE_HYPERVISOR & ~(A | D));
    expect(xen.walk(5).at(-1)!.flags).toBe('P RW G XD');
    xen.modify(5, 6, PAGE_HYPERVISOR_RO | D);
    expect(xen.walk(5).at(-1)!.flags).toBe('P A D G XD');
  });

  it('42: a whole superpage changes in place, and splits where the range covers a part', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, 2 * G1);
    const count = xen.counting();
    xen.modify(0, G1, PAGE_HYPERVISOR_RO);
    expect(count().allocated).toBe(0);
    xen.modify(G1 - M2, G1 + M2 + 3, PAGE_HYPERVISOR_RX);
    expect(count().allocated).toBe(3);
    expect(xen.mapped()).toEqual([
      '0x0: 511 x 2M -> 0x0 RO',
      '0x3fe00: 2 x 2M -> 0x3fe00 RX',
      '0x40200: 3 x 4K -> 0x40200 RX',
      '0x40203: 509 x 4K -> 0x40203 RW',
      '0x40400: 510 x 2M -> 0x40400 RW',
    ]);
  });

  it('42: splits even where the flags are the same already', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    xen.modify(5, 6, PAGE_HYPERVISOR);
    expect(xen.mm.splits).toBe(2);
    expect(xen.mapped()).toEqual(['0x0: 512 x 4K -> 0x0 RW', '0x200: 511 x 2M -> 0x200 RW']);
  });

  it('42: does not coalesce what becomes uniform', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, M2);
    xen.modify(5, 6, PAGE_HYPERVISOR_RO);
    xen.modify(5, 6, PAGE_HYPERVISOR);
    expect(xen.mapped()).toEqual(['0x0: 512 x 4K -> 0x0 RW']);
  });

  it.each([
    ['empty', 5, 5],
    ['backwards', 9, 5],
  ])('45: a range that is %s changes nothing', (_kind, first, end) => {
    const xen = boot(behaviour);
    xen.map(0, 0x100, 10);
    const count = xen.counting();
    expect([xen.modify(first, end, PAGE_HYPERVISOR_RO), xen.destroy(first, end)]).toEqual([0, 0]);
    expect(xen.mapped()).toEqual(['0x0: 10 x 4K -> 0x100 RW']);
    // Xen's one flush comes in any case.
    expect(count()).toEqual({ allocated: 0, freed: 0, flushes: behaviour === 'xen' ? 2 : 0 });
  });

  it('46: the low 12 bits of both ends are ignored', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100, 10);
    expect(modifyXenMappings(xen.mm, va(3) + 0x123n, va(5) + 0xfffn, PAGE_HYPERVISOR_RO)).toBe(0);
    expect(xen.mapped()).toEqual(['0x0: 3 x 4K -> 0x100 RW', '0x3: 2 x 4K -> 0x103 RO', '0x5: 5 x 4K -> 0x105 RW']);
  });

  it('47: a range over two L3 tables takes their locks in turn', () => {
    const xen = boot(behaviour);
    xen.map(G512 - 2, 0x100, 4);
    const { events } = xen.recorded(() => expect(xen.modify(G512 - 1, G512 + 1, PAGE_HYPERVISOR_RO)).toBe(0));
    const locks = events.filter(({ operation }) => operation === 'lock' || operation === 'unlock');
    const [first, second] = [xen.table(G512 - 1, 3), xen.table(G512, 3)];
    expect(locks.map(({ operation, operands }) => [operation, operands[0]])).toEqual([
      ['lock', first],
      ['unlock', first],
      ['lock', second],
      ['unlock', second],
    ]);
    expect(xen.mapped()).toEqual([
      '0x7fffffe: 1 x 4K -> 0x100 RW',
      '0x7ffffff: 2 x 4K -> 0x101 RO',
      '0x8000001: 1 x 4K -> 0x103 RW',
    ]);
  });
});

describe('modifying a hole', () => {
  it('43: pagewalk: creates nothing, and goes on behind it', () => {
    const xen = boot();
    xen.map(2, 0x102);
    xen.map(4, 0x104);
    expect(xen.modify(0, G1, PAGE_HYPERVISOR_RO)).toBe(0);
    expect(xen.mapped()).toEqual(['0x2: 1 x 4K -> 0x102 RO', '0x4: 1 x 4K -> 0x104 RO']);
  });

  it('43: xen: maps frame 0, or the frame that an unmap has left, where there is an L1 table', () => {
    const xen = boot('xen');
    xen.map(2, 0x102);
    xen.map(4, 0x104);
    xen.map(4, 0x123, 1, 0);
    xen.modify(2, 5, PAGE_HYPERVISOR_RO);
    const NOT_GLOBAL_RO = (PAGE_HYPERVISOR_RO & ~0x100).toString(16);
    expect(xen.mapped()).toEqual([
      '0x2: 1 x 4K -> 0x102 RO',
      `0x3: 1 x 4K -> 0x0 0x${NOT_GLOBAL_RO}`,
      `0x4: 1 x 4K -> 0x123 0x${NOT_GLOBAL_RO}`,
    ]);
  });
});

describe('flushes of modify', () => {
  it('48: xen: flushes once, in the end, under the last lock', () => {
    const xen = boot('xen');
    xen.map(0, 0x101, 600);
    const trace = xen.recorded(() => modifyPages(xen.mm, xen.directmap + 1, xen.directmap + 600, PAGE_HYPERVISOR_RO));
    expect(trace.steps('shootdown')).toEqual(['flush all G']);
    expect(trace.steps().slice(-2)).toEqual(['flush all G', 'unlock L3']);
    expect(xen.problems()).toEqual([]);
  });

  it('48: pagewalk: flushes once for each L3 table, before its lock is dropped', () => {
    const xen = boot();
    xen.map(G512 - 300, 0x101, 600);
    const trace = xen.recorded(() => xen.modify(G512 - 299, G512 + 300, PAGE_HYPERVISOR_RO));
    expect(trace.steps('lock', 'shootdown', 'unlock')).toEqual([
      ...['lock L3', 'flush all G', 'unlock L3'],
      ...['lock L3', 'flush all G', 'unlock L3'],
    ]);
  });

  it('48: pagewalk: flushes one page alone by its address, and nothing where nothing changes', () => {
    const xen = boot();
    xen.map(0, 0x101, 5);
    const trace = xen.recorded(() => {
      xen.modify(2, 3, PAGE_HYPERVISOR_RO);
      xen.modify(2, 3, PAGE_HYPERVISOR_RO);
    });
    expect(trace.steps('shootdown')).toEqual(['flush 0 G']);
  });

  it('48: xen: flushes everything before each free, and once more', () => {
    const xen = boot('xen');
    xen.map(0, 0x101, M2 + 1);
    const trace = xen.recorded(() => expect(xen.destroy(0, M2 + 1)).toBe(0));
    expect(trace.steps('shootdown', 'free')).toEqual([
      ...['flush all G', 'free L1'],
      ...['flush all G', 'free L1'],
      ...['flush all G', 'free L2'],
      'flush all G',
    ]);
  });

  it('48: pagewalk: flushes once before all frees', () => {
    const xen = boot();
    xen.map(0, 0x101, M2 + 1);
    const trace = xen.recorded(() => expect(xen.destroy(0, M2 + 1)).toBe(0));
    expect(trace.steps('shootdown', 'free')).toEqual(['flush all G', 'free L1', 'free L1', 'free L2']);
    expect(trace.violations).toEqual([]);
  });

  it('48: xen: a split is not flushed before the change inside it, pagewalk: it is', () => {
    const steps = (behaviour: 'xen' | 'pagewalk'): string[] => {
      const xen = boot(behaviour);
      xen.map(0, 0, M2);
      return xen.recorded(() => xen.modify(5, 6, PAGE_HYPERVISOR_RO)).steps('publish', 'write', 'shootdown');
    };
    expect(steps('xen')).toEqual(['link L1', 'write L1', 'flush all G']);
    expect(steps('pagewalk')).toEqual(['link L1', 'flush 9 G', 'write L1', 'flush 0 G']);
  });

  it('48: xen: CPUs still have the superpage cached when the rights of a piece change, pagewalk: none has', () => {
    const cached = (behaviour: 'xen' | 'pagewalk'): number => {
      const xen = boot({ behaviour, cpus: 2 });
      xen.map(0, 0, M2);
      xen.read(5, 1);
      let superpages = 0;
      xen.record().onEnter = (operation) => {
        if (operation !== 'write') return;
        xen.cpus[1]!.translator.tlb.forEach((_lo, _hi, _context, level) => {
          if (level === 2) superpages += 1;
        });
      };
      xen.modify(5, 6, PAGE_HYPERVISOR_RO);
      return superpages;
    };
    expect([cached('xen'), cached('pagewalk')]).toEqual([1, 0]);
  });
});

describe('modify that runs out of tables', () => {
  /** RW to RO from inside one superpage to inside the next, with memory to split one. CPU 1 has pages of both cached. */
  function failed(behaviour: 'xen' | 'pagewalk'): Booted {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(0, 0, 2 * M2);
    expect([xen.canWrite(6, 1), xen.canWrite(M2 + 1, 1)]).toEqual([true, true]);
    xen.mm.heap.budget = 1;
    expect(modifyPages(xen.mm, xen.directmap + 5, xen.directmap + M2 + 5, PAGE_HYPERVISOR_RO)).toBe(-ENOMEM);
    expect(xen.mm.pagesDone).toBe(M2 - 5);
    expect(xen.mapped()).toEqual(['0x0: 5 x 4K -> 0x0 RW', '0x5: 507 x 4K -> 0x5 RO', '0x200: 1 x 2M -> 0x200 RW']);
    return xen;
  }

  it('44: pagewalk: has flushed what it changed, and says how much', () => {
    const xen = failed('pagewalk');
    expect([xen.problems(), xen.canWrite(6, 1), xen.canWrite(M2 + 1, 1)]).toEqual([[], false, true]);
  });

  it('44: xen: leaves what it changed unflushed', () => {
    const xen = failed('xen');
    expect([xen.stale(), xen.canWrite(6, 1)]).toEqual([['CPU 1 has a stale 2M page 0x0'], true]);
  });

  it('44: fails at the first page of the address space like anywhere else', () => {
    const xen = boot();
    mapPages(xen.mm, 0, 0, M2, PAGE_HYPERVISOR);
    xen.mm.heap.budget = 0;
    const recorder = xen.record();
    recorder.onEnter = (operation) => {
      if (operation === 'alloc' && recorder.count('alloc') > 2) throw new Error('it does not end');
    };
    expect(modifyPages(xen.mm, 0, 1, PAGE_HYPERVISOR_RO)).toBe(-ENOMEM);
    expect(xen.mm.pagesDone).toBe(0);
  });
});

describe('coalescing after modify', () => {
  const after = { behaviour: { coalesceAfterModify: 'yes' } } as const;

  it('makes one superpage of what a change made uniform, up to 1 GiB', () => {
    const xen = boot(after);
    xen.map(0, 0, G1);
    xen.modify(5, 6, PAGE_HYPERVISOR_RO);
    expect(xen.mapped()).toHaveLength(4);
    const trace = xen.recorded(() => xen.modify(5, 6, PAGE_HYPERVISOR));
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
    expect(trace.steps('write', 'shootdown', 'free')).toEqual([
      ...['write L1', 'flush 0 G'],
      ...['write L2', 'write L3', 'flush all G', 'free L1', 'free L2'],
    ]);
    expect(trace.violations).toEqual([]);
  });

  it('makes superpages of pages of any flags, in each table that the range leaves', () => {
    const xen = boot(after);
    xen.map(0, 0, 4 * M2);
    xen.modify(5, 2 * M2 + 5, PAGE_HYPERVISOR_RO);
    xen.modify(0, 4 * M2, PAGE_HYPERVISOR_RX);
    expect(xen.mapped()).toEqual(['0x0: 4 x 2M -> 0x0 RX']);
  });

  it('leaves a table alone that is not uniform, or not complete', () => {
    const xen = boot(after);
    xen.map(0, 0, M2);
    xen.modify(5, 7, PAGE_HYPERVISOR_RO);
    xen.modify(5, 6, PAGE_HYPERVISOR);
    xen.map(M2, M2, 511, PAGE_HYPERVISOR_RO);
    xen.modify(M2, 2 * M2, PAGE_HYPERVISOR);
    expect(xen.mapped()).toEqual(['0x0: 6 x 4K -> 0x0 RW', '0x6: 1 x 4K -> 0x6 RO', '0x7: 1016 x 4K -> 0x7 RW']);
  });

  it('30: leaves pages small that were asked to be', () => {
    const xen = boot(after);
    xen.map(0, 0, M2, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    xen.modify(0, M2, PAGE_HYPERVISOR_RO);
    expect(xen.mm.coalesces).toBe(0);
  });

  it('moves PAT to bit 12, and makes 1 GiB of 2 MiB pages that have it there', () => {
    const xen = boot({ behaviour: { coalesceAfterModify: 'yes', coalesce: 'uniform' }, heapFrames: 1024 });
    xen.map(0, G1, G1, PAGE_HYPERVISOR_WC);
    xen.modify(0, M2, PAGE_HYPERVISOR_RO);
    xen.modify(0, M2, PAGE_HYPERVISOR_RO | D);
    expect(xen.cpu.long.explain(va(0))).toMatchObject({ pageSize: 2 ** 21, patIndex: 4 });
    xen.modify(0, M2, PAGE_HYPERVISOR);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x40000 WC']);
  });

  it('is off in both presets, whatever the range', () => {
    for (const behaviour of PRESETS) {
      const xen = boot(behaviour);
      xen.map(0, 0, M2, PAGE_HYPERVISOR);
      xen.modify(0, 1, PAGE_HYPERVISOR & ~NX);
      xen.modify(0, M2, PAGE_HYPERVISOR);
      expect(xen.mm.coalesces).toBe(0);
    }
  });
});
