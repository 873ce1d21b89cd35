/** Edge cases 50 to 54: running out of tables, and what the state of the system makes of it. */
import { describe, expect, it } from 'vitest';
import {
  type Behaviour,
  ENOMEM,
  INVALID_MFN,
  type Locking,
  MAP_SMALL_PAGES,
  mapPages,
  modifyPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  SYS_STATE_ACTIVE,
  SYS_STATE_BOOT,
  SYS_STATE_EARLY_BOOT,
  SYS_STATE_SMP_BOOT,
} from '../../src/hypervisor/index.ts';
import { NEVER_PUBLISHED } from '../../src/hypervisor/proof.ts';
import { type Booted, boot, CHOICES, G1, G512, M2, PRESETS, va } from '../support/hypervisor.ts';

/** A request: its first page and end, and what runs it. */
interface Request {
  readonly first: number;
  readonly end: number;
  readonly prepare?: (xen: Booted) => void;
  readonly run: (xen: Booted) => number;
}

const mapping = (first: number, nr: number, mfn: number, flags: number, prepare?: Request['prepare']): Request => ({
  first,
  end: first + nr,
  ...(prepare === undefined ? {} : { prepare }),
  run: ({ mm, directmap }) => mapPages(mm, directmap + first, mfn, nr, flags),
});
const modifying = (first: number, end: number, flags: number, prepare: (xen: Booted) => void): Request => ({
  first,
  end,
  prepare,
  run: ({ mm, directmap }) => modifyPages(mm, directmap + first, directmap + end, flags),
});
const with2G = (xen: Booted): void => {
  xen.map(0, 0, 2 * G1);
};

const REQUESTS: readonly [string, Request][] = [
  ['mapping a page of an empty address space', mapping(5, 1, 0x105, PAGE_HYPERVISOR)],
  ['mapping over an L4 boundary', mapping(G512 - 2, 4, 0x105, PAGE_HYPERVISOR)],
  ['mapping small pages over many tables', mapping(M2 - 3, 3 * M2, 0x105, PAGE_HYPERVISOR)],
  ['remapping a page of 1 GiB', mapping(7, 1, 0x105, PAGE_HYPERVISOR_RO, with2G)],
  ['remapping from one 1 GiB page to the next', mapping(G1 - 5, 10, 0x105, PAGE_HYPERVISOR_RO, with2G)],
  ['unmapping a part of 1 GiB', mapping(M2 + 5, 2 * M2, INVALID_MFN, 0, with2G)],
  ['populating a mapped range', mapping(M2 + 5, 2 * M2, INVALID_MFN, MAP_SMALL_PAGES, with2G)],
  ['modifying from one 1 GiB page to the next', modifying(G1 - 5, G1 + 5, PAGE_HYPERVISOR_RO, with2G)],
  ['destroying inside 1 GiB pages', modifying(M2 + 5, G1 + 5, 0, with2G)],
];

/** What the tables say of a page: frame and entry flags, or nothing. */
const meaning = (xen: Booted, page: number): string => {
  const { physical, rights, patIndex } = xen.cpu.long.explain(va(page));
  return `${physical?.toString(16)} ${rights} ${patIndex}`;
};

/** Pages where a request could go wrong: at its ends and around each 2 MiB boundary inside. */
function samples({ first, end }: Request): number[] {
  const found = [first - 1, first, end - 1, end];
  for (let page = first - (first % M2) + M2; page < end && found.length < 20; page += M2)
    found.push(page - 1, page, page + 1);
  return found.filter((page) => page >= 0);
}

describe.each(CHOICES)('running out of tables, behaviour %s, locking %s', (behaviour, locking) => {
  it.each(REQUESTS)(
    '50: %s: fails at each allocation with a prefix done, flushed and without a leak',
    (_what, request) => {
      const fresh = (): Booted => {
        const xen = boot({ behaviour, locking, cpus: 2 });
        request.prepare?.(xen);
        return xen;
      };
      const done = fresh();
      expect(request.run(done)).toBe(0);
      let error: number | undefined;
      let budget = 0;
      for (; error !== 0; budget++) {
        const xen = fresh();
        const before = new Map(samples(request).map((page) => [page, meaning(xen, page)]));
        for (const page of before.keys()) for (const cpu of [0, 1]) xen.read(page, cpu);
        xen.mm.heap.budget = budget;
        error = request.run(xen);
        const { pagesDone } = xen.mm;
        expect([error, pagesDone < request.end - request.first]).toEqual(error === 0 ? [0, false] : [-ENOMEM, true]);
        const isDone = (page: number): boolean => page >= request.first && page < request.first + pagesDone;
        const expected = [...before].map(([page, was]) => (isDone(page) ? meaning(done, page) : was));
        expect([...before.keys()].map((page) => meaning(xen, page))).toEqual(expected);
        // What Xen's modify leaves unflushed is case 44.
        const isUnflushed = behaviour === 'xen' && request.run.length === 1 && error !== 0;
        const problems = xen.problems().filter((what) => !(isUnflushed && what.includes('stale')));
        expect(problems).toEqual([]);
        xen.mm.heap.budget = -1;
        expect(request.run(xen)).toBe(0);
        expect(samples(request).map((page) => meaning(xen, page))).toEqual(
          samples(request).map((page) => meaning(done, page)),
        );
      }
      expect(budget).toBeGreaterThan(1);
    },
  );
});

describe.each(PRESETS)('running out of tables, behaviour %s', (behaviour) => {
  it('50: tables added before the failure stay and are used later', () => {
    const xen = boot(behaviour);
    xen.mm.heap.budget = 2;
    expect(xen.map(5, 0x105)).toBe(-ENOMEM);
    expect(xen.xen.frames.tables()).toHaveLength(3);
    xen.mm.heap.budget = 1;
    expect(xen.map(5, 0x105)).toBe(0);
  });

  it('50: the heap is empty when all its frames are tables, and not before', () => {
    const xen = boot({ behaviour, heapFrames: 4 });
    expect(xen.map(5, 0x105)).toBe(0);
    expect(xen.map(M2, 0x105)).toBe(-ENOMEM);
    expect(xen.map(6, 0x106)).toBe(0);
    xen.destroy(0, M2);
    expect(xen.map(M2, 0x105)).toBe(0);
    expect(xen.mapped()).toEqual(['0x200: 1 x 4K -> 0x105 RW']);
  });

  it('51: a failure before the hardware domain exists is fatal', () => {
    const xen = boot({ behaviour, hardwareDomain: false, heapFrames: 3 });
    expect(() => xen.map(5, 0x105)).toThrow('BUG: no frame for a page table before the hardware domain exists');
    const later = boot({ behaviour, hardwareDomain: false, heapFrames: 3 });
    later.xen.hardwareDomain = true;
    expect(later.map(5, 0x105)).toBe(-ENOMEM);
  });

  it('52: in early boot frees do nothing, no lock is taken, and exhaustion is a bug', () => {
    const xen = boot({ behaviour, systemState: SYS_STATE_EARLY_BOOT, heapFrames: 4 });
    xen.map(0, 0x101, 3);
    const trace = xen.recorded(() => mapPages(xen.mm, xen.directmap, 0x200, M2, PAGE_HYPERVISOR));
    expect(trace.steps('lock', 'free')).toEqual(['free L1']);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
    expect([xen.mm.heap.frees, xen.xen.frames.tables().length]).toEqual([0, 4]);
    expect(() => mapPages(xen.mm, xen.directmap + M2, 0x101, 1, PAGE_HYPERVISOR)).toThrow('BUG: the boot allocator');
  });

  it('52: up to the state boot no lock is taken, from smp_boot on each is', () => {
    const xen = boot({ behaviour, systemState: SYS_STATE_BOOT });
    const locks = (page: number): number =>
      xen.recorded(() => xen.map(page, 0x101, 1, PAGE_HYPERVISOR_RO)).count('lock');
    expect(locks(0)).toBe(0);
    xen.xen.systemState = SYS_STATE_SMP_BOOT;
    expect(locks(1)).toBe(1);
    xen.xen.systemState = SYS_STATE_ACTIVE;
    expect(locks(M2)).toBe(2);
  });

  it('52: tables from early boot are freed later like others', () => {
    const xen = boot({ behaviour, systemState: SYS_STATE_EARLY_BOOT });
    xen.map(0, 0x101, 3);
    xen.xen.systemState = SYS_STATE_ACTIVE;
    xen.map(0, 0x200, M2);
    expect(xen.mm.heap.frees).toBe(1);
  });

  it('53: who loses the race to add a table frees its own without a flush', () => {
    const xen = boot({ behaviour, cpus: 2 });
    const recorder = xen.record();
    let hasRaced = false;
    recorder.onEnter = (operation, [what]) => {
      if (operation !== 'lock' || what !== -1 || hasRaced) return;
      hasRaced = true;
      expect(xen.mapOn(1, 7, 0x107)).toBe(0);
    };
    expect(xen.map(5, 0x105)).toBe(0);
    expect(recorder.steps('alloc', 'publish', 'shootdown', 'free')).toEqual(['alloc', 'free unused']);
    expect(xen.mapped()).toEqual(['0x5: 1 x 4K -> 0x105 RW', '0x7: 1 x 4K -> 0x107 RW']);
    expect(xen.xen.frames.tables()).toHaveLength(4);
    expect(recorder.violations).toEqual([]);
  });

  it('54: a fresh L3 table is not locked', () => {
    const xen = boot(behaviour);
    // A frame that was a table before, and whose lock was taken often.
    for (let nth = 0; nth < 3; nth++) {
      xen.map(0, 0x101);
      xen.destroy(0, 1);
    }
    xen.map(G512, 0x101);
    const info = xen.xen.frames.info(xen.table(G512, 3)!);
    expect(info).toMatchObject({ state: 'in use', provenance: 'heap', isLocked: false, holder: -1 });
  });

  it('54: a frame that is used again has a page_info that starts anew', () => {
    const xen = boot(behaviour);
    const { heap, flush } = xen.mm;
    const { frames } = xen.xen;
    const frame = heap.alloc();
    flush.clock.stamp(frames, frame);
    heap.free(frame, NEVER_PUBLISHED);
    expect(frames.info(frame).isLocked).toBe(false);
    const typeHi = 3;
    frames.words[frames.at(frame) + typeHi]! |= 1 << 28; // as another user of the word would leave it
    expect(heap.alloc()).toBe(frame);
    expect(frames.info(frame)).toMatchObject({ isLocked: false, tlbflushTimestamp: 0, isKept: false });
  });

  it('54: a table that is locked cannot be freed', () => {
    const xen = boot(behaviour);
    const { heap, locks } = xen.mm;
    xen.map(0, 0x101);
    const l3 = xen.table(0, 3)!;
    xen.mm.begin();
    locks.lockBelow(l3);
    expect(() => heap.free(l3, xen.mm.flush.all(0, 0x200))).toThrow(/BUG: free of table 0x\w+, which is locked/);
    locks.unlockBelow();
    expect(xen.problems()).toEqual([]);
  });
});

describe('tables that wait for their flush', () => {
  it.each(['l3', 'reverify'] as const)('50: pagewalk, %s: are freed before a request runs out of tables', (locking) => {
    const xen = boot({ locking, heapFrames: 7 });
    for (const block of [0, 1, 2, 3]) xen.map(block * M2 + 1, 0x101 + block);
    xen.map(4 * M2, 4 * M2, M2);
    expect(xen.destroy(0, 4 * M2 + 5)).toBe(0);
    expect(xen.mapped()).toEqual([`0x805: 507 x 4K -> 0x805 RW`]);
    expect(xen.problems()).toEqual([]);
  });
});

describe('rolling back', () => {
  it('50: a piece of a superpage never counts as what is asked for', () => {
    const xen = boot({ behaviour: { onFailure: 'rollback' } });
    xen.map(0, G1, G1);
    xen.mm.heap.budget = 1;
    expect(mapPages(xen.mm, xen.directmap + 5, 5, 1, 0x81)).toBe(-ENOMEM);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x40000 RW']);
  });

  const rollback: Partial<Behaviour> = { onFailure: 'rollback' };
  const fresh = (request: Request, behaviour: Partial<Behaviour> = rollback, locking: Locking = 'l3'): Booted => {
    const xen = boot({ behaviour, locking });
    request.prepare?.(xen);
    return xen;
  };

  for (const [what, request] of REQUESTS) {
    it.each<Locking>(['l3', 'reverify'])(
      `50: ${what}: changes nothing where there are too few tables: %s`,
      (locking) => {
        const full = fresh(request, rollback, locking);
        const before = full.xen.frames.tables().length;
        expect(request.run(full)).toBe(0);
        const needed = full.xen.frames.tables().length - before;
        for (const budget of new Set([0, Math.min(1, needed - 1), needed - 1])) {
          const xen = fresh(request, rollback, locking);
          const [mapped, tables] = [xen.mapped(), xen.xen.frames.tables()];
          xen.mm.heap.budget = budget;
          expect(request.run(xen)).toBe(-ENOMEM);
          const { pagesDone, flush } = xen.mm;
          expect([xen.mapped(), xen.xen.frames.tables(), pagesDone, flush.requests]).toEqual([mapped, tables, 0, 0]);
          expect(xen.problems()).toEqual([]);
        }
      },
    );

    it(`50: ${what}: is done where there are enough, and what was not used is given back`, () => {
      const [xen, plain] = [fresh(request), fresh(request, {})];
      expect([request.run(xen), request.run(plain)]).toEqual([0, 0]);
      expect(xen.mapped()).toEqual(plain.mapped());
      expect(xen.xen.frames.tables()).toHaveLength(plain.xen.frames.tables().length);
      expect(xen.problems()).toEqual([]);
    });
  }

  it('50: exactly as many tables as are needed are enough', () => {
    for (const [, request] of REQUESTS) {
      const full = fresh(request, {});
      const before = full.mm.heap.allocations;
      request.run(full);
      const xen = fresh(request);
      xen.mm.heap.budget = full.mm.heap.allocations - before;
      expect(request.run(xen)).toBe(0);
    }
  });
});
