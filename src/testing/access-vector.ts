/**
 * What access vectors hold: the corpus format that `AccessRecorder` writes and `pagewalk check` replays. Format:
 * docs/corpora.md, "Access vectors".
 */
import type { Features } from '../cpu/features.ts';
import type { Frame } from '../mmu/halves.ts';
import type { PagingModeName } from '../mmu/paging-mode.ts';

/** The header of a variant: holds for the cases behind it. */
export interface Variant {
  readonly variant: string;
  /** 2 = 32-bit paging, 3 = PAE, 4 and 5 = 4-level and 5-level. */
  readonly mode: number;
  /** MAXPHYADDR, 32 to 52. */
  readonly maxphyaddr: number;
  readonly features: readonly string[];
  /** Intel where it is left out. */
  readonly vendor?: 'intel' | 'amd';
}

export interface Case {
  readonly id: number;
  readonly cls: string;
  readonly ops: readonly Op[];
}

export type Op = AccessOp | OtherOp;

/** What an access does; `implicit` is a supervisor's read of a descriptor table. */
export type AccessKind = 'read' | 'write' | 'fetch' | 'implicit';

/** Numbers of 64 bits are hex texts. Exactly one of `pa`, `pf` and `gp` is there. */
export interface AccessOp {
  readonly op: 'access';
  readonly va: string;
  readonly kind: AccessKind;
  readonly cpl: number;
  readonly size: number;
  readonly ac: number;
  readonly w?: string;
  readonly pa?: string;
  readonly pa2?: string;
  readonly val?: string;
  readonly vdc?: string;
  readonly pf?: { readonly err: number; readonly cr2: string };
  readonly gp?: number;
}

export interface OtherOp {
  readonly op: 'write' | 'config' | 'cr0' | 'cr3' | 'cr4' | 'pkru' | 'invlpg' | 'invpcid' | 'mem';
  readonly [field: string]: unknown;
}

/** The modes that access vectors can be of, by their number in a variant. */
export const VECTOR_MODES: Readonly<Record<Exclude<PagingModeName, 'none'>, number>> = {
  '32-bit': 2,
  pae: 3,
  '4-level': 4,
  '5-level': 5,
};

/** Names of features in a variant. What is not listed there, the processor does not have. */
export const VECTOR_FEATURES: Readonly<Record<string, keyof Features>> = {
  PSE: 'pse',
  PSE36: 'pse36',
  PGE: 'pge',
  PCID: 'pcid',
  INVPCID: 'invpcid',
  NX: 'nx',
  '1G': 'page1gb',
  LA57: 'la57',
  SMEP: 'smep',
  SMAP: 'smap',
  PKU: 'pku',
  PKS: 'pks',
};

/**
 * The byte at a physical address that no entry lies at, of the quadword
 * `0xB8 | ((address >> 3) & 0xffffffff) << 8 | 0xCC << 40`: a read shows where it landed. As code it is
 * `mov eax, address >> 3; int3`.
 */
export function dataByte(address: number): number {
  const quad = Math.floor(address / 8) >>> 0;
  const at = address % 8;
  if (at === 0) return 0xb8;
  if (at <= 4) return (quad >>> (8 * (at - 1))) & 0xff;
  return at === 5 ? 0xcc : 0;
}

/**
 * Fills a frame as the memory is filled that access vectors are replayed on. An emulator whose data pages are filled so
 * can have the values of its reads recorded, and compared.
 * @param frame   0 to 2^40 - 1
 * @param target  its bytes, or the first of them
 */
export function fillData(frame: Frame, target: Uint8Array): void {
  for (let at = 0; at < target.length; at++) target[at] = dataByte(frame * 4096 + at);
}
