import { describe, expect, it } from 'vitest';
import { type Device, Machine, type MemoryOptions, PhysicalMemory } from '../../src/index.ts';

const KIB64 = 1 << 16;

interface CodeWrite {
  readonly frame: number;
  readonly offset: number;
  readonly size: number;
}

/** A machine without paging: linear is physical. */
function bare(memory: MemoryOptions): Machine {
  return new Machine({ memory });
}

/** A device that remembers, and answers each read with its offset. */
function recorder(): Device & { readonly log: [string, ...number[]][] } {
  const log: [string, ...number[]][] = [];
  return {
    log,
    read: (offset, size) => {
      log.push(['read', offset, size]);
      return offset;
    },
    write: (offset, size, value) => {
      log.push(['write', offset, size, value]);
    },
  };
}

function codeWrites(memory: PhysicalMemory): CodeWrite[] {
  const seen: CodeWrite[] = [];
  memory.onCodeWrite = (frame, offset, size) => {
    seen.push({ frame, offset, size });
  };
  return seen;
}

const dirtyFrames = (memory: PhysicalMemory): number[] => {
  const frames: number[] = [];
  memory.forEachDirty((frame) => frames.push(frame));
  return frames;
};

describe('RAM ranges', () => {
  it('lie where they are put in the buffer', () => {
    const buffer = new ArrayBuffer(KIB64);
    const { memory, host } = bare({
      buffer,
      ranges: [
        { start: 0x10_0000, size: 0x2000, offset: 0x4000 },
        { start: 0, size: 0x1000 },
      ],
    });
    host.write32(0x10_1ffc, 0x1234_5678);
    host.write32(0, -1);
    expect(new DataView(buffer).getUint32(0x5ffc, true)).toBe(0x1234_5678);
    expect(new DataView(buffer).getUint32(0x6000, true)).toBe(0xffff_ffff);
    expect([memory.pageOf(0x101), memory.pageOf(0), memory.pageOf(1), memory.pageOf(0x102)]).toEqual([5, 6, -1, -1]);
  });

  it('reach 2^52', () => {
    const { host } = bare({ ranges: [{ start: 2 ** 52 - 4096, size: 4096 }] });
    host.write64(2 ** 52 - 8, '0x1122334455667788');
    expect(host.read64(2 ** 52 - 8).toString(16)).toBe('1122334455667788');
  });

  it.each<[string, MemoryOptions, string]>([
    [
      'overlapping ranges',
      {
        ranges: [
          { start: 0x1000, size: 0x2000 },
          { start: 0, size: 0x2000 },
        ],
      },
      'overlap at 0x1000',
    ],
    ['a start inside a page', { ranges: [{ start: 8, size: 4096 }] }, 'start 8 is not a multiple of 4096'],
    ['half a page', { size: 2048 }, 'size 2048 is not a multiple of 4096'],
    ['an offset inside a page', { ranges: [{ start: 0, size: 4096, offset: 1 }] }, 'start 1 is not a multiple'],
    ['a negative size', { size: -4096 }, 'size -4096'],
    ['NaN', { size: Number.NaN }, 'size NaN'],
    ['a range past 2^52', { ranges: [{ start: 2 ** 52 - 4096, size: 8192 }] }, 'is past 2^52'],
    [
      'a buffer that is too small',
      { size: 8192, buffer: new ArrayBuffer(4096) },
      'has 4096 bytes, the RAM ranges need 8192',
    ],
    [
      'sparse memory over a buffer',
      { sparse: {}, buffer: new ArrayBuffer(4096) },
      'sparse memory has a buffer of its own',
    ],
    ['sparse memory that is shared', { sparse: {}, shared: true }, 'not shared'],
  ])('refuse %s', (_what, options, reason) => {
    expect(() => new PhysicalMemory(options)).toThrow(RangeError);
    expect(() => new PhysicalMemory(options)).toThrow(reason);
  });

  it('may be given the same bytes twice: the frames are aliases', () => {
    const { memory, host } = bare({
      ranges: [
        { start: 0, size: 0x2000, offset: 0 },
        { start: 0x10_0000, size: 0x2000, offset: 0 },
      ],
    });
    host.write32(0x10_1000, 77);
    expect(host.read32(0x1000)).toBe(77);
    expect(dirtyFrames(memory)).toEqual([1, 0x101]);
    expect(memory.isDirty(1) && memory.isDirty(0x101)).toBe(true);
  });
});

describe('a hole', () => {
  it('reads as all ones and drops writes', () => {
    const cpu = bare({ size: 4096 }).cpus[0]!;
    expect(cpu.read8(0x2000, 0)).toBe(0xff);
    expect(cpu.read16(0x2000, 0)).toBe(0xffff);
    expect(cpu.read32(0x2000, 0)).toBe(-1);
    expect([cpu.read64(0x2000, 0), cpu.valueHi]).toEqual([-1, -1]);
    expect(cpu.write64(0x2000, 0, 1, 2)).toBe(0);
    expect(cpu.faulted).toBe(0);
  });

  it('asks the bus-error callback', () => {
    const seen: unknown[] = [];
    const { cpus, host } = bare({
      size: 4096,
      busError: (...about) => {
        seen.push(about);
        return 0x1_2345_6789;
      },
    });
    expect(cpus[0]!.read16(0x2006, 0)).toBe(0x6789);
    expect(cpus[0]!.read64(0x2008, 0)).toBe(0x2345_6789);
    cpus[0]!.write8(0x3001, 0, 5);
    host.read(0x4000, new Uint8Array(1));
    expect(seen).toEqual([
      [2, 6, 2, 'read'],
      [2, 8, 4, 'read'],
      [2, 12, 4, 'read'],
      [3, 1, 1, 'write'],
      [4, 0, 1, 'read'],
    ]);
  });
});

describe('ROM', () => {
  it('drops writes of the guest and of the host until it is unprotected', () => {
    const { memory, host, cpus } = bare({ size: KIB64 });
    const cpu = cpus[0]!;
    for (const _ of [1, 2, 3]) cpu.write32(0x3000, 0, 1); // the hit path knows the page
    memory.clearDirty();
    memory.protectRom(0x3000, 0x1000);
    cpu.write32(0x3000, 0, 2);
    cpu.writeBytes(0x3000, 0, Uint8Array.of(9));
    cpu.exchange8(0x3000, 0, 3);
    host.write32(0x3000, 4);
    expect(cpu.read32(0x3000, 0)).toBe(1);
    expect(dirtyFrames(memory)).toEqual([]);
    memory.unprotectRom(0x3000, 0x1000);
    cpu.write32(0x3000, 0, 5);
    expect(host.read32(0x3000)).toBe(5);
    expect(dirtyFrames(memory)).toEqual([3]);
  });

  it('is protected through every alias', () => {
    const { memory, cpus } = bare({
      ranges: [
        { start: 0, size: 4096, offset: 0 },
        { start: 8192, size: 4096, offset: 0 },
      ],
    });
    memory.protectRom(0, 4096);
    cpus[0]!.write8(8192, 0, 1);
    expect(cpus[0]!.read8(0, 0)).toBe(0);
  });

  it('is refused where there is no RAM, and then nothing has changed', () => {
    const { memory, cpus } = bare({ size: 0x2000 });
    const cpu = cpus[0]!;
    for (const value of [1, 2, 3]) cpu.write8(0x1000, 0, value);
    expect(() => memory.protectRom(0x1000, 0x2000)).toThrow('no RAM at 0x2000');
    memory.clearDirty();
    cpu.write8(0x1000, 0, 4);
    expect(cpu.read8(0x1000, 0)).toBe(4);
  });
});

describe('a device', () => {
  it('stands in front of RAM, which is there again when it leaves', () => {
    const { memory, host, cpus } = bare({ size: KIB64 });
    const cpu = cpus[0]!;
    host.write32(0x2004, 42);
    expect([cpu.read32(0x2004, 0), cpu.read32(0x2004, 0)]).toEqual([42, 42]);
    const device = recorder();
    memory.addDevice(0x2000, 0x1000, device);
    expect(cpu.read32(0x2004, 0)).toBe(4);
    cpu.write16(0x2006, 0, 0x1_8001);
    expect([cpu.read32(0x1ffc, 0), cpu.read32(0x3000, 0)]).toEqual([0, 0]);
    memory.removeDevice(device);
    expect(cpu.read32(0x2004, 0)).toBe(42);
    expect(device.log).toEqual([
      ['read', 4, 4],
      ['write', 6, 2, 0x8001],
    ]);
  });

  it('counts offsets from the start of its range', () => {
    const { memory, cpus } = bare({ size: 4096 });
    const device = recorder();
    memory.addDevice(0xfee0_0000, 0x2000, device);
    expect(cpus[0]!.read32(0xfee0_1010 | 0, 0)).toBe(0x1010);
  });

  it.each([
    [1, 0],
    [0, 1],
    [2 ** 52, 4096],
  ])('is refused at %i with %i bytes', (start, size) => {
    expect(() => new PhysicalMemory({ size: 0 }).addDevice(start, size, recorder())).toThrow(RangeError);
  });
});

describe('dirty pages', () => {
  it('are those written by guest or host since they were cleared', () => {
    const { memory, host, cpus } = bare({ size: KIB64 });
    const cpu = cpus[0]!;
    cpu.write8(0x1000, 0, 1);
    cpu.writeBytes(0x2ffe, 0, new Uint8Array(4));
    host.write(0x4fff, Uint8Array.of(1, 2));
    cpu.compareExchange32(0x6000, 0, 1, 2); // not equal: nothing stored
    cpu.read32(0x7000, 0);
    cpu.exchange64(0x8000, 0, 1, 2);
    expect(dirtyFrames(memory)).toEqual([1, 2, 3, 4, 5, 8]);
    memory.clearDirty();
    expect(dirtyFrames(memory)).toEqual([]);
    for (const size of [1, 2, 3]) cpu.write8(0x1000, 0, size);
    expect(dirtyFrames(memory)).toEqual([1]);
  });

  it('are noticed again after each clear, however hot the page', () => {
    const { memory, cpus } = bare({ size: KIB64 });
    for (let round = 0; round < 3; round++) {
      for (let time = 0; time < 4; time++) cpus[0]!.write32(0x5000, 0, time);
      expect(dirtyFrames(memory)).toEqual([5]);
      memory.clearDirty();
    }
  });
});

describe('code pages', () => {
  it('report writes of the guest, of the host and through aliases', () => {
    const { memory, host, cpus } = bare({
      ranges: [
        { start: 0, size: 0x4000, offset: 0 },
        { start: 0x8000, size: 0x4000, offset: 0 },
      ],
    });
    const cpu = cpus[0]!;
    const seen = codeWrites(memory);
    for (const _ of [1, 2, 3]) cpu.write32(0x1000, 0, 1); // the hit path knows the page
    memory.markCode(1);
    cpu.write32(0x1010, 0, 1);
    cpu.write8(0x9011, 0, 1);
    cpu.writeBytes(0x0ff0, 0, new Uint8Array(32));
    cpu.exchange16(0x1002, 0, 1);
    host.write64(0x9008, 1);
    host.write(0x1ffe, new Uint8Array(4));
    expect(seen).toEqual([
      { frame: 1, offset: 0x10, size: 4 },
      { frame: 9, offset: 0x11, size: 1 },
      { frame: 1, offset: 0, size: 16 },
      { frame: 1, offset: 2, size: 2 },
      { frame: 9, offset: 8, size: 8 },
      { frame: 1, offset: 0xffe, size: 2 },
    ]);
    expect([memory.isCode(1), memory.isCode(9), memory.isCode(0), memory.isCode(99)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('report no read, no fetch, no store that did not happen, and nothing once unmarked', () => {
    const { memory, cpus } = bare({ size: KIB64 });
    const cpu = cpus[0]!;
    const seen = codeWrites(memory);
    memory.markCode(1);
    cpu.read32(0x1000, 0);
    cpu.fetch32(0x1000, 0);
    cpu.readForWrite(0x1000, 0, 4);
    cpu.compareExchange32(0x1000, 0, 7, 8);
    memory.protectRom(0x1000, 0x1000);
    cpu.write8(0x1000, 0, 1);
    memory.unprotectRom(0x1000, 0x1000);
    memory.unmarkCode(1);
    for (const value of [1, 2, 3]) cpu.write8(0x1000, 0, value);
    expect(seen).toEqual([]);
    expect(cpu.read8(0x1000, 0)).toBe(3);
  });
});

describe('attach()', () => {
  it('follows a WebAssembly memory that grew', () => {
    const wasm = new WebAssembly.Memory({ initial: 1 });
    const { memory, host, cpus } = bare({ size: KIB64, buffer: wasm.buffer });
    const cpu = cpus[0]!;
    cpu.write32(0x1000, 0, 5);
    for (const _ of [1, 2]) expect([cpu.read32(0x1000, 0), cpu.fetch8(0x1000, 0)]).toEqual([5, 5]);
    const before = wasm.buffer;
    wasm.grow(1);
    expect(before.byteLength).toBe(0);
    memory.attach(wasm.buffer);
    cpu.write32(0x1004, 0, 6);
    expect([cpu.read32(0x1000, 0), cpu.read32(0x1004, 0), host.read32(0x1004)]).toEqual([5, 6, 6]);
    expect(new Int32Array(wasm.buffer)[0x401]).toBe(6);
  });

  it('refuses a buffer that is too small and keeps the old one', () => {
    const { memory, host } = bare({ size: KIB64 });
    host.write32(0, 1);
    expect(() => memory.attach(new ArrayBuffer(4096))).toThrow('the buffer has 4096 bytes, the RAM ranges need 65536');
    expect(host.read32(0)).toBe(1);
  });

  it('takes a buffer whose length is no multiple of 8', () => {
    const { memory, cpus } = bare({ size: 4096 });
    memory.attach(new ArrayBuffer(4099));
    expect(cpus[0]!.read64(0xff8, 0)).toBe(0);
  });

  it.each<[string, boolean, ArrayBufferLike, string]>([
    ['a SharedArrayBuffer', false, new SharedArrayBuffer(KIB64), 'the page flags lie in an ArrayBuffer'],
    ['an ArrayBuffer', true, new ArrayBuffer(KIB64), 'the page flags lie in a SharedArrayBuffer'],
  ])(
    'refuses %s where the memory began with the other kind, and keeps the old buffer',
    (_what, shared, buffer, reason) => {
      const { memory, host } = bare({ size: KIB64, shared });
      host.write32(0, 1);
      expect(() => memory.attach(buffer)).toThrow(RangeError);
      expect(() => memory.attach(buffer)).toThrow(reason);
      expect([host.read32(0), memory.isShared]).toEqual([1, shared]);
      expect(() => new PhysicalMemory({ buffer, flags: memory.pages.buffer })).toThrow(reason);
    },
  );

  it('moves shared memory to another SharedArrayBuffer, which `share()` tells of', () => {
    const { memory } = bare({ size: KIB64, shared: true });
    const larger = new SharedArrayBuffer(2 * KIB64);
    memory.attach(larger);
    expect(memory.share().buffer).toBe(larger);
    expect(memory.share().flags).toBeInstanceOf(SharedArrayBuffer);
  });

  it('refuses resizable buffers and says why', () => {
    const Resizable = ArrayBuffer as unknown as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
    const Growable = SharedArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => SharedArrayBuffer;
    for (const buffer of [new Resizable(4096, { maxByteLength: 8192 }), new Growable(4096, { maxByteLength: 8192 })])
      expect(() => new PhysicalMemory({ size: 4096, buffer })).toThrow(
        /must not be a resizable buffer: each load would take three times as long; use one of fixed length, and attach\(\)/,
      );
  });
});

describe('sparse memory', () => {
  it('is RAM wherever it is touched, zero at first', () => {
    const { memory, host } = bare({ sparse: {} });
    host.write32(2 ** 52 - 4, 1);
    host.write32(0x1234_5678_9000, 2);
    expect([host.read32(2 ** 52 - 4), host.read32(0x1234_5678_9000), host.read32(0x5000)]).toEqual([1, 2, 0]);
    const frames: number[] = [];
    memory.forEachPage((_page, frame) => frames.push(frame));
    expect(frames).toEqual([2 ** 40 - 1, 0x1_2345_6789, 5]);
    expect(dirtyFrames(memory)).toEqual([2 ** 40 - 1, 0x1_2345_6789]);
  });

  it('keeps its contents as it grows', () => {
    const { host, cpus } = bare({ sparse: {} });
    const cpu = cpus[0]!;
    for (let frame = 0; frame < 300; frame++) cpu.write32(frame * 0x10_0000, 0, frame);
    for (let frame = 0; frame < 300; frame++) {
      expect(cpu.read32(frame * 0x10_0000, 0)).toBe(frame);
      expect(host.read32(frame * 0x10_0000)).toBe(frame);
    }
  });

  it('remembers 2^20 holes: memory does not grow with the addresses that a guest makes up', () => {
    let asked = 0;
    const { host } = bare({ sparse: { load: () => ++asked === 0 } });
    for (let frame = 0; frame < (1 << 20) + 2; frame++) host.read32(frame * 4096);
    host.read32(0);
    expect(asked).toBe((1 << 20) + 2);
    host.read32(((1 << 20) + 1) * 4096);
    expect(asked).toBe((1 << 20) + 3);
  });

  it('fills frames by the loader, once each; where it has none, there is a hole', () => {
    const asked: number[] = [];
    const { host } = bare({
      sparse: {
        load: (frame, target) => {
          asked.push(frame);
          target.fill(frame);
          return frame < 4;
        },
      },
    });
    expect([host.read32(0x3000), host.read32(0x3004), host.read32(0x9000), host.read32(0x9000)]).toEqual([
      0x0303_0303, 0x0303_0303, 0xffff_ffff, 0xffff_ffff,
    ]);
    expect(asked).toEqual([3, 9]);
  });

  it('gives the loader zeros, whatever it left behind when it had none', () => {
    let first: number | undefined;
    const { host } = bare({
      sparse: {
        load: (frame, target) => {
          if (frame === 2) first = target[0];
          target[0] = 9;
          return frame === 2;
        },
      },
    });
    host.read32(0x1000);
    host.read32(0x2000);
    expect(first).toBe(0);
  });

  it('is a hole beyond maxPages', () => {
    const { host, memory } = bare({ sparse: { maxPages: 2 } });
    for (const frame of [7, 8, 9]) host.write32(frame * 4096, frame);
    expect([7, 8, 9].map((frame) => host.read32(frame * 4096))).toEqual([7, 8, 0xffff_ffff]);
    expect(dirtyFrames(memory)).toEqual([7, 8]);
  });

  it('has devices in front', () => {
    const { memory, cpus } = bare({ sparse: {} });
    memory.addDevice(0x2000, 0x1000, recorder());
    expect([cpus[0]!.read32(0x2004, 0), cpus[0]!.read32(0x3004, 0)]).toEqual([4, 0]);
  });
});
