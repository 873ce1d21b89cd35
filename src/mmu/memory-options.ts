/** What physical memory is made of, as embedders say it: RAM, devices, who is told of what. */
import type { Frame } from './halves.ts';
import type { RamRange } from './ram-layout.ts';
import type { SparseOptions } from './sparse-pages.ts';

/** A memory-mapped device. Offsets are bytes from the start of its range; sizes 1, 2 or 4; wider accesses come in pieces. */
export interface Device {
  /** The value, of which the low `size` bytes count. May use CPUs and memory. */
  read(offset: number, size: number): number;
  /** A store; `value` is unsigned for 1 and 2 bytes, int32 for 4. */
  write(offset: number, size: number, value: number): void;
}

/** An access that met neither RAM nor a device. A read takes the value returned; a write ignores it. */
export type BusError = (frame: Frame, offset: number, size: number, access: 'read' | 'write') => number;

/** Told when something derived from page flags, ranges or the buffer no longer holds. */
export interface MemoryListener {
  /** A page became clean, code, ROM or RAM: no store may go past the flags. */
  flagsTightened(): void;
  /** Ranges or the buffer changed. */
  layoutChanged(): void;
}

/** Where RAM is, and what it lies in. What does not fit together is a RangeError. */
export interface MemoryOptions {
  /** Bytes of RAM from address 0, where no `ranges` are given; default: all of `buffer`. A multiple of 4096. */
  readonly size?: number;
  /** Where RAM is, if not from address 0 on. */
  readonly ranges?: readonly RamRange[];
  /** The embedder's buffer, of fixed length. What lies past its first 4 GiB always takes the slow path. */
  readonly buffer?: ArrayBufferLike;
  /** Page flags shared with other threads, from `share()`. */
  readonly flags?: ArrayBufferLike;
  /** Make the own buffer a `SharedArrayBuffer`. */
  readonly shared?: boolean;
  /** RAM wherever it is touched, instead of `size`, `ranges` and `buffer`. */
  readonly sparse?: SparseOptions;
  /** Default: reads give all ones, nobody is told. */
  readonly busError?: BusError;
}

/** What another thread needs to open the same memory with `new PhysicalMemory(message)`. Structured-cloneable. */
export interface SharedMemory {
  /** What RAM lies in. */
  readonly buffer: ArrayBufferLike;
  /** One byte a page of it: dirty, code, ROM. */
  readonly flags: ArrayBufferLike;
  /** Where RAM is. */
  readonly ranges: readonly Required<RamRange>[];
}
