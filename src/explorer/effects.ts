/**
 * Executes one operation of the seam on the explored machine, through the shipped code that implements it, and notes what
 * it changed.
 *
 * Numbers that only grow (of shootdowns, of requests) are given to the code by their order within its operation, so that
 * schedules that differ in nothing else do not differ in them.
 */
import { ofCpu, PGDIR_LOCK, POOL, SHOOTDOWNS, SYSTEM_STATE } from '../hypervisor/control.ts';
import { DETACHED, INFO_WORDS, PGT_LOCKED_HI, TYPE_HI } from '../hypervisor/frame-table.ts';
import { LOCK_PGDIR } from '../hypervisor/locks.ts';
import { NEVER_PUBLISHED, nextNumber, type Proof } from '../hypervisor/proof.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import type { Walker } from '../mmu/walk.ts';
import type { LogNode } from './program.ts';
import { performRarely } from './rare-effects.ts';
import type { Plant } from './scenario.ts';
import {
  hiOfPage,
  loOfPage,
  NOT_QUIET,
  OPERAND,
  PROOF_COUNT,
  PROOFS,
  REQUEST,
  UNACKNOWLEDGED,
  type World,
} from './world.ts';

export class Effects {
  /** The outcome of the last operation. */
  value = 0;
  frame = 0;
  readonly #world: World;
  readonly #reuses: boolean;
  readonly #plant: Plant | undefined;

  constructor(world: World, reuse: 'never' | 'hostile', plant: Plant | undefined) {
    this.#world = world;
    this.#reuses = reuse === 'hostile';
    this.#plant = plant;
  }

  /** Executes the operation that comes after a log. Errors of the code that implements it are thrown. */
  perform(cpu: number, node: LogNode): void {
    const { translator } = this.#world.cpus[cpu]!;
    // The code may be waiting for this very operation: it must not be asked again.
    const watching = translator.observer;
    translator.observer = null;
    this.value = 0;
    this.frame = 0;
    try {
      this.#perform(cpu, node);
    } finally {
      translator.observer = watching;
    }
  }

  #perform(cpu: number, node: LogNode): void {
    const world = this.#world;
    const { a, b, c, d } = node;
    const hands = world.hands[cpu]!;
    const { tables, heap, flush, locks } = hands;
    const { translator } = world.cpus[cpu]!;
    switch (node.operation) {
      case 'read':
        this.value = tables.read(a);
        this.frame = tables.frame;
        return;
      case 'write':
        tables.write(a, d, b, c);
        this.#settleEntries(a, 1);
        return;
      case 'exchange':
        this.value = tables.exchange(a, d, b, c);
        this.frame = tables.frame;
        this.#settleEntries(a, 1);
        return;
      case 'publish':
        tables.publish(a, d, b, c);
        world.settleInfo(b);
        this.#settleEntries(a, 1);
        return;
      case 'fill':
        tables.fill(a, b, c, d);
        this.#settleEntries(a * ENTRIES, ENTRIES);
        return;
      case 'scan':
        this.value = tables.runBase(a, b, c);
        world.settleInfo(a);
        return;
      case 'counters':
        this.value = tables.mayBeRun(a, b) ? 1 : 0;
        world.settleInfo(Math.floor(a / ENTRIES));
        return;
      case 'scanEmpty':
        this.value = tables.isEmpty(a, b) ? 1 : 0;
        world.settleInfo(a);
        return;
      case 'scanTraits':
        this.value = tables.traits(a, b, c);
        return;
      case 'nextTable':
        this.value = tables.nextTable(a, b, c);
        this.frame = tables.frame;
        return;
      case 'alloc':
        this.value = heap.alloc();
        if (this.value >= 0) world.settleInfo(this.value);
        this.#world.settleShared();
        return;
      case 'detach':
        world.frames.words[world.pageOf(a) * INFO_WORDS + DETACHED] = world.control[SHOOTDOWNS]!;
        world.settleInfo(a);
        return;
      case 'free':
        this.#free(cpu, a, b);
        return;
      case 'lock':
        if (this.#plant === 'no-lock') return;
        if (!locks.tryToTake(a)) throw new Error(`lock ${a} was taken meanwhile`);
        this.value = locks.isStale(a) ? 1 : 0;
        this.#settleLock(a);
        return;
      case 'unlock':
        if (this.#plant === 'no-lock') return;
        locks.release(a);
        this.#settleLock(a);
        return;
      case 'shootdown':
      case 'graceBegin':
        this.#begin(cpu, node);
        return;
      case 'flush':
        this.value = this.#plant === 'no-flush' ? b : flush.local(a, b);
        flush.cacheFlushes.length = 0;
        this.#world.settleShared();
        world.settleCaches(cpu);
        return;
      case 'request':
        this.#request(cpu, a, b, c);
        return;
      case 'acknowledge':
        if (this.#plant === 'no-ack') return;
        world.machine.mailboxes.awaitServed(cpu, a, world.wordOf(cpu, REQUEST));
        return;
      case 'systemState':
        this.value = world.control[SYSTEM_STATE]!;
        return;
      case 'load':
        world.port.load(Math.floor(a / ENTRIES), a % ENTRIES, b);
        this.value = world.port.lo;
        this.frame = world.port.hi;
        return;
      case 'compareExchange':
        this.value = world.port.compareExchange(Math.floor(a / ENTRIES), a % ENTRIES, 8, b, c, d) ? 1 : 0;
        this.#settleEntries(a, 1);
        return;
      case 'tlbFind': {
        const { tlb, registers } = translator;
        const found = tlb.find(a, b, registers.pcid);
        this.value = found ? tlb.level | (tlb.rights << 2) : -1;
        this.frame = found ? tlb.frame : 0;
        return;
      }
      case 'structuresFind': {
        const { structures, registers } = translator;
        structures.find(registers.format, registers.rootOf(a), a, b, registers.pcid);
        this.value = structures.level | (structures.rights << 3);
        this.frame = structures.table;
        return;
      }
      case 'tlbFill':
        translator.keep(node.detail as Walker, a, b);
        world.settleCaches(cpu);
        return;
      case 'dropPage':
        translator.invlpg(a, b);
        world.settleCaches(cpu);
        return;
      case 'dropTranslation':
        translator.dropTranslation(a, b);
        world.settleCaches(cpu);
        return;
      case 'dropFaulting':
        translator.dropFaulting(a, b);
        world.settleCaches(cpu);
        return;
      case 'dropAddress':
        translator.dropAddress(a, b, c);
        world.settleCaches(cpu);
        return;
      case 'dropPcid':
        translator.dropPcid(a);
        world.settleCaches(cpu);
        return;
      case 'dropNonGlobal':
        translator.dropNonGlobal();
        world.settleCaches(cpu);
        return;
      case 'dropAll':
        translator.dropAll();
        world.settleCaches(cpu);
        return;
      default:
        this.value = performRarely(world, cpu, node);
    }
  }

  /** Notes a run of stores. */
  settleRun(entry: number, count: number): void {
    this.#settleEntries(entry, Math.min(count, ENTRIES - (entry % ENTRIES)));
  }

  /** A store that waited in a buffer reaches memory. */
  store(cpu: number, entry: number, level: number, frame: number, flags: number): void {
    this.#world.hands[cpu]!.tables.write(entry, level, frame, flags);
    this.#settleEntries(entry, 1);
  }

  isLockFree(what: number): boolean {
    const { control, frames } = this.#world;
    if (what === LOCK_PGDIR) return control[PGDIR_LOCK] === 0;
    return (frames.words[this.#world.pageOf(what) * INFO_WORDS + TYPE_HI]! & PGT_LOCKED_HI) === 0;
  }

  /** Drops all TLB entries of a CPU, or all structure-cache entries: hardware may do so at any time. */
  evict(cpu: number, what: 'pages' | 'tables'): void {
    const { translator } = this.#world.cpus[cpu]!;
    if (what === 'pages') translator.tlb.flushAll();
    else translator.structures.flushAll();
    this.#world.settleCaches(cpu);
  }

  #free(cpu: number, frame: number, token: number): void {
    const world = this.#world;
    const proof = token === NEVER_PUBLISHED ? NEVER_PUBLISHED : world.proofOf(cpu, token);
    const head = world.control[ofCpu(cpu, POOL)]!;
    world.hands[cpu]!.heap.free(frame, proof as Proof);
    if (!this.#reuses) world.control[ofCpu(cpu, POOL)] = head; // as if it lay at the bottom of a deep pool
    world.settleInfo(frame);
    this.#world.settleShared();
  }

  #begin(cpu: number, node: LogNode): void {
    const world = this.#world;
    const token = node.proofs + 1;
    const grace = node.operation === 'graceBegin';
    world.setWord(cpu, PROOFS + (token % PROOF_COUNT), nextNumber(world.control));
    if (grace) world.setWord(cpu, NOT_QUIET, world.insideMask() & ~(1 << cpu));
    this.#world.settleShared();
    this.value = token;
  }

  #request(cpu: number, mask: number, page: number, flags: number): void {
    const world = this.#world;
    world.setWord(cpu, REQUEST, world.hands[cpu]!.flush.request(mask, page, flags));
    world.setWord(cpu, UNACKNOWLEDGED, mask);
    world.setWord(cpu, OPERAND, loOfPage(page) ^ flags);
    world.setWord(cpu, OPERAND + 1, hiOfPage(page));
    this.#world.settleMailboxes();
    this.value = 1;
  }

  #settleEntries(entry: number, count: number): void {
    const world = this.#world;
    const at = 2 * world.machine.memory.quadOf(entry);
    if (at < 0) return;
    world.state.settle(world.memory, at, at + 2 * count);
    world.settleInfo(Math.floor(entry / ENTRIES));
  }

  #settleLock(what: number): void {
    if (what === LOCK_PGDIR) this.#world.settleShared();
    else this.#world.settleInfo(what);
  }
}
