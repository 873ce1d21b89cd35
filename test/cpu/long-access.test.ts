import Long from 'long';
import { describe, expect, it } from 'vitest';
import { AC, type Cpu, FaultError, GP, PF, STACK, UD, WRITE } from '../../src/index.ts';
import { ALL, Guest, P, US } from '../support/guest.ts';

const BASE = 0xffff_8000_1234_5000n;
const UNMAPPED = 0xffff_8000_1234_6000n;
const NOT_CANONICAL = 0x8000_0000_0000n;

function guest(): Guest {
  return new Guest({ cr4: 0x2_0000 }).map(BASE, 0x5000n | ALL); // PCIDE
}

function thrown(act: () => unknown): FaultError {
  try {
    act();
  } catch (error) {
    if (error instanceof FaultError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

type Method = readonly [name: string, code: number, act: (cpu: Cpu, address: bigint) => unknown];

// Supervisor: error code 0 for reads, 2 for writes, 0x10 for fetches (NXE).
const METHODS: readonly Method[] = [
  ['read8', 0, (cpu, address) => cpu.long.read8(address)],
  ['read16', 0, (cpu, address) => cpu.long.read16(address)],
  ['read32', 0, (cpu, address) => cpu.long.read32(address)],
  ['read64', 0, (cpu, address) => cpu.long.read64(address)],
  ['write8', 2, (cpu, address) => cpu.long.write8(address, 1)],
  ['write16', 2, (cpu, address) => cpu.long.write16(address, 1)],
  ['write32', 2, (cpu, address) => cpu.long.write32(address, 1)],
  ['write64', 2, (cpu, address) => cpu.long.write64(address, 1)],
  ['fetch8', 0x10, (cpu, address) => cpu.long.fetch8(address)],
  ['fetch16', 0x10, (cpu, address) => cpu.long.fetch16(address)],
  ['fetch32', 0x10, (cpu, address) => cpu.long.fetch32(address)],
  ['fetch64', 0x10, (cpu, address) => cpu.long.fetch64(address)],
  ['exchange8', 2, (cpu, address) => cpu.long.exchange8(address, 1)],
  ['exchange16', 2, (cpu, address) => cpu.long.exchange16(address, 1)],
  ['exchange32', 2, (cpu, address) => cpu.long.exchange32(address, 1)],
  ['exchange64', 2, (cpu, address) => cpu.long.exchange64(address, 1)],
  ['compareExchange8', 2, (cpu, address) => cpu.long.compareExchange8(address, 1, 2)],
  ['compareExchange16', 2, (cpu, address) => cpu.long.compareExchange16(address, 1, 2)],
  ['compareExchange32', 2, (cpu, address) => cpu.long.compareExchange32(address, 1, 2)],
  ['compareExchange64', 2, (cpu, address) => cpu.long.compareExchange64(address, 1, 2)],
  ['readBytes', 0, (cpu, address) => cpu.long.readBytes(address, 32)],
  ['writeBytes', 2, (cpu, address) => cpu.long.writeBytes(address, new Uint8Array(32))],
  ['fetchBytes', 0x10, (cpu, address) => cpu.long.fetchBytes(address, 15)],
  ['translate', 0, (cpu, address) => cpu.long.translate(address)],
  ['translate for a write', 2, (cpu, address) => cpu.long.translate(address, WRITE)],
];

describe('cpu.long', () => {
  it.each(METHODS)('%s throws a page fault with its error code and address', (_name, code, act) => {
    const { cpu } = guest();
    const fault = thrown(() => act(cpu, UNMAPPED));
    expect([fault.vector, fault.errorCode, fault.address.toBigInt(), fault.address.unsigned]).toEqual([
      PF,
      code,
      UNMAPPED,
      true,
    ]);
    expect(fault.message).toBe(`#PF(${code.toString(16)}) at ffff800012346000`);
    expect(fault.name).toBe('FaultError');
    expect(() => act(cpu, BASE)).not.toThrow();
  });

  it.each(METHODS)('%s throws #GP(0) at an address that is not canonical', (_name, _code, act) => {
    const fault = thrown(() => act(guest().cpu, NOT_CANONICAL));
    expect([fault.vector, fault.errorCode, fault.message]).toEqual([GP, 0, '#GP(0) at 0000800000000000']);
  });

  it('throws #AC', () => {
    const { cpu } = new Guest({ cr0: 1 << 18 }).map(0n, ALL);
    cpu.setCpl(3);
    cpu.setAc(1);
    expect(thrown(() => cpu.long.read32(2)).vector).toBe(AC);
  });

  it('gives a page fault on the second page the address there', () => {
    const fault = thrown(() => guest().cpu.long.write64(BASE + 0xffcn, 0));
    expect(fault.address.toBigInt()).toBe(UNMAPPED);
  });

  it('reads unsigned values, in every form of address', () => {
    const { cpu } = guest();
    cpu.long.write64(BASE, -1n);
    expect([cpu.long.read8(BASE), cpu.long.read16(BASE), cpu.long.read32(BASE)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
    for (const address of [
      BASE,
      BigInt.asIntN(64, BASE),
      '0xffff800012345000',
      Long.fromString('ffff800012345000', true, 16),
      Long.fromString('ffff800012345000', true, 16).toSigned(),
      { low: 0x1234_5000, high: -0x8000 },
    ]) {
      const value = cpu.long.read64(address);
      expect([value.toBigInt(), value.unsigned]).toEqual([2n ** 64n - 1n, true]);
    }
    expect(cpu.long.translate(BASE + 0x123n).toNumber()).toBe(0x5123);
  });

  it('writes what it reads', () => {
    const { cpu } = guest();
    cpu.long.write8(BASE, 0x1ff);
    cpu.long.write16(BASE + 1n, -2);
    cpu.long.write32(BASE + 3n, 0x8765_4321);
    cpu.long.write64(BASE + 7n, '0x1122334455667788');
    cpu.long.writeBytes(BASE + 15n, Uint8Array.of(9, 8));
    expect([...cpu.long.readBytes(BASE, 17)]).toEqual([
      0xff, 0xfe, 0xff, 0x21, 0x43, 0x65, 0x87, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 9, 8,
    ]);
    expect([...cpu.long.fetchBytes(BASE + 15n, 2)]).toEqual([9, 8]);
  });

  it('fetches, exchanges and compares unsigned values', () => {
    const { cpu } = guest();
    const all = 2n ** 64n - 1n;
    cpu.long.write64(BASE, all);
    expect([cpu.long.fetch8(BASE), cpu.long.fetch16(BASE), cpu.long.fetch32(BASE)]).toEqual([
      0xff, 0xffff, 0xffff_ffff,
    ]);
    expect(cpu.long.fetch64(BASE).toBigInt()).toBe(all);
    expect([cpu.long.exchange8(BASE, 0x12), cpu.long.exchange16(BASE + 2n, 0x34)]).toEqual([0xff, 0xffff]);
    expect([cpu.long.exchange32(BASE + 4n, 0x8000_0000), cpu.long.read32(BASE + 4n)]).toEqual([
      0xffff_ffff, 0x8000_0000,
    ]);
    expect(cpu.long.exchange64(BASE, -2n).toBigInt()).toBe(0x8000_0000_0034_ff12n);
    expect(cpu.long.compareExchange8(BASE, 0xfe, 1)).toBe(0xfe);
    expect(cpu.long.compareExchange16(BASE, 0xff01, 0x8002)).toBe(0xff01);
    expect(cpu.long.compareExchange32(BASE, 0xffff_8002, 0x8000_0003)).toBe(0xffff_8002);
    expect(cpu.long.compareExchange64(BASE, '0xffffffff80000003', 5).toBigInt()).toBe(0xffff_ffff_8000_0003n);
    expect(cpu.long.compareExchange64(BASE, 6, 7).toBigInt()).toBe(5n);
    expect(cpu.long.read64(BASE).toNumber()).toBe(5);
  });

  it.each<[string, (cpu: Cpu, address: bigint) => unknown]>([
    ['read8', (cpu, address) => cpu.long.read8(address, STACK)],
    ['read16', (cpu, address) => cpu.long.read16(address, STACK)],
    ['read32', (cpu, address) => cpu.long.read32(address, STACK)],
    ['read64', (cpu, address) => cpu.long.read64(address, STACK)],
    ['readBytes', (cpu, address) => cpu.long.readBytes(address, 3, STACK)],
    ['write8', (cpu, address) => cpu.long.write8(address, 1, STACK)],
    ['write16', (cpu, address) => cpu.long.write16(address, 1, STACK)],
    ['write32', (cpu, address) => cpu.long.write32(address, 1, STACK)],
    ['write64', (cpu, address) => cpu.long.write64(address, 1, STACK)],
    ['writeBytes', (cpu, address) => cpu.long.writeBytes(address, Uint8Array.of(1), STACK)],
  ])('%s through the stack segment throws #SS(0) at an address that is not canonical', (_name, act) => {
    const { cpu } = guest();
    expect(thrown(() => act(cpu, NOT_CANONICAL)).message).toBe('#SS(0) at 0000800000000000');
    expect(() => act(cpu, BASE)).not.toThrow();
  });

  it('changes CPL, AC, CS.L and the protection keys', () => {
    const { cpu } = guest();
    cpu.long.setCpl(3);
    cpu.long.setAc(1);
    cpu.long.setPkru(0xffff_fffc);
    cpu.long.setPkrs(0x8000_0000);
    const { cpl, ac, pkru, pkrs } = cpu.registers;
    expect([cpl, ac, pkru, pkrs]).toEqual([3, 1, -4, -0x8000_0000]);
    cpu.long.setCsL(0);
    expect([cpu.registers.csL, cpu.registers.is64Bit]).toEqual([0, false]);
  });

  it('probes without a trace', () => {
    const { cpu, machine } = guest();
    machine.memory.clearDirty();
    expect(cpu.long.probe(BASE + 5n)?.toNumber()).toBe(0x5005);
    expect([cpu.long.probe(UNMAPPED), cpu.long.probe(NOT_CANONICAL)]).toEqual([undefined, undefined]);
    expect([cpu.counters.walks, cpu.counters.faults, cpu.cr2Lo, cpu.faulted]).toEqual([0, 0, 0, 0]);
    let dirty = 0;
    machine.memory.forEachDirty(() => (dirty += 1));
    expect(dirty).toBe(0);
  });

  it.each<[string, number, (cpu: Cpu) => unknown]>([
    ['setCr0 with PG and without PE', GP, (cpu) => cpu.long.setCr0(0x8000_0000)],
    ['setCr0 with a high half', GP, (cpu) => cpu.long.setCr0('0x180010001')],
    ['setCr3 above MAXPHYADDR', GP, (cpu) => cpu.long.setCr3(1n << 50n)],
    ['setCr4 with a reserved bit', GP, (cpu) => cpu.long.setCr4(0x8000_0020)],
    ['setEfer with a reserved bit', GP, (cpu) => cpu.long.setEfer('0x10000900')],
    ['invpcid of type 4', GP, (cpu) => cpu.long.invpcid(4, 0, 0)],
    ['invpcid at an address that is not canonical', GP, (cpu) => cpu.long.invpcid(0, 0, 1n << 62n)],
  ])('throws what %s raises, and changes nothing', (_what, vector, act) => {
    const { cpu } = guest();
    const before = cpu.registers.values();
    expect(thrown(() => act(cpu)).vector).toBe(vector);
    expect(cpu.registers.values()).toEqual(before);
  });

  it('throws #UD for INVPCID where there is none', () => {
    const { cpu } = new Guest({ features: { invpcid: false } });
    const fault = thrown(() => cpu.long.invpcid(2, 0, 0));
    expect([fault.vector, fault.message]).toEqual([UD, '#UD(0) at 0000000000000000']);
  });

  it('changes registers and drops translations', () => {
    const { cpu, machine } = guest();
    cpu.long.read8(BASE);
    machine.host.write64(0x10_3000 + 8 * 0x145, 0x6000 | 1);
    cpu.long.invlpg(BASE);
    expect(cpu.long.translate(BASE).toNumber()).toBe(0x6000);
    cpu.long.setCr3('0x8000000000100000'); // bit 63: nothing dropped
    cpu.long.setCr4(0x2_00a0);
    cpu.long.setCr0(0x8000_0001);
    cpu.long.setEfer(0x901);
    cpu.long.invpcid(2, 0, 0);
    const { cr0, cr3Lo, cr3Hi, cr4, efer } = cpu.registers;
    expect([cr0 >>> 0, cr3Lo, cr3Hi, cr4, efer]).toEqual([0x8000_0011, 0x10_0000, 0, 0x2_00a0, 0xd01]);
  });

  it('explains the walk of an access', () => {
    const { cpu } = guest().map(UNMAPPED, P | US);
    expect(cpu.long.explain(UNMAPPED, WRITE)).toMatchObject({
      vector: PF,
      errorCode: 3,
      summary: 'the access rights deny the access',
    });
    expect(cpu.long.explain(BASE + 1n).physical?.toNumber()).toBe(0x5001);
  });
});
