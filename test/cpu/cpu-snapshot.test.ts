import { describe, expect, it } from 'vitest';
import { CPU_SNAPSHOT_VERSION, type CpuSnapshot } from '../../src/index.ts';
import { ALL, G, Guest, PS } from '../support/guest.ts';

const plain = (snapshot: CpuSnapshot): CpuSnapshot => JSON.parse(JSON.stringify(snapshot)) as CpuSnapshot;

/** A guest whose registers all hold something. */
function lively(): Guest {
  const guest = new Guest({ cr4: 0x37_0080, cpus: 2 }) // PGE, PCIDE, SMEP, SMAP, OSXSAVE, PKE
    .map(0n, 0x1000n | ALL)
    .map(0x1000n, 0x2000n | ALL | G)
    .map(0x4000_0000n, 0x20_0000n | ALL | PS, 2)
    .map(0x8000_0000n, 0x4000_0000n | ALL | PS, 3);
  const { cpu } = guest;
  cpu.setCr3(0x10_0005, 0);
  cpu.setAc(1);
  cpu.read8(0x5000, 0); // a fault, for CR2
  for (const address of [0, 0x1000, 0x4000_0000, 0x8000_0000]) cpu.translate(address, 0);
  cpu.setCpl(3);
  cpu.setPkru(0x5555_0000);
  cpu.setPkrs(-1);
  cpu.setA20Mask(1);
  return guest;
}

describe('a CPU snapshot', () => {
  it('survives a JSON round trip: registers, caches, counters', () => {
    const guest = lively();
    const snapshot = plain(guest.cpu.snapshot());
    const other = guest.machine.cpus[1]!;
    other.restore(snapshot);
    expect(other.snapshot()).toEqual(guest.cpu.snapshot());
    expect(plain(other.snapshot())).toEqual(snapshot);
    expect(snapshot.tlb).toHaveLength(4);
    expect(snapshot.structures).toHaveLength(4);
    const { cpl, ac, pkru, pkrs, pcid, regime, is64Bit } = other.registers;
    expect({ cpl, ac, pkru, pkrs, pcid, regime, is64Bit }).toEqual({
      cpl: 3,
      ac: 1,
      pkru: 0x5555_0000,
      pkrs: -1,
      pcid: 5,
      regime: 0,
      is64Bit: true,
    });
    expect([other.cr2Lo, other.cr2Hi, other.counters.faults]).toEqual([0x5000, 0, 1]);
  });

  it('keeps stale entries, which answer as before until they are dropped', () => {
    const guest = lively();
    const { host, cpus } = guest.machine;
    const snapshot = plain(guest.cpu.snapshot());
    for (const [address, level] of [
      [0n, 1],
      [0x1000n, 1],
      [0x4000_0000n, 2],
      [0x8000_0000n, 3],
    ] as const)
      host.write64(guest.entryAddress(address, level), 0);
    const other = cpus[1]!;
    other.restore(snapshot);
    for (const cpu of [guest.cpu, other]) {
      cpu.setA20Mask(0);
      const found = [0, 0x1000, 0x4000_0000, 0x8000_0000 | 0].map((lo) => [cpu.translate(lo, 0), cpu.physicalLo]);
      expect(found).toEqual([
        [0, 0x1000],
        [0, 0x2000],
        [0, 0x20_0000],
        [0, 0x4000_0000],
      ]);
      cpu.setCr3(0x10_0005, 0);
      expect([cpu.translate(0, 0), cpu.translate(0x1000, 0), cpu.translate(0x4000_0000, 0)]).toEqual([14, 0, 14]);
    }
  });

  it('keeps the PDPTE registers, whatever memory holds by now', () => {
    const guest = new Guest({ mode: 'pae', cpus: 2 }).map(0x1000n, 0x5000n | ALL);
    const snapshot = plain(guest.cpu.snapshot());
    guest.machine.host.write64(0x10_0000, 0x1e7); // reserved bits: a MOV CR3 would be refused
    const other = guest.machine.cpus[1]!;
    other.restore(snapshot);
    expect([other.translate(0x1000, 0), other.physicalLo]).toEqual([0, 0x5000]);
    expect(other.setCr3(0x10_0000, 0)).toBe(13);
  });

  it('replaces whatever the CPU was', () => {
    const guest = new Guest().map(0n, ALL);
    const { cpu } = guest;
    const before = plain(cpu.snapshot());
    for (const _ of [1, 2, 3]) cpu.write8(0, 0, 1);
    cpu.read8(0x9000, 0);
    cpu.setA20Mask(1);
    cpu.restore(before);
    expect([cpu.faulted, cpu.snapshot()]).toEqual([0, before]);
    guest.machine.host.write64(guest.entryAddress(0n, 1), 0);
    expect(cpu.write8(0, 0, 1)).toBe(14);
  });

  it('keeps what fits in smaller caches', () => {
    const guest = new Guest();
    for (let page = 0n; page < 64n; page++) guest.map(page << 12n, (page << 12n) | ALL);
    for (let page = 0; page < 64; page++) guest.cpu.translate(page << 12, 0);
    const small = new Guest({ caches: { tlb: 4, structures: 'off' } });
    small.cpu.restore(plain(guest.cpu.snapshot()));
    expect([small.cpu.snapshot().tlb.length, small.cpu.snapshot().structures.length]).toEqual([4, 0]);
  });

  it('holds IA32_PAT and the MTRRs', () => {
    const guest = new Guest({ cpus: 2 });
    expect(guest.cpu.memoryTypes.writeMsr(0x277, 0x0007_0501, 0x0007_0401)).toBe(true);
    expect(guest.cpu.memoryTypes.writeMsr(0x2ff, 0x806, 0)).toBe(true);
    const other = guest.machine.cpus[1]!;
    other.restore(plain(guest.cpu.snapshot()));
    expect([1, 4].map((index) => other.memoryTypes.patType(index))).toEqual([5, 1]);
    expect(other.memoryTypes.mtrrType(0)).toBe(6);
  });

  it('of a CPU with a wider address is taken where all of it fits', () => {
    const wide = new Guest({ features: { maxPhyAddr: 52 } }).map(0n, 0x1000n | ALL);
    wide.cpu.translate(0, 0);
    const narrow = new Guest({ features: { maxPhyAddr: 36 } });
    narrow.cpu.restore(plain(wide.cpu.snapshot()));
    expect(narrow.cpu.snapshot()).toEqual(wide.cpu.snapshot());
  });

  it.each<[string, (snapshot: CpuSnapshot) => Partial<CpuSnapshot>]>([
    ['cpl', ({ registers }) => ({ registers: { ...registers, cpl: 7 } })],
    ['ac', ({ registers }) => ({ registers: { ...registers, ac: 2 } })],
    ['csL', ({ registers }) => ({ registers: { ...registers, csL: -1 } })],
    ['cr0', ({ registers }) => ({ registers: { ...registers, cr0: Number.NaN } })],
    ['cr3Hi', ({ registers }) => ({ registers: { ...registers, cr3Hi: 0x10 } })], // bit 36
    ['cr4', ({ registers }) => ({ registers: { ...registers, cr4: registers.cr4 | (1 << 12) } })], // LA57
    ['efer', ({ registers }) => ({ registers: { ...registers, efer: registers.efer | (1 << 11) } })], // NXE
    ['pdptes', ({ registers }) => ({ registers: { ...registers, pdptes: [1, 0] } })],
    ['MSR 0x201', ({ memoryTypes }) => ({ memoryTypes: [...memoryTypes, [0x201, 0x800, 0x1f]] })],
    ['MSR 0x277', ({ memoryTypes }) => ({ memoryTypes: [...memoryTypes, [0x277, 2, 0]] })],
    ['tlb', ({ tlb }) => ({ tlb: [...tlb, [0, 0, 0, 1, 2 ** 24, 3]] })], // a frame at 2^36
    ['tlb', ({ tlb }) => ({ tlb: [...tlb, [0, 0, 4097, 1, 5, 3]] })],
    ['tlb', ({ tlb }) => ({ tlb: [...tlb, [0, 0, 0, 4, 5, 3]] })],
    ['structures', ({ structures }) => ({ structures: [...structures, [6, 0, 0, 0, 5, 3]] })],
    ['structures', ({ structures }) => ({ structures: [...structures, [2, 0, 0, 0, 2 ** 24, 3]] })],
    ['structures', ({ structures }) => ({ structures: [...structures, [2, 0, 0, 0, 5]] })],
  ])('with a value of %s that the CPU cannot have is refused, and nothing has changed', (name, change) => {
    const { cpu } = new Guest({ mode: '32-bit', features: { maxPhyAddr: 36, la57: false, nx: false } }).map(
      0n,
      0x1000n | ALL,
    );
    cpu.translate(0, 0);
    const before = cpu.snapshot();
    const changed = { ...before, cr2: [1, 2] as const, ...change(before) };
    expect(() => cpu.restore(changed)).toThrow(RangeError);
    expect(() => cpu.restore(changed)).toThrow(`the snapshot's ${name} is nothing that this CPU can have`);
    expect(cpu.snapshot()).toEqual(before);
  });

  it('without PDPTE registers is refused where those in memory are malformed, and nothing has changed', () => {
    const { cpu, machine } = new Guest({ mode: 'pae' }).map(0n, 0x1000n | ALL);
    const before = cpu.snapshot();
    machine.host.write64(0x10_0000, 0x1e7);
    const { pdptes: _pdptes, ...registers } = before.registers;
    expect(() => cpu.restore({ ...before, registers, a20Masked: true })).toThrow(RangeError);
    expect(cpu.snapshot()).toEqual(before);
  });

  it('of another version is refused, and nothing has changed', () => {
    const { cpu } = lively();
    const before = cpu.snapshot();
    const newer = { ...new Guest().cpu.snapshot(), version: CPU_SNAPSHOT_VERSION + 1 };
    expect(() => cpu.restore(newer)).toThrow(RangeError);
    expect(() => cpu.restore(newer)).toThrow('CPU snapshot of version 2; this package reads version 1');
    expect(cpu.snapshot()).toEqual(before);
  });
});
