import { describe, expect, it } from 'vitest';
import {
  MEMORY_SNAPSHOT_VERSION,
  type MemoryOptions,
  PhysicalMemory,
  restoreMemory,
  snapshotMemory,
} from '../../src/index.ts';
import { HostMemory } from '../../src/mmu/host-memory.ts';

function memory(pages = 16): { memory: PhysicalMemory; host: HostMemory } {
  const made = new PhysicalMemory({ size: pages * 4096 });
  return { memory: made, host: new HostMemory(made) };
}

describe('a memory snapshot', () => {
  it('holds the frames that are not all zero, and which are ROM', () => {
    const { memory: from, host } = memory();
    host.write32(0x3ffc, 5);
    from.protectRom(0x8000, 0x1000);
    const snapshot = structuredClone(snapshotMemory(from));
    expect(snapshot.frames.map(({ frame }) => frame)).toEqual([3]);
    expect([snapshot.rom, snapshot.ranges]).toEqual([[8], [{ start: 0, size: 0x1_0000 }]]);
    host.write32(0x3ffc, 6);
    const other = memory();
    other.host.write32(0x5000, 9);
    other.memory.protectRom(0x2000, 0x1000);
    restoreMemory(other.memory, snapshot);
    expect([0x3ffc, 0x5000].map((at) => other.host.read32(at))).toEqual([5, 0]);
    other.host.write32(0x8000, 1);
    other.host.write32(0x2000, 1);
    expect([0x8000, 0x2000].map((at) => other.host.read32(at))).toEqual([0, 1]);
    expect(other.memory.isDirty(15)).toBe(true);
  });

  it('of sparse memory holds the frames touched, at any address', () => {
    const from = new PhysicalMemory({ sparse: {} });
    new HostMemory(from).write64(2 ** 52 - 8, 7);
    const to = new PhysicalMemory({ sparse: {} });
    new HostMemory(to).write32(0x1000, 1);
    restoreMemory(to, snapshotMemory(from));
    expect(new HostMemory(to).read64(2 ** 52 - 8).toNumber()).toBe(7);
    expect(new HostMemory(to).read32(0x1000)).toBe(0);
  });

  it('of sparse memory brings back zeros, whatever a loader has there', () => {
    const load = (_frame: number, target: Uint8Array): boolean => {
      target.fill(0xee);
      return true;
    };
    const from = new PhysicalMemory({ sparse: { load } });
    new HostMemory(from).write(0x1000, new Uint8Array(4096));
    const to = new PhysicalMemory({ sparse: { load } });
    restoreMemory(to, snapshotMemory(from));
    expect(new HostMemory(to).read32(0x1000)).toBe(0);
  });

  it('of sparse memory leaves to the loader what was touched since', () => {
    const load = (frame: number, target: Uint8Array): boolean => {
      target[0] = frame;
      return true;
    };
    const sparse = new PhysicalMemory({ sparse: { load } });
    const host = new HostMemory(sparse);
    host.write32(0x1000, 0x100);
    const snapshot = snapshotMemory(sparse);
    for (const at of [0x1000, 0x2000, 0x3000]) host.write64(at, -1n);
    restoreMemory(sparse, snapshot);
    expect([0x1000, 0x2000, 0x3000].map((at) => host.read32(at))).toEqual([0x100, 2, 3]);
  });

  it.each<[string, MemoryOptions]>([
    ['RAM', { size: 0x4000 }],
    ['sparse memory', { sparse: {} }],
  ])('holds %s behind a device, which may stand there again', (_what, options) => {
    const from = new PhysicalMemory(options);
    const host = new HostMemory(from);
    host.write32(0x1000, 5);
    const device = { read: () => 0, write: () => {} };
    from.addDevice(0x1000, 0x1000, device);
    const snapshot = snapshotMemory(from);
    from.removeDevice(device);
    host.write32(0x1000, 6);
    from.addDevice(0x1000, 0x1000, device);
    restoreMemory(from, snapshot);
    from.removeDevice(device);
    expect(host.read32(0x1000)).toBe(5);
  });

  it('is the same through every alias', () => {
    const ranges = [
      { start: 0, size: 0x2000, offset: 0 },
      { start: 0x8000, size: 0x2000, offset: 0 },
    ];
    const from = new PhysicalMemory({ ranges });
    new HostMemory(from).write32(0x9000, 7);
    from.protectRom(0x8000, 0x1000);
    const to = new PhysicalMemory({ ranges });
    restoreMemory(to, snapshotMemory(from));
    const host = new HostMemory(to);
    host.write32(0, 1);
    expect([host.read32(0x1000), host.read32(0x9000), host.read32(0)]).toEqual([7, 7, 0]);
  });

  it.each<[string, (to: PhysicalMemory) => void, string]>([
    [
      'another version',
      (to) => restoreMemory(to, { ...snapshotMemory(memory().memory), version: 99 }),
      `memory snapshot of version 99; this package reads version ${MEMORY_SNAPSHOT_VERSION}`,
    ],
    [
      'a frame where there is no RAM',
      (to) => {
        const from = memory(32);
        from.host.write32(0x1_f000, 1);
        restoreMemory(to, snapshotMemory(from.memory));
      },
      'no RAM for frame 31',
    ],
    ['a larger layout, all zero', (to) => restoreMemory(to, snapshotMemory(memory(32).memory)), 'another layout'],
    ['a smaller layout', (to) => restoreMemory(to, snapshotMemory(memory(8).memory)), 'another layout'],
    [
      'half a frame',
      (to) => restoreMemory(to, { ...snapshotMemory(to), frames: [{ frame: 1, bytes: new Uint8Array(2048) }] }),
      'frame 1',
    ],
  ])('with %s is refused, and nothing has changed', (_what, restore, reason) => {
    const { memory: to, host } = memory();
    host.write32(0x1000, 5);
    to.clearDirty();
    expect(() => restore(to)).toThrow(RangeError);
    expect(() => restore(to)).toThrow(reason);
    expect([host.read32(0x1000), to.isDirty(1)]).toEqual([5, false]);
  });

  it('lets no store past the flags it restores', () => {
    const { memory: to, host } = memory();
    to.protectRom(0x1000, 0x1000);
    const snapshot = snapshotMemory(to);
    to.unprotectRom(0x1000, 0x1000);
    let told = 0;
    to.subscribe({ flagsTightened: () => (told += 1), layoutChanged: () => {} });
    restoreMemory(to, snapshot);
    host.write32(0x1000, 1);
    expect([told, host.read32(0x1000)]).toEqual([1, 0]);
  });
});
