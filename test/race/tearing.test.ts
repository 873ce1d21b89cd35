/**
 * A 64-bit entry never tears between real threads, and A and D updates never bring an old entry back. ECMAScript lets
 * plain BigInt64 accesses tear; this stands guard on each engine.
 */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
// The same build as the worker's.
import { Machine, type SharedMachine } from '../../dist/index.js';

const LONG = process.env['PAGEWALK_LONG'] === '1';
const READS = LONG ? 100_000_000 : 10_000_000;
const TABLE = 0x200;

interface Race {
  readonly machine: Machine;
  /** Ends the worker; how often it stored. */
  stop(): Promise<number>;
}

/** Starts the other thread, which stores to the first entry of TABLE. */
async function race(how: 'cpu' | 'tables' | 'halves' | 'frames'): Promise<Race> {
  const machine = new Machine({
    memory: { size: 8 << 20, shared: true },
    caches: { hitViews: how === 'frames' ? 'off' : 'on' },
  });
  const stop = new SharedArrayBuffer(4);
  const shared: SharedMachine = machine.share();
  const worker = new Worker(new URL('../support/tearing-worker.mjs', import.meta.url), {
    workerData: { shared, how, table: TABLE, stop },
  });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return {
    machine,
    async stop() {
      const stores = new Promise<number>((resolve) => worker.once('message', resolve));
      Atomics.store(new Int32Array(stop), 0, 1);
      const count = await stores;
      await worker.terminate();
      return count;
    },
  };
}

const isTorn = (lo: number, hi: number): boolean => lo >>> 12 !== (hi & 0xfffff) && (lo | hi) !== 0;

describe('a 64-bit entry between two threads', () => {
  it.each(['cpu', 'tables'] as const)(
    'never tears: stored through %s, read by the CPU and by the walker',
    async (how) => {
      const { machine, stop } = await race(how);
      const cpu = machine.cpus[0]!;
      const { port } = cpu.translator;
      cpu.enter({ cr0: 1, cr3: 0, cr4: 0, efer: 0 });
      let torn = 0;
      let changes = 0;
      let last = 0;
      // On a busy machine the threads take turns; more reads until enough of them met a store, within bounds.
      for (let read = 0; read < READS || (changes < 1000 && read < 10 * READS); read += 2) {
        const lo = cpu.read64(TABLE * 4096, 0);
        if (isTorn(lo, cpu.valueHi)) torn += 1;
        port.load(TABLE, 0, 8);
        if (isTorn(port.lo, port.hi)) torn += 1;
        if (lo !== last) changes += 1;
        last = lo;
      }
      const stores = await stop();
      expect(torn).toBe(0);
      expect(changes).toBeGreaterThan(10);
      expect(stores).toBeGreaterThan(1000);
    },
  );

  it('tears when it is moved as two halves, so that this test can fail', async () => {
    const { machine, stop } = await race('halves');
    const { words } = machine.memory;
    let torn = 0;
    for (let read = 0; read < 100_000_000 && torn === 0; read++)
      if (isTorn(words[TABLE * 1024]!, words[TABLE * 1024 + 1]!)) torn += 1;
    await stop();
    expect(torn).toBeGreaterThan(0);
  });
});

describe('A and D while another CPU remaps the page', () => {
  it('are set in the entry that was checked, and bring no old frame back', { timeout: 600_000 }, async () => {
    const { machine, stop } = await race('frames');
    const { host } = machine;
    const cpu = machine.cpus[0]!;
    host.write64(0x1000, 0x2067);
    host.write64(0x2000, 0x3067);
    host.write64(0x3000, TABLE * 4096 + 0x67);
    cpu.enter({ cr0: 0x80010001, cr3: 0x1000, cr4: 0x20, efer: 0x500 });
    const { port, walker } = cpu.translator;
    const walks = LONG ? 5_000_000 : 300_000;
    // On a busy machine the other thread may sleep through all of these: then a while longer.
    const end = Date.now() + 60_000;
    let foreign = 0;
    for (let walk = 0; walk < walks || (walker.restarts === 0 && Date.now() < end); walk++) {
      cpu.translator.dropAll();
      if (cpu.write8(0, 0, 1) !== 0) continue;
      const { frame } = cpu.translator;
      if (frame !== 0x300 && frame !== 0x301) foreign += 1;
      port.load(TABLE, 0, 8);
      // P and RW, perhaps A and D, one of two frames: nothing that nobody ever wrote.
      if (port.hi !== 0 || ((port.lo & ~0x60) !== 0x300003 && (port.lo & ~0x60) !== 0x301003)) foreign += 1;
    }
    const stores = await stop();
    expect(foreign).toBe(0);
    expect(stores).toBeGreaterThan(1000);
    // Some updates met a changed entry and walked again: without those nothing was raced.
    expect(walker.restarts).toBeGreaterThan(0);
  });
});
