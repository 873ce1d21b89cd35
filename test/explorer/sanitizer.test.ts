/**
 * The oracle on running machines: correct code breaks no rule in thousands of random calls, while CPUs use what is mapped;
 * each planted mistake is reported, at the operation that makes it or at the end of the mapping operation.
 */
import { describe, expect, it } from 'vitest';
import { Sanitizer, SanitizerError, type SanitizerReport } from '../../src/explorer/index.ts';
import { FLUSH_ORDER, FLUSH_TLB, FLUSH_TLB_GLOBAL, PAGE_HYPERVISOR_TABLE } from '../../src/hypervisor/flags.ts';
import {
  clearFixmap,
  DIRECTMAP,
  ENOMEM,
  fixToVirt,
  INVALID_MFN,
  l4Slot,
  mapPages,
  modifyPages,
  modifyXenMappingsLite,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RWX,
  type Proof,
  populatePtRange,
  Roots,
  setFixmap,
  vmap,
  vunmap,
  XEN_VIRT,
  type XenMm,
  xenMapToMfn,
} from '../../src/hypervisor/index.ts';
import { type Address, type Cpu, READ, WRITE } from '../../src/index.ts';
import { CR0, CR4, EFER } from '../support/control-bits.ts';
import { type Booted, boot, G1, halves, M2, va } from '../support/hypervisor.ts';

const ENTRIES = 512;
const XEN_START = BigInt(XEN_VIRT.start) * 4096n;
const RW = 0x2;
const D = 0x40;
const FLUSH_PAGE = FLUSH_TLB | FLUSH_TLB_GLOBAL | FLUSH_ORDER(0);
const pageOf = (page: number): number => DIRECTMAP.start + page;

/** A generator of numbers, the same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
}

/** Tables on the way to the first page of the directmap, by level. */
function tablesTo(mm: XenMm): readonly [l1: number, l2: number, l3: number] {
  const below = (entry: number): number => {
    mm.tables.read(entry);
    return mm.tables.frame;
  };
  const l3 = below(mm.root * ENTRIES + l4Slot(DIRECTMAP.start));
  const l2 = below(l3 * ENTRIES);
  return [below(l2 * ENTRIES), l2, l3];
}

type Watch = ReturnType<typeof watched>;

/** Two CPUs with a page mapped by 4 KiB, which both of them use. */
function watched(): {
  readonly world: Booted;
  readonly sanitizer: Sanitizer;
  readonly stop: () => void;
  readonly use: (page: number) => void;
  readonly mm: XenMm;
  readonly cpus: readonly Cpu[];
} {
  const world = boot({ cpus: 2 });
  const { machine, xen, cpus, mms } = world;
  world.map(0, 0x11, 4);
  const use = (page: number): void => {
    for (const cpu of cpus) cpu.translator.translate(...halves(page), READ);
  };
  use(0);
  const sanitizer = new Sanitizer(xen);
  const stop = machine.observe(sanitizer);
  return { world, sanitizer, stop, use, mm: mms[0]!, cpus };
}

/** What is thrown; fails where nothing is. */
function thrownBy(run: () => void): SanitizerError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof SanitizerError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was reported');
}

/** Random calls: enough to meet each kind of request on each kind of table many times. */
const CALLS = process.env['PAGEWALK_LONG'] === '1' ? 10_000 : 1500;

describe('correct code', () => {
  const PAGES = 3 * M2;
  const FLAGS = [PAGE_HYPERVISOR, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO, PAGE_HYPERVISOR_RWX];

  it.each([
    ['xen', 'l3', CR4.PGE],
    ['xen', 'pgdir', CR4.PGE],
    ['pagewalk', 'l3', CR4.PGE],
    ['pagewalk', 'pgdir', CR4.PCIDE],
    ['pagewalk', 'l3', 0],
  ] as const)('%s, locking %s, CR4 %i: breaks no rule in random calls', (behaviour, locking, cr4) => {
    const { machine, xen, cpus, mms } = boot({ cpus: 2, behaviour, locking, cr4, heapFrames: 2048 });
    const found: SanitizerReport[] = [];
    const sanitizer = new Sanitizer(xen, { onViolation: (report) => found.push(report) });
    machine.observe(sanitizer);
    const pick = numbers(7);
    for (let nth = 0; nth < CALLS && found.length === 0; nth++) {
      const mm = mms[pick(2)]!;
      const page = pick(4) === 0 ? M2 * pick(3) : pick(PAGES);
      const count = [1, 1, 2, 5, M2, 600][pick(6)]!;
      const flags = FLAGS[pick(4)]!;
      const what = pick(12);
      if (what < 5) mapPages(mm, pageOf(page), pick(2) === 0 ? page + M2 * pick(3) : pick(2 ** 20), count, flags);
      else if (what < 6) mapPages(mm, pageOf(page), INVALID_MFN, count, 0);
      else if (what < 8) modifyPages(mm, pageOf(page), pageOf(page + count), [0, flags][pick(2)]!);
      else if (what < 9) mapPages(mm, pageOf(0), G1 * pick(4), G1, flags);
      else if (what < 10) populatePtRange(mm, va(page), count);
      for (let access = 0; access < 4; access++)
        cpus[pick(2)]!.translator.translate(...halves(pick(PAGES)), [READ, WRITE][pick(2)]!);
    }
    sanitizer.check();
    expect(found).toEqual([]);
  });

  it('may be watched from the middle, and no longer', () => {
    const { sanitizer, stop, mm, world } = watched();
    expect(mapPages(mm, pageOf(0), 0x99, 1, PAGE_HYPERVISOR)).toBe(0);
    sanitizer.check();
    stop();
    mm.tables.write(tablesTo(mm)[0] * ENTRIES, 1, 0x55, PAGE_HYPERVISOR);
    expect(() => sanitizer.check()).toThrow('watches no machine');
    for (const { translator } of world.cpus)
      expect([translator.observer, translator.port.observer]).toEqual([null, null]);
    world.machine.observe(sanitizer)(); // and again
  });

  it('on a parked CPU, which drops what it was asked to before it runs again', () => {
    const { sanitizer, mm, cpus, use } = watched();
    cpus[1]!.park();
    mapPages(mm, pageOf(0), 0x99, 1, PAGE_HYPERVISOR);
    sanitizer.check();
    cpus[1]!.unpark();
    use(0);
    sanitizer.check();
  });
});

/** Replaces the mapping of page 0 by code of an embedder's own. */
function remap(mm: XenMm, flushes: 'flushes' | 'forgets', locks: 'locks' | 'does not lock' = 'locks'): void {
  mm.begin();
  const [l1, , l3] = tablesTo(mm);
  if (locks === 'locks') mm.locks.lockBelow(l3);
  mm.tables.write(l1 * ENTRIES, 1, 0x77, PAGE_HYPERVISOR);
  if (flushes === 'flushes') mm.flush.all(pageOf(0), FLUSH_PAGE);
  mm.locks.unlockBelow();
}

/** Unlinks the L1 table of page 0 and frees it: flushed before, after, or by a flush that came before it was unlinked. */
function unlink(mm: XenMm, order: 'flush, free' | 'free, flush' | 'unlink last' | 'no acknowledgement'): void {
  mm.begin();
  const [l1, l2, l3] = tablesTo(mm);
  mm.locks.lockBelow(l3);
  const clear = (): void => mm.tables.write(l2 * ENTRIES, 2, 0, 0);
  if (order !== 'unlink last') clear();
  let proof = 1 as Proof;
  if (order === 'flush, free' || order === 'unlink last') proof = mm.flush.all(pageOf(0), FLUSH_TLB_GLOBAL);
  if (order === 'no acknowledgement') {
    mm.flush.local(pageOf(0), FLUSH_TLB_GLOBAL);
    mm.flush.request(2, pageOf(0), FLUSH_TLB_GLOBAL);
  }
  mm.heap.free(l1, proof);
  if (order === 'free, flush') mm.flush.all(pageOf(0), FLUSH_TLB_GLOBAL);
  if (order === 'unlink last') clear();
  mm.locks.unlockBelow();
}

describe('a mapper of an embedder', () => {
  it('that flushes what it replaces is fine', () => {
    const { sanitizer, mm } = watched();
    sanitizer.operation(0, () => remap(mm, 'flushes'));
    sanitizer.operation(0, () => unlink(mm, 'flush, free'));
    sanitizer.check();
  });

  it('that forgets the flush is reported when its operation ends', () => {
    const { sanitizer, mm } = watched();
    const error = thrownBy(() => sanitizer.operation(0, () => remap(mm, 'forgets')));
    expect(error).toMatchObject({ kind: 'StaleTranslation', rule: 'no-stale', cpu: 0 });
    expect(error.message).toContain('still translates page 0x');
    expect(error.message).toContain('(4K) to frame 0x11 when an operation of CPU 0 ends');
  });

  it.each([
    ['begins the next one', ({ mm }: Watch) => mapPages(mm, pageOf(3), 0x50, 1, PAGE_HYPERVISOR)],
    ['is checked', ({ sanitizer }: Watch) => sanitizer.check()],
  ])('is reported too where its CPU %s', (_when, act) => {
    const watch = watched();
    remap(watch.mm, 'forgets');
    expect(thrownBy(() => act(watch))).toMatchObject({ kind: 'StaleTranslation', cpu: 0 });
  });

  it('is reported however long ago the TLB lost what should have been flushed', () => {
    const { sanitizer, mm, cpus } = watched();
    for (const { translator } of cpus) translator.tlb.flushAll(); // evicted: nobody was told
    expect(thrownBy(() => sanitizer.operation(0, () => remap(mm, 'forgets')))).toMatchObject({ rule: 'no-stale' });
  });

  it('that flushes its own CPU only is reported', () => {
    const { sanitizer, mm } = watched();
    const error = thrownBy(() =>
      sanitizer.operation(0, () => {
        remap(mm, 'forgets');
        mm.flush.local(pageOf(0), FLUSH_PAGE);
      }),
    );
    expect(error.message).toContain('CPU 1 still translates');
  });

  it('may leave what it only added', () => {
    const { sanitizer, mm } = watched();
    sanitizer.operation(0, () => {
      mm.begin();
      const [l1, , l3] = tablesTo(mm);
      mm.locks.lockBelow(l3);
      mm.tables.write(l1 * ENTRIES + 9, 1, 0x77, PAGE_HYPERVISOR);
      mm.locks.unlockBelow();
    });
  });

  it('that writes without the lock is reported at once, and the write does not happen', () => {
    const { mm } = watched();
    const before = mm.tables.read(tablesTo(mm)[0] * ENTRIES);
    const error = thrownBy(() => remap(mm, 'flushes', 'does not lock'));
    expect(error).toMatchObject({ kind: 'UnlockedWrite', rule: 'owner-lock', cpu: 0 });
    expect(mm.tables.read(tablesTo(mm)[0] * ENTRIES)).toBe(before);
    expect(mm.observer).toBe(null); // the first one ends it
  });

  it.each([
    ['frees before the flush', 'free, flush', 'UseAfterFree', 'cached-table'],
    ['frees what is linked', 'unlink last', 'UseAfterFree', 'linked-table'],
    ['does not wait for the acknowledgement', 'no acknowledgement', 'MissingAck', 'acknowledged'],
  ] as const)('that %s is reported', (_what, order, kind, rule) => {
    const { sanitizer, mm } = watched();
    expect(thrownBy(() => sanitizer.operation(0, () => unlink(mm, order)))).toMatchObject({ kind, rule, cpu: 0 });
  });

  it('that keeps its lock is reported', () => {
    const { sanitizer, mm } = watched();
    const keep = (): void => {
      mm.begin();
      mm.locks.lockBelow(tablesTo(mm)[2]);
    };
    expect(thrownBy(() => sanitizer.operation(0, keep))).toMatchObject({ rule: 'locks-dropped' });
  });

  it('that links a table it has not filled is reported', () => {
    const { mm } = watched();
    mm.begin();
    const [, l2, l3] = tablesTo(mm);
    mm.locks.lockBelow(l3);
    const table = mm.heap.alloc();
    const link = (): void => mm.tables.publish(l2 * ENTRIES + 5, 2, table, PAGE_HYPERVISOR_TABLE);
    expect(thrownBy(link)).toMatchObject({ kind: 'TornEntry', rule: 'filled-first' });
  });

  it('that overwrites D is reported', () => {
    const { mm, cpus } = watched();
    const flags = PAGE_HYPERVISOR & ~D;
    expect(mapPages(mm, pageOf(7), 0x17, 1, flags)).toBe(0);
    mm.begin();
    const [l1, , l3] = tablesTo(mm);
    mm.locks.lockBelow(l3);
    mm.tables.read(l1 * ENTRIES + 7);
    cpus[1]!.translator.translate(...halves(7), WRITE);
    const write = (): void => mm.tables.write(l1 * ENTRIES + 7, 1, 0x17, flags & ~RW);
    expect(thrownBy(write)).toMatchObject({ kind: 'LostDirty', rule: 'keeps-dirty' });
  });
});

describe('a walker', () => {
  it('that reads a freed table is reported at the load', () => {
    const { world, mm, use } = watched();
    const [l1, l2] = tablesTo(mm);
    const { quads } = world.machine.memory;
    const entry = quads[l2 * ENTRIES]!;
    unlink(mm, 'flush, free');
    quads[l2 * ENTRIES] = entry; // behind the seam: linked again
    const error = thrownBy(() => use(1));
    expect(error).toMatchObject({ kind: 'UseAfterFree', rule: 'free-table', cpu: 0 });
    expect(error.report).toMatchObject({ by: 'hardware', frame: l1 });
  });

  it('that finds a page in two sizes with different rights is reported', () => {
    const { world, mm, cpus } = watched();
    expect(mapPages(mm, pageOf(M2), M2, M2, PAGE_HYPERVISOR)).toBe(0);
    cpus[1]!.translator.translate(...halves(M2), READ);
    // Behind the seam: a table where the superpage is, which maps page 2 elsewhere.
    const { memory } = world.machine;
    const [, l2] = tablesTo(mm);
    memory.words.fill(0, 0x20 * 1024, 0x21 * 1024);
    memory.words[0x20 * 1024 + 4] = 0x99 * 4096 + 0x103;
    memory.words[2 * (l2 * ENTRIES + 1)] = 0x20 * 4096 + 3;
    memory.words[2 * (l2 * ENTRIES + 1) + 1] = 0;
    cpus[1]!.translator.structures.flushAll();
    cpus[1]!.translator.tlb.flushAll(); // evicted
    expect(thrownBy(() => cpus[1]!.translator.translate(...halves(M2 + 2), READ))).toMatchObject({
      kind: 'MixedAttributes',
    });
  });
});

describe('what Xen itself leaves stale', () => {
  it.each([
    ['xen', ['no-stale']],
    ['pagewalk', []],
  ] as const)('%s: a modify that runs out of memory for a split', (behaviour, expected) => {
    const { machine, xen, mm, cpu } = boot({ behaviour });
    mapPages(mm, pageOf(M2 - 1), 0x11, 1, PAGE_HYPERVISOR);
    mapPages(mm, pageOf(M2), M2, M2, PAGE_HYPERVISOR);
    cpu.translator.translate(...halves(M2 - 1), READ);
    const found: SanitizerReport[] = [];
    const sanitizer = new Sanitizer(xen, { onViolation: (report) => found.push(report) });
    machine.observe(sanitizer);
    mm.heap.budget = 0;
    expect(modifyPages(mm, pageOf(M2 - 1), pageOf(M2 + 1), PAGE_HYPERVISOR_RO)).toBe(-ENOMEM);
    sanitizer.check();
    expect([...new Set(found.map(({ rule }) => rule))]).toEqual(expected);
  });

  it('other functions leave nothing, but for those that leave the lock or the flush to others', () => {
    const { machine, xen, mm } = boot();
    xen.vmInit();
    const found: SanitizerReport[] = [];
    const sanitizer = new Sanitizer(xen, { onViolation: (report) => found.push(report) });
    machine.observe(sanitizer);
    const use = (address: Address): void => void mm.cpu.long.read8(address);
    setFixmap(mm, 3, 0x20, PAGE_HYPERVISOR);
    use(fixToVirt(3));
    setFixmap(mm, 3, 0x21, PAGE_HYPERVISOR);
    clearFixmap(mm, 3);
    const area = vmap(mm, [0x22, 0x24, 0x23])!;
    use(area);
    vunmap(mm, area);
    use(vmap(mm, [0x25])!);
    expect(xenMapToMfn(mm, va(0))).toBe(INVALID_MFN);
    sanitizer.check();
    expect(found).toEqual([]);
    mapPages(mm, XEN_VIRT.start, 0x30, 1, PAGE_HYPERVISOR);
    modifyXenMappingsLite(mm, XEN_START, XEN_START + 4096n, PAGE_HYPERVISOR_RO);
    sanitizer.check();
    expect(found.map(({ rule }) => rule)).toEqual(['owner-lock']);
  });
});

describe('other roots', () => {
  const ROOT = 0x30;

  /** CPU 1 goes over to a root of its own, empty or with Xen's L4 entries, and uses page 0 there. */
  function onOwnRoot(fill: (watch: Watch) => void): Watch & { readonly found: SanitizerReport[] } {
    const watch = watched();
    const { world, stop, cpus } = watch;
    stop();
    const found: SanitizerReport[] = [];
    const sanitizer = new Sanitizer(world.xen, { onViolation: (report) => found.push(report) });
    world.machine.observe(sanitizer);
    world.machine.memory.words.fill(0, ROOT * 1024, (ROOT + 1) * 1024);
    sanitizer.root(ROOT);
    fill({ ...watch, sanitizer });
    cpus[0]!.translator.dropAll();
    cpus[1]!.enter({ cr0: CR0.PE + CR0.WP + CR0.PG, cr3: ROOT * 4096, cr4: CR4.PAE, efer: EFER.LME + EFER.NXE });
    expect(cpus[1]!.translator.translate(...halves(0), READ)).toBe(0);
    return { ...watch, sanitizer, found };
  }

  it('get entries without complaint, and what is cached below them is judged', () => {
    const { sanitizer, mm, found } = onOwnRoot((watch) => {
      const roots = new Roots(1, 1, { shared: false });
      roots.follow(watch.mm);
      roots.register(watch.mm, ROOT);
    });
    expect(found).toEqual([]);
    sanitizer.operation(0, () => remap(mm, 'forgets'));
    expect(found.map(({ rule, what }) => [rule, what.slice(0, 5)])).toEqual([['no-stale', 'CPU 1']]);
  });

  it('may lead elsewhere: that is not judged by what Xen maps', () => {
    const { sanitizer, mm, found } = onOwnRoot(({ world }) => {
      // Its own tables in frames 0x31 to 0x33.
      const { words } = world.machine.memory;
      for (const [table, index] of [
        [ROOT, l4Slot(DIRECTMAP.start)],
        [0x31, 0],
        [0x32, 0],
        [0x33, 0],
      ] as const) {
        if (table !== ROOT) words.fill(0, table * 1024, (table + 1) * 1024);
        words[table * 1024 + 2 * index] = (table + 1) * 4096 + 3;
      }
    });
    sanitizer.operation(0, () => remap(mm, 'forgets'));
    sanitizer.check();
    expect(found).toEqual([]);
  });
});

describe('reports', () => {
  it('go to whoever asked for them, and all goes on', () => {
    const { world, stop } = watched();
    stop();
    const found: SanitizerReport[] = [];
    const sanitizer = new Sanitizer(world.xen, { onViolation: (report) => found.push(report) });
    world.machine.observe(sanitizer);
    for (const cpu of world.cpus) cpu.translator.translate(...halves(0), READ);
    sanitizer.operation(1, () => remap(world.mms[1]!, 'forgets', 'does not lock'));
    expect(found.map(({ kind, rule, cpu }) => [kind, rule, cpu])).toEqual([
      ['UnlockedWrite', 'owner-lock', 1],
      ['StaleTranslation', 'no-stale', 1],
      ['StaleTranslation', 'no-stale', 1],
    ]);
  });

  it('leave out rules that are not to be judged', () => {
    const { world, stop } = watched();
    stop();
    const sanitizer = new Sanitizer(world.xen, { without: ['owner-lock', 'no-stale'] });
    world.machine.observe(sanitizer);
    sanitizer.operation(1, () => remap(world.mms[1]!, 'forgets', 'does not lock'));
    sanitizer.check();
  });

  it('are of one machine, watched by one', () => {
    const { world, sanitizer } = watched();
    expect(() => boot().machine.observe(new Sanitizer(world.xen))).toThrow('another machine');
    expect(() => world.machine.observe(sanitizer)).toThrow('watches a machine already');
    expect(() => world.machine.observe(new Sanitizer(world.xen))).toThrow('somebody watches this machine already');
  });

  it('leave the failures of the code itself as they are', () => {
    const { sanitizer } = watched();
    const fails = (): never => {
      throw new TypeError('its own');
    };
    expect(() => sanitizer.operation(0, fails)).toThrow('its own');
  });
});
