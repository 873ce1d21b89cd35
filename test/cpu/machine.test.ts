import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AMD, Machine, StuckError } from '../../src/index.ts';
import { ALL, Guest } from '../support/guest.ts';

describe('a machine', () => {
  it.each([0, -1, 1.5, Number.NaN])('of %d CPUs is refused', (cpus) => {
    expect(() => new Machine({ memory: { size: 4096 }, cpus })).toThrow(RangeError);
  });

  it.each([31, 53, 40.5])('with MAXPHYADDR %d is refused', (maxPhyAddr) => {
    expect(() => new Machine({ memory: { size: 4096 }, features: { maxPhyAddr } })).toThrow(
      'features.maxPhyAddr is 32 to 52',
    );
  });

  it('has CPUs with caches of their own over one memory', () => {
    const guest = new Guest({ cpus: 2 }).map(0n, 0x1000n | ALL);
    const [first, second] = guest.machine.cpus as [typeof guest.cpu, typeof guest.cpu];
    guest.enter(second);
    expect([first.translate(0, 0), second.write8(0, 0, 7), first.read8(0, 0)]).toEqual([0, 0, 7]);
    guest.machine.host.write64(guest.entryAddress(0n, 1), 0x2000n | ALL);
    second.invlpg(0, 0);
    expect([first.read8(0, 0), second.read8(0, 0)]).toEqual([7, 0]);
  });

  it('notices through each CPU what another one makes of a page', () => {
    const guest = new Guest({ cpus: 2 }).map(0n, 0x1000n | ALL);
    const [first, second] = guest.machine.cpus as [typeof guest.cpu, typeof guest.cpu];
    guest.enter(second);
    for (const cpu of [first, second]) for (const _ of [1, 2, 3]) cpu.write8(0, 0, 1);
    let told = 0;
    guest.machine.memory.onCodeWrite = () => (told += 1);
    guest.machine.memory.markCode(1);
    first.write8(0, 0, 2);
    second.write8(0, 0, 3);
    expect(told).toBe(2);
  });

  it('restores what it was: memory and every CPU', () => {
    const guest = new Guest({ cpus: 2 }).map(0n, 0x1000n | ALL);
    const { machine, cpu } = guest;
    cpu.write32(0, 0, 5);
    const before = machine.snapshot();
    cpu.write32(0, 0, 6);
    cpu.setCpl(3);
    machine.host.write64(guest.entryAddress(0n, 1), 0);
    machine.restore(structuredClone(before));
    expect([cpu.read32(0, 0), cpu.registers.cpl, cpu.write32(0, 0, 7)]).toEqual([5, 0, 0]);
    expect(machine.cpus.map((one) => one.snapshot().tlb.length)).toEqual([1, 0]);
  });

  it('refuses a snapshot of other CPUs or of an unknown version, and has not changed', () => {
    const { machine } = new Guest();
    machine.host.write32(0, 1);
    const snapshot = machine.snapshot();
    machine.host.write32(0, 2);
    expect(() => machine.restore({ ...snapshot, cpus: [] })).toThrow('the snapshot has 0 CPUs, this machine 1');
    const [cpu] = snapshot.cpus;
    expect(() => machine.restore({ ...snapshot, cpus: [{ ...cpu!, version: 0 }] })).toThrow(RangeError);
    expect(() => machine.restore({ ...snapshot, memory: { ...snapshot.memory, version: 0 } })).toThrow(RangeError);
    expect(machine.host.read32(0)).toBe(2);
  });
});

describe('machine.share()', () => {
  it('opens the same memory again, flags and options included', () => {
    const first = new Machine({
      memory: { shared: true, ranges: [{ start: 0x1_0000, size: 0x4000, offset: 0x1000 }] },
      cpus: 3,
      features: { ...AMD, maxPhyAddr: 40 },
      policy: { deniedHit: 'fault' },
      caches: { hitViews: 'off' },
    });
    const message = structuredClone(first.share());
    const second = Machine.attach(message, 0, 1, 2);
    expect([second.cpus.length, second.cpus[0]!.translator.features.maxPhyAddr]).toEqual([3, 40]);
    expect(second.cpus[0]!.translator.policy.deniedHit).toBe('fault');
    second.host.write32(0x1_2000, 7);
    expect([first.host.read32(0x1_2000), first.memory.isDirty(0x12)]).toEqual([7, true]);
    first.memory.protectRom(0x1_2000, 0x1000);
    second.host.write32(0x1_2000, 8);
    expect(second.host.read32(0x1_2000)).toBe(7);
    expect(second.share()).toEqual(first.share());
  });

  it('reaches stores of the other thread at its next poll()', () => {
    const first = new Machine({ memory: { shared: true, size: 0x4000 } });
    const second = Machine.attach(first.share(), 0);
    const cpu = second.cpus[0]!;
    for (const value of [1, 2, 3]) cpu.write8(0x1000, 0, value);
    first.memory.clearDirty();
    cpu.poll();
    cpu.write8(0x1000, 0, 4);
    expect(first.memory.isDirty(1)).toBe(true);
  });

  it('travels to a worker', async () => {
    const { memory } = new Machine({ memory: { shared: true, size: 4096 } }).share();
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      new Int32Array(workerData.buffer)[1] = 77;
      parentPort.postMessage(workerData.ranges);`;
    const worker = new Worker(source, { eval: true, workerData: memory });
    const ranges = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    expect(ranges).toEqual([{ start: 0, size: 4096, offset: 0 }]);
    expect(new Int32Array(memory.buffer)[1]).toBe(77);
  });

  it('is refused for memory that is not shared', () => {
    expect(() => new Machine({ memory: { size: 4096 } }).share()).toThrow(RangeError);
    expect(() => new Machine({ memory: { sparse: {} } }).share()).toThrow('SharedArrayBuffer');
  });
});

describe('where there is no SharedArrayBuffer, as in pages without cross-origin isolation', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('a machine works, and its waits end', () => {
    vi.stubGlobal('SharedArrayBuffer', undefined);
    const { cpu, machine } = new Guest({ cpus: 2 }).map(0n, 0x1000n | ALL);
    expect([cpu.write64(0, 0, 1, 2), cpu.exchange32(0, 0, 3), cpu.read32(0, 0)]).toEqual([0, 1, 3]);
    machine.mailboxes.patienceMs = 1;
    expect(() => machine.mailboxes.waitUntil(0, 'nothing', () => false)).toThrow(StuckError);
    expect(() => machine.share()).toThrow('only memory over a SharedArrayBuffer can be shared');
  });

  it('shared memory is refused with the reason', () => {
    vi.stubGlobal('SharedArrayBuffer', undefined);
    const make = () => new Machine({ memory: { size: 4096, shared: true } });
    expect(make).toThrow(RangeError);
    expect(make).toThrow('there is no SharedArrayBuffer here: in a browser the page needs cross-origin isolation');
  });
});
