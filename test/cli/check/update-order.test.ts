import { beforeEach, describe, expect, it } from 'vitest';
import { UpdateOrder } from '../../../src/cli/check/update-order.ts';
import { FLUSH_ORDER, FLUSH_TLB } from '../../../src/hypervisor/index.ts';
import { Machine } from '../../../src/index.ts';

// Tables by frame; L1 maps 2 MiB from PAGE.
const [ROOT, L3, L2, L1, SPARE] = [0, 1, 2, 3, 4];
const PAGE = 0xf_fff8_3000_0000;
const ONE_PAGE = FLUSH_TLB | FLUSH_ORDER(0);
const ALL = FLUSH_TLB | FLUSH_ORDER(9);

const entry = (table: number, index: number): number => table * 512 + index;

describe('UpdateOrder', () => {
  const { memory, host } = new Machine({ memory: { size: 8 * 4096 } });
  let order: UpdateOrder;

  function store(at: number, value: number): void {
    order.changes(at);
    host.write64(at * 8, value);
  }

  function link(at: number, table: number): void {
    order.links(at, table);
    host.write64(at * 8, table * 4096 + 0x63);
  }

  function add(at: number, table: number): void {
    order.allocated(table);
    order.filled(table);
    link(at, table);
  }

  beforeEach(() => {
    host.write(0, new Uint8Array(8 * 4096));
    order = new UpdateOrder(memory, ROOT, 'flushed');
    add(entry(ROOT, 262), L3);
    add(entry(L3, 0), L2);
    add(entry(L2, 0), L1);
    store(entry(L1, 5), 0x1000_0163);
    expect(order.end()).toBeUndefined();
  });

  it('takes what was not present before without a flush', () => {
    store(entry(L1, 6), 0x1000_0163);
    expect(order.end()).toBeUndefined();
  });

  it('wants a replaced page flushed, by its own address or with everything', () => {
    store(entry(L1, 5), 0x2000_0163);
    order.flushed(PAGE + 5, ONE_PAGE);
    store(entry(L1, 5), 0);
    order.flushed(0, ALL);
    expect(order.end()).toBeUndefined();
  });

  it.each<[string, () => void, string]>([
    ['no flush of a replaced page', () => store(entry(L1, 5), 0), 'the replaced page 0xffff830000005 is not flushed'],
    [
      'a flush of another page',
      () => {
        store(entry(L1, 5), 0);
        order.flushed(PAGE + 6, ONE_PAGE);
      },
      'the replaced page 0xffff830000005 is not flushed',
    ],
    [
      'a flush before the store',
      () => {
        order.flushed(0, ALL);
        store(entry(L1, 5), 0);
      },
      'the replaced page 0xffff830000005 is not flushed',
    ],
    [
      'a flush of one page for a table',
      () => {
        store(entry(L2, 0), 0);
        order.flushed(PAGE, ONE_PAGE);
      },
      'replaced superpages, tables or many pages are not flushed',
    ],
    [
      'a table linked before it is filled',
      () => {
        order.allocated(SPARE);
        link(entry(L2, 1), SPARE);
      },
      'table 0x4 is linked before it is completely written',
    ],
    ['a table filled while it is linked', () => order.filled(L1), 'table 0x3 is filled while it can be seen'],
    ['a table freed while it is linked', () => order.freed(L1), 'table 0x3 is freed while it is linked'],
    [
      'a table freed before the flush',
      () => {
        store(entry(L2, 0), 0);
        order.freed(L1);
        order.flushed(0, ALL);
      },
      'table 0x3 is freed before a flush',
    ],
    [
      'a table below the one that was unlinked, freed before the flush',
      () => {
        store(entry(L3, 0), 0);
        order.freed(L1);
        order.flushed(0, ALL);
      },
      'table 0x3 is freed before a flush',
    ],
    [
      'a write to a table that was unlinked',
      () => {
        store(entry(L2, 0), 0);
        order.flushed(0, ALL);
        store(entry(L1, 6), 0x1000_0163);
      },
      'table 0x3 is written to, and neither linked nor filled',
    ],
    [
      'a piece that changes before its split is flushed',
      () => {
        store(entry(L3, 1), 0x4000_01e3);
        add(entry(L3, 1), SPARE);
        store(entry(SPARE, 7), 0x4000_01e3);
        order.flushed(0, ALL);
      },
      'table 0x4 changes before the split that made it is flushed',
    ],
    ['a table allocated twice', () => order.allocated(L1), 'table 0x3 is allocated while it is in use'],
    ['a table freed that was none', () => order.freed(SPARE), 'table 0x4 is freed and was not in use'],
  ])('complains of %s', (_, act, message) => {
    act();
    expect(order.end()).toBe(message);
  });

  it('takes tables that are unlinked, flushed and freed, with those below them', () => {
    store(entry(L3, 0), 0x4000_01e3);
    order.flushed(0, ALL);
    order.freed(L1);
    order.freed(L2);
    add(entry(L3, 1), L1);
    expect(order.end()).toBeUndefined();
  });

  it('takes a split and its pieces split again, flushed before a piece changes', () => {
    store(entry(L3, 1), 0x4000_01e3);
    add(entry(L3, 1), SPARE);
    host.write64(entry(SPARE, 7) * 8, 0x4000_01e3);
    add(entry(SPARE, 7), SPARE + 1);
    order.flushed(0, ALL);
    store(entry(SPARE + 1, 0), 0x4000_0163);
    expect(order.end()).toBeUndefined();
  });

  it('takes what Xen does: pieces that change before the flush of their split', () => {
    const asInXen = new UpdateOrder(memory, ROOT, 'unflushed');
    host.write64(entry(ROOT, 1) * 8, 0x1e3);
    asInXen.allocated(SPARE);
    asInXen.filled(SPARE);
    asInXen.links(entry(ROOT, 1), SPARE);
    asInXen.changes(entry(SPARE, 7));
    asInXen.flushed(0, ALL);
    expect(asInXen.end()).toBeUndefined();
  });

  it('takes a table back that was never linked', () => {
    order.allocated(SPARE);
    order.freed(SPARE);
    expect(order.end()).toBeUndefined();
  });

  it('tells the first complaint, once', () => {
    order.freed(SPARE);
    store(entry(L1, 5), 0);
    expect(order.end()).toBe('table 0x4 is freed and was not in use');
    expect(order.end()).toBeUndefined();
  });
});
