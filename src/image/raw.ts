/**
 * A raw dump of physical memory: the byte at offset N is the byte at physical address N. Frames are read on demand, so a
 * sparse file of many GiB costs what the page tables in it cost. The registers come from whoever has the file.
 */
import Long from 'long';
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PSE,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from '../cpu/control-bits.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';
import type { PagingModeName } from '../mmu/paging-mode.ts';
import type { Image } from './image.ts';
import { require } from './image-error.ts';
import type { RandomAccess } from './reader.ts';

/** What a raw dump does not say. */
export interface RawRegisters {
  /** Where the tables are: CR3, 32 bits for `pae` and `32-bit`. */
  readonly cr3: Address;
  /** The paging mode. */
  readonly paging: Exclude<PagingModeName, 'none'>;
  /** Default 52: no address bit of an entry is reserved. */
  readonly maxPhyAddr?: number;
  /** Default true. */
  readonly page1gb?: boolean;
}

const CR4: Readonly<Record<RawRegisters['paging'], number>> = {
  '32-bit': CR4_PSE,
  pae: CR4_PAE,
  '4-level': CR4_PAE,
  '5-level': CR4_PAE | CR4_LA57,
};

/** ImageError where the dump cannot hold the tables, or CR3 is wider than the mode's; RangeError for registers that no processor has. */
export function openRaw(source: RandomAccess, registers: RawRegisters): Image {
  const { paging, maxPhyAddr = 52, page1gb = true } = registers;
  require(source.size >= PAGE_SIZE, () => `a raw dump of ${source.size} bytes holds no page table`);
  if (!Object.hasOwn(CR4, paging))
    throw new RangeError(`paging is one of ${Object.keys(CR4).join(', ')}, not ${paging}`);
  const cr3 = toHalves(registers.cr3);
  const isLong = paging === '4-level' || paging === '5-level';
  require(isLong || cr3.high === 0, () =>
    `CR3 is 0x${cr3.toString(16)}, more than the 32 bits it has in ${paging} paging`);
  require((cr3.high >>> 0) * 0x1_0000_0000 + (cr3.low >>> 0) < source.size, () =>
    `CR3 is 0x${cr3.toString(16)}, past the end of the dump (0x${source.size.toString(16)})`);
  const word = (value: number): Long => new Long(value, 0, true);
  return {
    kind: 'raw',
    name: 'raw dump',
    description: 'raw physical memory',
    features: { maxPhyAddr, page1gb },
    ram: [{ start: 0, end: source.size }],
    cpus: [
      {
        index: 0,
        cr0: word(CR0_PE | CR0_PG | CR0_WP),
        cr2: Long.UZERO,
        cr3,
        cr4: word(CR4[paging]),
        efer: word(isLong ? EFER_LME | EFER_LMA | EFER_NXE : EFER_NXE),
        rflags: undefined,
        rip: undefined,
        cpl: 0,
        ac: 0,
        paging,
      },
    ],
    frames: Math.ceil(source.size / PAGE_SIZE),
    frameNumbers: undefined,
    readFrame: (frame, target) => source.read(frame * PAGE_SIZE, target) > 0,
  };
}
