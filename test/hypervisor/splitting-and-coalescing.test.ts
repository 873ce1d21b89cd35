/** Edge cases 22 to 31 and 85: what splits, what coalesces and when, what each costs, and how it is noticed. */
import { describe, expect, it } from 'vitest';
import {
  type BehaviourName,
  MAP_SMALL_PAGES,
  mapPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RX,
  XEN_BEHAVIOUR,
} from '../../src/hypervisor/index.ts';
import { type Booted, boot, G1, M2, PRESETS } from '../support/hypervisor.ts';

describe('splitting 1 GiB for one page', () => {
  it('24: xen: takes two tables and flushes orders 18, 9 and 0 in turn', () => {
    const xen = boot('xen');
    xen.map(0, 0, G1);
    const count = xen.counting();
    const trace = xen.recorded(() => xen.map(7, 7, 1, PAGE_HYPERVISOR_RO));
    expect(trace.steps()).toEqual([
      'lock L3',
      ...['alloc', 'fill', 'lock pgdir', 'link L2', 'unlock pgdir', 'flush 18 G'],
      ...['alloc', 'fill', 'lock pgdir', 'link L1', 'unlock pgdir', 'flush 9 G'],
      ...['write L1', 'flush 0 G'],
      'unlock L3',
    ]);
    expect(count()).toEqual({ allocated: 2, freed: 0, flushes: 3 });
  });

  it('24: pagewalk: takes two tables, and flushes the splits before the change', () => {
    const xen = boot();
    xen.map(0, 0, G1);
    const count = xen.counting();
    const trace = xen.recorded(() => xen.map(7, 7, 1, PAGE_HYPERVISOR_RO));
    expect(trace.steps('publish', 'write', 'shootdown')).toEqual([
      ...['link L2', 'link L1', 'flush all G'],
      ...['write L1', 'flush 0 G'],
    ]);
    expect(count()).toEqual({ allocated: 2, freed: 0, flushes: 2 });
  });

  it('25: xen: takes one table for 2 MiB', () => {
    const xen = boot('xen');
    xen.map(0, 0, G1);
    const trace = xen.recorded(() => xen.map(M2, M2, 512, PAGE_HYPERVISOR_RO));
    expect(trace.steps('alloc', 'publish', 'write', 'shootdown')).toEqual([
      ...['alloc', 'link L2', 'flush 18 G'],
      ...['write L2', 'flush 9 G'],
    ]);
  });

  it('25: pagewalk: takes one table for 2 MiB', () => {
    const xen = boot();
    xen.map(0, 0, G1);
    const trace = xen.recorded(() => xen.map(M2, M2, 512, PAGE_HYPERVISOR_RO));
    expect(trace.steps('alloc', 'publish', 'write', 'shootdown')).toEqual([
      ...['alloc', 'link L2', 'flush 18 G'],
      ...['write L2', 'flush 9 G'],
    ]);
  });
});

describe('restoring the one page', () => {
  it('26, 85: xen: flushes 0, 9 and 18, and frees L1 and L2 each after its flush', () => {
    const xen = boot('xen');
    xen.map(0, 0, G1);
    xen.map(7, 7, 1, PAGE_HYPERVISOR_RO);
    const trace = xen.recorded(() => xen.map(7, 7));
    expect(trace.steps()).toEqual([
      'lock L3',
      ...['write L1', 'flush 0 G'],
      ...['lock pgdir', 'write L2', 'unlock pgdir', 'flush 9 G', 'free L1'],
      ...['lock pgdir', 'write L3', 'unlock pgdir', 'flush 18 G', 'free L2'],
      'unlock L3',
    ]);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
  });

  it('85: xen: the L1 is free before the L2 is scanned', () => {
    const xen = boot('xen');
    xen.map(0, 0, G1);
    xen.map(7, 7, 1, PAGE_HYPERVISOR_RO);
    const [l1, l2] = [xen.table(7, 1), xen.table(7, 2)];
    const { events } = xen.recorded(() => xen.map(7, 7));
    const at = (operation: string, table: number | undefined): number =>
      events.findIndex((event) => event.operation === operation && event.operands[0] === table);
    expect(at('free', l1)).toBeGreaterThan(at('scan', l1));
    expect(at('scan', l2)).toBeGreaterThan(at('free', l1));
  });

  it('26, 85: pagewalk: flushes the change, then both coalesces at once, and frees L1 and L2 after that', () => {
    const xen = boot();
    xen.map(0, 0, G1);
    xen.map(7, 7, 1, PAGE_HYPERVISOR_RO);
    const trace = xen.recorded(() => xen.map(7, 7));
    expect(trace.steps('write', 'shootdown', 'free')).toEqual([
      ...['write L1', 'flush 0 G'],
      ...['write L2', 'write L3', 'flush all G', 'free L1', 'free L2'],
    ]);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
  });
});

describe.each(PRESETS)('splitting and coalescing, behaviour %s', (behaviour) => {
  it('24: leaves all other pages of 1 GiB as they were', () => {
    const xen = boot(behaviour);
    xen.map(0, G1, G1);
    xen.map(0x1234, 0x42, 1, PAGE_HYPERVISOR_RX);
    expect(xen.mapped()).toEqual([
      '0x0: 9 x 2M -> 0x40000 RW',
      '0x1200: 52 x 4K -> 0x41200 RW',
      '0x1234: 1 x 4K -> 0x42 RX',
      '0x1235: 459 x 4K -> 0x41235 RW',
      '0x1400: 502 x 2M -> 0x41400 RW',
    ]);
    expect(xen.read(0x1234)).toBe(0x42);
  });

  it('24: keeps in each piece what the superpage had: flags, A and D', () => {
    const xen = boot(behaviour);
    const flags = 0x800_021 | (1 << 10);
    xen.map(0, 0, G1, flags);
    xen.read(9);
    xen.map(7, 7, 1, PAGE_HYPERVISOR);
    expect(xen.mapped().filter((run) => !run.endsWith(`0x${flags.toString(16)}`))).toEqual(['0x7: 1 x 4K -> 0x7 RW']);
  });

  it('23: a skip inside 2 MiB still looks whether the 2 MiB pages are one run of 1 GiB', () => {
    const xen = boot(behaviour);
    almost1G(xen);
    const trace = xen.recorded(() => xen.map(5, 5));
    expect(trace.steps('alloc', 'write', 'shootdown', 'free')).toEqual(['write L3', 'flush 18 G', 'free L2']);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RW']);
  });

  it('23: a skip inside 1 GiB looks at no table', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1);
    const trace = xen.recorded(() => xen.map(5, 5));
    expect(trace.count('scan')).toBe(0);
  });

  it('27: 1 GiB over 2 MiB pages and L1 tables frees each table once, after one flush', () => {
    const xen = boot(behaviour);
    xen.map(0, 0, G1, PAGE_HYPERVISOR_RO);
    for (const page of [3, 7 * M2, 500 * M2 + 9]) xen.map(page, page);
    xen.unmap(9 * M2, 512);
    xen.unmap(11 * M2 + 5);
    const trace = xen.recorded(() => xen.map(0, G1, G1));
    expect(trace.steps('write', 'shootdown', 'free')).toEqual([
      ...['write L3', 'flush 18 G'],
      ...['free L1', 'free L1', 'free L1', 'free L1', 'free L2'],
    ]);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x40000 RW']);
    expect(xen.xen.frames.tables()).toHaveLength(2);
  });

  it('29: looks for a run where the request ends, also in the middle of a table', () => {
    const xen = boot(behaviour);
    xen.mapEach(0, 0x200, 100);
    xen.mapEach(101, 0x265, 411);
    expect(xen.mapped()).toHaveLength(2);
    xen.map(100, 0x264);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it('29: does not coalesce where the first entry is of another base', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x100);
    xen.mapEach(1, 0x201, 511);
    expect(xen.mapped()).toEqual(['0x0: 1 x 4K -> 0x100 RW', '0x1: 511 x 4K -> 0x201 RW']);
  });

  it('29: does not coalesce where rounding the base would hide an offset', () => {
    const xen = boot(behaviour);
    xen.mapEach(0, 0x204, 512);
    expect(xen.mapped()).toEqual(['0x0: 512 x 4K -> 0x204 RW']);
  });

  it('29: does not coalesce 2 MiB pages to 1 GiB where their base is off', () => {
    const xen = boot(behaviour);
    for (let nth = 0; nth < 512; nth++)
      mapPages(xen.mm, xen.directmap + nth * M2, G1 + (nth + 1) * M2, M2, PAGE_HYPERVISOR);
    expect(xen.mapped()).toEqual(['0x0: 512 x 2M -> 0x40200 RW']);
  });

  it('30: does not coalesce a static table', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 511);
    xen.xen.frames.adopt(xen.table(0, 1)!, 'static');
    xen.map(511, 0x3ff);
    expect(xen.mapped()).toEqual(['0x0: 512 x 4K -> 0x200 RW']);
  });

  it('30: does not coalesce a pinned table', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 511);
    pin(xen, xen.table(0, 1)!);
    xen.map(511, 0x3ff);
    expect(xen.mapped()).toEqual(['0x0: 512 x 4K -> 0x200 RW']);
  });

  it('30: an explicit superpage replaces a static table, which does not go to the heap', () => {
    const [xen, table] = replaced(behaviour, (xen, table) => xen.xen.frames.adopt(table, 'static'));
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
    expect([xen.xen.frames.isTable(table), xen.mm.heap.frees]).toEqual([true, 0]);
  });

  it('30: an explicit superpage replaces a pinned table, which does not go to the heap', () => {
    const [xen, table] = replaced(behaviour, pin);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
    expect([xen.xen.frames.isTable(table), xen.mm.heap.frees]).toEqual([true, 0]);
  });

  it('30: does not coalesce entries that software has tagged', () => {
    const xen = boot(behaviour);
    const tagged = PAGE_HYPERVISOR | (1 << 10);
    xen.mapEach(0, 0x200, 512);
    xen.map(300, 0x32c, 1, tagged);
    xen.map(511, 0x3ff);
    expect(xen.mm.coalesces).toBe(1);
    expect(xen.mapped()).toHaveLength(3);
  });

  it('31: a remap of a part of a table, complete at neither end, does not coalesce', () => {
    const xen = boot(behaviour);
    xen.map(10, 0x20a, 502, PAGE_HYPERVISOR_RO);
    xen.map(20, 0x214, 400);
    expect(xen.mapped()).toEqual([
      '0xa: 10 x 4K -> 0x20a RO',
      '0x14: 400 x 4K -> 0x214 RW',
      '0x1a4: 92 x 4K -> 0x3a4 RO',
    ]);
  });

  it('31: a remap across a boundary coalesces the table that it completes, and not the other', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 512, PAGE_HYPERVISOR_RO);
    xen.mapEach(0, 0x200, 100);
    xen.map(100, 0x264, 420);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW', '0x200: 8 x 4K -> 0x400 RW']);
  });
});

/** A 2 MiB page over a table that was marked in some way; and the table. */
function replaced(behaviour: BehaviourName, mark: (xen: Booted, table: number) => void): [Booted, number] {
  const xen = boot(behaviour);
  xen.map(0, 0x101, 3);
  const table = xen.table(0, 1)!;
  mark(xen, table);
  mapPages(xen.mm, xen.directmap, 0x200, 512, PAGE_HYPERVISOR);
  return [xen, table];
}

/** Marks a table so that it is never freed. Xen: PGT_pinned. */
function pin(xen: Booted, table: number): void {
  const typeHi = 3;
  xen.xen.frames.words[xen.xen.frames.at(table) + typeHi]! |= 1 << 27;
}

/** 512 pages of 2 MiB that could be one of 1 GiB: modify does not coalesce. */
function almost1G(xen: Booted): void {
  xen.map(0, 0, G1);
  xen.map(M2, M2, 512, PAGE_HYPERVISOR_RO);
  xen.modify(M2, 2 * M2, PAGE_HYPERVISOR);
  expect(xen.mapped()).toEqual(['0x0: 512 x 2M -> 0x0 RW']);
}

describe('noticing that a table is one run', () => {
  /** Loads of words and entries of tables, by call, while a table is mapped page by page. */
  function loads(xen: Booted): number[] {
    const { memory } = xen.machine;
    let count = 0;
    const counted = <T extends Int32Array | BigInt64Array>(array: T): T =>
      new Proxy(array, {
        get(target, key) {
          const value: unknown = Reflect.get(target, key);
          if (typeof value === 'function') return value.bind(target);
          if (typeof key === 'string' && key !== 'length') count += 1;
          return value;
        },
      });
    xen.map(0, 0x200);
    memory.words = counted(memory.words);
    memory.quads = counted(memory.quads);
    return Array.from({ length: 510 }, (_, nth) => {
      count = 0;
      mapPages(xen.mm, xen.directmap + nth + 1, 0x200 + nth + 1, 1, PAGE_HYPERVISOR);
      return count;
    });
  }

  it('pagewalk: costs no more as the table fills', () => {
    const counts = loads(boot());
    expect(Math.max(...counts)).toBeLessThan(30);
    expect(counts[509]).toBeLessThanOrEqual(counts[1]!);
  });

  it('pagewalk: a full table that is no run by its flags costs no scan either', () => {
    const xen = boot();
    xen.mapEach(0, 0x200, 512, PAGE_HYPERVISOR_RX);
    const trace = xen.recorded(() => xen.map(300, 0x32c));
    expect(trace.count('read')).toBeLessThan(12);
    expect(xen.mapped()).toHaveLength(3);
  });

  it('pagewalk: counts what somebody else had mapped, when first asked', () => {
    const xen = boot();
    xen.mapEach(0, 0x200, 511);
    for (const table of xen.xen.frames.tables()) xen.xen.frames.adopt(table, 'boot');
    xen.map(511, 0x3ff);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });

  it('xen: costs two more loads with each page, as the scan reaches further', () => {
    const counts = loads(boot('xen'));
    expect(counts[509]! - counts[0]!).toBe(2 * 509);
  });
});

describe('coalescing any uniform flags', () => {
  const uniform = { coalesce: 'uniform' } as const;

  it.each([
    ['pagewalk', uniform],
    ['xen', { ...XEN_BEHAVIOUR, ...uniform }],
  ])('over %s: makes superpages of both sizes of RX pages', (_name, behaviour) => {
    const xen = boot({ behaviour });
    xen.map(0, 0, G1, PAGE_HYPERVISOR_RX);
    xen.map(7, 7, 1, PAGE_HYPERVISOR);
    xen.map(7, 7, 1, PAGE_HYPERVISOR_RX);
    expect(xen.mapped()).toEqual(['0x0: 1 x 1G -> 0x0 RX']);
  });

  it('leaves pages alone that were asked to stay small', () => {
    const xen = boot({ behaviour: uniform });
    xen.mapEach(0, 0x200, 512, PAGE_HYPERVISOR | MAP_SMALL_PAGES);
    expect(xen.mm.coalesces).toBe(0);
  });

  it('does not coalesce pages of which one has other flags', () => {
    const xen = boot({ behaviour: uniform });
    xen.mapEach(0, 0x200, 512, PAGE_HYPERVISOR_RX);
    xen.map(7, 0x207, 1, PAGE_HYPERVISOR_RO);
    xen.map(511, 0x3ff, 1, PAGE_HYPERVISOR_RX);
    expect(xen.mapped()).toHaveLength(3);
  });
});
