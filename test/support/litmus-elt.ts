/**
 * Enhanced litmus tests: programs that store and load through translations, write page-table entries and invalidate.
 *
 * Notation: CPUs are divided by `‖`. `Wx1` stores 1 through page x, `Rx` loads through it, `Xx1` is a locked exchange.
 * `Px=d` stores to the entry of x: it maps frame d, with R/W and A; `Px=dr` is read-only, `Px=dg` global, `Px=dn` has A = 0,
 * `Px=0` is absent. `Ex=d` is a locked exchange of the entry, and `Lx` loads it: both tell the frame and D that were there.
 * `Dx` sets D in the entry as no hardware may: a load, then a store.
 *
 * `Ix` is INVLPG. `Sx` is INVLPG here and, by IPI, on all others, acknowledged. `C` is MOV to CR3 of what it holds, `G` is
 * INVPCID of everything. `!` sends a message, and `?` gets it: outcomes without the message are left out.
 *
 * At first page x maps frame a, y maps b and z maps c; nothing is mapped to d. Data are 0; A is set, D is not.
 */

import { NONE } from '../../src/cpu/fault.ts';
import { pageAt } from '../../src/explorer/calls.ts';
import type { CpuOperation, HardwareAccess, Plant, Scenario } from '../../src/explorer/scenario.ts';
import { hiOfPage, loOfPage } from '../../src/explorer/world.ts';
import { FLUSH_ORDER, FLUSH_TLB } from '../../src/hypervisor/flags.ts';
import { lookUp, mapPages, type XenMm } from '../../src/hypervisor/index.ts';
import { addressAt } from '../../src/hypervisor/layout.ts';
import { READ, WRITE } from '../../src/mmu/access.ts';
import { A, D, G, P, RW } from '../../src/mmu/entry.ts';
import { type Outcome, outcomesOf } from './litmus.ts';

const PAGES = 'xyz';
const FRAMES = 'abcd';
const ENTRIES = 512;
const DATA = P | RW | A;

/** What surrounds the programs. */
export interface EltMachine {
  /** Pages that all TLBs hold at first. */
  readonly warm?: string;
  /** Pages whose entries have D set at first. */
  readonly dirty?: string;
  /** Entries that are others at first, as above: `x=ar y=0`. */
  readonly mapped?: string;
  /** Where a hit denies the access: the fault is delivered, though the tables may say otherwise. */
  readonly deniedHit?: 'fault';
  /** How often each CPU's caches may be dropped for no reason. */
  readonly evictions?: number;
  readonly storeBuffers?: boolean;
  /** By CPU: pages that its hardware walks for a load, at any time. */
  readonly walks?: readonly string[];
  /** `off`: no schedule is left out because it comes to the same as another one. */
  readonly reductions?: 'off';
  readonly plant?: Plant;
}

/** One load, store or exchange of a program, as it happened. */
export interface Access {
  readonly faults: boolean;
  /** The TLB did not translate it. */
  readonly walks: boolean;
  /** The entry that its walk read had D set. */
  readonly seesDirty: boolean;
  readonly frame: string;
  /** What it read, or stored; of an entry, D. */
  readonly value: number;
}

/** All accesses in the order in which the text has them, CPU by CPU; as many as it has. */
export type Accesses = readonly [Access, Access, Access, Access, Access, Access, Access, Access];

export interface EndEntry {
  readonly frame: string;
  readonly isAccessed: boolean;
  readonly isDirty: boolean;
}

/** What is in memory in the end. */
export interface End {
  /** By page: the frame that its entry maps, and whether A and D are set. */
  readonly entries: Readonly<Record<'x' | 'y' | 'z', EndEntry>>;
  /** By frame: its data. */
  readonly data: Readonly<Record<'a' | 'b' | 'c' | 'd', number>>;
}

export interface EltOutcome {
  readonly accesses: Accesses;
  readonly end: End;
}

/** Where things are. */
interface Places {
  /** By page: its entry. */
  readonly entries: Map<string, number>;
  /** By name: its frame. */
  readonly frames: Map<string, number>;
  message: number;
}

/** Everything that programs can come to. */
export function eltOutcomes(text: string, machine: EltMachine = {}): EltOutcome[] {
  const { evictions = 0, storeBuffers = false, walks = [], warm = '', reductions = 'on', plant, deniedHit } = machine;
  const programs = text.split('‖').map((program) => program.trim().split(';'));
  const places: Places = { entries: new Map(), frames: new Map(), message: 0 };
  const walksOf = (pages: string): HardwareAccess[] => [...pages].map((page) => ({ page: pageOf(page), access: READ }));
  const scenario: Scenario = {
    name: text,
    about: text,
    machine: { frames: 16, pool: 0, ...(deniedHit === undefined ? {} : { policy: { deniedHit } }) },
    hardware: { storeBuffers, evictions },
    prepare: (mm) => prepare(mm, places, machine),
    warm: programs.map(() => walksOf(warm)),
    walks: walks.map(walksOf),
    cpus: programs.map((steps) => steps.map((step) => operation(step, places))),
    ...(plant === undefined ? {} : { plant }),
  };
  const all = outcomesOf(scenario, (mm) => lastOf(mm, places), { reductions });
  return all.filter((outcome) => hasMessage(programs, outcome)).map((outcome) => decode(programs, outcome));
}

const pageOf = (page: string): number => pageAt(PAGES.indexOf(page));

function prepare(mm: XenMm, places: Places, { dirty = '', mapped = '' }: EltMachine): void {
  for (const name of FRAMES) places.frames.set(name, mm.heap.alloc());
  places.message = mm.heap.alloc() * ENTRIES;
  for (const [at, page] of [...PAGES].entries()) {
    mapPages(mm, pageOf(page), places.frames.get(FRAMES[at]!)!, 1, DATA | (dirty.includes(page) ? D : 0));
    const { table, index } = lookUp(mm, addressAt(pageOf(page)));
    places.entries.set(page, table * ENTRIES + index);
  }
  for (const [page, entry] of mapped.split(' ').map((one) => one.split('=')))
    if (entry !== undefined) mm.tables.write(places.entries.get(page!)!, 1, ...entryOf(entry, places));
}

/** Frame and flags of an entry as it is written above. */
function entryOf(
  [name = '', ...letters]: string | readonly string[],
  { frames }: Places,
): [frame: number, flags: number] {
  if (name === '0') return [0, 0];
  const without = (letters.includes('r') ? RW : 0) | (letters.includes('n') ? A : 0);
  return [frames.get(name)!, (DATA & ~without) | (letters.includes('g') ? G : 0)];
}

/** Instructions are atomic to interrupts; what asks other CPUs has to serve them while it waits. */
function operation(step: string, places: Places): CpuOperation {
  return { name: step, irqsOff: step[0] !== 'S', run: (mm) => run(mm, step, places) };
}

function run(mm: XenMm, step: string, places: Places): number {
  const { entries, frames, message } = places;
  const { tables } = mm;
  const { kind, page = '', value = '' } = /^(?<kind>.)(?<page>[xyz])?=?(?<value>.*)$/.exec(step)!.groups!;
  const linear = page === '' ? 0 : pageOf(page);
  const entry = entries.get(page) ?? 0;
  switch (kind) {
    case 'R':
    case 'W':
    case 'X':
      return access(mm, kind, linear, [...frames.values()], Number(value));
    case 'P':
      tables.write(entry, 1, ...entryOf(value, places));
      return 0;
    case 'E':
    case 'L': {
      const flags = kind === 'E' ? tables.exchange(entry, 1, ...entryOf(value, places)) : tables.read(entry);
      return ((flags & D) !== 0 ? 1 : 0) | ([...frames.values()].indexOf(tables.frame) << FRAME_SHIFT);
    }
    case 'D': {
      const flags = tables.read(entry);
      tables.write(entry, 1, tables.frame, flags | D);
      return 0;
    }
    case 'I':
      mm.cpu.invlpg(loOfPage(linear), hiOfPage(linear));
      return 0;
    case 'S':
      mm.flush.all(linear, FLUSH_TLB | FLUSH_ORDER(0));
      return 0;
    case 'C':
      mm.cpu.setCr3(mm.root * 4096, 0);
      return 0;
    case 'G':
      mm.cpu.invpcid(2, 0, 0, 0, 0);
      return 0;
    case '!':
      tables.write(message, 4, 1, 0);
      return 0;
    case '?':
      tables.read(message);
      return tables.frame;
    default:
      throw new Error(`${step} is no instruction`);
  }
}

// Bits of an access's result: what it read or stored, the frame, whether it walked, whether its walk saw D, or a fault.
const VALUES = 8;
const FRAME_SHIFT = 3;
const WALKS = 1 << 5;
const SEES_DIRTY = 1 << 6;
const FAULTS = 1 << 7;

function access(mm: XenMm, kind: 'R' | 'W' | 'X', page: number, frames: readonly number[], stores: number): number {
  const { tables } = mm;
  const { translator } = mm.cpu;
  const { counters, walker } = translator;
  const before = counters.walks;
  const vector = translator.translate(loOfPage(page), hiOfPage(page), kind === 'R' ? READ : WRITE);
  const hasWalked = counters.walks !== before;
  if (vector !== NONE) return FAULTS | (hasWalked ? WALKS : 0);
  const seesDirty = hasWalked && (walker.los[1]! & D) !== 0;
  const { frame } = translator;
  if (kind === 'W') tables.write(frame * ENTRIES, 4, stores, 0);
  else if (kind === 'R') tables.read(frame * ENTRIES);
  else tables.exchange(frame * ENTRIES, 4, stores, 0);
  const value = kind === 'W' ? stores : tables.frame;
  return value | (frames.indexOf(frame) << FRAME_SHIFT) | (hasWalked ? WALKS : 0) | (seesDirty ? SEES_DIRTY : 0);
}

/** Entries of pages, then data of frames. */
function lastOf(mm: XenMm, { entries, frames }: Places): number[] {
  const { tables } = mm;
  const names = [...frames.values()];
  const pages = [...entries.values()].map((entry) => {
    const flags = tables.read(entry);
    return names.indexOf(tables.frame) * 4 + ((flags & A) !== 0 ? 2 : 0) + ((flags & D) !== 0 ? 1 : 0);
  });
  const data = names.map((frame) => {
    tables.read(frame * ENTRIES);
    return tables.frame;
  });
  return [...pages, ...data];
}

const hasMessage = (programs: readonly (readonly string[])[], { results }: Outcome): boolean =>
  programs.every((steps, cpu) => steps.every((step, at) => step !== '?' || results[cpu]![at] === 1));

function decode(programs: readonly (readonly string[])[], { results, last }: Outcome): EltOutcome {
  const accesses = programs.flatMap((steps, cpu) =>
    steps.flatMap((step, at): Access[] => {
      if (!/^[RWXEL]/.test(step)) return [];
      const result = results[cpu]![at]!;
      const faults = (result & FAULTS) !== 0;
      const frame = faults ? '' : FRAMES[(result >> FRAME_SHIFT) & 3]!;
      const walks = (result & WALKS) !== 0;
      return [{ faults, walks, seesDirty: (result & SEES_DIRTY) !== 0, frame, value: result % VALUES }];
    }),
  );
  const entryAt = (at: number): EndEntry => {
    const entry = last[at]!;
    return { frame: FRAMES[entry >> 2] ?? '', isAccessed: (entry & 2) !== 0, isDirty: (entry & 1) !== 0 };
  };
  const [a, b, c, d] = last.slice(PAGES.length) as [number, number, number, number];
  return {
    accesses: accesses as unknown as Accesses,
    end: { entries: { x: entryAt(0), y: entryAt(1), z: entryAt(2) }, data: { a, b, c, d } },
  };
}
