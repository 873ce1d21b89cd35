/**
 * The locks of the mapping layer: a bit of each L3 table's page_info, and `map_pgdir_lock`.
 *
 * Order: an L3 lock, then `map_pgdir_lock`; never two L3 locks. Interrupts stay on: a CPU that waited for a lock with
 * interrupts off could not serve the flush that the lock's holder waits for. With interrupts off a lock may be taken only
 * while no other CPU is online. A waiting CPU serves requests, and sleeps when the wait is long.
 *
 * Which locks there are is a choice (`Locking`); mapping code calls the same methods whatever was chosen.
 */
import { bug } from '../bug.ts';
import type { Mailboxes } from '../cpu/mailboxes.ts';
import { type Frame, hexNumber } from '../mmu/halves.ts';
import type { Seam } from '../mmu/seam.ts';
import type { Locking } from './behaviour.ts';
import { PGDIR_LOCK } from './control.ts';
import { type FrameTable, HOLDER, PGT_LOCKED_HI, TYPE_HI } from './frame-table.ts';

/** What the seam's observer is told of `map_pgdir_lock` instead of a frame. */
export const LOCK_PGDIR = -1;
const NOTHING = -2;

export class Locks {
  /** Whether locks are taken at all: from the state smp_boot on, as it was when the operation began. */
  engaged = false;
  /** EFLAGS.IF of this CPU. */
  irqsOn = true;

  readonly #frames: FrameTable;
  readonly #control: Int32Array;
  readonly #cpu: number;
  readonly #seam: Seam;
  readonly #mailboxes: Mailboxes;
  readonly #locking: Locking;
  readonly #isShared: boolean;
  /** Frame of the L3 table whose lock this CPU holds, or LOCK_PGDIR in its place; NOTHING. */
  #outer: Frame = NOTHING;
  #holdsPgdir = false;

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
    this.#isShared = frames.memory.isShared;
  }

  /** Whether this CPU holds any lock. */
  get isHolding(): boolean {
    return this.#outer !== NOTHING || this.#holdsPgdir;
  }

  /** Whether nobody else changes the tables below the L3 table in hand: its lock is held, or there is one CPU only. */
  get isExclusive(): boolean {
    return this.#outer !== NOTHING || !this.engaged;
  }

  /** Takes what protects the tables below an L3 table. Xen: L3T_LOCK(). */
  lockBelow(l3: Frame): void {
    if (!this.engaged || this.#locking === 'none-prefix') return;
    const what = this.#locking === 'pgdir' ? LOCK_PGDIR : l3;
    if (this.#outer === what) bug(`CPU ${this.#cpu} already holds ${named(what)}: it would wait for itself`);
    if (this.isHolding) bug(`lock order: CPU ${this.#cpu} takes ${named(what)} while it holds ${this.held()}`);
    this.#lock(what);
    this.#outer = what;
  }

  /** Xen: L3T_UNLOCK(). */
  unlockBelow(): void {
    if (this.#outer === NOTHING) return;
    const what = this.#outer;
    this.#outer = NOTHING;
    this.#unlock(what);
  }

  /** Takes what protects the linking of tables. Xen: spin_lock(&map_pgdir_lock). */
  lockPgdir(): void {
    if (!this.engaged || this.#outer === LOCK_PGDIR) return;
    if (this.#holdsPgdir) bug(`CPU ${this.#cpu} already holds map_pgdir_lock: it would wait for itself`);
    this.#lock(LOCK_PGDIR);
    this.#holdsPgdir = true;
  }

  unlockPgdir(): void {
    if (!this.#holdsPgdir) return;
    this.#holdsPgdir = false;
    this.#unlock(LOCK_PGDIR);
  }

  /** Forgets what this CPU held: its operation was unwound by whoever observes. */
  abandon(): void {
    this.#outer = NOTHING;
    this.#holdsPgdir = false;
  }

  /** What this CPU holds, for people. */
  held(): string {
    const outer = this.#outer === NOTHING ? [] : [named(this.#outer)];
    const held = this.#holdsPgdir ? [...outer, named(LOCK_PGDIR)] : outer;
    return held.length === 0 ? 'no lock' : held.join(' and ');
  }

  /** The step that takes a lock: false where somebody holds it. */
  tryToTake(what: Frame): boolean {
    if (what === LOCK_PGDIR) return this.#exchange(this.#control, PGDIR_LOCK, 0, this.#cpu + 1);
    const { words } = this.#frames;
    const at = this.#frames.at(what);
    const type = words[at + TYPE_HI]!; // the exchange tells whether it is so
    if ((type & PGT_LOCKED_HI) !== 0) return false;
    if (!this.#exchange(words, at + TYPE_HI, type, type | PGT_LOCKED_HI)) return false;
    words[at + HOLDER] = this.#cpu + 1;
    return true;
  }

  /** The step that drops it. */
  release(what: Frame): void {
    if (what === LOCK_PGDIR) {
      if (!this.#exchange(this.#control, PGDIR_LOCK, this.#cpu + 1, 0))
        bug('map_pgdir_lock is unlocked by another CPU');
    } else {
      const { words } = this.#frames;
      const at = this.#frames.at(what);
      words[at + HOLDER] = 0;
      const type = words[at + TYPE_HI]!; // while it is locked, nobody else writes it
      if ((type & PGT_LOCKED_HI) === 0) bug(`${named(what)} is unlocked, and was not locked`);
      if (!this.#exchange(words, at + TYPE_HI, type, type & ~PGT_LOCKED_HI)) bug(`${named(what)} changed while locked`);
    }
    if (this.#isShared) this.#mailboxes.ringSleepers();
  }

  #lock(what: Frame): void {
    this.#checkIrqs(what);
    const { observer } = this.#seam;
    if (observer?.enter('lock', what, 0, 0, 0)) return;
    if (!this.tryToTake(what)) this.#wait(what);
    observer?.leave(0, 0);
  }

  #wait(what: Frame): void {
    this.#mailboxes.waitUntil(this.#cpu, named(what), () => this.tryToTake(what));
  }

  #unlock(what: Frame): void {
    const { observer } = this.#seam;
    if (observer?.enter('unlock', what, 0, 0, 0)) return;
    this.release(what);
    observer?.leave(0, 0);
  }

  /** Compare and set; without other threads a comparison and a store do (3 instead of 10 ns). */
  #exchange(words: Int32Array, at: number, expected: number, value: number): boolean {
    if (this.#isShared) return Atomics.compareExchange(words, at, expected, value) === expected;
    if (words[at] !== expected) return false;
    words[at] = value;
    return true;
  }

  /** With interrupts off one may only wait where nobody else is online. Xen: check_lock(), which its L3 lock bypasses. */
  #checkIrqs(what: Frame): void {
    if (this.irqsOn) return;
    const others = this.#mailboxes.onlineMask & ~(1 << this.#cpu);
    if (others !== 0) bug(`CPU ${this.#cpu} takes ${named(what)} with interrupts off while other CPUs are online`);
  }
}

const named = (what: Frame): string =>
  what === LOCK_PGDIR ? 'map_pgdir_lock' : `the lock of L3 table ${hexNumber(what)}`;
