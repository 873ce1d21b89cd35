import { describe, expect, it } from 'vitest';
import { type CpuOptions, Machine } from '../../src/index.ts';

const machine = (options: unknown): Machine => new Machine({ memory: { size: 4096 }, ...(options as CpuOptions) });

describe('options of a CPU', () => {
  it.each<[string, unknown]>([
    ['policy.accessedOnFault is "none" or "upper", not "all"', { policy: { accessedOnFault: 'all' } }],
    ['policy.absentPdpteReserved is "ignored" or "checked", not true', { policy: { absentPdpteReserved: true } }],
    ['policy.deniedHit is "walk" or "fault", not "Fault"', { policy: { deniedHit: 'Fault' } }],
    ['policy.accessedDirtyStores is "silent" or "reported", not ""', { policy: { accessedDirtyStores: '' } }],
    ['policy.taskSwitchPdpteFault is 10 or 13, not "10"', { policy: { taskSwitchPdpteFault: '10' } }],
    ['policy.deniedHit is "walk" or "fault", not undefined', { policy: { deniedHit: undefined } }],
    ['caches.hitViews is "on" or "off", not false', { caches: { hitViews: false } }],
    ['caches.replacement is "round-robin" or "random", not "lru"', { caches: { replacement: 'lru' } }],
    ['caches.tlb is 0 or a power of two or "everything" or "off", not "of"', { caches: { tlb: 'of' } }],
    ['caches.tlb is 0 or a power of two or "everything" or "off", not "64"', { caches: { tlb: '64' } }],
    ['caches.tlb is 0 or a power of two or "everything" or "off", not an object', { caches: { tlb: [64] } }],
    ['caches.tlbLarge is 0 or a power of two, not "off"', { caches: { tlbLarge: 'off' } }],
    ['caches.tlbHuge is 0 or a power of two, not -4', { caches: { tlbHuge: -4 } }],
    ['caches.structures is 0 or a power of two or "everything" or "off", not 3', { caches: { structures: 3 } }],
    ['features.vendor is "intel" or "amd", not "via"', { features: { vendor: 'via' } }],
    ['features.maxPhyAddr is 32 to 52, not "40"', { features: { maxPhyAddr: '40' } }],
    ['features.nx is false or true, not 1', { features: { nx: 1 } }],
  ])('%s', (sentence, options) => {
    expect(() => machine(options)).toThrow(RangeError);
    expect(() => machine(options)).toThrow(sentence);
  });

  it.each<[CpuOptions]>([
    [{ policy: { accessedOnFault: 'upper', deniedHit: 'fault', taskSwitchPdpteFault: 13 } }],
    [{ caches: { tlb: 'everything', structures: 'off', replacement: 'random', hitViews: 'off' } }],
    [{ caches: { tlb: 1, tlbLarge: 0, tlbHuge: 2, structures: 1 << 16 } }],
    [{ features: { vendor: 'amd', maxPhyAddr: 52, pks: false } }],
  ])('may be %j', (options) => {
    expect(machine(options).cpus).toHaveLength(1);
  });
});
