/**
 * Two CPUs on one set of Xen's tables, requests to the mapping layer, and judges of what came of them: a flat map, a walk
 * of the tables of one's own, the MMU's walk, and both CPUs' accesses through whatever their caches hold.
 */

import { PGDIR_LOCK } from '../../src/hypervisor/control.ts';
import {
  BEHAVIOURS,
  type Behaviour,
  type BehaviourName,
  destroyXenMappings,
  INVALID_MFN,
  type Locking,
  mapPages,
  mapPagesToXen,
  modifyPages,
  modifyXenMappings,
  populatePtRange,
  Xen,
  type XenMm,
  xenMapToMfn,
} from '../../src/hypervisor/index.ts';
import { type Cpu, FETCH, Machine, READ, WRITE } from '../../src/index.ts';
import { CR0, CR4, EFER } from './control-bits.ts';
import { FlatMap, type Run } from './flat-map.ts';
import { type Walked, type WalkedTable, walkTables } from './table-walk.ts';

export const M2 = 512;
export const G1: number = 512 ** 2;
/** Areas of 2 GiB: in one L3 table; over the end of one; up to the end of the address space. */
export const AREAS: readonly number[] = [
  0xffff_8300_0000_0, // the directmap
  0xffff_8300_0000_0 + 512 ** 3 - G1,
  2 ** 52 - 2 * G1,
];

/** RAM to map: each frame holds its number. Around 0, 1 GiB and 4 GiB. */
const DATA: readonly (readonly [first: number, end: number])[] = [
  [0, 0x210],
  [0x3_ffe0, 0x4_0020],
  [0xf_fff0, 0x10_0010],
];
const HEAP = 0x20_0000; // 8 GiB: frame numbers of tables need the high half
const HEAP_FRAMES = 128;
const DATA_FRAMES: number = DATA.reduce((sum, [first, end]) => sum + end - first, 0);
const HEAP_WORD = DATA_FRAMES * 1024;

const isData = (frame: number): boolean => DATA.some(([first, end]) => frame >= first && frame < end);

// Flags as of a 4 KiB page.
const P = 0x1;
const RW = 0x2;
const A = 0x20;
const D = 0x40;
const PAT = 0x80;
const G = 0x100;
const SMALL_PAGES = 0x200;
const CACHE_ATTRIBUTES = 0x98; // PAT, PCD, PWT
const NX = 0x80_0000;
const PAGE_HYPERVISOR = 0x80_0163;
const ENOMEM = 12;

// Rights as a TLB entry has them.
const WRITABLE = 0x1;
const NO_EXECUTE = 0x4;
const DIRTY = 0x8;
const GLOBAL = 0x10;
const memoryTypeOf = (flags: number): number => ((flags & PAT) >> 5) | ((flags >> 3) & 3);
const rightsOf = (flags: number): number =>
  ((flags & RW) !== 0 ? WRITABLE : 0) |
  ((flags & NX) !== 0 ? NO_EXECUTE : 0) |
  ((flags & G) !== 0 ? GLOBAL : 0) |
  (memoryTypeOf(flags) << 9);

export interface WorldOptions {
  readonly preset: BehaviourName;
  readonly changes: Partial<Behaviour>;
  readonly locking: Locking;
  readonly page1gb: boolean;
  readonly nx: boolean;
  /** Memory that threads could share: only such a world can be saved. */
  readonly shared: boolean;
  readonly systemState: number;
}

export interface Request {
  readonly kind: 'map' | 'modify' | 'populate' | 'look up';
  readonly cpu: number;
  /** The other CPU is parked meanwhile. */
  readonly parks: boolean;
  /** By address, as Xen's functions take it, instead of by page number. */
  readonly byAddress: boolean;
  readonly page: number;
  readonly count: number;
  readonly mfn: number;
  readonly flags: number;
}

const addressOf = (page: number): bigint => BigInt(page) * 4096n;
const halvesOf = (page: number): [lo: number, hi: number] => [(page * 4096) | 0, Math.floor(page / 2 ** 20) | 0];
const pageOf = (lo: number, hi: number): number => (hi >>> 0) * 2 ** 20 + (lo >>> 12);

export class MappingWorld {
  readonly behaviour: Behaviour;
  readonly machine: Machine;
  readonly xen: Xen;
  readonly mms: readonly XenMm[];
  /** What requests made so far should have come to. */
  flat: FlatMap = new FlatMap();
  /** Tables that a populate made, and that must stay. */
  kept: ReadonlySet<number> = new Set();
  checked = 0;

  readonly #options: WorldOptions;
  readonly #control: Int32Array | undefined;
  /** Tables, frame table and control words. */
  readonly #saved: { readonly tables: Int32Array; readonly frames: Int32Array; readonly control: Int32Array };

  constructor(options: WorldOptions) {
    const { preset, changes, locking, page1gb, nx, shared, systemState } = options;
    this.#options = options;
    this.behaviour = { ...BEHAVIOURS[preset], ...changes };
    const range = (first: number, end: number) => ({ start: first * 4096, size: (end - first) * 4096 });
    this.machine = new Machine({
      memory: { ranges: [...DATA.map(([first, end]) => range(first, end)), range(HEAP, HEAP + HEAP_FRAMES)], shared },
      cpus: 2,
      features: { page1gb, nx },
      caches: { tlb: 'everything', structures: 'everything' },
    });
    this.machine.mailboxes.patienceMs = 200;
    this.xen = new Xen(this.machine, {
      heap: { start: HEAP * 4096, size: HEAP_FRAMES * 4096 },
      checks: 'full',
      behaviour: this.behaviour,
      locking,
      systemState,
    });
    this.#control = shared ? new Int32Array(this.xen.share().state.control) : undefined;
    this.#saved = {
      tables: new Int32Array(HEAP_FRAMES * 1024),
      frames: new Int32Array(this.xen.frames.words.length),
      control: new Int32Array(this.#control?.length ?? 0),
    };
    this.mms = this.machine.cpus.map(({ index }) => this.xen.on(index));
    for (const cpu of this.machine.cpus)
      cpu.enter({
        cr0: CR0.PE + CR0.WP + CR0.PG,
        cr3: this.xen.root * 4096,
        cr4: CR4.PAE | CR4.PGE,
        efer: EFER.LME | (nx ? EFER.NXE : 0),
      });
    for (const [first, end] of DATA)
      for (let frame = first; frame < end; frame++) this.machine.host.write32(frame * 4096, frame);
  }

  /** Keeps the state, over what was saved before. */
  save(): void {
    this.#saved.tables.set(this.machine.memory.words.subarray(HEAP_WORD));
    this.#saved.frames.set(this.xen.frames.words);
    this.#saved.control.set(this.#control!);
  }

  /** Back to the saved state, caches empty. */
  restore(): void {
    const { tables, frames, control } = this.#saved;
    this.machine.memory.words.set(tables, HEAP_WORD);
    this.xen.frames.words.set(frames);
    this.#control!.set(control);
    this.dropCaches();
  }

  dropCaches(): void {
    for (const { translator } of this.machine.cpus) translator.dropAll();
  }

  /** Runs a request; returns 0 or an errno. */
  run(request: Request): number {
    const other = this.machine.cpus[1 - request.cpu]!;
    if (request.parks) other.park();
    const error = this.#run(request);
    if (request.parks) other.unpark();
    return error;
  }

  #run({ kind, cpu, byAddress, page, count, mfn, flags }: Request): number {
    const mm = this.mms[cpu]!;
    const address = addressOf(page);
    const end = page + count;
    if (kind === 'populate') return populatePtRange(mm, address, count);
    if (kind === 'map' && byAddress) return mapPagesToXen(mm, address + BigInt(mfn % 4096), mfn, count, flags);
    if (kind === 'map') return mapPages(mm, page, mfn, count, flags);
    if (!byAddress || end === 2 ** 52) return modifyPages(mm, page, end, flags);
    if (flags === 0) return destroyXenMappings(mm, address, addressOf(end));
    return modifyXenMappings(mm, address, addressOf(end), flags);
  }

  /** What a request should make of a flat map when its first `count` pages are done. */
  expect(flat: FlatMap, { kind, page, mfn, flags }: Request, count: number): void {
    if (kind === 'map') flat.map(page, count, mfn, this.#known(flags));
    if (kind === 'modify') flat.modify(page, count, this.#known(flags));
    if (kind === 'populate') flat.map(page, count, 0, 0);
  }

  walk(): Walked {
    const at = (frame: number): number | undefined =>
      frame >= HEAP && frame < HEAP + HEAP_FRAMES ? HEAP_WORD + (frame - HEAP) * 1024 : undefined;
    const absentIsZero = this.behaviour.absentEntries === 'zero';
    return walkTables(this.machine.memory.words, at, this.xen.root, { absentIsZero, nx: this.#options.nx });
  }

  /** Both CPUs read pages, and judge whether they may be written and executed, as `flat` says. */
  access(flat: FlatMap, pages: readonly number[]): string[] {
    return this.machine.cpus.flatMap((cpu) => pages.flatMap((page) => this.#access(flat, cpu, page)));
  }

  #access(flat: FlatMap, cpu: Cpu, page: number): string[] {
    const run = flat.at(page);
    const [lo, hi] = halvesOf(page);
    const frame = (): number => cpu.physicalHi * 2 ** 20 + (cpu.physicalLo >>> 12);
    const problems: string[] = [];
    const expect = (what: string, found: number, expected: number): void => {
      if (found !== expected)
        problems.push(`CPU ${cpu.index}, ${what} page ${page.toString(16)}: ${found} instead of ${expected}`);
    };
    this.checked += 1;
    expect('probe of', cpu.probe(lo, hi, READ), run === undefined ? 14 : 0);
    if (run !== undefined) expect('frame by a probe of', frame(), run.mfn);
    const number = cpu.read32(lo, hi);
    expect('read of', cpu.faulted, run === undefined ? 14 : 0);
    if (run === undefined) return problems;
    flat.used(page, 'read');
    if (isData(run.mfn)) expect('number in', number >>> 0, run.mfn);
    expect('translation of', cpu.translate(lo, hi, READ), 0);
    expect('frame of', frame(), run.mfn);
    const isExecutable = (run.flags & NX) === 0;
    expect('fetch from', cpu.translate(lo, hi, FETCH), isExecutable ? 0 : 14);
    const isWritable = (run.flags & RW) !== 0;
    const stamp = page & 0x7fff_ffff;
    if (!isWritable) expect('write to', cpu.translate(lo, hi, WRITE), 14);
    else if (isData(run.mfn)) {
      expect('write to', cpu.write32(lo | 8, hi, stamp), 0);
      expect('what was written to', this.machine.host.read32(run.mfn * 4096 + 8), stamp);
      flat.used(page, 'write');
    }
    return problems;
  }

  /** What the MMU's own walk over everything finds. */
  judgeLeaves(flat: FlatMap): string[] {
    const cpu = this.machine.cpus[0]!;
    const signed = (page: number): number => (page < 2 ** 35 ? page : page + 2 ** 52 - 2 ** 36);
    const runs: { page: number; count: number; mfn: number; flags: number }[] = [];
    const problems: string[] = [];
    for (const { page, pages, level, frame, rights, lo, hi } of cpu.leaves()) {
      const low = level === 1 ? lo & 0xfff : (lo & 0xf7f) | ((lo >> 5) & PAT);
      const flags = ((hi >>> 20) << 12) | low;
      const isWithin = (rights & ~DIRTY) === rightsOf(flags);
      if (!isWithin) problems.push(`rights of page ${signed(page).toString(16)}: ${rights.toString(16)}`);
      const last = runs.at(-1);
      const continues = last !== undefined && last.page + last.count === signed(page) && last.flags === flags;
      if (continues && last.mfn + last.count === frame) last.count += pages;
      else runs.push({ page: signed(page), count: pages, mfn: frame, flags });
    }
    const difference = flat.differs(runs);
    return difference === '' ? problems : [...problems, `the MMU finds ${difference}`];
  }

  /** The same by `cpu.runs`, of which the flags are rights. */
  judgeRuns(flat: FlatMap): string[] {
    const rights = (flags: number): number => flags & (P | RW | NX);
    const found = [...this.machine.cpus[1]!.runs()].map(({ linear, physical, sizeBytes, rights: text }) => ({
      page: pageOf(linear.low, linear.high),
      count: sizeBytes / 4096,
      mfn: pageOf(physical.low, physical.high),
      flags: P | (text.includes('w') ? RW : 0) | (text.includes('x') ? 0 : NX),
    }));
    const expected = new FlatMap();
    for (const { page, count, mfn, flags } of flat.runs) expected.map(page, count, mfn, rights(flags));
    const difference = expected.differs(found);
    return difference === '' ? [] : [`runs: ${difference}`];
  }

  /** What must hold after any request, done or not. */
  judge(flat: FlatMap, walked: Walked): string[] {
    const problems = [...walked.problems];
    const difference = flat.differs(walked.runs);
    if (difference !== '') problems.push(`the tables map ${difference}`);
    const small = walked.runs.find(({ flags, level }) => (flags & SMALL_PAGES) !== 0 && level > 1);
    if (small !== undefined) problems.push(`a superpage at ${small.page.toString(16)} that should be small pages`);
    const reachable = new Set(walked.tables.map(({ frame }) => frame));
    const allocated = new Set(this.xen.frames.tables());
    for (const frame of reachable) if (!allocated.has(frame)) problems.push(`table ${frame.toString(16)} is free`);
    for (const frame of allocated) {
      if (!reachable.has(frame)) problems.push(`table ${frame.toString(16)} is leaked`);
      if (this.xen.frames.info(frame).isLocked) problems.push(`table ${frame.toString(16)} is locked`);
    }
    for (const { locks, cpu } of this.mms) if (locks.isHolding) problems.push(`CPU ${cpu.index} holds ${locks.held()}`);
    if (this.#control !== undefined && this.#control[PGDIR_LOCK] !== 0) problems.push('map_pgdir_lock is held');
    return problems;
  }

  /** Whatever the two CPUs' caches hold must be what the tables say, down to the page's size. */
  judgeCaches({ tables, runs }: Walked): string[] {
    const problems: string[] = [];
    const tableAt = new Map(tables.map(({ frame, level, page }) => [keyOf(page, level), frame]));
    for (const cpu of this.machine.cpus) {
      const { tlb, structures } = cpu.translator;
      tlb.forEach((lo, hi, _context, level, frame, rights) => {
        this.checked += 1;
        const page = pageOf(lo, hi);
        const run = runs[lastAtOrBelow(runs, page)];
        const isSame =
          run !== undefined &&
          run.level === level &&
          page < run.page + run.count &&
          run.mfn + page - run.page === frame &&
          (rights & ~DIRTY) === rightsOf(run.flags) &&
          ((rights & DIRTY) === 0 || (run.flags & D) !== 0);
        if (!isSame) problems.push(`CPU ${cpu.index} has a stale page ${page.toString(16)} of level ${level}`);
      });
      structures.forEach((level, lo, hi, _pcid, table) => {
        this.checked += 1;
        const page = pageOf(lo, hi);
        if (tableAt.get(keyOf(page, level - 1)) !== table)
          problems.push(`CPU ${cpu.index} knows a stale table of level ${level - 1} at ${page.toString(16)}`);
      });
    }
    return problems;
  }

  /** What else must hold after a request that was done: superpages where they fit, and no table without need. */
  judgeShape(request: Request, before: Walked, walked: Walked): string[] {
    const { kind, page, count, mfn, flags } = request;
    const { preset, page1gb } = this.#options;
    const { coalesceAfterModify, holes } = this.behaviour;
    const end = page + count;
    const problems: string[] = [];
    const complain = (what: string, { page: at, level }: WalkedTable): number =>
      problems.push(`${what}: table of level ${level} at ${at.toString(16)}`);
    const isMapping = kind === 'map' && (flags & P) !== 0;
    const isUnmapping = kind === 'modify' && (flags & P) === 0;
    const coalesces = isMapping || (kind === 'modify' && !isUnmapping && coalesceAfterModify === 'yes');
    const isTouched = (table: WalkedTable): boolean =>
      count > 0 && table.level < 3 && table.page < end && table.page + table.span > page;
    const touched = walked.tables.filter(isTouched);
    for (const table of touched) {
      const { level, page: at, span, frame, run, isEmpty, isZero } = table;
      const isKept = this.kept.has(frame);
      const hasPages = level === 1 || page1gb;
      const isWhole = at >= page && at + span <= end;
      const fits = isWhole && (flags & (PAT | SMALL_PAGES)) === 0 && (!isMapping || (mfn + at - page) % span === 0);
      if (kind === 'map' && fits && hasPages && (isMapping || preset === 'xen' || !isKept))
        complain('a superpage would fit', table);
      if (coalesces && hasPages && this.#coalesces(run) && (!isMapping || run === this.#known(flags)))
        complain('not coalesced', table);
      // Xen overlooks an L2 where the range ends in a hole within it.
      const mayLeak = preset === 'xen' && level === 2 && end % M2 !== 0 && end < at + span;
      if (isUnmapping && (preset === 'xen' ? isZero : isEmpty) && !isKept && !mayLeak) complain('empty', table);
    }
    // Unmapping adds no tables but those of superpages that it splits.
    const addsNone = kind === 'look up' || kind === 'modify' || (kind === 'map' && (flags & (P | SMALL_PAGES)) === 0);
    for (const table of holes === 'skip' && addsNone ? walked.tables : []) {
      const wasThere = before.tables.some(({ level, page: at }) => level === table.level && at === table.page);
      if (!wasThere && !before.runs.some((run) => run.level > table.level && covers(run, table)))
        complain('added', table);
    }
    for (const table of before.tables.filter(isTouched)) {
      const { page: at, level, span } = table;
      const run = walked.runs.find((one) => one.level > level && covers(one, table));
      const isWritten = kind === 'map' && at >= page && at + span <= end;
      const mayBe = kind === 'modify' ? this.#isPossible(run?.flags ?? 0) : this.#coalesces(run?.flags ?? 0);
      if (run !== undefined && !isWritten && !(coalesces && mayBe)) complain('coalesced', table);
    }
    if (kind === 'populate')
      for (let at = page - (page % M2); count > 0 && at < end; at += M2)
        if (!touched.some((table) => table.level === 1 && table.page === at)) problems.push('a table is not populated');
    return problems;
  }

  /** Flags as the processor knows them. */
  #known(flags: number): number {
    return this.#options.nx ? flags : flags & ~NX;
  }

  /** Whether a table full of one run with these flags is to become a superpage. -1 is no run. */
  #coalesces(flags: number): boolean {
    if (flags === -1 || this.behaviour.coalesce === 'hypervisor') return flags === this.#known(PAGE_HYPERVISOR);
    return this.#isPossible(flags);
  }

  /** Whether a superpage can have these flags. Where PAT does not move, it could not be split again. */
  #isPossible(flags: number): boolean {
    return (flags & SMALL_PAGES) === 0 && ((flags & PAT) === 0 || this.behaviour.pat === 'moved');
  }

  /** Keeps account of the tables that populates made. */
  noteKept(request: Request, walked: Walked, isDone: boolean): string[] {
    if (this.#options.preset === 'xen') return [];
    const isMapping = request.kind !== 'populate' && (request.flags & P) !== 0;
    const { page, count } = request;
    const tables = new Map(walked.tables.map((table) => [table.frame, table]));
    const lost = [...this.kept].filter((frame) => !tables.has(frame) || !this.xen.frames.info(frame).isKept);
    const kept = new Set([...this.kept].filter((frame) => !lost.includes(frame)));
    for (const { frame, level, page: at, span } of tables.values()) {
      const isPopulated =
        request.kind === 'populate' && count > 0 && level < 3 && at < page + count && at + span > page;
      if (isPopulated && (isDone || this.xen.frames.info(frame).isKept)) kept.add(frame);
    }
    this.kept = kept;
    const wrong = [...tables.keys()].filter((frame) => this.xen.frames.info(frame).isKept !== kept.has(frame));
    return [
      ...(isMapping ? [] : lost.map((frame) => `populated table ${frame.toString(16)} is gone`)),
      ...wrong.map((frame) => `table ${frame.toString(16)} is kept, or not, without reason`),
    ];
  }

  /** A lookup of one page. */
  judgeLookup({ cpu, page }: Request): string[] {
    const expected = this.flat.at(page)?.mfn ?? INVALID_MFN;
    const found = xenMapToMfn(this.mms[cpu]!, addressOf(page) + 0xabcn);
    return found === expected ? [] : [`xen_map_to_mfn(${page.toString(16)}) is ${found}, not ${expected}`];
  }

  /** Whether superpages that are larger than a request map all its pages so, but for A and D. */
  isSaid({ kind, page, count, mfn, flags }: Request, { runs }: Walked): boolean {
    if (kind !== 'map' || count === 0) return false;
    const run = runs[lastAtOrBelow(runs, page)];
    if (run === undefined || run.level < 2 || run.page + run.count < page + count) return false;
    const isWhole = count >= 512 ** (run.level - 1);
    return !isWhole && run.mfn - run.page === mfn - page && ((run.flags ^ this.#known(flags)) & ~(A | D)) === 0;
  }

  /** Whether a page that is mapped is to change its memory type: then caches must be flushed. */
  changesMemoryType({ kind, page, count, flags }: Request): boolean {
    if (kind !== 'map' || (flags & P) === 0) return false;
    return this.flat.within(page, count).some((run) => ((run.flags ^ flags) & CACHE_ATTRIBUTES) !== 0);
  }
}

export { ENOMEM };

/** Of a table: sign bits left out, the product is exact. */
const keyOf = (page: number, level: number): number => (page % 2 ** 36) * 8 + level;

const covers = (run: Run, table: WalkedTable): boolean =>
  run.page <= table.page && run.page + run.count >= table.page + table.span;

/** Index of the last run that begins at or below a page; -1 where none does. */
function lastAtOrBelow(runs: readonly Run[], page: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (runs[middle]!.page <= page) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
