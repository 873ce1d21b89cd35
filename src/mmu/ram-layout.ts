/**
 * Which guest-physical frames are RAM, and where in the buffer they lie: ranges as the embedder gives them, and the
 * segments that remain when devices are put in front of them.
 */
import { type Frame, hexNumber, PAGE_SIZE } from './halves.ts';

/** RAM at guest-physical bytes `start` to `start + size`, kept in the buffer from byte `offset`. Multiples of 4096. */
export interface RamRange {
  /** First byte, guest-physical. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** Where the range lies in the buffer; ranges follow one another where it is left out. */
  readonly offset?: number;
}

/** A range of frames, `end` exclusive. */
export interface FrameRange {
  readonly first: Frame;
  readonly end: Frame;
}

/** Frames that lie one after another in the buffer, the first of them at backing page `page`. */
export interface RamSegment extends FrameRange {
  readonly page: number;
}

/** Physical addresses end at 2^52. */
const MAX_ADDRESS = 2 ** 52;

/** RangeError where `start` and `size` are not whole frames of the physical address space. */
export function checkRange(what: string, start: number, size: number): void {
  const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % PAGE_SIZE === 0;
  if (!whole(start)) throw new RangeError(`${what}: start ${start} is not a multiple of ${PAGE_SIZE}`);
  if (!whole(size)) throw new RangeError(`${what}: size ${size} is not a multiple of ${PAGE_SIZE}`);
  if (start + size > MAX_ADDRESS) throw new RangeError(`${what}: ${hexNumber(start)} + ${size} is past 2^52`);
}

/** Ranges, or one from address 0 of a size, or of all of a buffer. */
export interface LayoutOptions {
  readonly ranges?: readonly RamRange[];
  readonly size?: number;
  readonly buffer?: ArrayBufferLike;
}

/** Gives each range its place in the buffer. RangeError where two ranges overlap, or where there is none. */
export function layOut(options: LayoutOptions): Required<RamRange>[] {
  const ranges = options.ranges ?? [{ start: 0, size: options.size ?? wholeBuffer(options.buffer) }];
  let next = 0;
  const placed = ranges.map(({ start, size, offset = next }) => {
    checkRange('RAM range', start, size);
    checkRange('offset of a RAM range', offset, size);
    next = offset + size;
    return { start, size, offset };
  });
  const sorted = [...placed].sort((a, b) => a.start - b.start);
  sorted.forEach((range, at) => {
    const before = sorted[at - 1];
    if (before !== undefined && before.start + before.size > range.start)
      throw new RangeError(`RAM ranges overlap at ${hexNumber(range.start)}`);
  });
  return placed;
}

/** Bytes that a buffer needs to hold these ranges. */
export const bytesNeeded = (ranges: readonly Required<RamRange>[]): number =>
  ranges.reduce((most, { offset, size }) => Math.max(most, offset + size), 0);

/** RAM with the frames of devices cut out, the largest segment first. */
export function segmentsOf(ranges: readonly Required<RamRange>[], devices: readonly FrameRange[]): RamSegment[] {
  let segments: RamSegment[] = ranges.map(({ start, size, offset }) => ({
    first: start / PAGE_SIZE,
    end: (start + size) / PAGE_SIZE,
    page: offset / PAGE_SIZE,
  }));
  for (const hole of devices) segments = segments.flatMap((segment) => cut(segment, hole));
  return segments.sort((a, b) => b.end - b.first - (a.end - a.first));
}

function cut(segment: RamSegment, hole: FrameRange): RamSegment[] {
  const { first, end, page } = segment;
  const below = { first, end: Math.min(end, hole.first), page };
  const above = { first: Math.max(first, hole.end), end, page: page + Math.max(0, hole.end - first) };
  return [below, above].filter((piece) => piece.first < piece.end);
}

function wholeBuffer(buffer: ArrayBufferLike | undefined): number {
  if (buffer === undefined) throw new RangeError('memory needs a size, ranges, a buffer, or to be sparse');
  return buffer.byteLength - (buffer.byteLength % PAGE_SIZE);
}
