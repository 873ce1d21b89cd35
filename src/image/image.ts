/**
 * A memory image: the physical memory of a stopped machine, or only its page tables, with the registers of its CPUs.
 */
import type Long from 'long';
import type { CpuState } from '../cpu/cpu.ts';
import type { Features } from '../cpu/features.ts';
import type { Frame } from '../mmu/halves.ts';
import type { PagingModeName } from '../mmu/paging-mode.ts';

/** One CPU of an image. Registers are unsigned. */
export interface ImageCpu extends CpuState {
  /** Its number in the image. */
  readonly index: number;
  /** CR0, which tells whether there is paging. */
  readonly cr0: Long;
  /** Linear address of its last page fault; 0 where unknown. */
  readonly cr2: Long;
  /** Where its tables begin. */
  readonly cr3: Long;
  /** CR4, which tells the paging mode, with EFER. */
  readonly cr4: Long;
  /** IA32_EFER. */
  readonly efer: Long;
  /** RFLAGS, where known. */
  readonly rflags: Long | undefined;
  /** RIP, where known. */
  readonly rip: Long | undefined;
  /** Current privilege level, 0 to 3; 0 where unknown. */
  readonly cpl: number;
  /** EFLAGS.AC, 0 or 1: with SMAP it decides what the supervisor may touch. 0 where RFLAGS is unknown. */
  readonly ac: number;
  /** The mode that its registers come to. */
  readonly paging: PagingModeName;
  /** Index of the first earlier CPU with the same CR3 and paging mode, and so the same tables. */
  readonly sameAs?: number;
}

/** RAM of the machine: guest-physical bytes, `end` exclusive. */
export interface RamExtent {
  /** First byte. */
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
}

/** A memory image that was opened: what it is, and its CPUs. `openCpu` makes one of them a CPU to ask. */
export interface Image {
  /** The format, recognised by content. */
  readonly kind: 'ptpages' | 'elf-core' | 'raw';
  /** From the file, where it has one. */
  readonly name: string;
  /** One line on where it comes from. */
  readonly description: string;
  /** What is known of the processor; the rest is as `INTEL`. */
  readonly features: Partial<Features>;
  /** Where the machine has RAM. */
  readonly ram: readonly RamExtent[];
  /** At least one. */
  readonly cpus: readonly ImageCpu[];
  /** Frames held, where they can be counted without reading the file. */
  readonly frames: number | undefined;
  /** Their numbers, ascending, where the image lists them: containers only. */
  readonly frameNumbers: readonly Frame[] | undefined;
  /** The header of a container as it stands in the file, for people; its other fields are not checked. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Copies a frame into `target` (4096 bytes, all zero before); false where the image does not hold it. */
  readFrame(frame: Frame, target: Uint8Array): boolean;
}

/** EFLAGS.AC, bit 18. */
export const acOf = (rflags: Long | undefined): number => (rflags === undefined ? 0 : (rflags.low >>> 18) & 1);

/** Fills in `sameAs`. */
export function withSameAs(cpus: readonly ImageCpu[]): ImageCpu[] {
  const first = new Map<string, number>();
  return cpus.map((cpu) => {
    const tables = `${cpu.paging} ${cpu.cr3}`;
    const sameAs = first.get(tables);
    if (sameAs !== undefined) return { ...cpu, sameAs };
    first.set(tables, cpu.index);
    return cpu;
  });
}
