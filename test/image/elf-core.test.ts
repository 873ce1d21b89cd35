import { describe, expect, it } from 'vitest';
import { type Image, openCpu, openImage } from '../../src/image/index.ts';
import { expectRefused, fileOf, headerOf, inflatedFile, joined, NAMES, refuses, SparseFile } from './samples.ts';

const xen = inflatedFile('xen-idle-6g.cr3page.elf.gz');

interface Shape {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly notes: Uint8Array;
  readonly loads: readonly { readonly physical: number; readonly offset: number; readonly size: number }[];
  /** Number of program headers in the first section header, as for more than 65534. */
  readonly extended: boolean;
}

/** Headers and notes of a core, laid out from the ELF specification: header, section header, program headers, notes. */
function coreOf(shape: Partial<Shape>): Uint8Array {
  const { bits = 64, machine = 62, notes = note(state()), loads = [], extended = false } = shape;
  const is64 = bits === 64;
  const [headerSize, entrySize, sectionSize] = is64 ? [64, 56, 64] : [52, 32, 40];
  const tableAt = headerSize + sectionSize;
  const notesAt = tableAt + entrySize * (loads.length + 1);
  const bytes = new Uint8Array(notesAt + notes.length);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number): void => {
    view.setUint32(at, value % 2 ** 32, true);
    if (is64) view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  };
  bytes.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1]);
  view.setUint16(16, 4, true);
  view.setUint16(18, machine, true);
  word(is64 ? 32 : 28, tableAt);
  word(is64 ? 40 : 32, headerSize);
  view.setUint16(is64 ? 54 : 42, entrySize, true);
  view.setUint16(is64 ? 56 : 44, extended ? 0xffff : loads.length + 1, true);
  if (extended) view.setUint32(headerSize + (is64 ? 44 : 28), loads.length + 1, true);
  [
    { type: 4, physical: 0, offset: notesAt, size: notes.length },
    ...loads.map((load) => ({ type: 1, ...load })),
  ].forEach(({ type, physical, offset, size }, index) => {
    const at = tableAt + index * entrySize;
    view.setUint32(at, type, true);
    word(at + (is64 ? 8 : 4), offset);
    word(at + (is64 ? 24 : 12), physical);
    word(at + (is64 ? 32 : 16), size);
  });
  bytes.set(notes, notesAt);
  return bytes;
}

function note(descriptor: Uint8Array, name: string = 'QEMU\0'): Uint8Array {
  const padded = (size: number): number => Math.ceil(size / 4) * 4;
  const bytes = new Uint8Array(12 + padded(name.length) + padded(descriptor.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.length, true);
  view.setUint32(4, descriptor.length, true);
  bytes.set(new TextEncoder().encode(name), 12);
  bytes.set(descriptor, 12 + padded(name.length));
  return bytes;
}

/** QEMUCPUState, version 1: 18 registers, 10 segments, CR0 to CR4, kernel_gs_base. */
function state(
  values: { cr0?: number; cr3?: bigint; cr4?: number; csFlags?: number; rflags?: number } = {},
): Uint8Array {
  const { cr0 = 0x80000011, cr3 = 0x1000n, cr4 = 0x20, csFlags = 1 << 21, rflags = 2 } = values;
  const bytes = new Uint8Array(440);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(4, 440, true);
  view.setUint32(144, rflags, true);
  view.setUint32(160, csFlags, true);
  view.setUint32(392, cr0, true);
  view.setBigUint64(416, cr3, true);
  view.setUint32(424, cr4, true);
  return bytes;
}

describe('an ELF core', () => {
  it.each(NAMES)('of %s has CR2, RFLAGS and equal tables as its capture, and the frame at CR3', async (name) => {
    const header = headerOf(name);
    const image = await openImage(fileOf(`${name}.cr3page.elf.gz`));
    image.cpus.forEach((cpu, at) => {
      const expected = header['cpus'][at];
      expect(`0x${cpu.cr2.toString(16)}`).toBe(expected.cr2);
      expect(`0x${cpu.rflags?.toString(16)}`).toBe(expected.rflags);
      expect(cpu.sameAs).toBe(expected.same_as);
      // All that paging knows of EFER; SCE is not in the notes.
      expect(cpu.efer.low).toBe(Number(expected.efer) & 0xd00);
    });
    const container = await openImage(fileOf(`${name}.ptpages.gz`));
    const root = image.cpus[0]!.cr3.shiftRightUnsigned(12).toNumber();
    const [ours, theirs] = [new Uint8Array(4096), new Uint8Array(4096)];
    expect([image.readFrame(root, ours), container.readFrame(root, theirs)]).toEqual([true, true]);
    // The container holds the 32 bytes of the PDPT; the rest of that page is whatever the guest keeps there.
    const [from, to] = name.startsWith('linux32') ? [image.cpus[0]!.cr3.low & 0xfe0, 32] : [0, 4096];
    expect(ours.subarray(from, from + to)).toEqual(theirs.subarray(from, from + to));
  });

  const DEFAULT32 = 1 << 22;
  it.each([
    ['none', 62, { cr0: 0x11, cr4: 0x20 }],
    ['32-bit', 3, { cr4: 0x10, csFlags: DEFAULT32 }],
    ['pae', 3, { cr4: 0x20, csFlags: DEFAULT32 }],
    ['4-level', 62, { cr4: 0x20 }],
    ['4-level', 62, { cr4: 0x20, csFlags: DEFAULT32 }], // compatibility mode
    ['4-level', 3, { cr4: 0x20 }], // the first CPU was not yet in long mode, this one is
    ['5-level', 62, { cr4: 0x1020 }],
    ['pae', 3, { cr4: 0x1020, csFlags: DEFAULT32 }], // LA57 counts in long mode only
  ] as const)('has %s paging for machine %i and %j', async (paging, machine, values) => {
    const notes = note(state(values));
    const image = await openImage(coreOf({ machine, notes }));
    expect(image.cpus[0]?.paging).toBe(paging);
    expect(openCpu(image, 0).translator.registers.format.mode.name).toBe(paging);
  });

  it('has CPL and EFLAGS.AC', async () => {
    const image = await openImage(coreOf({ notes: note(state({ csFlags: (1 << 21) | (3 << 13), rflags: 0x40002 })) }));
    expect(image.cpus[0]).toMatchObject({ cpl: 3, ac: 1 });
  });

  it.each([
    ['of class 64', { bits: 64 }],
    ['of class 32', { bits: 32 }],
    ['of class 64 with extended numbering', { bits: 64, extended: true }],
    ['of class 32 with extended numbering', { bits: 32, extended: true }],
  ] as const)('%s has frames in its segments and nowhere else', async (_, shape) => {
    const pages = joined(new Uint8Array(4096).fill(1), new Uint8Array(4096).fill(2));
    const loads = [{ physical: 0x5000, offset: 0x1000, size: 0x2000 }];
    const start = coreOf({ ...shape, loads });
    const image = await openImage(joined(start, new Uint8Array(0x1000 - start.length), pages));
    expect(image.ram).toEqual([{ start: 0x5000, end: 0x7000 }]);
    expect(bytesAt(image, [4, 5, 6, 7])).toEqual([undefined, 1, 2, undefined]);
  });

  it('of many GiB is read on demand', async () => {
    const size = 48 * 2 ** 30;
    const loads = [
      { physical: 0, offset: 0x10000, size: 0xa0000 },
      { physical: 0x1_0000_0000, offset: 0x100000, size: size - 0x100000 },
    ];
    const last = new Uint8Array(4096).fill(0x77);
    const file = new SparseFile(size, [
      [0, coreOf({ loads })],
      [size - 4096, last],
    ]);
    const image = await openImage(file);
    expect(file.bytesRead).toBeLessThan(2000);
    expect(image.frames).toBe((size - 0x100000 + 0xa0000) / 4096);
    expect(bytesAt(image, [(0x1_0000_0000 + size - 0x100000) / 4096 - 1])).toEqual([0x77]);
    expect(file.bytesRead).toBeLessThan(2000 + 4096);
  });

  it('joins a frame that lies in two segments', async () => {
    const loads = [
      { physical: 0x1000, offset: 0x2000, size: 0x800 },
      { physical: 0x1800, offset: 0x1000, size: 0x800 },
    ];
    const file = new SparseFile(0x3000, [
      [0, coreOf({ loads })],
      [0x1000, new Uint8Array(0x800).fill(2)],
      [0x2000, new Uint8Array(0x800).fill(1)],
    ]);
    const target = new Uint8Array(4096);
    expect((await openImage(file)).readFrame(1, target)).toBe(true);
    expect([target[0], target[0x7ff], target[0x800], target[0xfff]]).toEqual([1, 1, 2, 2]);
  });

  it('has one CPU a QEMU note, whatever notes of others stand between', async () => {
    const other = note(new Uint8Array(437).fill(0xff), 'CORE\0'); // padded to 440
    const almost = note(new Uint8Array(440).fill(0xff), 'QEMUX\0');
    const notes = joined(other, note(state({ cr3: 0x5000n })), almost, note(state({ cr3: 0xf_ffff_ffff_f000n })));
    const image = await openImage(coreOf({ notes }));
    expect(image.cpus.map(({ index, cr3 }) => [index, cr3.toString(16)])).toEqual([
      [0, '5000'],
      [1, 'ffffffffff000'],
    ]);
  });
});

/** The first byte of frames, or undefined where the image has none. */
function bytesAt(image: Image, frames: readonly number[]): (number | undefined)[] {
  return frames.map((frame) => {
    const target = new Uint8Array(4096);
    return image.readFrame(frame, target) ? target[0] : undefined;
  });
}

describe('a damaged ELF core', () => {
  it('cut at any byte of its headers and notes is refused', async () => {
    for (let length = 4; length < 0x790; length++) await refuses(xen.subarray(0, length), '');
  });

  const patched = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = xen.slice();
    copy.set(bytes, at);
    return copy;
  };
  const FIRST_SEGMENT = 192;

  it.each<[string, Uint8Array, string]>([
    ['no bytes behind its magic', xen.subarray(0, 4), 'the ELF header is cut short'],
    // 64-bit headers have 64 bytes, 32-bit ones 52.
    ['a 64-bit header of 52 bytes', xen.subarray(0, 52), 'the ELF header is cut short'],
    ['no program headers', patched(56, 0, 0), 'no QEMU notes'],
    ['program headers of 57 bytes', patched(54, 57, 0), 'program headers of 57 bytes'],
    ['extended numbering that says 0', patched(56, 0xff, 0xff, 0, 0), 'no QEMU notes'],
    ['program headers at 2^63', patched(39, 0x80), 'the ELF program headers lie outside the file'],
    ['a segment at 2^63', patched(FIRST_SEGMENT + 15, 0x80), 'ELF segment 0 lies outside the file'],
    ['a segment of 2^63 bytes', patched(FIRST_SEGMENT + 39, 0x80), 'ELF segment 0 lies outside the file'],
    ['memory past 2^52', patched(FIRST_SEGMENT + 56 + 30, 0x10), 'ELF segment 1 lies past address 2^52'],
    ['a note whose name overruns', patched(0x130, 0xff, 0xff, 0xff, 0xff), 'runs over its segment'],
    ['a QEMU note cut short', coreOf({ notes: note(state().subarray(0, 400)) }), 'has 400 bytes, not 432 or more'],
    ['notes of no one we know', coreOf({ notes: note(state(), 'CORE\0') }), 'no QEMU notes'],
  ])('with %s is refused', (_, bytes, message) => refuses(bytes, message));

  it('with an extended number of segments beyond belief is refused', async () => {
    const bytes = coreOf({ extended: true });
    new DataView(bytes.buffer).setUint32(64 + 44, 0x7fffffff, true);
    await refuses(bytes, '2147483647 ELF program headers');
  });

  // Thousands of segments over the same bytes took seconds to parse.
  it('with the same notes a thousand times is refused at once', async () => {
    const size = 1 << 18;
    const head = coreOf({ loads: Array.from({ length: 999 }, () => ({ physical: 0, offset: 0, size })) });
    const view = new DataView(head.buffer);
    for (let at = 128; at < 128 + 1000 * 56; at += 56) {
      view.setUint32(at, 4, true);
      view.setUint32(at + 8, 128 + 1000 * 56, true);
      view.setUint32(at + 32, size, true);
    }
    const file = new SparseFile(128 + 1000 * 56 + size, [[0, head]]);
    await expectRefused(openImage(file), `ELF notes of ${1000 * size} bytes`);
    expect(file.bytesRead).toBeLessThan(100_000);
  });
});
