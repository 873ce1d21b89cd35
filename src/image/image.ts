/**
 * A memory image: the physical memory of a stopped machine, or only its page tables, with the registers of its CPUs.
 */
import type Long from 'long';
import type { CpuState } from '../cpu/cpu.ts';
import type { Features } from '../cpu/features.ts';
import type { PagingModeName } from '../mmu/paging-mode.ts';

/** One CPU of an image. Registers are unsigned. */
export interface ImageCpu extends CpuState {
  readonly index: number;
  readonly cr0: Long;
  readonly cr2: Long;
  readonly cr3: Long;
  readonly cr4: Long;
  readonly efer: Long;
  readonly rip: Long | undefined;
  readonly cpl: number;
  readonly paging: PagingModeName;
}

/** RAM of the machine: guest-physical bytes, `end` exclusive. */
export interface RamExtent {
  readonly start: number;
  readonly end: number;
}

export interface Image {
  readonly kind: 'ptpages' | 'elf-core' | 'raw';
  /** From the file, where it has one. */
  readonly name: string;
  /** One line on where it comes from. */
  readonly description: string;
  /** What is known of the processor; the rest is as `INTEL`. */
  readonly features: Partial<Features>;
  readonly ram: readonly RamExtent[];
  readonly cpus: readonly ImageCpu[];
  /** Frames held, where they can be counted without reading the file. */
  readonly frames: number | undefined;
  /** Copies a frame into `target` (4096 bytes, all zero before); false where the image does not hold it. */
  readFrame(frame: number, target: Uint8Array): boolean;
}
