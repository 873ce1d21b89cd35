import fc from 'fast-check';
import type Long from 'long';
import { describe, expect, it } from 'vitest';
import {
  domainPageMapToMfn,
  FLUSH_TLB,
  MAPCACHE_VCPU_ENTRIES,
  MapCache,
  type MapCacheOptions,
  mapDomainPage,
  mapPagesToXen,
  PAGE_HYPERVISOR,
  Roots,
  unmapDomainPage,
  type Vcpu,
} from '../../src/hypervisor/index.ts';
import { G } from '../../src/mmu/entry.ts';
import { type Booted, type BootOptions, boot } from '../support/hypervisor.ts';

interface WithDomain extends Booted {
  readonly cache: MapCache;
  readonly vcpus: readonly Vcpu[];
}

/** A domain, whose vCPUs run each on the CPU of its number, on the root of the memory manager. */
function bootDomain(cpus = 1, options: Partial<MapCacheOptions> & BootOptions = {}): WithDomain {
  const booted = boot({ cpus, ...options });
  const cache = MapCache.create(booted.mm, { vcpus: cpus, ...options })!;
  cache.install(booted.mm, booted.xen.root);
  for (const { counters } of booted.cpus) counters.reset();
  return Object.assign(booted, { cache, vcpus: booted.mms.map((mm, id) => cache.vcpu(mm, id)) });
}

/** What a vCPU's CPU finds at an address. */
const read = ({ mm }: Vcpu, address: Long): number => mm.cpu.long.read32(address);

/** Maps a frame, reads, unmaps. Returns the address and what was read. */
function visit(vcpu: Vcpu, mfn: number): { readonly address: string; readonly value: number } {
  const address = mapDomainPage(vcpu, mfn);
  const value = read(vcpu, address);
  unmapDomainPage(vcpu, address);
  return { address: address.toString(16), value };
}

/** Frames whose numbers fall into different places of a vCPU, or all into one. */
const spread = (count: number): number[] => Array.from({ length: count }, (_, nth) => 0x20 + nth);
const crowded = (count: number): number[] => Array.from({ length: count }, (_, nth) => 0x20 + 8 * nth);

describe('mapDomainPage', () => {
  it('maps any frame at an address in L4 slot 260, for reading and writing', () => {
    const { vcpus, cpu, machine } = bootDomain();
    const address = mapDomainPage(vcpus[0]!, 0x123);
    expect(address.toString(16)).toBe('ffff820040000000');
    expect(address.unsigned).toBe(true);
    expect(cpu.long.read32(address)).toBe(0x123);
    cpu.long.write32(address.add(8), 9);
    expect(machine.host.read32(0x12_3008)).toBe(9);
    expect(cpu.long.explain(address).rights).toBe('-rw-');
    expect(domainPageMapToMfn(vcpus[0]!, address.add(5))).toBe(0x123);
  });

  it('maps frames above 2^32 bytes', () => {
    const { vcpus, cpu } = bootDomain();
    const address = mapDomainPage(vcpus[0]!, 0x3_1234_5678);
    expect(cpu.long.translate(address).toString(16)).toBe('312345678000');
    expect(mapDomainPage(vcpus[0]!, 0x3_1234_5678).eq(address)).toBe(true);
    expect(domainPageMapToMfn(vcpus[0]!, address)).toBe(0x3_1234_5678);
  });

  it('gives one address to a frame that is mapped twice, until it is unmapped twice', () => {
    const { vcpus, mm, cache } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    const address = mapDomainPage(vcpu, 0x30);
    expect(mapDomainPage(vcpu, 0x30).eq(address)).toBe(true);
    unmapDomainPage(vcpu, address);
    // Another frame for the same place does not take it while it is in use.
    visit(vcpu, 0x38);
    expect(read(vcpu, address)).toBe(0x30);
    expect(cache.slots.usage(mm)).toEqual({ used: 2, garbage: 1, epoch: 0 });
    unmapDomainPage(vcpu, address.add(0xfff));
  });

  it('remembers what was unmapped, and maps it again without a new entry', () => {
    const booted = bootDomain();
    const [vcpu] = booted.vcpus as [Vcpu];
    const { address } = visit(vcpu, 0x30);
    const recorder = booted.recorded(() => {
      for (let turn = 0; turn < 100; turn++) expect(visit(vcpu, 0x30)).toEqual({ address, value: 0x30 });
    });
    expect(recorder.count('write')).toBe(0);
  });

  it('clears what is pushed out, and flushes nothing for it', () => {
    const booted = bootDomain();
    const { mm, cpu, cache } = booted;
    const [vcpu] = booted.vcpus as [Vcpu];
    const first = visit(vcpu, 0x30);
    visit(vcpu, 0x38);
    expect(cpu.long.probe(`0x${first.address}`)).toBeUndefined();
    expect(cache.slots.usage(mm)).toEqual({ used: 2, garbage: 1, epoch: 0 });
    // The TLB still has it: legal, nobody has the address.
    expect(cpu.long.read32(`0x${first.address}`)).toBe(0x30);
    expect([mm.flush.requests, cpu.counters.invalidations]).toEqual([0, 0]);
  });

  it('keeps frames of one place apart while all are in use', () => {
    const { vcpus } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    const mapped = crowded(MAPCACHE_VCPU_ENTRIES).map((mfn) => [mfn, mapDomainPage(vcpu, mfn)] as const);
    expect(new Set(mapped.map(([, address]) => address.toString())).size).toBe(MAPCACHE_VCPU_ENTRIES);
    for (const [mfn, address] of mapped) expect(read(vcpu, address)).toBe(mfn);
    for (const [, address] of mapped) unmapDomainPage(vcpu, address);
  });

  it('case 80: wraps when no slot is left, with one flush and one epoch for all that is garbage', () => {
    const { vcpus, mm, cpu, cache } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    for (const mfn of crowded(MAPCACHE_VCPU_ENTRIES)) expect(visit(vcpu, mfn).value).toBe(mfn);
    // The last one is remembered.
    expect(cache.slots.usage(mm)).toEqual({ used: 16, garbage: 15, epoch: 0 });
    expect(cpu.counters.invalidations).toBe(0);
    expect(visit(vcpu, 0x200)).toEqual({ address: 'ffff820040000000', value: 0x200 });
    expect(cache.slots.usage(mm)).toEqual({ used: 2, garbage: 1, epoch: 1 });
    expect(cpu.counters.invalidations).toBe(1);
    for (let turn = 0; turn < 95; turn++) expect(visit(vcpu, 0x100 + 8 * turn).value).toBe(0x100 + 8 * turn);
    // 15 slots an epoch.
    expect(cache.slots.usage(mm).epoch).toBe(7);
    expect(cpu.counters.invalidations).toBe(7);
  });

  it('case 80: with every slot in use or remembered, takes one that is only remembered', () => {
    const { vcpus, mm, cache } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    const mapped = spread(MAPCACHE_VCPU_ENTRIES).map((mfn) => mapDomainPage(vcpu, mfn));
    unmapDomainPage(vcpu, mapped[3]!);
    expect(read(vcpu, mapped[3]!)).toBe(0x23);
    const address = mapDomainPage(vcpu, 0x300);
    expect(address.eq(mapped[3]!)).toBe(true);
    expect(read(vcpu, address)).toBe(0x300);
    expect(cache.slots.usage(mm)).toEqual({ used: 16, garbage: 0, epoch: 0 });
    // Nothing else was flushed or moved.
    for (const [nth, other] of mapped.entries()) if (nth !== 3) expect(read(vcpu, other)).toBe(0x20 + nth);
  });

  it('case 80: with every slot in use is a bug, and each mapping stays', () => {
    const { vcpus, mm } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    const mapped = spread(MAPCACHE_VCPU_ENTRIES).map((mfn) => mapDomainPage(vcpu, mfn));
    expect(() => mapDomainPage(vcpu, 0x300)).toThrow('BUG: all 16 slots of the mapcache are in use');
    expect(mm.locks.isHolding).toBe(false);
    for (const [nth, address] of mapped.entries()) expect(read(vcpu, address)).toBe(0x20 + nth);
    unmapDomainPage(vcpu, mapped[0]!);
    expect(visit(vcpu, 0x300).value).toBe(0x300);
  });

  it('case 80: a vCPU may use the slots of the whole domain', () => {
    const { vcpus } = bootDomain(2);
    const [vcpu] = vcpus as [Vcpu];
    for (const mfn of spread(2 * MAPCACHE_VCPU_ENTRIES)) expect(read(vcpu, mapDomainPage(vcpu, mfn))).toBe(mfn);
    expect(() => mapDomainPage(vcpu, 0x300)).toThrow('BUG: all 32 slots');
  });

  describe('case 80: when another vCPU has begun an epoch', () => {
    /** Both CPUs have translations of slots that vCPU 0 then collects. */
    function collected(options: BootOptions = {}): WithDomain {
      const booted = bootDomain(2, options);
      const [one, two] = booted.vcpus as [Vcpu, Vcpu];
      for (const mfn of crowded(16)) visit(two, mfn);
      for (const mfn of crowded(16)) visit(one, mfn);
      expect(booted.cpus.map(({ counters }) => counters.invalidations)).toEqual([0, 0]);
      expect(visit(one, 0x200)).toEqual({ address: 'ffff820040000000', value: 0x200 });
      expect(booted.cache.slots.usage(booted.mm).epoch).toBe(1);
      expect(booted.cpus.map(({ counters }) => counters.invalidations)).toEqual([1, 0]);
      return booted;
    }

    it('flushes its own CPU before it takes a slot, once', () => {
      const { vcpus, cpus, cache, mm } = collected();
      for (let mfn = 0x208; mfn < 0x248; mfn += 8) expect(visit(vcpus[1]!, mfn).value).toBe(mfn);
      expect(cpus.map(({ counters }) => counters.invalidations)).toEqual([1, 1]);
      expect(cache.slots.usage(mm).epoch).toBe(1);
    });

    it('does not flush for what it has mapped already', () => {
      const { vcpus, cpus } = collected();
      // The last of its frames is remembered.
      expect(visit(vcpus[1]!, 0x20 + 8 * 15).value).toBe(0x20 + 8 * 15);
      expect(cpus[1]!.counters.invalidations).toBe(0);
    });

    it('does not flush where its CPU was flushed since', () => {
      const { vcpus, cpus, mms } = collected();
      mms[1]!.flush.local(0, FLUSH_TLB);
      for (let mfn = 0x208; mfn < 0x248; mfn += 8) expect(visit(vcpus[1]!, mfn).value).toBe(mfn);
      expect(cpus[1]!.counters.invalidations).toBe(1);
    });

    it('flushes where its CPU was flushed before', () => {
      const booted = bootDomain(2);
      const [one, two] = booted.vcpus as [Vcpu, Vcpu];
      two.mm.flush.local(0, FLUSH_TLB);
      for (const mfn of crowded(16)) visit(two, mfn);
      for (const mfn of crowded(17)) visit(one, mfn);
      for (let mfn = 0x208; mfn < 0x248; mfn += 8) expect(visit(two, mfn).value).toBe(mfn);
      expect(two.mm.cpu.counters.invalidations).toBe(2);
    });

    it('flushes in any case where a hypervisor below may have flushed', () => {
      const { vcpus, cpus, mms } = collected({ assistedFlush: () => true });
      mms[1]!.flush.local(0, FLUSH_TLB);
      for (let mfn = 0x208; mfn < 0x248; mfn += 8) expect(visit(vcpus[1]!, mfn).value).toBe(mfn);
      expect(cpus[1]!.counters.invalidations).toBe(2);
    });
  });

  it('loading CR3 drops its translations', () => {
    const { vcpus, cpu, xen } = bootDomain();
    const { address } = visit(vcpus[0]!, 0x30);
    visit(vcpus[0]!, 0x38);
    expect(cpu.long.read32(`0x${address}`)).toBe(0x30);
    cpu.long.setCr3(xen.root * 4096);
    expect(() => cpu.long.read32(`0x${address}`)).toThrow('#PF(0)');
  });

  it('maps without NX on a processor that has none', () => {
    const { vcpus } = bootDomain(1, { features: { nx: false } });
    expect(visit(vcpus[0]!, 0x30).value).toBe(0x30);
  });

  it('goes through the directmap below a limit, as an option', () => {
    const { vcpus, mm, cache } = bootDomain(1, { directmapFrames: 0x100 });
    mapPagesToXen(mm, '0xffff830000000000', 0, 0x200, PAGE_HYPERVISOR);
    const [vcpu] = vcpus as [Vcpu];
    expect(visit(vcpu, 0xff)).toEqual({ address: 'ffff8300000ff000', value: 0xff });
    expect(visit(vcpu, 0x100)).toEqual({ address: 'ffff820040000000', value: 0x100 });
    expect(domainPageMapToMfn(vcpu, '0xffff8300000ff123')).toBe(0xff);
    expect(cache.slots.usage(mm).used).toBe(1);
  });

  it('case 80: a slot that was taken over is remembered for its new frame alone', () => {
    const { vcpus } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    const mapped = spread(MAPCACHE_VCPU_ENTRIES).map((mfn) => mapDomainPage(vcpu, mfn));
    unmapDomainPage(vcpu, mapped[3]!);
    // From the place of frame 0x23 to that of frame 0x304, which is taken by 0x24: free that first.
    unmapDomainPage(vcpu, mapped[4]!);
    const taken = mapDomainPage(vcpu, 0x304);
    unmapDomainPage(vcpu, taken);
    visit(vcpu, 0x303);
    expect(visit(vcpu, 0x304).value).toBe(0x304);
    expect(visit(vcpu, 0x303).value).toBe(0x303);
  });

  it.each([
    [1, 15],
    [3, 10],
  ])('case 80: %s vCPUs map and unmap, up to %s pages each, and always find their frames', (vcpus, most) => {
    let wraps = 0;
    let hits = 0;
    let full = 0;
    let stale = 0;
    const step = fc.record({
      id: fc.nat(vcpus - 1),
      mfn: fc.oneof(
        fc.integer({ min: 0x20, max: 0x2b }),
        fc.integer({ min: 1, max: 30 }).map((nth) => 8 * nth),
      ),
      unmap: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 100, maxLength: 300 }), (steps) => {
        const { cache, mm, ...booted } = bootDomain(vcpus);
        const held = booted.vcpus.map(() => [] as { readonly mfn: number; readonly address: Long }[]);
        for (const { id, mfn, unmap } of steps) {
          const vcpu = booted.vcpus[id]!;
          const own = held[id]!;
          if (own.some((other) => other.mfn === mfn)) hits += 1;
          if (own.length < most) own.push({ mfn, address: mapDomainPage(vcpu, mfn) });
          else full += 1;
          for (const { mfn, address } of own) if (read(vcpu, address) !== mfn) stale += 1;
          for (let turn = 0; turn < unmap && own.length > 0; turn++) {
            const [gone] = own.splice((mfn * 7 + turn) % own.length, 1);
            unmapDomainPage(vcpu, gone!.address);
          }
        }
        expect(stale).toBe(0);
        wraps += cache.slots.usage(mm).epoch;
      }),
      { numRuns: 25 },
    );
    expect(wraps).toBeGreaterThan(30);
    expect(hits).toBeGreaterThan(100);
    expect(full).toBeGreaterThan(3);
  });
});

describe('unmapDomainPage', () => {
  it('case 80: dropping more references than there are is a bug', () => {
    const { vcpus } = bootDomain();
    const [vcpu] = vcpus as [Vcpu];
    const address = mapDomainPage(vcpu, 0x30);
    unmapDomainPage(vcpu, address);
    const message = 'BUG: slot 0 of the mapcache is unmapped, and nobody has it mapped';
    expect(() => unmapDomainPage(vcpu, address)).toThrow(message);
    visit(vcpu, 0x38);
    expect(() => unmapDomainPage(vcpu, address)).toThrow(message);
    expect(() => domainPageMapToMfn(vcpu, address)).toThrow('BUG: slot 0 of the mapcache maps nothing');
  });

  it('case 80: an address outside the mapcache is a bug', () => {
    const { vcpus } = bootDomain();
    for (const address of ['0xffff82003ffff000', '0xffff820040010000', '0xffff830000000000'])
      expect(() => unmapDomainPage(vcpus[0]!, address)).toThrow(`BUG: ${address} is not in the mapcache`);
  });

  it('case 80: what another vCPU has mapped is a bug, and stays', () => {
    const { vcpus } = bootDomain(2);
    const [one, two] = vcpus as [Vcpu, Vcpu];
    const address = mapDomainPage(one, 0x30);
    expect(() => unmapDomainPage(two, address)).toThrow(
      'BUG: vCPU 1 unmaps slot 0 of the mapcache, which vCPU 0 has mapped',
    );
    expect(read(one, address)).toBe(0x30);
    unmapDomainPage(one, address);
  });
});

describe('the vCPU whose tables are loaded', () => {
  it('case 80: another vCPU than that on the CPU at hand is a bug', () => {
    const { cache, mms } = bootDomain(2);
    const onZero = cache.vcpu(mms[0]!, 1);
    const onOne = cache.vcpu(mms[1]!, 1);
    expect(() => mapDomainPage(onZero, 0x30)).toThrow('BUG: vCPU 1 does not run on CPU 0');
    expect(visit(onOne, 0x30).value).toBe(0x30);
    expect(() => cache.vcpu(mms[0]!, 2)).toThrow('BUG: a domain of 2 vCPUs has none of number 2');
  });

  it('case 80: a vCPU of another domain than that whose tables are loaded is a bug', () => {
    const booted = bootDomain();
    const { mm, cpu, machine } = booted;
    const [vcpu] = booted.vcpus as [Vcpu];
    const other = MapCache.create(mm, { vcpus: 1, name: 17 })!;
    const otherVcpu = other.vcpu(mm, 0);
    const root = 0x50;
    machine.memory.bytes.fill(0, root * 4096, (root + 1) * 4096);
    new Roots(1, 2, { shared: false }).register(mm, root);
    other.install(mm, root);
    const address = mapDomainPage(vcpu, 0x30);
    const message = "BUG: CPU 0 has the tables of another domain loaded than vCPU 0's";
    expect(() => mapDomainPage(otherVcpu, 0x31)).toThrow(message);

    cpu.long.setCr3(root * 4096);
    expect(visit(otherVcpu, 0x31)).toEqual({ address: address.toString(16), value: 0x31 });
    expect(() => mapDomainPage(vcpu, 0x30)).toThrow(message);
    expect(() => unmapDomainPage(vcpu, address)).toThrow(message);

    cpu.long.setCr3(booted.xen.root * 4096);
    expect(read(vcpu, address)).toBe(0x30);
    unmapDomainPage(vcpu, address);
  });

  it('moves to another CPU with all that it has mapped', () => {
    const { cache, mms, xen } = bootDomain(2);
    const [, two] = mms;
    const before = cache.vcpu(mms[0]!, 0);
    const address = mapDomainPage(before, 0x30);
    two!.cpu.long.setCr3(xen.root * 4096);
    const after = cache.vcpu(two!, 0);
    expect(read(after, address)).toBe(0x30);
    unmapDomainPage(after, address);
    expect(() => mapDomainPage(before, 0x30)).toThrow('BUG: vCPU 0 does not run on CPU 0');
  });
});

describe('MapCache', () => {
  it('takes an L3, an L2 and an L1 table for each 32 vCPUs; or none where there is no memory', () => {
    const { mm, xen } = boot();
    expect(MapCache.create(mm, { vcpus: 33 })).toBeDefined();
    expect(mm.heap.allocations).toBe(4);
    const tables = xen.frames.tables();
    for (let budget = 0; budget < 4; budget++) {
      mm.heap.budget = budget;
      expect(MapCache.create(mm, { vcpus: 33 })).toBeUndefined();
      expect(xen.frames.tables()).toEqual(tables);
    }
    for (const vcpus of [0, 1.5, 8193]) expect(() => MapCache.create(mm, { vcpus })).toThrow(RangeError);
  });

  it('reaches the slots of the last vCPU', () => {
    const booted = boot({ cpus: 1 });
    const cache = MapCache.create(booted.mm, { vcpus: 33 })!;
    cache.install(booted.mm, booted.xen.root);
    const vcpu = cache.vcpu(booted.mm, 32);
    const mapped = Array.from({ length: 33 * 16 }, (_, nth) =>
      mapDomainPage(vcpu, 0x100 + (nth % 0x200) + 0x1000 * nth),
    );
    expect(mapped.at(-1)!.toString(16)).toBe('ffff82004020f000');
    const walked = mapped.map((address) => booted.cpu.long.translate(address).toNumber() / 4096);
    expect(walked).toEqual(mapped.map((_, nth) => 0x100 + (nth % 0x200) + 0x1000 * nth));
  });

  it('is a bug in a root that has the area of another domain', () => {
    const { mm, xen, cache } = bootDomain();
    cache.install(mm, xen.root);
    const other = MapCache.create(mm, { vcpus: 1, name: 17 })!;
    expect(() => other.install(mm, xen.root)).toThrow("has another domain's area");
  });

  it('opens what another thread has made', () => {
    const booted = boot({ cpus: 2 });
    const cache = MapCache.create(booted.mm, { vcpus: 2 })!;
    cache.install(booted.mm, booted.xen.root);
    const attached = new MapCache(cache.share());
    const one = cache.vcpu(booted.mms[0]!, 0);
    const two = attached.vcpu(booted.mms[1]!, 1);
    expect([visit(one, 0x30), visit(two, 0x30)].map(({ address }) => address)).toEqual([
      'ffff820040000000',
      'ffff820040001000',
    ]);
  });

  it('leaves its tables to nobody else: they are not coalesced', () => {
    const { mm, cache, vcpus, cpu } = bootDomain(32, { behaviour: { coalesce: 'uniform' } });
    const [vcpu] = vcpus as [Vcpu];
    for (let slot = 0; slot < 512; slot++) mapDomainPage(vcpu, 0x1000 + slot);
    mapPagesToXen(mm, '0xffff8200401ff000', 0x11ff, 1, PAGE_HYPERVISOR & ~G);
    expect(cpu.long.explain('0xffff820040000000').pageSize).toBe(4096);
    expect(mm.heap.frees).toBe(0);
    expect(cache.slots.usage(mm).used).toBe(512);
  });

  it('takes from an observer what happened before, and does not repeat it', () => {
    const { mm, cache } = bootDomain();
    mm.observer = { enter: () => true, leave() {}, value: 7, frame: 3 };
    expect([cache.slots.take(mm, 0, 0x30), cache.slots.pushedOut]).toEqual([7, 3]);
    mm.observer = null;
    expect(cache.slots.usage(mm).used).toBe(0);
  });
});
