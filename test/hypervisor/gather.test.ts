/** The default gathers flushes: one shootdown for each L3 table, where Xen makes one for each page. */
import { describe, expect, it } from 'vitest';
import { PAGE_HYPERVISOR_RO } from '../../src/hypervisor/index.ts';
import { boot, G1, G512, halves, M2, PRESETS } from '../support/hypervisor.ts';

describe('gathering', () => {
  it('xen: flushes each of 1024 remapped pages, pagewalk: all of them once', () => {
    const flushes = PRESETS.map((behaviour) => {
      const xen = boot({ behaviour, cpus: 2 });
      xen.map(0, 0x101, 1024);
      for (const page of [0, 700, 1023]) xen.read(page, 1);
      const count = xen.counting();
      xen.map(0, 1, 1024);
      expect([0, 700, 1022].map((page) => xen.read(page, 1))).toEqual([1, 701, 1023]);
      return count().flushes;
    });
    expect(flushes).toEqual([1024, 1]);
  });

  it('pagewalk: one shootdown for each L3 table, before any free and before its lock is dropped', () => {
    const xen = boot({ cpus: 2 });
    xen.map(G512 - 2 * M2, 0x101, 4 * M2);
    const trace = xen.recorded(() => xen.map(G512 - 2 * M2, 0x200, 4 * M2, PAGE_HYPERVISOR_RO));
    expect(trace.steps('lock', 'unlock', 'write', 'shootdown', 'free')).toEqual([
      ...['lock L3', 'write L2', 'write L2', 'flush all G', 'free L1', 'free L1', 'unlock L3'],
      ...['lock L3', 'write L2', 'write L2', 'flush all G', 'free L1', 'free L1', 'unlock L3'],
    ]);
    expect(trace.violations).toEqual([]);
  });

  it('pagewalk: what replaces nothing flushes nothing, whatever its size', () => {
    const xen = boot();
    const count = xen.counting();
    xen.map(5, 0x105, 3 * M2);
    expect(count().flushes).toBe(0);
  });

  it('pagewalk: a failure midway is flushed before the lock is dropped', () => {
    const xen = boot({ cpus: 2 });
    xen.map(0, 0x101, M2);
    xen.read(9, 1);
    xen.mm.heap.budget = 0;
    const trace = xen.recorded(() => expect(xen.map(0, 0x301, 2 * M2)).toBeLessThan(0));
    expect(trace.steps('shootdown', 'unlock')).toEqual(['flush all G', 'unlock L3']);
    expect([xen.mm.pagesDone, xen.read(9, 1)]).toEqual([M2, 0x30a]);
  });

  it('pagewalk: a change waits for the flush of a split; a split not for changes, which lie below it', () => {
    const xen = boot();
    xen.map(0, 0, 2 * M2);
    const trace = xen.recorded(() => xen.map(5, 0x105, M2, PAGE_HYPERVISOR_RO));
    const steps = trace.steps('publish', 'write', 'shootdown').filter((step, at, all) => step !== all[at - 1]);
    expect(steps).toEqual([
      ...['link L1', 'flush 9 G', 'write L1'],
      ...['link L1', 'flush all G', 'write L1', 'flush all G'],
    ]);
  });

  it('halves of an address beyond 32 bits reach other CPUs whole', () => {
    const xen = boot({ cpus: 2 });
    const far = 5 * G512 + 3 * G1 + 7;
    xen.map(far, 0x105);
    expect(xen.read(far, 1)).toBe(0x105);
    xen.map(far, 0x106);
    expect([xen.read(far, 1), halves(far)[1] < 0]).toEqual([0x106, true]);
  });
});
