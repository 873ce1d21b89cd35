/** What the heap takes back, on which proof, and from whose pool it gives. */
import { describe, expect, it } from 'vitest';
import { SHOOTDOWNS } from '../../src/hypervisor/control.ts';
import { MARK_PUBLISHED } from '../../src/hypervisor/frame-table.ts';
import { FLUSH_TLB_GLOBAL, PAGE_HYPERVISOR, Xen } from '../../src/hypervisor/index.ts';
import { NEVER_PUBLISHED } from '../../src/hypervisor/proof.ts';
import { Machine } from '../../src/index.ts';
import { boot, M2 } from '../support/hypervisor.ts';

describe('giving a table back', () => {
  it('takes a proof: without one it does not compile', () => {
    const { mm } = boot();
    const frame = mm.heap.alloc();
    // @ts-expect-error: a number is no proof
    const free = (): void => mm.heap.free(frame, 1);
    // @ts-expect-error: nor is nothing
    const freeToo = (): void => mm.heap.free(frame);
    expect([free, freeToo]).toHaveLength(2);
  });

  it('NeverPublished frees what was never linked, without a flush', () => {
    const { mm, xen } = boot();
    const frame = mm.heap.alloc();
    mm.heap.free(frame, NEVER_PUBLISHED);
    expect([mm.heap.frees, mm.flush.requests, xen.frames.info(frame).state]).toEqual([1, 0, 'free']);
  });

  it('NeverPublished does not free what was linked', () => {
    const xen = boot();
    xen.map(0, 0x101);
    expect(() => xen.mm.heap.free(xen.table(0, 1)!, NEVER_PUBLISHED)).toThrow(
      /was published: freeing it takes a flush/,
    );
  });

  it('a shootdown frees what was detached before it', () => {
    const { mm, xen } = boot();
    const frame = mm.heap.alloc();
    xen.frames.mark(frame, 1 << 3);
    mm.gather.detach(frame);
    mm.heap.free(frame, mm.flush.all(0, 0x200));
    expect(xen.frames.info(frame).state).toBe('free');
  });

  it('a shootdown does not free what was detached after it', () => {
    const { mm } = boot();
    const frame = mm.heap.alloc();
    const stale = mm.flush.all(0, 0x200);
    mm.gather.detach(frame);
    expect(() => mm.heap.free(frame, stale)).toThrow(/was detached after the flush that should free it/);
  });

  it('a grace period frees what was detached before it, and not what was detached after it', () => {
    const { mm } = boot({ cpus: 2 });
    const [one, two] = [mm.heap.alloc(), mm.heap.alloc()];
    mm.gather.detach(one);
    const retired = mm.grace.period();
    mm.gather.detach(two);
    mm.heap.free(one, retired);
    expect(() => mm.heap.free(two, retired)).toThrow(/was detached after/);
  });

  it('goes on where the number of shootdowns wraps: the one that stands for no flush is never given', () => {
    const machine = new Machine({ memory: { size: 32 * 4096, shared: true } });
    const xen = new Xen(machine, { heap: { start: 0, size: 32 * 4096 } });
    const control = new Int32Array(xen.share().state.control);
    const mm = xen.on(0);
    for (const last of [2 ** 31 - 1, -2, -1, 0]) {
      control[SHOOTDOWNS] = last;
      const frame = mm.heap.alloc();
      xen.frames.mark(frame, MARK_PUBLISHED);
      mm.gather.detach(frame);
      mm.heap.free(frame, last % 2 === 0 ? mm.flush.all(0, FLUSH_TLB_GLOBAL) : mm.grace.period());
      expect(xen.frames.info(frame).state).toBe('free');
    }
  });

  it('a second time is a bug, whatever the proof', () => {
    const { mm } = boot();
    const frame = mm.heap.alloc();
    mm.heap.free(frame, NEVER_PUBLISHED);
    expect(() => mm.heap.free(frame, NEVER_PUBLISHED)).toThrow(/BUG: double free of table 0x/);
    expect(() => mm.heap.free(frame, mm.flush.all(0, 0x200))).toThrow(/BUG: double free of table 0x/);
  });

  it('of a frame that was never a table is a bug', () => {
    const { mm } = boot();
    expect(() => mm.heap.free(0x100, mm.flush.all(0, 0x200))).toThrow(/0x100, which was not allocated/);
    expect(() => mm.heap.free(0x10_0000, mm.flush.all(0, 0x200))).toThrow(/it is not RAM/);
  });

  it('a write to a table after it was freed is found when the frame is used again', () => {
    const { mm, machine } = boot();
    const frame = mm.heap.alloc();
    mm.heap.free(frame, NEVER_PUBLISHED);
    machine.host.write32(frame * 4096 + 8 * 77, 0x123);
    expect(() => mm.heap.alloc()).toThrow(
      `BUG: entry 77 of table 0x${frame.toString(16)} was written after the table was freed`,
    );
  });

  it('a freed table reads as entries that are not present', () => {
    const xen = boot();
    xen.map(0, 0x101, 3);
    const table = xen.table(0, 1)!;
    xen.map(0, 0x200, M2);
    expect(
      xen.machine.memory.quads.subarray(table * 512, table * 512 + 512).every((entry) => (entry & 1n) === 0n),
    ).toBe(true);
  });

  it('mapping code that follows a pointer into a freed table is found', () => {
    const xen = boot();
    xen.map(0, 0x101, 3);
    const table = xen.table(0, 1)!;
    xen.map(0, 0x200, M2);
    expect(() => xen.mm.tables.write(table * 512, 1, 0x101, PAGE_HYPERVISOR)).toThrow(
      /use of table 0x\w+, which is free/,
    );
  });
});

describe('pools of frames', () => {
  it("a CPU uses again what it freed last, and does not take another CPU's while there are fresh frames", () => {
    const { mms } = boot({ cpus: 2 });
    const [zero, one] = [mms[0]!.heap, mms[1]!.heap];
    const [a, b] = [zero.alloc(), zero.alloc()];
    zero.free(a, NEVER_PUBLISHED);
    zero.free(b, NEVER_PUBLISHED);
    expect([a, b]).not.toContain(one.alloc());
    expect([zero.alloc(), zero.alloc()]).toEqual([b, a]);
  });

  it("a CPU takes from another one's pool when all else is gone", () => {
    const { mms } = boot({ cpus: 3, heapFrames: 4 });
    const frames = mms.map(({ heap }) => heap.alloc());
    expect(mms[0]!.heap.alloc()).toBe(-1);
    mms[1]!.heap.free(frames[1]!, NEVER_PUBLISHED);
    expect([mms[2]!.heap.alloc(), mms[2]!.heap.alloc()]).toEqual([frames[1], -1]);
  });

  it('a table that another CPU allocated may be freed by any', () => {
    const xen = boot({ cpus: 2 });
    xen.mapOn(1, 0, 0x101, 3);
    xen.map(0, 0x200, M2);
    expect([xen.mms[1]!.heap.allocations, xen.mm.heap.frees]).toEqual([3, 1]);
    expect(xen.problems()).toEqual([]);
  });
});
