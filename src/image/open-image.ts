/** Opens an image, recognised by its content, and the CPUs over it. */
import { Cpu } from '../cpu/cpu.ts';
import type { Frame } from '../mmu/halves.ts';
import { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { SparseOptions } from '../mmu/sparse-pages.ts';
import { isContainer, parseContainer } from './container.ts';
import { isElf, parseElfCore } from './elf-core.ts';
import { gunzip, isGzip, MAX_INFLATED } from './gzip.ts';
import type { Image, ImageCpu } from './image.ts';
import { ImageError, require } from './image-error.ts';
import { openRaw, type RawRegisters } from './raw.ts';
import { bytesReader, type RandomAccess, readExactly } from './reader.ts';

/** How to read a file that does not say, and how much to take. */
export interface OpenOptions {
  /** Registers for a raw dump; a file that is anything else refuses them. */
  readonly raw?: RawRegisters;
  /** Largest container, or inflated gzip, that is taken into memory; bytes, default 2 GiB. ImageError above. */
  readonly maxBytes?: number;
}

/** ImageError where the content is none of the formats, or a damaged one. */
export async function openImage(source: RandomAccess | Uint8Array, options: OpenOptions = {}): Promise<Image> {
  const limit = options.maxBytes ?? MAX_INFLATED;
  let reader = source instanceof Uint8Array ? bytesReader(source) : source;
  let start = startOf(reader);
  if (isGzip(start)) {
    const inflated = await gunzip(reader, limit);
    reader = bytesReader(inflated);
    start = startOf(reader);
    if (isContainer(start)) return refuseRegisters(options, parseContainer(inflated));
  }
  if (isContainer(start)) {
    require(reader.size <= limit, () => `a container of ${reader.size} bytes, more than ${limit}`);
    const bytes = readExactly(reader, 0, reader.size);
    require(bytes !== undefined, () => 'the file ended before its size');
    return refuseRegisters(options, parseContainer(bytes));
  }
  if (isElf(start)) return refuseRegisters(options, parseElfCore(reader));
  if (options.raw !== undefined) return openRaw(reader, options.raw);
  throw new ImageError(
    'neither a .ptpages container nor an ELF core; a raw dump needs --cr3 and --paging to say where its tables are',
  );
}

/** How much of an image to take, and who is told of what it lacks. */
export interface OpenCpuOptions {
  /** Is told of frames that were touched and that the image does not hold: tables that are missing. */
  readonly missing?: Set<Frame>;
  /** Frames that are taken into memory, default 2^19 (2 GiB); at a further one, ImageError. */
  readonly maxFrames?: number;
}

/**
 * A CPU in the state of one of the image's, over memory that reads frames when they are touched. A frame that the image
 * does not hold reads as zeros, so that a missing table maps nothing; all ones, as of an address without RAM, would be
 * 512 pages that nobody mapped.
 */
export function openCpu(image: Image, index: number, options: OpenCpuOptions = {}): Cpu {
  const state = cpuState(image, index);
  const cpu = new Cpu(new PhysicalMemory({ sparse: framesOf(image, options) }), { features: image.features });
  cpu.enter(state.paging === 'pae' ? { ...state, pdptes: pdptesInMemory(cpu, state) } : state);
  const { name } = cpu.registers.format.mode;
  require(name === state.paging, () => `CPU ${index}: the header says ${state.paging}, its registers say ${name}`);
  return cpu;
}

/** ImageError where the image has no CPU of that number. */
export function cpuState(image: Image, index: number): ImageCpu {
  const state = image.cpus.find((cpu) => cpu.index === index);
  require(state !== undefined, () =>
    `the image has no CPU ${index}; it has ${image.cpus.map((cpu) => cpu.index).join(', ')}`);
  return state;
}

function framesOf(image: Image, { missing, maxFrames = 1 << 19 }: OpenCpuOptions): SparseOptions {
  const touched = new Set<Frame>(); // restored memory is loaded anew, and is no more than it was
  return {
    // One more: the memory would take a frame past its limit for no RAM, silently.
    maxPages: maxFrames + 1,
    load(frame, target) {
      require(touched.size < maxFrames || touched.has(frame), () =>
        `the page tables take more than ${maxFrames} frames`);
      touched.add(frame);
      if (!image.readFrame(frame, target)) missing?.add(frame);
      return true;
    },
  };
}

/**
 * The PDPTE registers of a stopped PAE guest, from memory: a capture does not tell them. Only the defined bits are taken,
 * since QEMU sets bit 5 (A) there, which a MOV CR3 of real hardware would refuse.
 */
function pdptesInMemory(cpu: Cpu, { cr3 }: ImageCpu): number[] {
  const { port } = cpu.translator;
  return [0, 1, 2, 3].flatMap((at) => {
    port.load(cr3.low >>> 12, ((cr3.low & 0xfe0) >>> 3) + at, 8);
    return [port.lo & ~0xfe6, port.hi & 0xf_ffff];
  });
}

function startOf(reader: RandomAccess): Uint8Array {
  const start = new Uint8Array(Math.min(16, reader.size));
  reader.read(0, start);
  require(start.length > 0, () => 'the file is empty');
  return start;
}

function refuseRegisters(options: OpenOptions, image: Image): Image {
  require(options.raw === undefined, () => 'registers (--cr3, --paging) are for raw dumps; this file has its own');
  return image;
}
