/** Memory as plain data, and back: the frames that are not all zero, and which are ROM. Structured-cloneable. */
import { type Frame, PAGE_SIZE } from '../mmu/halves.ts';
import { PAGE_DIRTY, PAGE_ROM } from '../mmu/page-flags.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { RamRange } from '../mmu/ram-layout.ts';

/** Changes whenever the meaning of a field does. */
export const MEMORY_SNAPSHOT_VERSION = 1;

/** One frame. */
export interface FrameSnapshot {
  /** Its number, guest-physical. */
  readonly frame: number;
  /** The 4096 bytes that it holds. */
  readonly bytes: Uint8Array;
}

/** RAM as plain data: the frames that hold something. Structured-cloneable. */
export interface MemorySnapshot {
  /** MEMORY_SNAPSHOT_VERSION when it was taken; another one is refused with a RangeError. */
  readonly version: number;
  /** RAM as laid out; empty for sparse memory. */
  readonly ranges: readonly Pick<RamRange, 'start' | 'size'>[];
  /** Frames with a byte that is not zero; of sparse memory every frame touched, since its loader may not give zeros. */
  readonly frames: readonly FrameSnapshot[];
  /** Frames that are ROM. */
  readonly rom: readonly number[];
}

/** Copies what RAM holds. Costs a look at every byte of it. */
export function snapshotMemory(memory: PhysicalMemory): MemorySnapshot {
  const frames: { frame: number; bytes: Uint8Array }[] = [];
  const rom: number[] = [];
  const isSparse = memory.ranges.length === 0;
  memory.forEachPage((page, frame) => {
    const bytes = memory.bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    if (isSparse || bytes.some((byte) => byte !== 0)) frames.push({ frame, bytes: new Uint8Array(bytes) });
    if (memory.pages.has(page, PAGE_ROM)) rom.push(frame);
  });
  const ranges = memory.ranges.map(({ start, size }) => ({ start, size }));
  return { version: MEMORY_SNAPSHOT_VERSION, ranges, frames, rom };
}

/**
 * Restores contents and ROM; every page counts as written. Frames of sparse memory that the snapshot does not know are what
 * they were before they were touched: the loader is asked again. RangeError for another version or another layout, before
 * anything is changed.
 */
export function restoreMemory(memory: PhysicalMemory, snapshot: MemorySnapshot): void {
  if (snapshot.version !== MEMORY_SNAPSHOT_VERSION)
    throw new RangeError(
      `memory snapshot of version ${snapshot.version}; this package reads version ${MEMORY_SNAPSHOT_VERSION}`,
    );
  const behindDevices = new Map<Frame, number>();
  memory.forEachPage((page, frame) => {
    if (memory.pageOf(frame) < 0) behindDevices.set(frame, page);
  });
  const pages = snapshot.frames.map(({ frame, bytes }) => {
    return { page: behindDevices.get(frame) ?? memory.pageOf(frame), frame, bytes };
  });
  for (const { page, frame, bytes } of pages)
    if (page < 0 || bytes.length !== PAGE_SIZE)
      throw new RangeError(`the memory has no RAM for frame ${frame} of the snapshot`);
  const layout = (ranges: MemorySnapshot['ranges']): string =>
    ranges.map(({ start, size }) => `${start}+${size}`).join(' ');
  if (layout(memory.ranges) !== layout(snapshot.ranges))
    throw new RangeError('the snapshot is of memory with another layout');
  const rom = new Set(snapshot.rom);
  const known = new Set(snapshot.frames.map(({ frame }) => frame));
  memory.forEachPage((page, frame) => {
    if (!known.has(frame)) memory.initialise(page, frame);
    memory.pages.set(page, PAGE_DIRTY);
    if (rom.has(frame)) memory.pages.set(page, PAGE_ROM);
    else memory.pages.clear(page, PAGE_ROM);
  });
  for (const { page, bytes } of pages) memory.bytes.set(bytes, page * PAGE_SIZE);
  memory.changedByHost();
}
