/** Operations that few scenarios have: tables without locks on the way, flushes by a hypervisor below, and whom a flush may leave out. */
import { FLUSH_ORDER, FLUSH_ORDER_MASK, FLUSH_TLB_GLOBAL } from '../hypervisor/flags.ts';
import type { Flush } from '../hypervisor/flush.ts';
import { PGT_STALE_HI } from '../hypervisor/frame-table.ts';
import type { LogNode } from './program.ts';
import { hiOfPage, loOfPage, NOT_QUIET, type World } from './world.ts';

/** An operation that has no meaning here. */
export class UnsupportedError extends Error {
  override readonly name: string = 'UnsupportedError';
}

/** Executes the operation that comes after a log, as effects.ts does. Returns its outcome. */
export function performRarely(world: World, cpu: number, { operation, a, b, c }: LogNode): number {
  const { flush, tables, locks, grace } = world.hands[cpu]!;
  switch (operation) {
    case 'begin':
      grace.enter();
      world.settleShared();
      return 0;
    case 'end':
      grace.leave();
      noteQuiet(world, cpu);
      return 0;
    case 'graceEnd':
      if (!grace.isOver(world.proofOf(cpu, a))) throw new Error(`grace period ${a} is not over`);
      return 0;
    case 'retire':
      locks.release(a, PGT_STALE_HI);
      world.settleInfo(a);
      return 0;
    case 'keep':
      tables.keep(a);
      world.settleInfo(a);
      return 0;
    case 'isKept':
      return tables.isKept(a) ? 1 : 0;
    case 'assist':
      return assist(world, flush, a, b, c);
    case 'clock':
      mustUseClock(world, operation);
      return flush.stamp() | 0;
    case 'filter':
      mustUseClock(world, operation);
      return flush.stale(a, b);
    default:
      throw new UnsupportedError(`${operation}: this operation is not explored`);
  }
}

/** A CPU leaves an operation: it holds no pointers any more. */
function noteQuiet(world: World, cpu: number): void {
  for (let other = 0; other < world.count; other++)
    world.setWord(other, NOT_QUIET, world.wordOf(other, NOT_QUIET) & ~(1 << cpu));
  world.settleShared();
}

/** Where the scenario's hypervisor says that it flushes, it does so at once: no code of the CPUs concerned runs. */
function assist(world: World, flush: Flush, mask: number, page: number, flags: number): number {
  if (!flush.assist(mask, page, flags)) return 0;
  for (let cpu = 0; cpu < world.count; cpu++) {
    if ((mask & (1 << cpu)) === 0) continue;
    const { translator } = world.cpus[cpu]!;
    // The CPU's code may be at an operation: it is not to be told of this.
    const watching = translator.observer;
    translator.observer = null;
    if ((flags & FLUSH_ORDER_MASK) === FLUSH_ORDER(0)) translator.invlpg(loOfPage(page), hiOfPage(page));
    else if ((flags & FLUSH_TLB_GLOBAL) !== 0) translator.dropAll();
    else translator.dropNonGlobal();
    translator.observer = watching;
    world.settleCaches(cpu);
  }
  return 1;
}

/** Only with the clock in the hash do schedules count as different that differ in it alone. */
function mustUseClock({ usesClock }: World, operation: string): void {
  if (!usesClock) throw new UnsupportedError(`${operation}: the scenario must say that it uses the TLB clock`);
}
