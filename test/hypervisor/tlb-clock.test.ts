/** Edge cases 70 and 71: the TLB clock, its wrap, and flushes that it makes unnecessary. */
import { describe, expect, it } from 'vitest';
import { FLUSH_ORDER, FLUSH_TLB, FLUSH_TLB_GLOBAL } from '../../src/hypervisor/index.ts';
import { type Booted, boot, M2 } from '../support/hypervisor.ts';

describe('the TLB clock', () => {
  const full = (xen: Booted, cpu = 0): void => {
    xen.mms[cpu]!.flush.local(0, FLUSH_TLB_GLOBAL);
  };

  it('70: ticks with each full flush, and not with INVLPG', () => {
    const xen = boot();
    const { clock } = xen.mm.flush;
    full(xen);
    full(xen);
    xen.mm.flush.local(0, FLUSH_TLB | FLUSH_ORDER(0));
    expect(clock.now).toBe(3);
  });

  it('70: a CPU needs a flush for what was in use at or after its last one, up to now', () => {
    const xen = boot();
    const { clock } = xen.mm.flush;
    for (let nth = 0; nth < 4; nth++) full(xen);
    expect(clock.now).toBe(5);
    const stamps = [0, 4, 5, 6, 0xffff_ffff];
    expect(stamps.map((stamp) => clock.needsFlush(0, stamp))).toEqual([false, false, true, false, false]);
  });

  it('70: wraps to 0, where everything needs a flush, until everybody was flushed; then it is 1', () => {
    const xen = boot({ tlbClockBits: 3, cpus: 2 });
    const { clock } = xen.mm.flush;
    for (let nth = 0; nth < 6; nth++) full(xen);
    expect([clock.now, clock.needsFlush(0, 5)]).toEqual([7, false]);
    full(xen);
    expect([clock.now, clock.hasWrapped]).toEqual([0, true]);
    expect([0, 5, 7].flatMap((stamp) => [clock.needsFlush(0, stamp), clock.needsFlush(1, stamp)])).not.toContain(false);
    full(xen);
    expect(clock.now).toBe(0);
    xen.map(0, 0x100);
    expect(xen.read(0, 1)).toBe(0x100);
    const before = xen.cpus[1]!.counters.invalidations;
    xen.mm.flush.mask(0b01, 0, FLUSH_TLB_GLOBAL);
    expect([clock.now, clock.hasWrapped, xen.cpus[1]!.counters.invalidations - before]).toEqual([1, false, 1]);
    // Frames that left use before the wrap were flushed with it.
    expect([2, 5, 7].map((stamp) => clock.needsFlush(1, stamp))).toEqual([false, false, false]);
  });

  it('70: with interrupts off it stays wrapped until they are on', () => {
    const xen = boot({ tlbClockBits: 3 });
    const { mm } = xen;
    mm.locks.irqsOn = false;
    for (let nth = 0; nth < 9; nth++) mm.flush.all(0, FLUSH_TLB);
    expect(mm.flush.clock.now).toBe(0);
    mm.locks.irqsOn = true;
    mm.flush.all(0, FLUSH_TLB);
    expect(mm.flush.clock.now).toBe(1);
  });

  it('70: goes on too where it wraps while a CPU serves a request', () => {
    const xen = boot({ tlbClockBits: 3, cpus: 2 });
    full(xen);
    for (let nth = 0; nth < 10; nth++) {
      xen.mm.flush.all(0, FLUSH_TLB_GLOBAL);
      for (const cpu of xen.cpus) cpu.poll();
    }
    expect(xen.mm.flush.clock.now).toBeGreaterThan(0);
  });

  it('70: of 32 bits counts past 2^31', () => {
    const xen = boot();
    const { clock } = xen.mm.flush;
    expect(clock.needsFlush(0, 0x9000_0000)).toBe(false);
    const wide = boot({ tlbClockBits: 32 });
    expect(wide.mm.flush.clock.needsFlush(0, 1)).toBe(true);
  });

  it('71: a filtered flush leaves out the CPUs that were flushed since the stamp', () => {
    const xen = boot({ cpus: 3 });
    const { mm } = xen;
    const frame = mm.heap.alloc();
    for (const cpu of [0, 1, 2]) full(xen, cpu);
    mm.flush.clock.stamp(xen.xen.frames, frame);
    const { tlbflushTimestamp } = xen.xen.frames.info(frame);
    expect(tlbflushTimestamp).toBe(mm.flush.clock.now);
    full(xen, 1);
    expect(mm.flush.clock.filter(0b111, tlbflushTimestamp)).toBe(0b101);
    const before = xen.cpus.map(({ counters }) => counters.invalidations);
    mm.flush.filtered(tlbflushTimestamp);
    expect(xen.cpus.map(({ counters }, cpu) => counters.invalidations - before[cpu]!)).toEqual([1, 0, 1]);
    mm.flush.filtered(tlbflushTimestamp);
    expect([mm.flush.requests, mm.flush.ipis]).toEqual([1, 1]);
  });

  it('71: flushes of requests count: after one, nobody needs another', () => {
    const xen = boot({ cpus: 2 });
    xen.map(0, 0, M2);
    const stamp = xen.mm.flush.clock.now;
    xen.map(0, 0x200, M2);
    const { requests } = xen.mm.flush;
    xen.mm.flush.filtered(stamp);
    expect(xen.mm.flush.requests).toBe(requests);
  });

  it('71: the time of a stamp, and whom it leaves out, are operations that an observer sees', () => {
    const xen = boot({ cpus: 2 });
    const { flush } = xen.mm;
    full(xen);
    const recorder = xen.recorded(() => flush.filtered(flush.stamp()));
    const seen = recorder.events.flatMap(({ operation, value }) =>
      operation === 'clock' || operation === 'filter' ? [`${operation} ${value}`] : [],
    );
    expect(seen).toEqual(['clock 2', 'filter 3']);
  });
});
