/** One access, done: what was cached before, the walk, the checks, and what is cached afterwards. */

import { CR0_WP, CR4_SMAP, CR4_SMEP } from '../cpu/control-bits.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { type ExplainedWalk, explainWalk } from '../cpu/explain.ts';
import { NONE } from '../cpu/fault.ts';
import { type CachedEntry, cachedBy } from '../explorer/cached.ts';
import { FETCH, IMPLICIT, READ, STACK, WRITE } from '../mmu/access.ts';
import { hex64, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { type Check, checksOf } from './walk-checks.ts';

/** An access as the form says it. */
export interface AccessForm {
  readonly address: string;
  readonly kind: 'read' | 'write' | 'fetch' | 'read-modify-write';
  /** 0 to 3. */
  readonly cpl: number;
  readonly ac: boolean;
  readonly implicit: boolean;
  readonly stack: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
}

export interface CacheRow {
  readonly key: string;
  readonly entry: CachedEntry;
  readonly change: 'kept' | 'new' | 'dropped';
}

export interface WalkRun {
  readonly walk: ExplainedWalk;
  readonly checks: readonly Check[];
  /** Where the processor began: what it found in its caches. */
  readonly began: string;
  /** What was done: NONE or the vector, and the error code of a page fault. */
  readonly vector: number;
  readonly errorCode: number;
  readonly caches: readonly CacheRow[];
}

const KINDS = { read: READ, write: WRITE, fetch: FETCH, 'read-modify-write': READ | WRITE } as const;

/** The form as a CPU stands. */
export function formOf(cpu: Cpu, address: string): AccessForm {
  const { cr0, cr4, cpl, ac } = cpu.registers;
  return {
    address,
    kind: 'read',
    cpl,
    ac: ac !== 0,
    implicit: false,
    stack: false,
    wp: (cr0 & CR0_WP) !== 0,
    smep: (cr4 & CR4_SMEP) !== 0,
    smap: (cr4 & CR4_SMAP) !== 0,
  };
}

/** READ, WRITE, FETCH and modifiers. */
export const accessOf = ({ kind, implicit, stack }: AccessForm): number =>
  KINDS[kind] | (implicit ? IMPLICIT : 0) | (stack ? STACK : 0);

/** Brings the registers of a CPU to what the form says; returns what refuses to change, or nothing. */
export function applyRegisters(cpu: Cpu, form: AccessForm): string {
  const { registers } = cpu;
  const cr0 = form.wp ? registers.cr0 | CR0_WP : registers.cr0 & ~CR0_WP;
  const bits = (form.smep ? CR4_SMEP : 0) | (form.smap ? CR4_SMAP : 0);
  const cr4 = (registers.cr4 & ~(CR4_SMEP | CR4_SMAP)) | bits;
  if (cr0 !== registers.cr0) cpu.setCr0(cr0);
  if (cr4 !== registers.cr4 && cpu.setCr4(cr4) !== NONE) return 'this processor has no SMEP or SMAP: MOV CR4 is #GP';
  if (form.cpl !== registers.cpl) cpu.setCpl(form.cpl);
  if (form.ac !== (registers.ac !== 0)) cpu.setAc(form.ac ? 1 : 0);
  return '';
}

/** Does an access as the processor would: caches are asked and filled, A and D set in this page's copy of the tables. */
export function runAccess(cpu: Cpu, lo: number, hi: number, access: number): WalkRun {
  const { translator } = cpu;
  const before = cachedBy(0, translator).entries;
  const walk = explainWalk(translator, lo, hi, access);
  const checks = checksOf(cpu, walk, access);
  const began = beganText(cpu, lo, hi);
  const vector = cpu.translate(lo, hi, access);
  const { errorCode } = cpu.fault;
  return { walk, checks, began, vector, errorCode, caches: changesOf(before, cachedBy(0, translator).entries) };
}

function beganText(cpu: Cpu, lo: number, hi: number): string {
  const { tlb, structures, registers } = cpu.translator;
  const { format, pcid, root } = registers;
  if (format.levels === 0) return 'there is no paging: nothing is looked up';
  if (tlb.find(lo, hi, pcid))
    return `TLB hit: a page of level ${tlb.level} at ${hexNumber(tlb.frame * PAGE_SIZE)}; no entry is read, unless the rights that it keeps refuse the access`;
  structures.find(format, root, lo, hi, pcid);
  if (structures.level === format.levels || structures.level === 0)
    return 'TLB miss, nothing in the structure caches: the walk begins at the root';
  return `TLB miss; a structure cache leads straight to the table of level ${structures.level} at ${hexNumber(structures.table * PAGE_SIZE)}`;
}

const keyOf = ({ kind, level, lo, hi, context, frame, rights }: CachedEntry): string =>
  `${kind} ${level} ${hex64(lo, hi)} ${context} ${frame} ${rights}`;

/** What is cached now and what no longer is. */
export function changesOf(before: readonly CachedEntry[], after: readonly CachedEntry[]): CacheRow[] {
  const was = new Set(before.map(keyOf));
  const is = new Set(after.map(keyOf));
  const rows = after.map((entry): CacheRow => {
    const key = keyOf(entry);
    return { key, entry, change: was.has(key) ? 'kept' : 'new' };
  });
  const gone = before.filter((entry) => !is.has(keyOf(entry)));
  return [...rows, ...gone.map((entry): CacheRow => ({ key: `- ${keyOf(entry)}`, entry, change: 'dropped' }))];
}

/** The same for what is no access: INVLPG, MOV CR3. */
export function changesBy(cpu: Cpu, action: () => void): CacheRow[] {
  const before = cachedBy(0, cpu.translator).entries;
  action();
  return changesOf(before, cachedBy(0, cpu.translator).entries);
}
