/**
 * What parts of the linear address space are for, by the operating system that made the tables.
 *
 * Xen: xen/arch/x86/include/asm/config.h. Linux: Documentation/arch/x86/x86_64/mm.rst; KASLR moves its areas within theirs.
 */
import {
  addressAt,
  DIRECTMAP,
  FRAMETABLE,
  LINEAR_PT,
  PCI_MCFG,
  RDWR_MPT,
  type Region,
  RO_MPT,
  VMAP,
} from '../hypervisor/layout.ts';

export interface NamedRegion {
  readonly name: string;
  /** Addresses as `0x` and hex digits; `end` exclusive. */
  readonly start: string;
  readonly end: string;
}

const region = (name: string, start: string, end: string): NamedRegion => ({
  name,
  start: `0x${start}`,
  end: `0x${end}`,
});

const ofXen = (name: string, { start, end }: Region): NamedRegion =>
  region(name, addressAt(start).toString(16), addressAt(end).toString(16));

/** Xen's virtual layout with 4-level paging. */
export const XEN_REGIONS: readonly NamedRegion[] = [
  region('low mappings (trampoline)', '0', '800000000000'),
  ofXen('read-only M2P', RO_MPT),
  ofXen('PCI MMCFG', PCI_MCFG),
  ofXen('linear page table', LINEAR_PT),
  region('per-domain', 'ffff820000000000', 'ffff828000000000'),
  ofXen('M2P', RDWR_MPT),
  ofXen('vmap and fixmap', VMAP),
  region('Xen image', 'ffff82d040000000', 'ffff82d07f000000'),
  region('stubs', 'ffff82d07f000000', 'ffff82d080000000'),
  ofXen('frame table', FRAMETABLE),
  ofXen('directmap', DIRECTMAP),
];

/** Linux on x86-64 with 4-level paging. */
export const LINUX_REGIONS: readonly NamedRegion[] = [
  region('user space', '0', '800000000000'),
  region('LDT remap', 'ffff880000000000', 'ffff888000000000'),
  region('direct map', 'ffff888000000000', 'ffffc88000000000'),
  region('vmalloc', 'ffffc90000000000', 'ffffe90000000000'),
  region('vmemmap', 'ffffea0000000000', 'ffffeb0000000000'),
  region('KASAN shadow', 'ffffec0000000000', 'fffffc0000000000'),
  region('CPU entry areas', 'fffffe0000000000', 'fffffe8000000000'),
  region('ESP fixup stacks', 'ffffff0000000000', 'ffffff8000000000'),
  region('EFI', 'ffffffef00000000', 'ffffffff00000000'),
  region('kernel image', 'ffffffff80000000', 'ffffffffa0000000'),
  region('modules', 'ffffffffa0000000', 'ffffffffff000000'),
  region('fixmap', 'ffffffffff000000', 'ffffffffffe00000'),
];

/** Linux with 32-bit or PAE paging, 3 GiB of user space. */
export const LINUX_32_REGIONS: readonly NamedRegion[] = [
  region('user space', '0', 'c0000000'),
  region('kernel', 'c0000000', '100000000'),
];

/** The layout that an image of this name, in this paging mode, most likely has; none where nobody knows. */
export function regionsFor(name: string, linearBits: number): readonly NamedRegion[] {
  if (/linux/i.test(name)) return linearBits === 48 ? LINUX_REGIONS : linearBits === 32 ? LINUX_32_REGIONS : [];
  return linearBits === 48 && /xen/i.test(name) ? XEN_REGIONS : [];
}
