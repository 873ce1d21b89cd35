/**
 * A walk, step by step, for people and tools: which entry of which table, what it held, and why the walk went on or
 * stopped. Made from the path that the one walk of mmu/walk.ts leaves behind.
 */
import Long from 'long';
import { NO_EXECUTE, PAT_SHIFT, PF_P, PF_PK, PF_RSVD, READ, USER, WRITABLE } from '../mmu/access.ts';
import { flagNames, isPresent, type Level } from '../mmu/entry.ts';
import { type Frame, frameFrom, OFFSET_MASK, PAGE_SIZE, physicalHi, physicalLo } from '../mmu/halves.ts';
import { NONE, PF } from './fault.ts';
import type { Translator } from './translator.ts';

/** What one entry did for a walk. */
export interface Step {
  /** 5 to 1; 3 for a PDPTE register. */
  readonly level: number;
  /** The manual's name of an entry of that level. */
  readonly name: 'PML5E' | 'PML4E' | 'PDPTE' | 'PDE' | 'PTE';
  /** Where the entry lies; of a PDPTE register, where it was loaded from. */
  readonly entryAddress: Long;
  /** Which entry of its table, 0 to 511 (1023 in 32-bit paging, 3 for a PDPTE register). */
  readonly index: number;
  /** Raw, unsigned. */
  readonly entry: Long;
  /** Names of the flags that are set: `P RW US ... XD`. */
  readonly flags: string;
  /** What it leads to, or why the walk stopped there. */
  readonly outcome: 'table' | 'page' | 'not present' | 'reserved bit set';
  /** First frame of the table or page it points to; undefined where it points to nothing. */
  readonly frame: Frame | undefined;
}

/** A walk, entry by entry, and what an access would come to by the tables alone: no cache is asked, nothing is set. */
export interface ExplainedWalk {
  /** Unsigned. */
  readonly address: Long;
  /** The paging mode: `4-level`, `pae` and so on; `none` without paging. */
  readonly mode: string;
  /** From the root down; the last one maps the page or stopped the walk. Empty without paging, and where an address is not canonical. */
  readonly steps: readonly Step[];
  /** NONE, GP, SS or PF. */
  readonly vector: number;
  /** Of a page fault. */
  readonly errorCode: number;
  /** One sentence. */
  readonly summary: string;
  /** Where the address lies, if it is mapped and the access allowed. */
  readonly physical: Long | undefined;
  /** Bytes of the page: 4096, 2 MiB, 4 MiB or 1 GiB; 0 where none. */
  readonly pageSize: number;
  /** `urwx` with `-` for what no level allows: user, read, write, execute. */
  readonly rights: string;
  /** PAT index of the leaf, 0 to 7: memory-type.ts. */
  readonly patIndex: number;
}

/** The manual's name of an entry, by its level; none of level 0. */
export const ENTRY_NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'] as const;

/** Walks from the root as `access` would, changing nothing, and tells what happened. */
export function explainWalk(translator: Translator, lo: number, hi: number, access: number = READ): ExplainedWalk {
  const vector = translator.probe(lo, hi, access);
  const { walker, registers } = translator;
  const { format } = registers;
  const mapped = vector === NONE && format.levels > 0;
  const steps = isCanonical(vector) && format.levels > 0 ? stepsOf(translator, lo) : [];
  const walked = steps.length > (format.mode.rootBits === 0 ? 0 : 1);
  const cause = vector === PF && walked ? walker.cause : 0;
  return {
    address: new Long(lo, hi, true),
    mode: format.mode.name,
    steps,
    vector,
    errorCode: vector === PF ? translator.regimeOf(access).errorCode(cause, access) : 0,
    summary: summaryOf(vector, cause, steps, format.mode.name),
    physical: vector === NONE ? physicalOf(translator.frame, lo & OFFSET_MASK) : undefined,
    pageSize: mapped ? format.pageFrames(walker.level) * PAGE_SIZE : 0,
    rights: mapped ? rightsText(translator.rights) : vector === NONE ? 'urwx' : '----',
    patIndex: mapped ? (translator.rights >>> PAT_SHIFT) & 7 : 0,
  };
}

/** `urwx`, with `-` for what some level forbids. */
export const rightsText = (rights: number): string =>
  `${(rights & USER) !== 0 ? 'u' : '-'}r${(rights & WRITABLE) !== 0 ? 'w' : '-'}${(rights & NO_EXECUTE) !== 0 ? '-' : 'x'}`;

/** Whether a walk began at all: an address that is not canonical is #GP, or #SS through the stack segment. */
const isCanonical = (vector: number): boolean => vector === NONE || vector === PF;

const physicalOf = (frame: Frame, offset: number): Long => new Long(physicalLo(frame, offset), physicalHi(frame), true);

function stepsOf({ walker, registers }: Translator, lo: number): Step[] {
  const { format } = registers;
  const steps: Step[] = [];
  if (format.mode.rootBits !== 0) {
    const index = lo >>> 30;
    const entryLo = registers.pdptes.values[2 * index]!;
    const entryHi = registers.pdptes.values[2 * index + 1]!;
    const present = isPresent(entryLo);
    steps.push({
      level: 3,
      name: 'PDPTE',
      entryAddress: new Long((registers.cr3Lo & ~31) + 8 * index, 0, true),
      index,
      entry: new Long(entryLo, entryHi, true),
      flags: flagNames(3, entryLo, entryHi),
      outcome: present ? 'table' : 'not present',
      frame: present ? frameFrom(entryLo, entryHi) : undefined,
    });
    if (!present) return steps;
  }
  for (let level = walker.top; level >= walker.level; level--) {
    const entryLo = walker.los[level]!;
    const entryHi = walker.his[level]!;
    const isLeaf = isPresent(entryLo) && format.isLeaf(level, entryLo);
    const reserved = isPresent(entryLo) && format.violatesReserved(level, isLeaf, entryLo, entryHi);
    const outcome = !isPresent(entryLo) ? 'not present' : reserved ? 'reserved bit set' : isLeaf ? 'page' : 'table';
    const pointsTo = isLeaf ? format.pageFrame(level, entryLo, entryHi) : format.tableFrame(entryLo, entryHi);
    const index = walker.indexes[level]!;
    steps.push({
      level,
      name: ENTRY_NAMES[level] || 'PTE',
      entryAddress: physicalOf(walker.tables[level]!, index * format.entryBytes),
      index,
      entry: new Long(entryLo, entryHi, true),
      flags: flagNames(level as Level, entryLo, entryHi),
      outcome,
      frame: outcome === 'table' || outcome === 'page' ? pointsTo : undefined,
    });
  }
  return steps;
}

function summaryOf(vector: number, cause: number, steps: readonly Step[], mode: string): string {
  const last = steps.at(-1);
  if (!isCanonical(vector)) return 'the address is not canonical';
  if (last === undefined) return `no paging (${mode}): the linear address is the physical address`;
  if (vector === NONE) return `mapped by the ${last.name}`;
  if ((cause & PF_RSVD) !== 0) return `the ${last.name} has a reserved bit set`;
  if ((cause & PF_PK) !== 0) return 'the protection key denies the access';
  if ((cause & PF_P) !== 0) return 'the access rights deny the access';
  return `the ${last.name} is not present`;
}
