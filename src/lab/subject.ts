/** What the lab looks at: an image with one of its CPUs, and the layout its addresses most likely have. */
import Long from 'long';
import type { Cpu } from '../cpu/cpu.ts';
import type { Image } from '../image/image.ts';
import { openCpu, openImage } from '../image/open-image.ts';
import { type NamedRegion, regionsFor } from '../inspect/regions.ts';
import type { Frame } from '../mmu/halves.ts';

export interface Subject {
  readonly title: string;
  readonly image: Image;
  readonly cpu: Cpu;
  readonly cpuIndex: number;
  /** Frames that tables point to and that the image does not hold, as far as they were met. */
  readonly missing: Set<Frame>;
  readonly regions: readonly NamedRegion[];
}

/** A CPU of an image. ImageError where there is none of that number, or its registers contradict the header. */
export function subjectOf(image: Image, title: string, cpuIndex: number = image.cpus[0]?.index ?? 0): Subject {
  const missing = new Set<Frame>();
  const cpu = openCpu(image, cpuIndex, { missing });
  const { linearBits } = cpu.registers.format.mode;
  const regions = regionsFor(`${image.name} ${title}`, linearBits);
  return { title, image, cpu, cpuIndex, missing, regions };
}

/** An image from the bytes of a file. ImageError where they are none. */
export async function subjectFromBytes(bytes: Uint8Array, title: string): Promise<Subject> {
  return subjectOf(await openImage(bytes), title);
}

const EMPTY_ROOT: Frame = 1;

/** 64 MiB of RAM, one CPU with 4-level paging, and a root table that maps nothing. */
export function emptySubject(): Subject {
  const register = (low: number, high = 0): Long => new Long(low, high, true);
  const image: Image = {
    kind: 'ptpages',
    name: 'empty machine',
    description: 'one CPU whose tables map nothing',
    features: {},
    ram: [{ start: 0, end: 64 << 20 }],
    cpus: [
      {
        index: 0,
        cr0: register(0x8001_0033),
        cr2: register(0),
        cr3: register(EMPTY_ROOT << 12),
        cr4: register(0xa0),
        efer: register(0xd00),
        rflags: undefined,
        rip: undefined,
        cpl: 0,
        ac: 0,
        paging: '4-level',
      },
    ],
    frames: 1,
    frameNumbers: [EMPTY_ROOT],
    readFrame: (frame) => frame === EMPTY_ROOT,
  };
  return subjectOf(image, 'an empty machine');
}
