import { describe, expect, it } from 'vitest';
import {
  AC,
  type Cpu,
  type Device,
  EXAMINE,
  FETCH,
  GP,
  IMPLICIT,
  PF,
  READ,
  READ_MODIFY_WRITE,
  SS,
  STACK,
  WRITE,
} from '../../src/index.ts';
import { ALL, Guest, type GuestOptions, P, RW } from '../support/guest.ts';

/** Pages 1 and 2 are RAM at frames 9 and 4, page 3 is a device, page 4 absent; 0x10000 on is supervisor's. */
function guest(options: GuestOptions = {}): Guest {
  return new Guest(options)
    .map(0x1000n, 0x9000n | ALL)
    .map(0x2000n, 0x4000n | ALL)
    .map(0x3000n, 0xfee0_0000n | ALL)
    .map(0x1_0000n, 0xa000n | P | RW);
}

function recorder(read: (offset: number, size: number) => number = (offset) => offset): Device & { log: unknown[] } {
  const log: unknown[] = [];
  return {
    log,
    read: (offset, size) => {
      log.push(['read', offset, size]);
      return read(offset, size);
    },
    write: (offset, size, value) => log.push(['write', offset, size, value]),
  };
}

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => at + 1);

describe('reads', () => {
  it('are unsigned below 4 bytes, int32 at 4, halves at 8; hot or not, aligned or not', () => {
    const { cpu } = guest();
    for (const lo of [0x1100, 0x1101, 0x1ffd, 0x1fff, 0x1ff9]) {
      cpu.writeBytes(lo, 0, new Uint8Array(8).fill(0xfe));
      for (const _ of [1, 2, 3]) {
        expect([cpu.read8(lo, 0), cpu.read16(lo, 0), cpu.read32(lo, 0)]).toEqual([0xfe, 0xfefe, -0x0101_0102]);
        expect([cpu.read64(lo, 0), cpu.valueHi]).toEqual([-0x0101_0102, -0x0101_0102]);
        expect([cpu.fetch8(lo, 0), cpu.fetch16(lo, 0), cpu.fetch32(lo, 0)]).toEqual([0xfe, 0xfefe, -0x0101_0102]);
        expect([cpu.fetch64(lo, 0), cpu.valueHi]).toEqual([-0x0101_0102, -0x0101_0102]);
        expect([1, 2, 4, 8].map((size) => cpu.readForWrite(lo, 0, size))).toEqual([
          0xfe, 0xfefe, -0x0101_0102, -0x0101_0102,
        ]);
      }
    }
  });

  it('are 0 where they fault, and valueHi stays', () => {
    const { cpu } = guest();
    cpu.write64(0x1000, 0, 1, 77);
    cpu.read64(0x1000, 0);
    expect([cpu.read8(0x4000, 0), cpu.read16(0x4000, 0), cpu.read32(0x4000, 0), cpu.read64(0x4000, 0)]).toEqual([
      0, 0, 0, 0,
    ]);
    expect([cpu.faulted, cpu.valueHi]).toEqual([PF, 77]);
    cpu.read8(0x1000, 0);
    expect(cpu.faulted).toBe(0);
  });

  it('keep only the low bits of what is written', () => {
    const { cpu } = guest();
    for (const lo of [0x1000, 0x1001, 0x1ffb]) {
      cpu.writeBytes(lo, 0, new Uint8Array(8));
      for (const _ of [1, 2, 3]) {
        cpu.write8(lo, 0, -0x100 | 0x12);
        expect(cpu.read32(lo, 0)).toBe(0x12);
        cpu.write16(lo, 0, 0x7654_3210);
        expect(cpu.read32(lo, 0)).toBe(0x3210);
        cpu.write32(lo, 0, 0xffff_ffff);
        expect([cpu.read64(lo, 0), cpu.valueHi]).toEqual([-1, 0]);
        cpu.write32(lo, 0, 0);
      }
    }
  });
});

describe('byte ranges', () => {
  it.each([1, 3, 16, 32, 64, 4096])('of %i bytes move within a page and across two', (length) => {
    const { cpu, machine } = guest();
    for (const lo of [0x1000, 0x2000 - Math.ceil(length / 2), 0x3000 - length]) {
      expect(cpu.writeBytes(lo, 0, counting(length))).toBe(0);
      const read = new Uint8Array(length);
      const fetched = new Uint8Array(length);
      expect([cpu.readBytes(lo, 0, read), cpu.fetchBytes(lo, 0, fetched)]).toEqual([0, 0]);
      expect(read).toEqual(counting(length));
      expect(fetched).toEqual(counting(length));
    }
    const last = new Uint8Array(1);
    machine.host.read(0x4fff, last);
    expect(last[0]).toBe(length % 256);
  });

  it.each([16, 32, 64])('of %i bytes write nothing where the second page faults', (length) => {
    const { cpu, machine } = guest()
      .map(0x5000n, 0xb000n | ALL)
      .map(0x6000n, 0xc000n | P);
    machine.memory.clearDirty();
    expect([cpu.writeBytes(0x5ff8, 0, counting(length)), cpu.cr2Lo, cpu.fault.errorCode]).toEqual([PF, 0x6000, 3]);
    expect(machine.host.read64(0xbff8).toNumber()).toBe(0);
    expect(machine.memory.isDirty(0xb)).toBe(false);
    const target = new Uint8Array(length).fill(9);
    expect(cpu.readBytes(0x2ff8 + 0x1_0000, 0, target)).toBe(PF);
    expect(target).toEqual(new Uint8Array(length).fill(9));
  });

  it.each([0, 4097])('of %i bytes are refused', (length) => {
    const { cpu } = guest();
    expect(() => cpu.readBytes(0x1000, 0, new Uint8Array(length))).toThrow(RangeError);
    expect(() => cpu.long.writeBytes(0x1000, new Uint8Array(length))).toThrow(RangeError);
  });

  it('do nothing to the bytes of the source', () => {
    const source = counting(32);
    guest().cpu.writeBytes(0x1ff0, 0, source);
    expect(source).toEqual(counting(32));
  });
});

describe('an access across two pages', () => {
  it.each([2, 4, 8])('of %i bytes writes nothing where the second faults', (size) => {
    const { cpu, machine } = guest();
    machine.memory.clearDirty();
    for (const _ of [1, 2, 3]) {
      expect(cpu.store(WRITE, 0x2fff, 0, size, -1, -1)).toBe(0); // the device
      expect(cpu.store(WRITE, 0x1_0fff, 0, size, -1, -1)).toBe(PF);
      expect([cpu.fault.lo, cpu.cr2Lo]).toEqual([0x1_1000, 0x1_1000]);
    }
    expect(machine.host.read32(0xaffc)).toBe(0);
    expect(machine.memory.isDirty(0xa)).toBe(false);
  });

  it('faults with the first page first', () => {
    const { cpu } = guest();
    expect([cpu.write32(0x5fff, 0, 1), cpu.cr2Lo]).toEqual([PF, 0x5fff]);
  });

  it('wraps around the top of 32-bit addresses', () => {
    const { cpu } = new Guest({ mode: '32-bit' }).map(0n, 0x1000n | ALL).map(0xffff_f000n, 0x2000n | ALL);
    expect([cpu.write32(-2, 0, 0x0403_0201), cpu.read16(-2, 0), cpu.read16(0, 0)]).toEqual([0, 0x0201, 0x0403]);
    expect(cpu.read32(-2, 12_345)).toBe(0x0403_0201); // high halves do not count
  });

  it('goes from one 4 GiB to the next', () => {
    const { cpu } = guest()
      .map(0xffff_f000n, 0x5000n | ALL)
      .map(0x1_0000_0000n, 0x6000n | ALL);
    expect([cpu.write64(-4, 0, 1, 2), cpu.read32(-4, 0), cpu.read32(0, 1)]).toEqual([0, 1, 2]);
  });
});

describe('devices', () => {
  it('see each size, offsets from their start, and 8 bytes in two pieces', () => {
    const { cpu, machine } = guest();
    const device = recorder((offset) => -offset);
    machine.memory.addDevice(0xfee0_0000, 0x1000, device);
    for (const _ of [1, 2]) {
      device.log.length = 0;
      expect([cpu.read8(0x3001, 0), cpu.read16(0x3002, 0), cpu.read32(0x3004, 0)]).toEqual([0xff, 0xfffe, -4]);
      expect([cpu.read64(0x3008, 0), cpu.valueHi]).toEqual([-8, -12]);
      expect(cpu.fetch32(0x3010, 0)).toBe(-16);
      cpu.write8(0x3001, 0, 0x1fe);
      cpu.write16(0x3002, 0, -2);
      cpu.write32(0x3004, 0, 0xffff_fffe);
      cpu.write64(0x3008, 0, 1, -2);
      expect(device.log).toEqual([
        ['read', 1, 1],
        ['read', 2, 2],
        ['read', 4, 4],
        ['read', 8, 4],
        ['read', 12, 4],
        ['read', 16, 4],
        ['write', 1, 1, 0xfe],
        ['write', 2, 2, 0xfffe],
        ['write', 4, 4, -2],
        ['write', 8, 4, 1],
        ['write', 12, 4, -2],
      ]);
    }
  });

  it('see byte ranges and accesses that cross into them byte by byte', () => {
    const { cpu, machine } = guest();
    const device = recorder((offset) => 0x40 + offset);
    machine.memory.addDevice(0xfee0_0000, 0x1000, device);
    const target = new Uint8Array(3);
    cpu.readBytes(0x3005, 0, target);
    expect([...target]).toEqual([0x45, 0x46, 0x47]);
    cpu.write8(0x2fff, 0, 0x11);
    expect(cpu.read32(0x2fff, 0)).toBe(0x4241_4011);
    cpu.write16(0x2fff, 0, 0x2233);
    expect(device.log.slice(3)).toEqual([
      ['read', 0, 1],
      ['read', 1, 1],
      ['read', 2, 1],
      ['write', 0, 1, 0x22],
    ]);
    expect(cpu.read8(0x2fff, 0)).toBe(0x33);
  });

  it.each([READ, FETCH])('in front of RAM that a large page maps are met there, access kind %d', (access) => {
    const { cpu, machine } = guest().map(0x4000_0000n, 0x20_0000n | ALL | 0x80n, 2);
    machine.host.write(0x20_0000, new Uint8Array(0x20_0000).fill(0x11));
    machine.memory.addDevice(0x28_0000, 0x1000, { read: () => 0x77, write: () => {} });
    const get = (lo: number): number => (access === FETCH ? cpu.fetch8(lo, 0) : cpu.read8(lo, 0));
    // RAM on both sides first, so that whatever is cached of the whole page is.
    const places = [0x4000_0000, 0x4010_0000, 0x4008_0000, 0x4008_0fff, 0x4008_1000, 0x4007_ffff];
    for (const _ of [1, 2, 3]) expect(places.map(get)).toEqual([0x11, 0x11, 0x77, 0x77, 0x11, 0x11]);
  });

  it('may use the CPU while they answer', () => {
    const { cpu, machine } = guest();
    const inside = (): number => {
      cpu.write64(0x1ffc, 0, 0x0101_0101, 0x0202_0202);
      cpu.read64(0x1ffc, 0);
      return 0x77;
    };
    machine.memory.addDevice(0xfee0_0000, 0x1000, { read: inside, write: inside });
    expect([cpu.read64(0x3000, 0), cpu.valueHi]).toEqual([0x77, 0x77]);
    cpu.write8(0x2fff, 0, 0x11);
    expect(cpu.read16(0x2fff, 0)).toBe(0x7711);
    expect(cpu.write32(0x2ffe, 0, 0x4433_2211)).toBe(0);
    expect(cpu.read16(0x2ffe, 0)).toBe(0x2211);
    const target = new Uint8Array(2);
    expect([cpu.readBytes(0x2fff, 0, target), ...target]).toEqual([0, 0x22, 0x77]);
  });

  it('may fault while they answer: the access of the guest did not', () => {
    const { cpu, machine } = guest();
    const inside = (): number => {
      cpu.read8(0x4000, 0); // not mapped
      return 0x77;
    };
    machine.memory.addDevice(0xfee0_0000, 0x1000, { read: inside, write: inside });
    const outcomes = [
      () => cpu.read32(0x3000, 0),
      () => cpu.write32(0x3000, 0, 1),
      () => cpu.exchange32(0x3000, 0, 1),
      () => cpu.readBytes(0x3000, 0, new Uint8Array(2)),
    ].map((act) => [act(), cpu.faulted]);
    expect(outcomes).toEqual([
      [0x77, 0],
      [0, 0],
      [0x77, 0],
      [0, 0],
    ]);
  });

  it('may access other bytes while they answer: a watchpoint tells of those of the guest', () => {
    const { cpu, machine } = guest();
    machine.memory.addDevice(0xfee0_0000, 0x1000, { read: () => cpu.read8(0x1000, 0), write: () => {} });
    const seen: number[][] = [];
    cpu.addWatch({ lo: 0x3004, hi: 0, length: 4, kinds: READ, callback: (lo, _hi, size) => seen.push([lo, size]) });
    cpu.read32(0x3004, 0);
    expect(seen).toEqual([[0x3004, 4]]);
  });
});

describe('modifiers', () => {
  it('STACK makes a non-canonical address #SS, in every size and before #AC', () => {
    const { cpu } = guest({ cr0: 1 << 18 });
    cpu.setCpl(3);
    cpu.setAc(1);
    const accesses: ((stack: number) => unknown)[] = [
      (stack) => cpu.read8(0, 0x8000, stack),
      (stack) => cpu.read16(1, 0x8000, stack),
      (stack) => cpu.read32(1, 0x8000, stack),
      (stack) => cpu.read64(1, 0x8000, stack),
      (stack) => cpu.write8(0, 0x8000, 1, stack),
      (stack) => cpu.write16(1, 0x8000, 1, stack),
      (stack) => cpu.write32(1, 0x8000, 1, stack),
      (stack) => cpu.write64(1, 0x8000, 1, 1, stack),
      (stack) => cpu.readForWrite(1, 0x8000, 4, stack),
      (stack) => cpu.readBytes(1, 0x8000, new Uint8Array(16), stack),
      (stack) => cpu.writeBytes(-8, 0x7fff, new Uint8Array(16), stack), // its last byte
      (stack) => cpu.translate(0, 0x8000, READ | stack),
    ];
    for (const access of accesses) {
      access(STACK);
      expect([cpu.faulted, cpu.fault.errorCode]).toEqual([SS, 0]);
      access(0);
      expect([cpu.faulted, cpu.fault.errorCode]).toEqual([GP, 0]);
    }
    expect([cpu.read8(0x1000, 0, STACK), cpu.faulted]).toEqual([0, 0]);
    expect([cpu.probe(0, 0x8000, READ | STACK), cpu.probe(0, 0x8000)]).toEqual([SS, GP]);
  });

  it('IMPLICIT is the supervisor whatever the CPL, and EFLAGS.AC does not help it', () => {
    const { cpu, machine } = guest({ cr4: 1 << 21 }); // SMAP
    machine.host.write32(0xa000, 5);
    cpu.setCpl(3);
    cpu.setAc(1);
    expect([cpu.load(READ, 0x1_0000, 0, 4), cpu.faulted, cpu.fault.errorCode]).toEqual([0, PF, 5]);
    for (const _ of [1, 2, 3]) {
      expect([cpu.load(READ | IMPLICIT, 0x1_0000, 0, 4), cpu.faulted]).toEqual([5, 0]);
      expect([cpu.store(WRITE | IMPLICIT, 0x1_0004, 0, 8, 1, 2), cpu.faulted]).toEqual([0, 0]);
      expect([cpu.read32(0x1_0000, 0), cpu.faulted]).toEqual([0, PF]); // no hit view of the supervisor's serves CPL 3
      expect([cpu.load(READ | IMPLICIT, 0x1000, 0, 1), cpu.faulted, cpu.fault.errorCode]).toEqual([0, PF, 1]);
      cpu.setCpl(0);
      expect([cpu.read8(0x1000, 0), cpu.faulted]).toEqual([0, 0]);
      cpu.setCpl(3);
    }
  });

  it('IMPLICIT has 64-bit addresses in compatibility mode, for the access, translate and probe alike', () => {
    const { cpu } = guest().map(0xffff_8000_0000_1000n, 0xb000n | P | RW);
    cpu.setCsL(0);
    cpu.write32(0x1000, 0, 1);
    expect([
      cpu.store(WRITE | IMPLICIT, 0x1000, -0x8000, 4, 7, 0),
      cpu.load(READ | IMPLICIT, 0x1000, -0x8000, 4),
    ]).toEqual([0, 7]);
    expect(cpu.read32(0x1000, -0x8000)).toBe(1); // truncated
    expect([cpu.translate(0x1000, -0x8000, READ | IMPLICIT), cpu.physicalLo]).toEqual([0, 0xb000]);
    expect([cpu.probe(0x1000, -0x8000, READ | IMPLICIT), cpu.physicalLo]).toEqual([0, 0xb000]);
    expect(cpu.probe(0x1000, 0x8000, READ | IMPLICIT)).toBe(GP);
  });

  it('READ_MODIFY_WRITE is a write, READ alone is not', () => {
    const { cpu } = guest().map(0x7000n, 0xb000n | P);
    expect([cpu.load(READ_MODIFY_WRITE, 0x7000, 0, 4), cpu.fault.errorCode]).toEqual([0, 3]);
    expect([cpu.load(READ, 0x7000, 0, 4), cpu.faulted]).toEqual([0, 0]);
  });
});

describe('EXAMINE', () => {
  it('finds the frame whatever the rights, and gives nobody rights', () => {
    const { cpu, machine } = guest();
    machine.host.write32(0xa000, 5);
    cpu.setCpl(3);
    expect([cpu.probe(0x1_0000, 0, EXAMINE), cpu.physicalLo]).toEqual([0, 0xa000]);
    expect([cpu.read32(0x1_0000, 0), cpu.faulted]).toEqual([0, PF]);
    expect([cpu.translate(0x1_0000, 0, EXAMINE), cpu.physicalLo]).toEqual([0, 0xa000]);
    expect([cpu.read32(0x1_0000, 0), cpu.faulted]).toEqual([0, PF]);
    expect(cpu.translate(0x1_0000, 0, STACK)).toBe(0); // no kind of access either
    expect([cpu.read32(0x1_0000, 0), cpu.faulted]).toEqual([0, PF]);
  });
});

describe('#AC', () => {
  function checked(): Cpu {
    const { cpu } = guest({ cr0: 1 << 18 });
    for (const _ of [1, 2, 3]) cpu.write64(0x1008, 0, 0, 0); // hot
    for (const _ of [1, 2, 3]) cpu.read64(0x1008, 0);
    cpu.setCpl(3);
    cpu.setAc(1);
    return cpu;
  }

  it('comes after the canonical and before the paging checks', () => {
    const cpu = checked();
    cpu.read32(0x4001, 0); // not mapped
    expect([cpu.faulted, cpu.fault.errorCode, cpu.fault.lo, cpu.cr2Lo]).toEqual([AC, 0, 0x4001, 0]);
    cpu.read32(0x4004, 0);
    expect([cpu.faulted, cpu.cr2Lo]).toEqual([PF, 0x4004]);
    cpu.read32(1, 0x8000);
    expect(cpu.faulted).toBe(GP);
    cpu.read64(-4, 0x7fff); // aligned to 4, its end beyond the canonical half
    expect(cpu.faulted).toBe(GP);
  });

  it('is for explicit data accesses of natural sizes that are not aligned', () => {
    const cpu = checked();
    const vectors = (act: (lo: number) => void): number[] =>
      [0x1000, 0x1001, 0x1002, 0x1004].map((lo) => {
        act(lo);
        return cpu.faulted;
      });
    expect(vectors((lo) => cpu.read8(lo, 0))).toEqual([0, 0, 0, 0]);
    expect(vectors((lo) => cpu.read16(lo, 0))).toEqual([0, AC, 0, 0]);
    expect(vectors((lo) => cpu.write32(lo, 0, 0))).toEqual([0, AC, AC, 0]);
    expect(vectors((lo) => cpu.readForWrite(lo, 0, 8))).toEqual([0, AC, AC, AC]);
    expect(vectors((lo) => cpu.exchange16(lo, 0, 1))).toEqual([0, AC, 0, 0]);
    expect(vectors((lo) => cpu.fetch32(lo, 0))).toEqual([0, 0, 0, 0]);
    expect(vectors((lo) => cpu.load(FETCH, lo, 0, 8))).toEqual([0, 0, 0, 0]);
    expect(vectors((lo) => cpu.readBytes(lo, 0, new Uint8Array(16)))).toEqual([0, 0, 0, 0]);
  });

  it('is not for byte ranges of other lengths, which have no alignment of their own', () => {
    const cpu = checked();
    for (const length of [3, 5, 6, 7])
      for (const lo of [0x1000, 0x1001, 0x1002, 0x1004]) expect(cpu.readBytes(lo, 0, new Uint8Array(length))).toBe(0);
  });

  it('is not for implicit accesses, other CPLs, AC = 0 or AM = 0', () => {
    const cpu = checked();
    expect([cpu.load(READ | IMPLICIT, 0x1001, 0, 4), cpu.faulted]).toEqual([0, 0]);
    cpu.setCpl(2);
    expect([cpu.read32(0x1001, 0), cpu.faulted]).toEqual([0, 0]);
    cpu.setCpl(3);
    cpu.setAc(0);
    expect([cpu.read32(0x1001, 0), cpu.faulted]).toEqual([0, 0]);
    cpu.setAc(1);
    cpu.setCpl(0);
    cpu.setCr0(0x8001_0001);
    cpu.setCpl(3);
    expect([cpu.read32(0x1001, 0), cpu.faulted]).toEqual([0, 0]);
  });
});

describe('A20', () => {
  it('masks bit 20 of the final address, not of the walk', () => {
    const made = new Guest().map(0x1000n, 0x20_5000n | ALL).map(0x2000n, 0x30_5000n | ALL); // tables lie above 1 MiB
    const { cpu } = made;
    const { host } = made.machine;
    host.write32(0x20_5000, 2);
    host.write32(0x30_5000, 3);
    for (const _ of [1, 2, 3]) expect([cpu.read32(0x1000, 0), cpu.read32(0x2000, 0)]).toEqual([2, 3]);
    cpu.setA20Mask(1);
    for (const _ of [1, 2, 3]) expect([cpu.read32(0x1000, 0), cpu.read32(0x2000, 0)]).toEqual([2, 2]);
    for (const value of [6, 7, 8]) cpu.write32(0x2000, 0, value);
    expect([host.read32(0x20_5000), host.read32(0x30_5000)]).toEqual([8, 3]);
    expect([cpu.translate(0x2123, 0), cpu.physicalLo]).toEqual([0, 0x20_5123]);
    cpu.setA20Mask(0);
    for (const _ of [1, 2, 3]) expect([cpu.read32(0x1000, 0), cpu.read32(0x2000, 0)]).toEqual([8, 3]);
  });

  it('masks addresses without paging, and inside large pages', () => {
    const { cpu, machine } = new Guest({ mode: 'none' });
    machine.host.write32(0x4000, 7);
    cpu.setA20Mask(1);
    expect([cpu.read32(0x10_4000, 0), cpu.read32(0x10_4000, 0)]).toEqual([7, 7]);
    const large = new Guest().map(0n, 0n | ALL | 0x80n, 2);
    large.machine.host.write32(0x4000, 9);
    large.cpu.setA20Mask(1);
    for (const _ of [1, 2, 3]) expect([large.cpu.read32(0x4000, 0), large.cpu.read32(0x10_4000, 0)]).toEqual([9, 9]);
  });
});
