/**
 * ELF cores of QEMU's `dump-guest-memory`, paging off: physical memory in PT_LOAD segments, read on demand, and the
 * registers of each CPU in its `QEMU` note.
 *
 * EFER is not in the note. LMA and LME are taken from the machine type (QEMU writes EM_X86_64 where the first CPU is in
 * long mode) and from CS.L; NXE is taken to be set, so that bit 63 of an entry is XD and not a reserved bit.
 */
import Long from 'long';
import { CR0_PG, CR4_LA57, CR4_PAE, EFER_LMA, EFER_LME, EFER_NXE } from '../cpu/control-bits.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';
import type { PagingModeName } from '../mmu/paging-mode.ts';
import { acOf, type Image, type ImageCpu, withSameAs } from './image.ts';
import { require } from './image-error.ts';
import { type RandomAccess, readExactly } from './reader.ts';

const ET_CORE = 4;
const EM_386 = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const PN_XNUM = 0xffff;
/** QEMU writes one segment a RAM block: a dozen. */
const MAX_SEGMENTS = 1 << 16;
/** Bytes of all note segments together; QEMU writes 0.8 KiB a CPU. Segments may overlap, so each alone is no bound. */
const MAX_NOTES = 1 << 24;

const NAME_QEMU = 0x51454d55; // 'QEMU'

// QEMUCPUState: version, size, 18 registers, 10 segments of 24 bytes, CR0 to CR4.
const RIP_AT = 8 + 16 * 8;
const RFLAGS_AT = RIP_AT + 8;
const CS_FLAGS_AT = 8 + 18 * 8 + 8;
const CR_AT = 8 + 18 * 8 + 10 * 24;
const STATE_SIZE = CR_AT + 5 * 8;
const CS_L = 1 << 21; // as in the high word of a descriptor
const CS_DPL_SHIFT = 13;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly physical: number;
  readonly fileSize: number;
}

export const isElf = (start: Uint8Array): boolean =>
  start[0] === 0x7f && start[1] === 0x45 && start[2] === 0x4c && start[3] === 0x46;

/** ImageError where the core is malformed or has no QEMU notes. Nothing but headers and notes is read. */
export function parseElfCore(source: RandomAccess): Image {
  const elfClass = readExactly(source, 4, 1)?.[0];
  require(elfClass !== undefined, () => 'the ELF header is cut short');
  const is64 = elfClass === 2;
  require(is64 || elfClass === 1, () => `ELF class ${elfClass} is neither 32-bit nor 64-bit`);
  const identity = readExactly(source, 0, is64 ? 64 : 52);
  require(identity !== undefined, () => 'the ELF header is cut short');
  const header = new DataView(identity.buffer);
  require(header.getUint8(5) === 1, () => 'the ELF file is not little-endian');
  require(header.getUint16(16, true) === ET_CORE, () => 'the ELF file is not a core');
  const machine = header.getUint16(18, true);
  require(machine === EM_386 || machine === EM_X86_64, () => `ELF machine ${machine} is not x86`);

  const segments = readSegments(source, header, is64);
  const loads = segments.filter(({ type, fileSize }) => type === PT_LOAD && fileSize > 0);
  const notes = segments.filter(({ type }) => type === PT_NOTE);
  const noteBytes = notes.reduce((sum, { fileSize }) => sum + fileSize, 0);
  require(noteBytes <= MAX_NOTES, () => `ELF notes of ${noteBytes} bytes`);
  const states = notes.flatMap((segment) => cpuStates(source, segment));
  require(states.length > 0, () => 'the ELF core has no QEMU notes with CPU registers');
  return {
    kind: 'elf-core',
    name: 'ELF core',
    description: `QEMU dump-guest-memory, ${machine === EM_X86_64 ? 'x86-64' : 'i386'}`,
    features: { maxPhyAddr: 52 },
    ram: loads.map(({ physical, fileSize }) => ({ start: physical, end: physical + fileSize })),
    cpus: withSameAs(states.map((state, index) => imageCpu(state, index, machine === EM_X86_64))),
    frames: loads.reduce((frames, { fileSize }) => frames + Math.ceil(fileSize / PAGE_SIZE), 0),
    frameNumbers: undefined,
    readFrame(frame, target) {
      let found = false;
      // Segments of a few bytes are legal: a frame may be made of several.
      for (const { physical, fileSize, offset } of loads) {
        const start = Math.max(frame * PAGE_SIZE, physical);
        const end = Math.min((frame + 1) * PAGE_SIZE, physical + fileSize);
        if (start >= end) continue;
        const piece = target.subarray(start - frame * PAGE_SIZE, end - frame * PAGE_SIZE);
        found = source.read(offset + start - physical, piece) > 0 || found;
        // With paging on, QEMU writes a frame once for each place it is mapped at: one copy is enough.
        if (piece.length === PAGE_SIZE) break;
      }
      return found;
    },
  };
}

function readSegments(source: RandomAccess, header: DataView, is64: boolean): Segment[] {
  const tableAt = is64 ? numberAt(header, 32) : header.getUint32(28, true);
  const entrySize = header.getUint16(is64 ? 54 : 42, true);
  let entries = header.getUint16(is64 ? 56 : 44, true);
  if (entries === PN_XNUM) {
    // The real number is in sh_info of the first section header.
    const sectionAt = is64 ? numberAt(header, 40) : header.getUint32(32, true);
    const section = readExactly(source, sectionAt, is64 ? 64 : 40);
    require(sectionAt > 0 && section !== undefined, () => 'the ELF section header lies outside the file');
    entries = new DataView(section.buffer).getUint32(is64 ? 44 : 28, true);
  }
  require(entrySize === (is64 ? 56 : 32), () => `ELF program headers of ${entrySize} bytes`);
  require(entries <= MAX_SEGMENTS, () => `${entries} ELF program headers`);
  const table = readExactly(source, tableAt, entries * entrySize);
  require(table !== undefined, () => 'the ELF program headers lie outside the file');
  const view = new DataView(table.buffer);
  return Array.from({ length: entries }, (_, index) => {
    const at = index * entrySize;
    const word = (field64: number, field32: number): number =>
      is64 ? numberAt(view, at + field64) : view.getUint32(at + field32, true);
    const segment = {
      type: view.getUint32(at, true),
      offset: word(8, 4),
      physical: word(24, 12),
      fileSize: word(32, 16),
    };
    if (segment.type === PT_LOAD || segment.type === PT_NOTE)
      require(segment.offset + segment.fileSize <= source.size, () => `ELF segment ${index} lies outside the file`);
    require(segment.physical + segment.fileSize <= 2 ** 52, () => `ELF segment ${index} lies past address 2^52`);
    return segment;
  });
}

/** The descriptors of the QEMU notes in a segment. */
function cpuStates(source: RandomAccess, { offset, fileSize }: Segment): DataView[] {
  const bytes = readExactly(source, offset, fileSize);
  require(bytes !== undefined, () => 'the ELF notes lie outside the file');
  const view = new DataView(bytes.buffer);
  const states: DataView[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameSize = view.getUint32(at, true);
    const size = view.getUint32(at + 4, true);
    const start = at + 12 + 4 * Math.ceil(nameSize / 4);
    require(start + size <= bytes.length, () => `the ELF note at byte ${at} runs over its segment`);
    // The name's size counts a zero byte at its end.
    if (nameSize === 5 && view.getUint32(at + 12) === NAME_QEMU) {
      require(size >= STATE_SIZE, () => `the QEMU note at byte ${at} has ${size} bytes, not ${STATE_SIZE} or more`);
      states.push(new DataView(bytes.buffer, start, size));
    }
    at = start + 4 * Math.ceil(size / 4);
  }
  return states;
}

function imageCpu(state: DataView, index: number, isX86_64: boolean): ImageCpu {
  const register = (at: number): Long => new Long(state.getInt32(at, true), state.getInt32(at + 4, true), true);
  const [cr0, cr2, cr3, cr4] = [0, 2, 3, 4].map((number) => register(CR_AT + 8 * number)) as [Long, Long, Long, Long];
  const rflags = register(RFLAGS_AT);
  const csFlags = state.getUint32(CS_FLAGS_AT, true);
  const isPaged = (cr0.low & CR0_PG) !== 0;
  const isLong = isPaged && (cr4.low & CR4_PAE) !== 0 && (isX86_64 || (csFlags & CS_L) !== 0);
  const efer = (isLong ? EFER_LME | EFER_LMA : 0) | EFER_NXE;
  return {
    index,
    cr0,
    cr2,
    cr3,
    cr4,
    efer: new Long(efer, 0, true),
    rflags,
    rip: register(RIP_AT),
    cpl: (csFlags >>> CS_DPL_SHIFT) & 3,
    ac: acOf(rflags),
    paging: pagingOf(isPaged, isLong, cr4.low),
  };
}

function pagingOf(isPaged: boolean, isLong: boolean, cr4: number): PagingModeName {
  if (!isPaged) return 'none';
  if (isLong) return (cr4 & CR4_LA57) !== 0 ? '5-level' : '4-level';
  return (cr4 & CR4_PAE) !== 0 ? 'pae' : '32-bit';
}

/** A 64-bit field, as a number; what is past 2^53 is past every bound checked above. */
const numberAt = (view: DataView, at: number): number =>
  view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
