/**
 * The locks of the mapping layer: a bit of each L3 table's page_info, and `map_pgdir_lock`; or a bit of every table's.
 *
 * Order: an L3 lock, then `map_pgdir_lock`; never two L3 locks. Where every table has its own (`reverify`): a table's, then
 * that of one below it which its entry leads to; and `map_pgdir_lock` with none of them, for L4 entries. Interrupts stay on:
 * a CPU that waited for a lock with interrupts off could not serve the flush that the lock's holder waits for. With
 * interrupts off a lock may be taken only while no other CPU is online. A waiting CPU serves requests, and sleeps when the
 * wait is long.
 *
 * Which locks there are is a choice (`Locking`); mapping code calls the same methods whatever was chosen.
 */
import { bug } from '../bug.ts';
import type { Mailboxes } from '../cpu/mailboxes.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import type { Seam, SeamObserver } from '../mmu/seam.ts';
import type { Locking } from './behaviour.ts';
import { PGDIR_LOCK } from './control.ts';
import { type FrameTable, HOLDER, PGT_LOCKED_HI, PGT_STALE_HI, TYPE_HI } from './frame-table.ts';

/** What the seam's observer is told of `map_pgdir_lock` instead of a frame. */
export const LOCK_PGDIR = -1;
const NOTHING = -2;

// Which locks are taken, as numbers: a comparison of strings takes 2 ns, and so does asking what may be no boolean, as V8 has it
// of a field, or of what a call returns. "=== true" takes less.
const NO_LOCKS = 0;
const L3_LOCKS = 1;
const PGDIR = 2;
const PER_TABLE = 3;
const PREFIX = 4;
const KINDS: Readonly<Record<Locking, number>> = {
  l3: L3_LOCKS,
  pgdir: PGDIR,
  reverify: PER_TABLE,
  'none-prefix': PREFIX,
};

/** One CPU's locks: of an L3 table (or of single tables), and map_pgdir_lock inside. Taken from SYS_STATE_smp_boot on. */
export class Locks {
  /** Which locks are taken: none up to the state boot, as it was when the operation began. */
  #kind = NO_LOCKS;
  /** EFLAGS.IF of this CPU. */
  irqsOn = true;

  readonly #frames: FrameTable;
  readonly #control: Int32Array;
  readonly #cpu: number;
  readonly #seam: Seam;
  readonly #mailboxes: Mailboxes;
  readonly #locking: Locking;
  readonly #engaged: number;
  readonly #isShared: boolean;
  /** Frame of the L3 table, or of the table, whose lock this CPU holds, or LOCK_PGDIR in its place; NOTHING. */
  #outer: Frame = NOTHING;
  /** The table below it whose lock this CPU holds too. */
  #child: Frame = NOTHING;
  /** 1 where it holds `map_pgdir_lock` besides. */
  #holdsPgdir = 0;
  /** The table whose page_info was looked for last, and where it lies. */
  #known: Frame = NOTHING;
  #knownAt = 0;

  constructor(
    frames: FrameTable,
    control: Int32Array,
    cpu: number,
    seam: Seam,
    mailboxes: Mailboxes,
    locking: Locking,
  ) {
    this.#frames = frames;
    this.#control = control;
    this.#cpu = cpu;
    this.#seam = seam;
    this.#mailboxes = mailboxes;
    this.#locking = locking;
    this.#engaged = KINDS[locking];
    this.#isShared = frames.memory.isShared;
  }

  /** Whether this CPU holds any lock: without one, all three are at their least. One comparison (2 % of a mapped page). */
  get isHolding(): boolean {
    return this.#outer + this.#child + this.#holdsPgdir !== 2 * NOTHING;
  }

  /** An operation begins, and locks or not. */
  begin(engages: boolean): void {
    this.#kind = engages ? this.#engaged : NO_LOCKS;
  }

  /** Whether every table has its own lock, which is taken when an entry in it is to change (claim.ts). */
  get isPerTable(): boolean {
    return this.#kind === PER_TABLE;
  }

  /** Whether an entry that this CPU has read is as it was when it changes it: not with the locks of before XSA-345. */
  get isExclusive(): boolean {
    return this.#kind !== PREFIX;
  }

  /** Takes what protects the tables below an L3 table. Xen: L3T_LOCK(). */
  lockBelow(l3: Frame): void {
    if (this.#kind === L3_LOCKS) this.#takeOuter(l3);
    else if (this.#kind === PGDIR) this.#takeOuter(LOCK_PGDIR);
  }

  /** Xen: L3T_UNLOCK(). */
  unlockBelow(): void {
    if (this.#outer === NOTHING) return;
    const what = this.#outer;
    this.#outer = NOTHING;
    this.#unlock(what);
  }

  /** Takes a table's own lock, to change entries in it. False where the table is stale. `unlockBelow` drops it. */
  lockTable(table: Frame): boolean {
    return this.#takeOuter(table);
  }

  /** Whether this CPU holds the lock of an L3 table, or a table's own. */
  holds(table: Frame): boolean {
    return this.#outer === table;
  }

  /** Takes the own lock of a table below the one that is held, where tables have one. False where it is stale. */
  lockChild(table: Frame): boolean {
    if (!this.isPerTable) return true;
    if (this.#child !== NOTHING) bug(`lock order: CPU ${this.#cpu} takes two locks below the one it holds`);
    if (!this.#lock(table)) return false;
    this.#child = table;
    return true;
  }

  /** Drops the lock of the table below. */
  unlockChild(): void {
    if (this.#child === NOTHING) return;
    const table = this.#child;
    this.#child = NOTHING;
    this.#unlock(table);
  }

  /** After the table was unlinked: whoever wanted its lock, or will, finds it stale. */
  retireChild(): void {
    if (this.#child === NOTHING) return;
    const table = this.#child;
    this.#child = NOTHING;
    const { observer } = this.#seam;
    if (observer?.enter('retire', table, 0, 0, 0)) return;
    this.release(table, PGT_STALE_HI);
    observer?.leave(0, 0);
  }

  /** Takes what protects the linking of tables, where what is held does not do so. Xen: spin_lock(&map_pgdir_lock). */
  lockPgdir(): void {
    if (this.#kind === NO_LOCKS || this.#outer === LOCK_PGDIR || (this.isPerTable && this.#outer !== NOTHING)) return;
    if (this.#holdsPgdir !== 0) bug(`CPU ${this.#cpu} already holds map_pgdir_lock: it would wait for itself`);
    this.#lock(LOCK_PGDIR);
    this.#holdsPgdir = 1;
  }

  /** Drops map_pgdir_lock. */
  unlockPgdir(): void {
    if (this.#holdsPgdir === 0) return;
    this.#holdsPgdir = 0;
    this.#unlock(LOCK_PGDIR);
  }

  /** Forgets what this CPU held: its operation was unwound by whoever observes. */
  abandon(): void {
    this.#outer = NOTHING;
    this.#child = NOTHING;
    this.#holdsPgdir = 0;
  }

  /** What this CPU holds, for people. */
  held(): string {
    const held = [this.#outer, this.#child, this.#holdsPgdir !== 0 ? LOCK_PGDIR : NOTHING].filter(
      (what) => what !== NOTHING,
    );
    return held.length === 0 ? 'no lock' : held.map((what) => this.#name(what)).join(' and ');
  }

  /** The step that takes a lock: false where somebody holds it. True as well where it is not to be had: of a stale table. */
  tryToTake(what: Frame): boolean {
    if (what === LOCK_PGDIR) return this.#exchange(this.#control, PGDIR_LOCK, 0, this.#cpu + 1);
    const { words } = this.#frames;
    const at = this.#at(what);
    const type = words[at + TYPE_HI]!; // the exchange tells whether it is so
    if ((type & (PGT_LOCKED_HI | PGT_STALE_HI)) !== 0) return (type & PGT_LOCKED_HI) === 0;
    if (!this.#exchange(words, at + TYPE_HI, type, type | PGT_LOCKED_HI)) return false;
    words[at + HOLDER] = this.#cpu + 1;
    return true;
  }

  /** The step that drops it, leaving a mark in type_info. */
  release(what: Frame, mark = 0): void {
    if (what === LOCK_PGDIR) {
      if (!this.#exchange(this.#control, PGDIR_LOCK, this.#cpu + 1, 0)) this.#refuseRelease(what);
    } else {
      const { words } = this.#frames;
      const at = this.#at(what);
      words[at + HOLDER] = 0;
      const type = words[at + TYPE_HI]!; // while it is locked, nobody else writes it
      const isLocked = (type & PGT_LOCKED_HI) !== 0;
      if (!isLocked || !this.#exchange(words, at + TYPE_HI, type, (type & ~PGT_LOCKED_HI) | mark))
        this.#refuseRelease(what);
    }
    if (this.#isShared === true) this.#mailboxes.ringSleepers();
  }

  #refuseRelease(what: Frame): never {
    if (what === LOCK_PGDIR) bug('map_pgdir_lock is unlocked by another CPU');
    bug(`${this.#name(what)} is unlocked, and was not locked or changed meanwhile`);
  }

  /** Where a table's page_info lies. The same table is asked for again and again. */
  #at(table: Frame): number {
    if (table !== this.#known) {
      this.#knownAt = this.#frames.at(table) | 0;
      this.#known = table;
    }
    return this.#knownAt;
  }

  #takeOuter(what: Frame): boolean {
    if (this.isHolding === true) this.#refuseSecond(what);
    if (!this.#lock(what)) return false;
    this.#outer = what;
    return true;
  }

  #refuseSecond(what: Frame): never {
    if (this.#outer === what) bug(`CPU ${this.#cpu} already holds ${this.#name(what)}: it would wait for itself`);
    bug(`lock order: CPU ${this.#cpu} takes ${this.#name(what)} while it holds ${this.held()}`);
  }

  /** False where the table is stale, which only tables with a lock of their own can be. */
  #lock(what: Frame): boolean {
    if (this.irqsOn !== true) this.#checkIrqs(what);
    const { observer } = this.#seam;
    if (observer !== null) return this.#watchedLock(observer, what);
    if (this.tryToTake(what) !== true) this.#wait(what);
    return !this.isPerTable || !this.isStale(what);
  }

  #watchedLock(observer: SeamObserver, what: Frame): boolean {
    if (observer.enter('lock', what, 0, 0, 0)) return observer.value === 0;
    if (!this.tryToTake(what)) this.#wait(what);
    const isStale = this.isPerTable && this.isStale(what);
    observer.leave(isStale ? 1 : 0, 0);
    return !isStale;
  }

  /** Of a lock that was taken, or could not be: whether its table is stale. */
  isStale(what: Frame): boolean {
    if (what === LOCK_PGDIR) return false;
    return (Atomics.load(this.#frames.words, this.#frames.at(what) + TYPE_HI) & PGT_STALE_HI) !== 0;
  }

  #wait(what: Frame): void {
    this.#mailboxes.waitUntil(this.#cpu, this.#name(what), () => this.tryToTake(what));
  }

  #unlock(what: Frame): void {
    const { observer } = this.#seam;
    if (observer === null) this.release(what);
    else if (!observer.enter('unlock', what, 0, 0, 0)) {
      this.release(what);
      observer.leave(0, 0);
    }
  }

  /** Compare and set; without other threads a comparison and a store do (3 instead of 10 ns). */
  #exchange(words: Int32Array, at: number, expected: number, value: number): boolean {
    if (this.#isShared === true) return Atomics.compareExchange(words, at, expected, value) === expected;
    if (words[at] !== expected) return false;
    words[at] = value;
    return true;
  }

  /** With interrupts off one may only wait where nobody else is online. Xen: check_lock(), which its L3 lock bypasses. */
  #checkIrqs(what: Frame): void {
    const others = this.#mailboxes.onlineMask & ~(1 << this.#cpu);
    if (others === 0) return;
    bug(`CPU ${this.#cpu} takes ${this.#name(what)} with interrupts off while other CPUs are online`);
  }

  #name(what: Frame): string {
    return lockName(what, this.#locking);
  }
}

/** What a lock is called in messages. */
export function lockName(what: Frame, locking: Locking): string {
  if (what === LOCK_PGDIR) return 'map_pgdir_lock';
  return `the lock of ${locking === 'reverify' ? 'table' : 'L3 table'} ${hexNumber(what)}`;
}
