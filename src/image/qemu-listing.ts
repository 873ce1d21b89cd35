/**
 * The page tables of an image as QEMU's monitor prints them: `info tlb` and `info mem`, with the habits of QEMU 7.2 (see
 * docs/formats.md), so that both can be compared line by line.
 */

import { CR4_PSE } from '../cpu/control-bits.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { NO_EXECUTE, USER, WRITABLE } from '../mmu/access.ts';
import { A, D, G, PCD, PS, PWT, RW, US } from '../mmu/entry.ts';
import { hex64, hiOf, loOf, PAGE_SIZE } from '../mmu/halves.ts';
import { addressOf, type Enters, type Leaf, leaves, rootsOf } from '../mmu/leaves.ts';
import { PagingFormat } from '../mmu/paging-mode.ts';

/** QEMU takes frame numbers up to address bit 49. */
const QEMU_FRAME_HI = 0x3_ffff;

/**
 * Leaves as QEMU's listings see them: reserved bits are not checked, 1 GiB pages always exist, PDPTEs come from memory.
 * `enters`, here and below, as in `leaves`.
 */
export function* qemuLeaves(cpu: Cpu, enters?: Enters): Generator<Leaf> {
  const { registers, port } = cpu.translator;
  const { mode } = registers.format;
  if (mode.levels === 0) return;
  const everything = { maxPhyAddr: 52, nxe: true, pse36: true, pat: true, page1gb: true, vendor: 'intel' } as const;
  const format = new PagingFormat(mode, { ...everything, pse: (registers.cr4 & CR4_PSE) !== 0 }, QEMU_FRAME_HI);
  format.reservedLo.fill(0);
  format.reservedHi.fill(0);
  const pdptes: number[] = [];
  for (let at = 0; at < (mode.rootBits === 0 ? 0 : 4); at++) {
    port.load(registers.cr3Lo >>> 12, ((registers.cr3Lo & 0xfe0) >>> 3) + at, 8);
    pdptes.push(port.lo, port.hi & QEMU_FRAME_HI);
  }
  yield* leaves(port, format, rootsOf(registers.root, pdptes), 0, Number.POSITIVE_INFINITY, enters);
}

/** Lines of `info tlb`: `VVVVVVVVVVVVVVVV: PPPPPPPPPPPPPPPP XGPDACTUW`, ascending. */
export function* qemuTlbLines(cpu: Cpu, enters?: Enters): Generator<string> {
  const { mode } = cpu.translator.registers.format;
  for (const leaf of qemuLeaves(cpu, enters)) {
    const { lo, hi } = addressOf(leaf.page, mode.linearBits);
    yield `${hex64(lo, hi)}: ${shownPhysical(leaf, mode.name)} ${leafFlags(leaf)}`;
  }
}

/** Lines of `info mem`: `START-END LENGTH urw`, ranges of equal rights. */
export function* qemuMemLines(cpu: Cpu, enters?: Enters): Generator<string> {
  const { linearBits } = cpu.translator.registers.format.mode;
  // QEMU passes all three numbers through its sign extension, END and LENGTH too.
  const shown = (pages: number): string => {
    const lo = loOf((pages % 0x100000) * PAGE_SIZE);
    const hi = hiOf((pages - (pages % 0x100000)) * PAGE_SIZE);
    const signBit = linearBits > 32 ? 1 << (linearBits - 33) : 0;
    return hex64(lo, (hi & signBit) !== 0 ? hi | -signBit : hi);
  };
  for (const { page, pages, rights } of qemuRanges(cpu, enters)) {
    const text = `${(rights & USER) !== 0 ? 'u' : '-'}r${(rights & WRITABLE) !== 0 ? 'w' : '-'}`;
    yield `${shown(page)}-${shown(page + pages)} ${shown(pages)} ${text}`;
  }
}

/** Lines of the leaves listing: `VA SIZE PA uwx ENTRY`. Effective rights over all levels. */
export function* leafLines(cpu: Cpu, enters?: Enters): Generator<string> {
  const { linearBits } = cpu.translator.registers.format.mode;
  for (const leaf of qemuLeaves(cpu, enters)) {
    const { lo, hi } = addressOf(leaf.page, linearBits);
    const physical = (leaf.frame * PAGE_SIZE).toString(16).padStart(12, '0');
    const rights = `${(leaf.rights & USER) !== 0 ? 'u' : '-'}${(leaf.rights & WRITABLE) !== 0 ? 'w' : '-'}${(leaf.rights & NO_EXECUTE) !== 0 ? '-' : 'x'}`;
    yield `${hex64(lo, hi)} ${sizeName(leaf.pages)} ${physical} ${rights} ${hex64(leaf.lo, leaf.hi)}`;
  }
}

/** 4K, 2M, 4M or 1G. */
export const sizeName = (pages: number): string =>
  pages === 1 ? '4K' : pages === 512 ? '2M' : pages === 1024 ? '4M' : '1G';

/** Adjacent pages of equal U/S and R/W, wherever their frames are. */
function* qemuRanges(cpu: Cpu, enters?: Enters): Generator<{ page: number; pages: number; rights: number }> {
  let range: { page: number; pages: number; rights: number } | undefined;
  for (const { page, pages, rights: raw } of qemuLeaves(cpu, enters)) {
    const rights = raw & (USER | WRITABLE);
    if (range !== undefined && range.page + range.pages === page && range.rights === rights) range.pages += pages;
    else {
      if (range !== undefined) yield range;
      range = { page, pages, rights };
    }
  }
  if (range !== undefined) yield range;
}

/** 64-bit modes print the frame; the others print the entry less its low bits, attributes above bit 51 included. */
function shownPhysical(leaf: Leaf, mode: string): string {
  if (mode === '4-level' || mode === '5-level')
    return hex64(loOf(leaf.frame * PAGE_SIZE), hiOf(leaf.frame * PAGE_SIZE));
  const lowMask = leaf.level === 1 ? ~0xfff : mode === 'pae' ? ~0xf_ffff : ~0x1f_ffff;
  return hex64(leaf.lo & lowMask, leaf.hi);
}

const FLAG_COLUMNS: readonly [string, number][] = [
  ['G', G],
  ['P', PS],
  ['D', D],
  ['A', A],
  ['C', PCD],
  ['T', PWT],
  ['U', US],
  ['W', RW],
];

/** Of the leaf entry alone; bit 7 of a 4 KiB entry is PAT and not shown. */
function leafFlags({ level, lo, hi }: Leaf): string {
  const shown = level === 1 ? lo & ~PS : lo;
  return (hi < 0 ? 'X' : '-') + FLAG_COLUMNS.map(([name, bit]) => ((shown & bit) !== 0 ? name : '-')).join('');
}
