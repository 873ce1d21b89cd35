/**
 * A machine with Xen's tables, its CPUs on them, and judges that know nothing of mapping code: what the tables map by the
 * MMU's own walk, which frames are tables by following them from the root, and what any TLB still says otherwise.
 *
 * Pages are counted from the start of the directmap, `va(page)` is the address of one.
 */
import {
  BEHAVIOURS,
  type Behaviour,
  type BehaviourName,
  DIRECTMAP,
  FLUSH_CACHE_EVICT,
  FLUSH_ORDER_MASK,
  FLUSH_TLB_GLOBAL,
  FLUSH_VA_VALID,
  type Locking,
  mapPages,
  mapPagesToXen,
  modifyPages,
  type Operation,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RO,
  PAGE_HYPERVISOR_RWX,
  PAGE_HYPERVISOR_RX,
  PAGE_HYPERVISOR_SHSTK,
  PAGE_HYPERVISOR_UC,
  PAGE_HYPERVISOR_UCMINUS,
  PAGE_HYPERVISOR_WC,
  PAGE_HYPERVISOR_WT,
  populatePtRange,
  type SeamObserver,
  Xen,
  type XenMm,
  type XenOptions,
} from '../../src/hypervisor/index.ts';
import { type Cpu, type Features, INTEL, Machine, type Step, WRITE } from '../../src/index.ts';
import { NO_EXECUTE, PAT_SHIFT, USER, WRITABLE } from '../../src/mmu/access.ts';
import { CR0, CR4, EFER } from './control-bits.ts';

export const PRESETS: readonly BehaviourName[] = ['xen', 'pagewalk'];
/** Each preset with the L3 locks, and with a lock per table. */
export const CHOICES: readonly (readonly [BehaviourName, Locking])[] = PRESETS.flatMap(
  (behaviour) =>
    [
      [behaviour, 'l3'],
      [behaviour, 'reverify'],
    ] as const,
);

/** First frame of the heap: what lies below is RAM to map. */
export const HEAP: number = 0x400;
/** 2 MiB and 1 GiB in pages, and one L3 table's 512 GiB. */
export const M2 = 512;
export const G1: number = 512 ** 2;
export const G512: number = 512 ** 3;

const START = 0xffff_8300_0000_0000n;
const SIGN_FREE: number = DIRECTMAP.start % 2 ** 36;

/** The address of a page of the directmap. */
export const va = (page: number): bigint => BigInt.asUintN(64, START + BigInt(page) * 4096n);
/** Its halves, low first. */
export const halves = (page: number): [lo: number, hi: number] => [
  Number(BigInt.asIntN(32, va(page))),
  Number(BigInt.asIntN(32, va(page) >> 32n)),
];

/** Short names of flag sets. Flags that have none appear in hex. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [PAGE_HYPERVISOR, 'RW'],
  [PAGE_HYPERVISOR_RO, 'RO'],
  [PAGE_HYPERVISOR_RX, 'RX'],
  [PAGE_HYPERVISOR_RWX, 'RWX'],
  [PAGE_HYPERVISOR_SHSTK, 'SHSTK'],
  [PAGE_HYPERVISOR_WT, 'WT'],
  [PAGE_HYPERVISOR_UCMINUS, 'UC-'],
  [PAGE_HYPERVISOR_UC, 'UC'],
  [PAGE_HYPERVISOR_WC, 'WC'],
]);
const SIZES = ['', '4K', '2M', '1G'];

export interface BootOptions extends Omit<XenOptions, 'heap' | 'behaviour'> {
  /** A preset, or fields changed from the default. */
  readonly behaviour?: BehaviourName | Partial<Behaviour>;
  readonly cpus?: number;
  readonly features?: Partial<Features>;
  /** Frames to make tables of; default 256. The first becomes the root. */
  readonly heapFrames?: number;
  /** Takes over a copy of its memory with all tables, instead of an empty root. */
  readonly adopts?: Booted;
  /** Bits of CR4 besides PAE; default PGE. */
  readonly cr4?: number;
  readonly hitViews?: 'on' | 'off';
}

/** How many of each a request took, changed and gave. */
export interface Counts {
  readonly allocated: number;
  readonly freed: number;
  readonly flushes: number;
}

export class Booted {
  readonly machine: Machine;
  readonly xen: Xen;
  readonly cpus: readonly Cpu[];
  readonly mms: readonly XenMm[];
  /** Linear page number of page 0. */
  readonly directmap: number = DIRECTMAP.start;

  constructor(options: BootOptions) {
    const {
      cpus = 1,
      features = {},
      heapFrames = 256,
      behaviour = {},
      cr4 = CR4.PGE,
      hitViews = 'on',
      adopts,
      ...others
    } = options;
    const nx = features.nx ?? true;
    const heap = adopts === undefined ? HEAP : adopts.machine.memory.bytes.length / 4096;
    this.machine = new Machine({
      memory: { size: (heap + heapFrames) * 4096 },
      cpus,
      features: { ...INTEL, ...features },
      caches: { tlb: 'everything', structures: 'everything', hitViews },
    });
    // Every frame says who it is.
    for (let frame = 0; frame < HEAP; frame++) this.machine.memory.words[frame * 1024] = frame;
    if (adopts !== undefined) this.machine.memory.bytes.set(adopts.machine.memory.bytes);
    this.xen = new Xen(this.machine, {
      heap: { start: heap * 4096, size: heapFrames * 4096 },
      ...(adopts === undefined ? {} : { root: adopts.xen.root }),
      checks: 'full',
      behaviour: typeof behaviour === 'string' ? behaviour : { ...BEHAVIOURS.pagewalk, ...behaviour },
      ...others,
    });
    this.cpus = this.machine.cpus;
    this.mms = this.cpus.map(({ index }) => this.xen.on(index));
    for (const cpu of this.cpus)
      cpu.enter({
        cr0: CR0.PE + CR0.WP + CR0.PG,
        cr3: this.xen.root * 4096,
        cr4: CR4.PAE | cr4,
        efer: EFER.LME | (nx ? EFER.NXE : 0),
      });
  }

  /** CPU 0, and its memory manager. */
  get cpu(): Cpu {
    return this.cpus[0]!;
  }

  get mm(): XenMm {
    return this.mms[0]!;
  }

  /** Maps pages by one request of CPU 0, and complains of what is unsound afterwards. Returns 0 or an errno. */
  map(page: number, mfn: number, nrMfns = 1, flags: number = PAGE_HYPERVISOR): number {
    return this.#sound(mapPages(this.mm, DIRECTMAP.start + page, mfn, nrMfns, flags));
  }

  /** The same, one request a page. */
  mapEach(page: number, mfn: number, nrMfns: number, flags: number = PAGE_HYPERVISOR): void {
    for (let nth = 0; nth < nrMfns; nth++) {
      const error = mapPages(this.mm, DIRECTMAP.start + page + nth, mfn + nth, 1, flags);
      if (error !== 0) throw new Error(`page ${nth} of ${nrMfns}: ${error}`);
    }
    this.#sound(0);
  }

  /** Unmaps by flags 0, as vunmap() does. */
  unmap(page: number, nrMfns = 1): number {
    return this.map(page, 2 ** 52 - 1, nrMfns, 0);
  }

  populate(page: number, nrMfns: number): number {
    return this.#sound(populatePtRange(this.mm, va(page), nrMfns));
  }

  /** Changes the flags of the pages from `first` to `end` (exclusive). */
  modify(first: number, end: number, flags: number): number {
    return this.#sound(modifyPages(this.mm, DIRECTMAP.start + first, DIRECTMAP.start + end, flags));
  }

  destroy(first: number, end: number): number {
    return this.modify(first, end, 0);
  }

  /** By address, as Xen's function takes it, on any CPU and without looking at what comes of it. */
  mapOn(cpu: number, page: number, mfn: number, nrMfns = 1, flags: number = PAGE_HYPERVISOR): number {
    return mapPagesToXen(this.mms[cpu]!, va(page), mfn, nrMfns, flags);
  }

  /** What the tables map, by the MMU's walk: runs of leaves as `0x0: 2 x 2M -> 0x200 RW`. */
  mapped(): string[] {
    const runs: { page: number; count: number; level: number; frame: number; flags: number }[] = [];
    for (const { page, pages, level, frame, lo, hi } of this.cpu.leaves()) {
      const flags = ((hi >>> 20) << 12) | smallLow(level, lo);
      const last = runs.at(-1);
      const isNext =
        last !== undefined &&
        last.level === level &&
        last.flags === flags &&
        last.page + last.count * pages === page &&
        last.frame + last.count * pages === frame;
      if (isNext) last.count += 1;
      else runs.push({ page, count: 1, level, frame, flags });
    }
    return runs.map(
      ({ page, count, level, frame, flags }) =>
        `${hex(page - SIGN_FREE)}: ${count} x ${SIZES[level]} -> ${hex(frame)} ${NAMES.get(flags) ?? hex(flags)}`,
    );
  }

  /** What a CPU's access to the page finds: the number in the frame behind it, `a hole` in RAM, or the fault. */
  read(page: number, cpu = 0): number | string {
    const on = this.cpus[cpu]!;
    const value = on.read32(...halves(page));
    if (on.faulted !== 0) return `#PF(${on.fault.errorCode})`;
    return value === -1 ? 'no RAM' : value;
  }

  /** Whether a CPU may write to a page; writes what its frame holds. */
  canWrite(page: number, cpu = 0): boolean {
    const on = this.cpus[cpu]!;
    if (on.translate(...halves(page), WRITE) !== 0) return false;
    on.write32(...halves(page), Math.floor(on.physicalLo / 4096));
    return true;
  }

  /** The steps of the walk for a page. */
  walk(page: number): readonly Step[] {
    return this.cpu.long.explain(va(page)).steps;
  }

  /** The raw entry of `level` (1 to 4) for a page; undefined where the tables do not reach so deep. */
  entry(page: number, level: number): bigint | undefined {
    const at = this.#entryAt(page, level);
    return at === undefined ? undefined : BigInt.asUintN(64, this.machine.memory.quads[at]!);
  }

  /** Writes an entry behind everybody's back. */
  poke(page: number, level: number, value: bigint): void {
    const at = this.#entryAt(page, level);
    if (at === undefined) throw new Error(`no table of level ${level} for page ${page}`);
    this.machine.memory.quads[at] = BigInt.asIntN(64, value);
  }

  /** The table of `level` that the page's walk goes through; undefined where there is none. */
  table(page: number, level: number): number | undefined {
    const at = this.#entryAt(page, level);
    return at === undefined ? undefined : Math.floor(at / 512);
  }

  /** What CPU 0 took, gave and flushed since this was called. */
  counting(): () => Counts {
    const { heap, flush } = this.mm;
    const { allocations, frees } = heap;
    const { requests } = flush;
    return () => ({
      allocated: heap.allocations - allocations,
      freed: heap.frees - frees,
      flushes: flush.requests - requests,
    });
  }

  /** Watches one CPU's mapping code. */
  record(cpu = 0): Recorder {
    const recorder = new Recorder(this.machine.memory, this.xen.root);
    this.mms[cpu]!.observer = recorder;
    return recorder;
  }

  /** Runs something and returns what CPU 0's mapping code did meanwhile. */
  recorded(run: () => void): Recorder {
    const recorder = this.record();
    run();
    this.mm.observer = null;
    return recorder;
  }

  /** What must never be between two operations: tables leaked or lost, locks held, stale translations. */
  problems(): string[] {
    const inUse = this.xen.frames.tables();
    const reachable = tablesBelow(this.machine.memory.quads, this.xen.root, 4);
    const leaked = inUse.filter((frame) => !reachable.has(frame)).map((frame) => `${hex(frame)} is leaked`);
    const lost = [...reachable.keys()]
      .filter((frame) => !inUse.includes(frame))
      .map((frame) => `${hex(frame)} is free, and linked`);
    const locked = inUse
      .filter((frame) => this.xen.frames.info(frame).isLocked)
      .map((frame) => `${hex(frame)} is locked`);
    const held = this.mms
      .filter((mm) => mm.locks.isHolding)
      .map((mm) => `CPU ${mm.cpu.index} holds ${mm.locks.held()}`);
    return [...leaked, ...lost, ...locked, ...held, ...this.stale()];
  }

  /** What TLBs hold and tables do not say. */
  stale(): string[] {
    const found: string[] = [];
    for (const cpu of this.cpus)
      cpu.translator.tlb.forEach((lo, hi, _context, level, frame, rights) => {
        const page = (hi & 0xffff) * 2 ** 20 + (lo >>> 12);
        const pages = 512 ** (level - 1);
        let covered = 0;
        const from = va(page - SIGN_FREE);
        for (const leaf of this.cpu.leaves(from, from + BigInt(pages) * 4096n - 1n)) {
          const start = Math.max(page, leaf.page);
          const end = Math.min(page + pages, leaf.page + leaf.pages);
          const isSame =
            leaf.frame + (start - leaf.page) === frame + (start - page) &&
            ((leaf.rights ^ rights) & CHECKED_RIGHTS) === 0;
          if (isSame) covered += end - start;
        }
        if (covered !== pages) found.push(`CPU ${cpu.index} has a stale ${SIZES[level]} page ${hex(page - SIGN_FREE)}`);
      });
    return found;
  }

  #sound(error: number): number {
    const problems = this.problems();
    if (problems.length > 0) throw new Error(problems.join('; '));
    return error;
  }

  #entryAt(page: number, level: number): number | undefined {
    const address = va(page);
    const index = (at: number): number => Number((address >> BigInt(3 + 9 * at)) & 511n);
    let at = this.xen.root * 512 + index(4);
    for (let above = 4; above > level; above--) {
      const entry = this.machine.memory.quads[at]!;
      if ((entry & 1n) === 0n || (above < 4 && (entry & 0x80n) !== 0n)) return undefined;
      at = frameOf(entry) * 512 + index(above - 1);
    }
    return at;
  }
}

const CHECKED_RIGHTS = WRITABLE | USER | NO_EXECUTE | (7 << PAT_SHIFT);

/** Boots; see `Booted`. */
export const boot = (options: BootOptions | BehaviourName = {}): Booted =>
  new Booted(typeof options === 'string' ? { behaviour: options } : options);

const hex = (value: number): string => (value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`);

const frameOf = (entry: bigint): number => Number((entry >> 12n) & 0xff_ffff_ffffn);

/** Low flags as of a 4 KiB page: PS gone, PAT in bit 7. */
const smallLow = (level: number, lo: number): number =>
  level === 1 ? lo & 0xfff : (lo & 0xf7f) | ((lo & 0x1000) !== 0 ? 0x80 : 0);

/** Tables that a table of `level` leads to, itself included, with their levels. */
function tablesBelow(
  quads: BigInt64Array,
  table: number,
  level: number,
  found = new Map<number, number>(),
): Map<number, number> {
  if (found.has(table)) return found;
  found.set(table, level);
  for (let index = 0; index < 512 && level > 1; index++) {
    const entry = quads[table * 512 + index]!;
    if (pointsToTable(entry, level)) tablesBelow(quads, frameOf(entry), level - 1, found);
  }
  return found;
}

const pointsToTable = (entry: bigint, level: number): boolean =>
  level > 1 && (entry & 1n) !== 0n && (level === 4 || (entry & 0x80n) === 0n);

export interface SeamEvent {
  readonly operation: Operation;
  readonly operands: readonly number[];
  /** The outcome. */
  value: number;
  /** In a few words: `link L2`, `write L1`, `flush 18 G`, `free L1`. */
  readonly words: string;
}

/** The operations that change what is shared. */
const STEPS: readonly Operation[] = [
  ...(['lock', 'unlock', 'retire', 'alloc', 'fill', 'publish', 'write', 'writeRun', 'shootdown', 'free'] as const),
];

/**
 * Writes down what one CPU's mapping code does, and holds it against the rules of order: a table is full before it is
 * linked; what it replaced is flushed before it is freed, and before the L3 lock is dropped; `map_pgdir_lock` is held over
 * neither flush nor allocation.
 */
export class Recorder implements SeamObserver {
  readonly value = 0;
  readonly frame = 0;
  readonly events: SeamEvent[] = [];
  /** Broken rules. */
  readonly violations: string[] = [];
  /** Called before and after each operation: where another CPU may act. */
  onEnter: (operation: Operation, operands: readonly number[]) => void = () => {};
  onLeave: (event: SeamEvent) => void = () => {};

  readonly #memory: Machine['memory'];
  readonly #levels: Map<number, number>;
  /** Tables that are allocated and not linked, and whether they are filled. */
  readonly #unlinked = new Map<number, boolean>();
  /** Tables that were unlinked: before the last flush, or since. */
  readonly #flushed = new Set<number>();
  readonly #detached = new Set<number>();
  readonly #running: SeamEvent[] = [];
  #holdsPgdir = false;
  #isOpen = false;

  constructor(memory: Machine['memory'], root: number) {
    this.#memory = memory;
    this.#levels = tablesBelow(memory.quads, root, 4);
  }

  /** The words of the operations that change something, or of those named. */
  steps(...operations: Operation[]): string[] {
    const isAsked = ({ operation }: SeamEvent): boolean =>
      (operations.length === 0 ? STEPS : operations).includes(operation);
    return this.events.filter(isAsked).map(({ words }) => words);
  }

  count(operation: Operation): number {
    return this.events.filter((event) => event.operation === operation).length;
  }

  enter(operation: Operation, ...operands: number[]): boolean {
    this.onEnter(operation, operands);
    const event = { operation, operands, value: 0, words: this.#words(operation, operands) };
    this.#check(operation, operands);
    this.events.push(event);
    this.#running.push(event);
    return false;
  }

  leave(value: number): void {
    const event = this.#running.pop()!;
    event.value = value;
    if (event.operation === 'alloc' && value >= 0) {
      this.#expect(
        !this.#detached.has(value) && !this.#flushed.has(value),
        'a table is used again before it was freed',
      );
      this.#unlinked.set(value, false);
    }
    if (event.operation === 'shootdown') {
      this.#isOpen = false;
      // A flush of one page covers no table.
      const isOfOnePage = (event.operands[1]! & FLUSH_ORDER_MASK) === 1;
      for (const table of isOfOnePage ? [] : this.#detached) this.#flushed.add(table);
      if (!isOfOnePage) this.#detached.clear();
    }
    this.onLeave(event);
  }

  #check(operation: Operation, [a = 0, b = 0, , level = 0]: readonly number[]): void {
    if (operation === 'lock' && a === PGDIR) this.#holdsPgdir = true;
    if (operation === 'unlock' && a === PGDIR) this.#holdsPgdir = false;
    if (operation === 'unlock' && a !== PGDIR) this.#expect(!this.#isOpen, 'the L3 lock is dropped before the flush');
    if (operation === 'alloc' || operation === 'shootdown')
      this.#expect(!this.#holdsPgdir, `map_pgdir_lock is held over ${operation}`);
    if (operation === 'fill') {
      this.#expect(this.#unlinked.has(a), 'a table is filled that is linked');
      this.#unlinked.set(a, true);
    }
    if (operation === 'publish') {
      this.#expect(this.#unlinked.get(b) === true, 'a table is linked before it is filled');
      this.#unlinked.delete(b);
      this.#levels.set(b, level - 1);
    }
    if (operation === 'write' || operation === 'publish') this.#replace(this.#memory.quads[a]!, level);
    if (operation === 'free' && b === 0)
      this.#expect(this.#unlinked.delete(a), 'a linked table is freed without a flush');
    if (operation === 'free' && b !== 0) this.#expect(this.#flushed.delete(a), 'a table is freed before the flush');
  }

  #replace(old: bigint, level: number): void {
    if ((old & 1n) === 0n) return;
    this.#isOpen = true;
    if (!pointsToTable(old, level)) return;
    for (const table of tablesBelow(this.#memory.quads, frameOf(old), level - 1).keys()) this.#detached.add(table);
  }

  #expect(holds: boolean, rule: string): void {
    if (!holds) this.violations.push(rule);
  }

  #words(operation: Operation, [a = 0, b = 0, c = 0, level = 0]: readonly number[]): string {
    switch (operation) {
      case 'lock':
      case 'unlock':
      case 'retire':
        return `${operation} ${a === PGDIR ? 'pgdir' : `L${this.#levels.get(a) ?? 3}`}`;
      case 'publish':
        return `link L${level - 1}`;
      case 'write':
        return `${(c & 1) !== 0 ? 'write' : 'clear'} L${level}`;
      case 'writeRun':
        return 'write L1';
      case 'free':
        return b === 0 ? 'free unused' : `free L${this.#levels.get(a)}`;
      case 'shootdown': {
        const order = (b & FLUSH_ORDER_MASK) - 1;
        const parts = ['flush', order < 0 ? 'all' : `${order}`];
        if ((b & FLUSH_TLB_GLOBAL) !== 0) parts.push('G');
        if ((b & FLUSH_CACHE_EVICT) !== 0) parts.push((b & FLUSH_VA_VALID) !== 0 ? 'evict by address' : 'evict');
        return parts.join(' ');
      }
      default:
        return operation;
    }
  }
}

/** What the seam calls `map_pgdir_lock`. */
const PGDIR = -1;
