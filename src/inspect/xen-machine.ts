/**
 * The tables of an image in a machine that Xen's mapping functions run on, and the way back to an image. Only tables have
 * memory there, and the heap that new ones come from: a page that is mapped is never looked at.
 */
import { Machine } from '../cpu/machine.ts';
import { type BehaviourName, type FrameTable, l4Slot, pagesOf, Xen, type XenMm } from '../hypervisor/index.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import { takeCensus } from '../image/census.ts';
import type { Image } from '../image/image.ts';
import { cpuState, openCpu } from '../image/open-image.ts';
import { writeContainer } from '../image/write-container.ts';
import { frameOf, isPresent, PS } from '../mmu/entry.ts';
import { type Frame, frameFrom, hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { RamRange } from '../mmu/ram-layout.ts';
import { UsageError } from './usage-error.ts';

/** Frames for new tables at most: 1 GiB. */
const MAX_HEAP = 2 ** 18;
/** Tables of an image at most: 1 GiB. */
const MAX_TABLES = 2 ** 18;
const WORDS = 2 * ENTRIES;

export interface AdoptOptions {
  readonly cpu: number;
  readonly behaviour: BehaviourName;
  /** `START-END`, guest-physical bytes in hex. */
  readonly heap: string | undefined;
  /** New tables that the operation can take at most. */
  readonly tablesNeeded: number;
}

/** Frames, `end` exclusive. */
interface Extent {
  readonly first: Frame;
  readonly end: Frame;
}

/** The tables of one CPU of an image, adopted. */
export class AdoptedImage {
  readonly mm: XenMm;
  readonly memory: PhysicalMemory;
  readonly frames: FrameTable;
  readonly root: Frame;
  readonly heap: Extent;
  readonly #image: Image;
  readonly #cpu: number;
  /** The tables that there were. */
  readonly #tables: ReadonlySet<Frame>;

  /** UsageError or ImageError where the image lacks tables, has none of Xen's kind, or has no room for new ones. */
  constructor(image: Image, options: AdoptOptions) {
    const { cr3, paging } = cpuState(image, options.cpu);
    if (paging !== '4-level')
      throw new UsageError(`CPU ${options.cpu} has ${paging} paging; Xen's mapping functions know 4-level paging only`);
    this.#image = image;
    this.#cpu = options.cpu;
    this.root = frameFrom(cr3.low, cr3.high & 0xf_ffff);
    const tables = tablesOfImage(image, this.root);
    this.#tables = new Set(tables.keys());
    const taken = new Set([...this.#tables, ...(image.frameNumbers ?? []), ...this.#tablesOfOthers(image)]);
    const wanted = Math.min(options.tablesNeeded, MAX_HEAP);
    this.heap =
      options.heap === undefined ? freeExtent(image, taken, wanted) : givenExtent(image, taken, wanted, options.heap);
    const heap = { start: this.heap.first * PAGE_SIZE, size: (this.heap.end - this.heap.first) * PAGE_SIZE };
    const machine = new Machine({ memory: { ranges: [...rangesOf(tables.keys()), heap] }, features: image.features });
    this.memory = machine.memory;
    for (const [frame, words] of tables) this.memory.words.set(words, this.memory.pageOf(frame) * WORDS);
    const xen = new Xen(machine, { root: this.root, heap, behaviour: options.behaviour });
    this.frames = xen.frames;
    this.mm = xen.on(0);
  }

  /** UsageError where a range reaches the tables themselves, through an L4 entry that leads back to the root. */
  checkRange(page: number, pages: number): void {
    const first = l4Slot(page);
    const words = this.#words(this.root);
    for (let slot = first; slot < ENTRIES && (slot - first) * pagesOf(4) < (page % pagesOf(4)) + pages; slot++) {
      const [lo, hi] = [words[2 * slot]!, words[2 * slot + 1]!];
      if (isPresent(lo) && frameOf(lo, hi) === this.root)
        throw new UsageError(`the range reaches L4 slot ${slot}, which maps the page tables themselves`);
    }
  }

  /**
   * A container of the image as it is now: the tables of all its CPUs, and whatever else a container held. UsageError where
   * a table was freed that something still leads to: the image's tables are shared in a way that Xen's are not.
   */
  container(change: string): Promise<Uint8Array> {
    const { name, description, features, ram, cpus } = this.#image;
    const reached = new Set(this.#tablesNow());
    const readFrame = (frame: Frame, target: Uint8Array): boolean => {
      if (!reached.has(frame)) return this.#image.readFrame(frame, target);
      const { buffer, byteOffset } = this.#words(frame);
      target.set(new Uint8Array(buffer, byteOffset, PAGE_SIZE));
      return true;
    };
    const now = { ...this.#image, readFrame };
    const kept = (this.#image.frameNumbers ?? []).filter((frame) => !this.#tables.has(frame));
    const frames = new Set([...reached, ...kept, ...this.#tablesOfOthers(now)]);
    const text = [description, change].filter((part) => part !== '').join('; then ');
    return writeContainer(
      { name, description: text, features, ram, cpus, readFrame },
      [...frames].sort((a, b) => a - b),
    );
  }

  /** Tables that are linked now. */
  #tablesNow(): Iterable<Frame> {
    const tables = tablesBelow(this.root, (frame) => {
      const isThere = this.memory.pageOf(frame) >= 0 && this.frames.info(frame).state !== 'free';
      if (!isThere)
        throw new UsageError(`entries still lead to table ${addressText(frame)}, which is gone: it was shared`);
      return this.#words(frame);
    });
    return tables.keys();
  }

  #words(frame: Frame): Int32Array {
    const page = this.memory.pageOf(frame);
    return this.memory.words.subarray(page * WORDS, (page + 1) * WORDS);
  }

  /** Tables of the image's other CPUs, in whatever paging mode they are; those that the image lacks left out. */
  #tablesOfOthers(image: Image): Set<Frame> {
    const tables = new Set<Frame>();
    const missing = new Set<Frame>();
    for (const { index, sameAs, paging, cr3 } of image.cpus) {
      if (index === this.#cpu || sameAs !== undefined || paging === 'none') continue;
      tables.add(frameFrom(cr3.low, cr3.high & 0xf_ffff)); // in PAE paging nothing else tells of it
      takeCensus(openCpu(image, index, { missing }), missing, (table) => tables.add(table) !== undefined);
    }
    for (const frame of missing) tables.delete(frame);
    return tables;
  }
}

/** The tables of an image below a root; UsageError where it lacks one. */
function tablesOfImage(image: Image, root: Frame): Map<Frame, Int32Array> {
  const missing: Frame[] = [];
  const tables = tablesBelow(root, (frame) => {
    const bytes = new Uint8Array(PAGE_SIZE);
    if (!image.readFrame(frame, bytes)) missing.push(frame);
    return new Int32Array(bytes.buffer);
  });
  const [first] = missing;
  if (first !== undefined)
    throw new UsageError(
      `the image lacks ${missing.length} of its tables, such as ${addressText(first)}; all must be there to change one`,
    );
  return tables;
}

/** Every table below a root and itself, with its words: level by level, each table once at each level it is used at. */
function tablesBelow(root: Frame, read: (frame: Frame) => Int32Array): Map<Frame, Int32Array> {
  const all = new Map<Frame, Int32Array>();
  let tables = new Set([root]);
  for (let level = 4; level >= 1; level--) {
    const below = new Set<Frame>();
    for (const frame of tables) {
      if (all.size >= MAX_TABLES) throw new UsageError(`the image has more than ${MAX_TABLES} tables`);
      const words = all.get(frame) ?? read(frame);
      all.set(frame, words);
      for (let at = 0; at < WORDS && level > 1; at += 2)
        if (isPresent(words[at]!) && (level === 4 || (words[at]! & PS) === 0))
          below.add(frameOf(words[at]!, words[at + 1]!));
    }
    tables = below;
  }
  return all;
}

/** Runs of frames, as ranges that follow one another in memory. */
function rangesOf(frames: Iterable<Frame>): RamRange[] {
  const ranges: { start: number; size: number }[] = [];
  for (const frame of [...frames].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last.start + last.size === frame * PAGE_SIZE) last.size += PAGE_SIZE;
    else ranges.push({ start: frame * PAGE_SIZE, size: PAGE_SIZE });
  }
  return ranges;
}

/**
 * Where new tables may lie: the top of the highest piece of RAM that has room, else of the largest. A container holds the
 * tables of its CPUs and says so of no other frame; of a dump nobody knows which frames are free.
 */
function freeExtent(image: Image, taken: ReadonlySet<Frame>, wanted: number): Extent {
  const pieces = image.kind === 'ptpages' ? ramOf(image).flatMap((extent) => without(extent, taken)) : [];
  const size = ({ first, end }: Extent): number => end - first;
  const largest = pieces.reduce<Extent>((best, piece) => (size(piece) >= size(best) ? piece : best), NOTHING);
  const { first, end } = pieces.findLast((piece) => size(piece) >= wanted) ?? largest;
  if (first === end)
    throw new UsageError('no RAM is known to be free; say where new tables may lie, with --heap START-END');
  return { first: Math.max(first, end - wanted), end };
}

const NOTHING: Extent = { first: 0, end: 0 };

/** What `--heap` says: RAM without a table in it. */
function givenExtent(image: Image, taken: ReadonlySet<Frame>, wanted: number, text: string): Extent {
  const [start, stop] = (/^(?:0x)?([0-9a-f]{1,13})-(?:0x)?([0-9a-f]{1,14})$/i.exec(text) ?? []).slice(1);
  const [first, end] = [start, stop].map((digits) => Number.parseInt(digits ?? '', 16) / PAGE_SIZE) as [number, number];
  if (!Number.isInteger(first) || !Number.isInteger(end) || first >= end)
    throw new UsageError(`--heap is START-END in hex, multiples of 1000, not ${JSON.stringify(text)}`);
  if (!ramOf(image).some((extent) => first >= extent.first && end <= extent.end))
    throw new UsageError(`--heap ${text} is not all RAM of the image`);
  const table = [...taken].find((frame) => frame >= first && frame < end);
  if (table !== undefined)
    throw new UsageError(`--heap ${text} contains ${addressText(table)}, which the image holds as a page table`);
  return { first, end: Math.min(end, first + wanted) };
}

/** RAM in whole frames, ascending, what touches or overlaps as one. */
function ramOf({ ram }: Image): Extent[] {
  const extents: { first: number; end: number }[] = [];
  const whole = ram.map(({ start, end }) => ({
    first: Math.ceil(start / PAGE_SIZE),
    end: Math.floor(end / PAGE_SIZE),
  }));
  for (const { first, end } of whole.sort((a, b) => a.first - b.first)) {
    const last = extents.at(-1);
    if (last !== undefined && first <= last.end) last.end = Math.max(last.end, end);
    else if (first < end) extents.push({ first, end });
  }
  return extents;
}

/** The pieces of an extent between frames that are taken, ascending. */
function without({ first, end }: Extent, taken: ReadonlySet<Frame>): Extent[] {
  const inside = [...taken].filter((frame) => frame >= first && frame < end).sort((a, b) => a - b);
  const starts = [first, ...inside.map((frame) => frame + 1)];
  return starts
    .map((start, at) => ({ first: start, end: inside[at] ?? end }))
    .filter((piece) => piece.first < piece.end);
}

/** The physical address of a frame. */
const addressText = (frame: Frame): string => hexNumber(frame * PAGE_SIZE);
