/** What tables keep: counters made late, entries that others watch, tables that stay when they are empty. */
import { describe, expect, it } from 'vitest';
import { destroyXenMappings, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO } from '../../src/hypervisor/index.ts';
import { type Booted, boot, G1, M2, PRESETS, va } from '../support/hypervisor.ts';

/** All tables as if they had been there before: what was counted of them is forgotten. */
function adoptAll(xen: Booted): void {
  for (const table of xen.xen.frames.tables()) xen.xen.frames.adopt(table, 'boot');
}

describe('an adopted table', () => {
  it('is empty after its last page was destroyed, and not before', () => {
    const xen = boot();
    xen.map(3, 0x103, 3);
    adoptAll(xen);
    for (const page of [4, 3]) {
      xen.destroy(page, page + 1);
      expect(xen.table(5, 1)).toBeDefined();
      expect(xen.read(5)).toBe(0x105);
    }
    xen.destroy(5, 6);
    expect([xen.table(5, 1), xen.table(5, 2)]).toEqual([undefined, undefined]);
  });

  it('is one run when the page that was missing comes, however many were changed before it was asked', () => {
    const xen = boot();
    xen.map(0, 0x200, M2 - 1);
    xen.map(7, 0x207, 1, PAGE_HYPERVISOR_RO);
    adoptAll(xen);
    xen.map(M2 - 1, 0x3ff);
    expect(xen.mm.coalesces).toBe(0);
    xen.map(7, 0x207);
    expect(xen.mapped()).toEqual(['0x0: 1 x 2M -> 0x200 RW']);
  });
});

describe.each(PRESETS)('who watches memory sees mapping code write to tables, behaviour %s', (behaviour) => {
  it.each<[string, (xen: Booted) => void, levels: number[]]>([
    ['mapping a page', (xen) => xen.map(6, 0x106), [1]],
    ['mapping a page again', (xen) => xen.map(5, 0x107), [1]],
    ['mapping a superpage', (xen) => xen.map(M2, 0x200, M2), [2]],
    ['adding tables', (xen) => xen.map(2 * M2, 0x106), [2, 1]],
    ['modifying', (xen) => xen.modify(5, 6, PAGE_HYPERVISOR_RO), [1]],
    ['destroying', (xen) => xen.destroy(5, 6), [1]],
  ])('as dirty pages: %s', (what, run, levels) => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 2);
    xen.map(G1, 0, G1);
    const { memory } = xen.machine;
    memory.clearDirty();
    run(xen);
    const page = what === 'adding tables' ? 2 * M2 : 5;
    const dirty = [4, 3, 2, 1].filter((level) => memory.isDirty(xen.table(page, level)!));
    expect(dirty).toEqual(levels);
  });

  it('as stores, where the table is marked as code', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    const table = xen.table(5, 1)!;
    const stores: number[][] = [];
    xen.machine.memory.markCode(table);
    xen.machine.memory.onCodeWrite = (...store) => stores.push(store);
    xen.map(6, 0x106, 3);
    xen.modify(5, 6, PAGE_HYPERVISOR_RO);
    expect(stores).toEqual([
      [table, 6 * 8, 3 * 8],
      [table, 5 * 8, 8],
    ]);
  });
});

describe.each(PRESETS)('a table of the image, or one that is pinned, behaviour %s', (behaviour) => {
  it.each<[string, (xen: Booted, table: number) => void]>([
    ['static', (xen, table) => xen.xen.frames.adopt(table, 'static')],
    [
      'pinned',
      (xen, table) => {
        xen.xen.frames.words[xen.xen.frames.at(table) + 3]! |= 1 << 27; // PGT_pinned
      },
    ],
  ])('stays linked when all its pages are destroyed: %s', (_what, fix) => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 2, PAGE_HYPERVISOR);
    const [l2, l1] = [xen.table(5, 2)!, xen.table(5, 1)!];
    fix(xen, l1);
    expect(destroyXenMappings(xen.mm, va(0), va(M2))).toBe(0);
    expect([xen.mapped(), xen.table(5, 2), xen.table(5, 1)]).toEqual([[], l2, l1]);
    expect(xen.problems()).toEqual([]);
  });
});

describe('one operation on an entry or a table', () => {
  it("exchanges an entry and tells what was there, hardware's A and D included", () => {
    const xen = boot();
    xen.map(5, 0x105, 1, PAGE_HYPERVISOR & ~0x60);
    expect(xen.cpus[0]!.long.write8(va(5), 1)).toBeUndefined();
    const { tables } = xen.mm;
    const entry = xen.table(5, 1)! * 512 + 5;
    expect([tables.exchange(entry, 1, 0x107, PAGE_HYPERVISOR), tables.frame]).toEqual([PAGE_HYPERVISOR, 0x105]);
    expect([tables.read(entry), tables.frame]).toEqual([PAGE_HYPERVISOR, 0x107]);
    xen.mm.flush.all(0, 0x200);
    expect(xen.read(5)).toBe(0x107);
  });

  it('keeps the counters right when it exchanges the page that was missing', () => {
    const xen = boot();
    xen.map(0, 0x200, M2 - 1);
    const table = xen.table(0, 1)!;
    expect(xen.mm.tables.runBase(table, 1, PAGE_HYPERVISOR)).toBe(-1);
    xen.mm.tables.exchange(table * 512 + 511, 1, 0x3ff, PAGE_HYPERVISOR);
    expect(xen.mm.tables.runBase(table, 1, PAGE_HYPERVISOR)).toBe(0x200);
  });

  it('finds the next table in a table, from any entry, past superpages and holes', () => {
    const xen = boot();
    xen.map(2 * M2, 0x106);
    xen.map(3 * M2, 0x200, M2);
    xen.map(5 * M2, 0x107);
    const l2 = xen.table(0, 2)!;
    const { tables } = xen.mm;
    const found = [0, 2, 3, 5, 6].map((from) => [tables.nextTable(l2, 2, from), tables.frame]);
    const [first, second] = [xen.table(2 * M2, 1), xen.table(5 * M2, 1)];
    expect(found).toEqual([
      [2, first],
      [2, first],
      [5, second],
      [5, second],
      [-1, 0],
    ]);
  });
});
