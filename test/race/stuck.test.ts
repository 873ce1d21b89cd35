/** CPUs on other threads that answer, sleep, die, or do neither: whoever waits for them goes on, or says what is wrong. */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { lookUp, mapPagesToXen, PAGE_HYPERVISOR, Xen } from '../../src/hypervisor/index.ts';
import { Machine, StuckError } from '../../src/index.ts';

const VIRT = '0xffff830000000000';

function setUp(what: 'die with a lock' | 'spin' | 'poll' | 'park') {
  const machine = new Machine({ memory: { shared: true, size: 4 << 20 }, cpus: 2 });
  const xen = new Xen(machine, { heap: { start: 0, size: 2 << 20 } });
  const mm = xen.on(0);
  machine.mailboxes.setOffline(1);
  machine.mailboxes.patienceMs = 400;
  mapPagesToXen(mm, VIRT, 0x300, 1, PAGE_HYPERVISOR);
  machine.host.write32(0x30_0000, 1);
  machine.host.write32(0x30_1000, 2);
  const stop = new SharedArrayBuffer(4);
  const l3 = machine.host.read64(xen.root * 4096 + 8 * 262).toNumber() / 4096;
  const worker = new Worker(new URL('../support/cpu-worker.mjs', import.meta.url), {
    workerData: { shared: xen.share(), what, l3: Math.floor(l3), stop },
  });
  const message = () => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const remap = () => mapPagesToXen(mm, VIRT, 0x301, 1, PAGE_HYPERVISOR);
  const release = () => {
    Atomics.store(new Int32Array(stop), 0, 1);
    return message();
  };
  return { machine, mm, worker, message, remap, release };
}

describe('a CPU on another thread', () => {
  it('acknowledges a flush when it polls', async () => {
    const { mm, message, remap, release, worker } = setUp('poll');
    expect(await message()).toBe(1);
    expect([remap(), mm.flush.ipis]).toEqual([0, 1]);
    expect(await release()).toBe(2);
    await worker.terminate();
  });

  it('is not waited for while it is parked, and drops everything before it runs again', async () => {
    const { message, remap, release, worker } = setUp('park');
    expect(await message()).toBe(1);
    expect(remap()).toBe(0);
    expect(await release()).toBe(2);
    await worker.terminate();
  });

  it('that runs without polling is reported by name', async () => {
    const { message, remap, worker } = setUp('spin');
    expect(await message()).toBe(1);
    expect(remap).toThrow(StuckError);
    expect(remap).toThrow(/CPU 0 .* the acknowledgement of a flush; CPU 1 \(running\) does not answer/);
    await worker.terminate();
  });

  it('that died with a lock is offline, and whoever wants the lock is told who holds it', async () => {
    const { machine, mm, remap, worker } = setUp('die with a lock');
    await new Promise((resolve) => worker.once('exit', resolve));
    machine.mailboxes.setOffline(1);
    expect(remap).toThrow(
      /waited 400 ms for the lock of L3 table 0x\w+; CPU 1 \(offline\) holds the lock of L3 table 0x/,
    );
    // Tables below other L4 slots are not concerned.
    expect(mapPagesToXen(mm, '0xffff838000000000', 0x301, 1, PAGE_HYPERVISOR)).toBe(0);
    expect(lookUp(mm, '0xffff838000000000').level).toBe(1);
  });
});
