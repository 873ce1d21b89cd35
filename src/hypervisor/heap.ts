/**
 * Frames for tables, without an owner: a pool per CPU, fresh frames behind them. Freeing takes a proof (proof.ts).
 *
 * An ownerless frame gets no flush when it is used again: whoever frees a table must have flushed. The heap therefore
 * checks what it can: double frees, frees of what is locked or not allocated, proofs older than the table's detachment,
 * and (with `checks: 'full'`) writes to a frame after it was freed.
 * Xen: alloc_xen_pagetable(), free_xen_pagetable() over alloc_domheap_page(NULL).
 */
import { bug } from '../bug.ts';
import type { Mailboxes } from '../cpu/mailboxes.ts';
import { type Frame, hexNumber, narrow } from '../mmu/halves.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import type { Seam } from '../mmu/seam.ts';
import { operationsOn, type WordOperations } from '../mmu/word-operations.ts';
import {
  FRESH,
  FRESH_END,
  HARDWARE_DOMAIN,
  ofCpu,
  POOL,
  POOL_LOCK,
  SYS_STATE_EARLY_BOOT,
  SYSTEM_STATE,
} from './control.ts';
import {
  COUNT_HI,
  DETACHED,
  type FrameTable,
  INFO_WORDS,
  MARK_HEAP,
  MARK_PUBLISHED,
  MARK_STATIC,
  MARKS,
  NEXT,
  PGC_ALLOCATED_HI,
  PGC_FREE_HI,
  PGC_STATE_HI,
  PGT_LOCKED_HI,
  PGT_PINNED_HI,
  TYPE_HI,
} from './frame-table.ts';
import { NEVER_PUBLISHED, type Proof } from './proof.ts';

/** No frame left. */
export const NO_FRAME = -1;

/** What a freed frame holds with `checks: 'full'`: entries that are not present. */
const POISON = 0x5a5a_5a5a;

/** Frames for page tables, from a pool of each CPU. Xen: alloc_xen_pagetable_new(), free_xen_pagetable_new(). */
export class Heap {
  /** Allocations that succeed before the next one fails; -1: no limit. */
  budget = -1;
  /** Tables that this CPU took. */
  allocations = 0;
  /** Tables that this CPU gave back. */
  frees = 0;

  readonly #frames: FrameTable;
  readonly #memory: PhysicalMemory;
  readonly #control: Int32Array;
  readonly #atomics: WordOperations;
  readonly #cpu: number;
  readonly #seam: Seam;
  readonly #mailboxes: Mailboxes;
  readonly #poisons: boolean;
  /** First frame and backing page of the heap's range: fresh frames follow one another. */
  readonly #offset: number;
  /** Set aside by `reserve`. */
  readonly #reserved: Frame[] = [];

  constructor(
    frames: FrameTable,
    control: Int32Array,
    cpu: number,
    seam: Seam,
    mailboxes: Mailboxes,
    firstFrame: Frame,
    checks: 'light' | 'full',
  ) {
    this.#frames = frames;
    this.#memory = frames.memory;
    this.#control = control;
    this.#atomics = operationsOn(control.buffer);
    this.#cpu = cpu;
    this.#seam = seam;
    this.#mailboxes = mailboxes;
    this.#poisons = checks === 'full';
    this.#offset = narrow(firstFrame - frames.memory.pageOf(firstFrame));
  }

  /** A frame, its contents undefined; or NO_FRAME. A bug before the hardware domain exists: nothing could go on. */
  alloc(): Frame {
    if (this.#reserved.length > 0) return this.#reserved.pop()!;
    const { observer } = this.#seam;
    if (observer === null) return this.#alloc();
    if (observer.enter('alloc', 0, 0, 0, 0)) return observer.value;
    const frame = this.#alloc();
    observer.leave(frame, 0);
    return frame;
  }

  /** Sets frames aside for the allocations to come; false, and none set aside, where there are not so many. */
  reserve(frames: number): boolean {
    const taken: Frame[] = [];
    while (taken.length < frames) {
      const frame = this.alloc();
      if (frame === NO_FRAME) break;
      taken.push(frame);
    }
    this.#reserved.push(...taken.reverse()); // used in the order they were taken
    if (taken.length === frames) return true;
    this.unreserve();
    return false;
  }

  /** Forgets what was set aside: the operation was unwound by whoever observes. */
  abandon(): void {
    this.#reserved.length = 0;
  }

  /** Gives back what was set aside and not used. */
  unreserve(): void {
    for (const frame of this.#reserved.splice(0)) this.free(frame, NEVER_PUBLISHED);
  }

  /** Gives a table back. In early boot, and for a table of the image or one that is pinned, nothing happens. */
  free(frame: Frame, proof: Proof): void {
    const { observer } = this.#seam;
    if (observer?.enter('free', frame, proof, 0, 0)) return;
    this.#free(frame, proof);
    observer?.leave(0, 0);
  }

  #alloc(): Frame {
    const page = this.budget === 0 ? NO_FRAME : this.#take();
    if (page === NO_FRAME) {
      const isEarly = this.#atomics.load(this.#control, SYSTEM_STATE) === SYS_STATE_EARLY_BOOT;
      if (isEarly) bug('the boot allocator has no frame left');
      const mayFail = this.#atomics.load(this.#control, HARDWARE_DOMAIN) !== 0;
      if (!mayFail) bug('no frame for a page table before the hardware domain exists');
      return NO_FRAME;
    }
    if (this.budget > 0) this.budget -= 1;
    this.allocations += 1;
    const { words } = this.#frames;
    const at = page * INFO_WORDS;
    if (this.#poisons && (words[at + COUNT_HI]! & PGC_STATE_HI) === PGC_FREE_HI) this.#checkPoison(page);
    words.fill(0, at, at + INFO_WORDS);
    words[at + COUNT_HI] = PGC_ALLOCATED_HI;
    words[at + MARKS] = MARK_HEAP;
    return page + this.#offset;
  }

  #free(frame: Frame, proof: Proof): void {
    const { words } = this.#frames;
    const page = this.#memory.pageOf(frame);
    const at = this.#frames.at(frame);
    const count = words[at + COUNT_HI]!;
    if ((count & PGC_STATE_HI) !== 0) bug(`double free of table ${hexNumber(frame)}`);
    if ((count & PGC_ALLOCATED_HI) === 0) bug(`free of table ${hexNumber(frame)}, which was not allocated`);
    if ((this.#atomics.load(words, at + TYPE_HI) & PGT_LOCKED_HI) !== 0)
      bug(`free of table ${hexNumber(frame)}, which is locked`);
    const marks = words[at + MARKS]!;
    const wasPublished = (marks & MARK_PUBLISHED) !== 0;
    const isStale = ((proof - words[at + DETACHED]!) | 0) <= 0;
    if (proof === NEVER_PUBLISHED && wasPublished)
      bug(`table ${hexNumber(frame)} was published: freeing it takes a flush`);
    if (proof !== NEVER_PUBLISHED && isStale)
      bug(`table ${hexNumber(frame)} was detached after the flush that should free it`);
    const isFixed = (marks & MARK_STATIC) !== 0 || (words[at + TYPE_HI]! & PGT_PINNED_HI) !== 0;
    if (isFixed || this.#atomics.load(this.#control, SYSTEM_STATE) === SYS_STATE_EARLY_BOOT) return;
    this.frees += 1;
    words[at + COUNT_HI] = PGC_FREE_HI;
    if (this.#poisons) this.#words(page).fill(POISON);
    // Frames from outside the heap's range stay where they are: their numbers do not follow from their backing pages.
    if (frame - page === this.#offset) this.#push(page);
  }

  /** A backing page from this CPU's pool, a fresh one, or one of another CPU's pool. */
  #take(): number {
    const own = this.#pop(this.#cpu);
    if (own !== NO_FRAME) return own;
    if (this.#atomics.load(this.#control, FRESH) < this.#control[FRESH_END]!) {
      const fresh = this.#atomics.add(this.#control, FRESH, 1);
      if (fresh < this.#control[FRESH_END]!) return fresh;
    }
    for (let cpu = 0; cpu < this.#mailboxes.count; cpu++) {
      const other = this.#pop(cpu);
      if (other !== NO_FRAME) return other;
    }
    return NO_FRAME;
  }

  #pop(cpu: number): number {
    const control = this.#control;
    if (this.#atomics.load(control, ofCpu(cpu, POOL)) === 0) return NO_FRAME;
    this.#lockPool(cpu);
    const head = control[ofCpu(cpu, POOL)]!;
    if (head !== 0) control[ofCpu(cpu, POOL)] = this.#frames.words[(head - 1) * INFO_WORDS + NEXT]!;
    this.#atomics.store(control, ofCpu(cpu, POOL_LOCK), 0);
    return head - 1;
  }

  #push(page: number): void {
    const control = this.#control;
    this.#lockPool(this.#cpu);
    this.#frames.words[page * INFO_WORDS + NEXT] = control[ofCpu(this.#cpu, POOL)]!;
    control[ofCpu(this.#cpu, POOL)] = page + 1;
    this.#atomics.store(control, ofCpu(this.#cpu, POOL_LOCK), 0);
  }

  /** Held for a few instructions only. */
  #lockPool(cpu: number): void {
    const control = this.#control;
    if (this.#atomics.compareExchange(control, ofCpu(cpu, POOL_LOCK), 0, 1) !== 0) this.#waitForPool(cpu);
  }

  #waitForPool(cpu: number): void {
    const free = () => this.#atomics.compareExchange(this.#control, ofCpu(cpu, POOL_LOCK), 0, 1) === 0;
    this.#mailboxes.waitUntil(this.#cpu, `the table pool of CPU ${cpu}`, free);
  }

  #words(page: number): Int32Array {
    return this.#memory.words.subarray(page * 1024, (page + 1) * 1024);
  }

  #checkPoison(page: number): void {
    const written = this.#words(page).findIndex((word) => word !== POISON);
    if (written >= 0)
      bug(`entry ${written >> 1} of table ${hexNumber(page + this.#offset)} was written after the table was freed`);
  }
}
