/** Edge case 19: when lines of the cache are flushed, by address or whole, and once. */
import { describe, expect, it } from 'vitest';
import {
  FLUSH_CACHE_WRITEBACK,
  FLUSH_ORDER,
  mapPages,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_UC,
  PAGE_HYPERVISOR_WC,
  VMAP,
} from '../../src/hypervisor/index.ts';
import { WRITE } from '../../src/index.ts';
import { NX } from '../../src/mmu/entry.ts';
import { type Booted, boot, G512, halves, M2, PRESETS, va } from '../support/hypervisor.ts';

describe.each(PRESETS)('cache flushes, behaviour %s', (behaviour) => {
  const log = (xen: Booted): string[] =>
    xen.mm.flush.cacheFlushes.map(
      ({ kind, scope, page, order }) => `${kind} ${scope} ${page - xen.directmap} ${order}`,
    );

  it('19: a new memory type of a present page asks for one cache flush, by address in the directmap', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    const trace = xen.recorded(() => xen.map(5, 0x105, 1, PAGE_HYPERVISOR_UC));
    expect(trace.steps('shootdown')).toEqual(['flush 0 G evict by address']);
    expect(log(xen)).toEqual(['evict area 5 0']);
  });

  it('19: each page whose type changes has its own lines flushed', () => {
    const xen = boot(behaviour);
    xen.map(1, 0x101, 3);
    xen.map(1, 0x101, 3, PAGE_HYPERVISOR_WC);
    expect(log(xen)).toEqual(['evict area 1 0', 'evict area 2 0', 'evict area 3 0']);
  });

  it('19: a page before it that keeps its type does not make it the whole cache', () => {
    const xen = boot(behaviour);
    xen.map(1, 0x101, 1, PAGE_HYPERVISOR_UC);
    xen.map(2, 0x102);
    xen.map(1, 0x201, 2, PAGE_HYPERVISOR_UC);
    expect(log(xen)).toEqual(['evict area 2 0']);
  });

  it('19: of a page outside the directmap the whole cache is flushed, on every CPU', () => {
    const xen = boot({ behaviour, cpus: 2 });
    mapPages(xen.mm, VMAP.start, 0x105, 1, PAGE_HYPERVISOR);
    mapPages(xen.mm, VMAP.start, 0x105, 1, PAGE_HYPERVISOR_UC);
    for (const { flush } of xen.mms) expect(flush.cacheFlushes.map(({ scope }) => scope)).toEqual(['whole']);
  });

  it('19: so it is of the part of the directmap that lies outside HYPERVISOR_VIRT', () => {
    const xen = boot(behaviour);
    const [last, first] = [10 * G512 - 1, 10 * G512];
    xen.map(last, 0x105, 2);
    xen.map(last, 0x105, 1, PAGE_HYPERVISOR_UC);
    xen.map(first, 0x106, 1, PAGE_HYPERVISOR_UC);
    expect(xen.mm.flush.cacheFlushes.map(({ scope }) => scope)).toEqual(['area', 'whole']);
  });

  it('19: lines that one CPU flushes by address are flushed on no other', () => {
    const xen = boot({ behaviour, cpus: 2 });
    xen.map(5, 0x105);
    xen.map(5, 0x105, 1, PAGE_HYPERVISOR_UC);
    expect(xen.mms.map(({ flush }) => flush.cacheFlushes.length)).toEqual([1, 0]);
  });

  it('19: an area as large as the cache is flushed whole', () => {
    const xen = boot({ behaviour, cacheBytes: 2 << 20 });
    xen.map(0, 0, 2 * M2);
    xen.map(M2, M2, 512, PAGE_HYPERVISOR_UC);
    xen.map(5, 5, 1, PAGE_HYPERVISOR_UC);
    expect(xen.mm.flush.cacheFlushes.map(({ scope, order }) => [scope, order])).toEqual([
      ['whole', 9],
      ['area', 0],
    ]);
  });

  it('19: a superpage whose type changes is flushed by its order', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x200, 512);
    xen.map(0, 0x200, 512, PAGE_HYPERVISOR_UC);
    expect(log(xen)).toEqual(['evict area 0 9']);
  });

  it('19: a table replaced by a superpage of another type asks once for all its pages', () => {
    const xen = boot(behaviour);
    xen.map(0, 0x201, 512);
    xen.map(0, 0x200, 512, PAGE_HYPERVISOR_UC);
    expect(log(xen)).toEqual(['evict area 0 9']);
  });

  it.each([
    ['unmapping', 0x105, 0],
    ['a new frame of the same type', 0x106, PAGE_HYPERVISOR],
    ['new rights', 0x105, PAGE_HYPERVISOR_RO],
  ])('19: %s asks for no cache flush', (_what, mfn, flags) => {
    const xen = boot(behaviour);
    xen.map(5, 0x105);
    xen.map(5, mfn, 1, flags);
    expect(log(xen)).toEqual([]);
  });

  it('19: mapping what was not present asks for none, whatever the type', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 1, PAGE_HYPERVISOR_UC);
    xen.unmap(5);
    xen.map(5, 0x105, 1, PAGE_HYPERVISOR_WC);
    expect(log(xen)).toEqual([]);
  });

  it('19: modify keeps the memory type and asks for none', () => {
    const xen = boot(behaviour);
    xen.map(5, 0x105, 1, PAGE_HYPERVISOR_UC);
    xen.modify(5, 6, PAGE_HYPERVISOR_RO & ~NX);
    expect([log(xen), xen.cpu.long.explain(va(5)).patIndex]).toEqual([[], 3]);
    expect(xen.cpu.translate(...halves(5), WRITE)).toBe(14);
  });
});

describe('cache flushes without a mapping', () => {
  it('write back lines of an area by address on one CPU, or everything on all', () => {
    const xen = boot({ cpus: 2, cacheBytes: 1 << 20 });
    xen.mm.flush.all(xen.directmap + 3, FLUSH_CACHE_WRITEBACK | FLUSH_ORDER(3));
    xen.mm.flush.all(xen.directmap, FLUSH_CACHE_WRITEBACK | FLUSH_ORDER(9));
    xen.mm.flush.all(xen.directmap, FLUSH_CACHE_WRITEBACK);
    expect(
      xen.mms.map(({ flush }) => flush.cacheFlushes.map(({ kind, scope, order }) => [kind, scope, order])),
    ).toEqual([
      [
        ['write back', 'area', 3],
        ['write back', 'whole', 9],
        ['write back', 'whole', -1],
      ],
      [
        ['write back', 'whole', 9],
        ['write back', 'whole', -1],
      ],
    ]);
  });

  it('19: a request that both changes the type and replaces a table flushes TLBs before it frees', () => {
    const xen = boot({ cpus: 2 });
    xen.map(0, 0x201, M2);
    xen.map(M2, 0x101);
    const trace = xen.recorded(() => {
      xen.map(M2, 0x102);
      xen.map(0, 0x200, M2, PAGE_HYPERVISOR_UC);
    });
    expect(trace.steps('write', 'shootdown', 'free')).toEqual([
      ...['write L1', 'flush 0 G'],
      ...['write L2', 'flush 9 G evict by address', 'free L1'],
    ]);
    expect(trace.violations).toEqual([]);
  });
});

describe('a table and a cache flush in one request', () => {
  it('19, 82: pagewalk: the flush of an earlier page does not free the table', () => {
    const xen = boot();
    xen.map(511, 0x100, 1, PAGE_HYPERVISOR_UC);
    xen.map(M2, 0x101, M2);
    const trace = xen.recorded(() => xen.map(511, 511, 1 + M2, PAGE_HYPERVISOR_UC));
    expect(trace.violations).toEqual([]);
    expect(trace.steps('shootdown', 'free')).toEqual(['flush 0 G', 'flush 9 G evict by address', 'free L1']);
  });
});
