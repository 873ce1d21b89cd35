/**
 * Operations on whole tables (a scan, a run of stores) are one event only as long as nobody else's event falls between two
 * of their entries and matters. Where another actor writes to an entry of the table, that entry is read, or written, by an
 * event of its own. Which entries those are is not known before they are met: a search that has met new ones is done again
 * with them (explore.ts).
 *
 * A scan in pieces is executed by the shipped code all the same: what was read of the entries in question is put in their
 * place for the last piece, and taken away after it.
 */
import { ENTRIES } from '../hypervisor/tables.ts';
import type { Effects } from './effects.ts';
import { ALL, entriesOf, type Footprint, footprint, lifeOf, linkOf } from './footprint.ts';
import type { LogNode } from './program.ts';
import type { Space, State } from './state.ts';
import type { World } from './world.ts';

/** By backing page of a table: entries at which operations on all of it are split, ascending. */
export type Splits = ReadonlyMap<number, readonly number[]>;

/** Entries that one operation is split at, at most; others are read with the rest. */
const MOST = 6;
// Words of a CPU: pieces done, entries written, and what was read of each entry.
const DONE = 0;
const WRITTEN = 1;
const SEEN = 2;
const WORDS = SEEN + 2 * MOST;

export class Ranges {
  readonly #world: World;
  readonly #effects: Effects;
  readonly #state: State;
  readonly #splits: Splits;
  readonly #space: Space;

  constructor(world: World, effects: Effects, splits: Splits) {
    this.#world = world;
    this.#effects = effects;
    this.#state = world.state;
    this.#splits = splits;
    this.#space = world.state.add(new Int32Array(world.count * WORDS));
  }

  /** What the next piece touches, where it is not the last; else undefined. */
  pieceFootprint(cpu: number, node: LogNode): Footprint | undefined {
    const entry = this.#next(cpu, node);
    if (entry === undefined) return undefined;
    const page = this.#pageOf(node);
    const isWrite = node.operation === 'writeRun' ? 1 : 0;
    const links = isWrite === 1 ? [linkOf(page), ALL, 0] : [];
    return footprint(entriesOf(page), isWrite === 1 ? ALL : entry, isWrite, lifeOf(page), ALL, 0, ...links);
  }

  /** Does the next piece of an operation, where it is not the last. False where it is. */
  doPiece(cpu: number, node: LogNode): boolean {
    const entry = this.#next(cpu, node);
    if (entry === undefined) return false;
    const done = this.#word(cpu, DONE);
    if (node.operation === 'writeRun') {
      const from = this.#word(cpu, WRITTEN);
      const count = entry - (node.a % ENTRIES) - from;
      const written = this.#world.hands[cpu]!.tables.writeRun(node.a + from, node.b + from, node.c, count);
      this.#set(cpu, WRITTEN, from + written);
      this.#set(cpu, DONE, written < count ? MOST : done + 1);
      this.#effects.settleRun(node.a, from + written);
      return true;
    }
    const at = this.#pageOf(node) * 1024 + 2 * entry;
    const { words } = this.#world.memory;
    this.#set(cpu, SEEN + 2 * done, words[at]!);
    this.#set(cpu, SEEN + 2 * done + 1, words[at + 1]!);
    this.#set(cpu, DONE, done + 1);
    return true;
  }

  /** Does an operation, or its last piece: a scan sees the entries that were read before as they were read. */
  perform(cpu: number, node: LogNode): void {
    if (node.operation === 'writeRun') this.#endRun(cpu, node);
    else if (this.#word(cpu, DONE) === 0) this.#effects.perform(cpu, node);
    else this.#endScan(cpu, node);
  }

  #endRun(cpu: number, { a, b, c, d }: LogNode): void {
    const effects = this.#effects;
    const before = this.#word(cpu, WRITTEN);
    const metPresent = this.#word(cpu, DONE) === MOST;
    const { tables } = this.#world.hands[cpu]!;
    effects.frame = 0;
    effects.value = metPresent ? before : before + tables.writeRun(a + before, b + before, c, d - before);
    effects.settleRun(a, effects.value);
    this.#forget(cpu);
  }

  #endScan(cpu: number, node: LogNode): void {
    const { words } = this.#world.memory;
    const entries = this.#entries(node);
    const now: number[] = [];
    for (let nth = 0; nth < this.#word(cpu, DONE); nth++) {
      const at = this.#pageOf(node) * 1024 + 2 * entries[nth]!;
      now.push(words[at]!, words[at + 1]!);
      words[at] = this.#word(cpu, SEEN + 2 * nth);
      words[at + 1] = this.#word(cpu, SEEN + 2 * nth + 1);
    }
    this.#effects.perform(cpu, node);
    for (let nth = 0; 2 * nth < now.length; nth++) {
      const at = this.#pageOf(node) * 1024 + 2 * entries[nth]!;
      words[at] = now[2 * nth]!;
      words[at + 1] = now[2 * nth + 1]!;
    }
    this.#forget(cpu);
  }

  #forget(cpu: number): void {
    for (let word = 0; word < WORDS; word++) this.#set(cpu, word, 0);
  }

  /** The entry that the next piece is about; undefined where the rest is one piece. */
  #next(cpu: number, node: LogNode): number | undefined {
    if (!isRange(node)) return undefined;
    return this.#entries(node)[this.#word(cpu, DONE)];
  }

  #entries({ operation, a, c, d }: LogNode): readonly number[] {
    const table = operation === 'writeRun' ? Math.floor(a / ENTRIES) : a;
    const all = this.#splits.get(this.#world.pageOf(table)) ?? [];
    if (operation === 'writeRun') return all.filter((entry) => entry > a % ENTRIES && entry < (a % ENTRIES) + d);
    return operation === 'nextTable' ? all.filter((entry) => entry >= c) : all;
  }

  #pageOf({ operation, a }: LogNode): number {
    return this.#world.pageOf(operation === 'writeRun' ? Math.floor(a / ENTRIES) : a);
  }

  #word(cpu: number, word: number): number {
    return this.#space.words[cpu * WORDS + word]!;
  }

  #set(cpu: number, word: number, value: number): void {
    this.#state.set(this.#space, cpu * WORDS + word, value);
  }
}

export const isRange = ({ operation }: LogNode): boolean =>
  operation === 'scan' ||
  operation === 'scanEmpty' ||
  operation === 'scanTraits' ||
  operation === 'nextTable' ||
  operation === 'writeRun';

/** Entries in which others may write while an operation on all of their table is under way, as far as code was executed. */
export function conflictsIn(
  nodes: readonly LogNode[],
  actorOf: (node: LogNode) => number,
  pageOf: (frame: number) => number,
): Map<number, number[]> {
  const scanners = new Map<number, Set<number>>();
  for (const node of nodes) {
    if (node.pending !== 'operation' || !isRange(node)) continue;
    const page = pageOf(node.operation === 'writeRun' ? Math.floor(node.a / ENTRIES) : node.a);
    scanners.set(page, (scanners.get(page) ?? new Set()).add(actorOf(node)));
  }
  const found = new Map<number, Set<number>>();
  for (const node of nodes) {
    const { operation, a, pending } = node;
    const writes =
      operation === 'write' || operation === 'exchange' || operation === 'publish' || operation === 'compareExchange';
    if (pending !== 'operation' || !writes) continue;
    const page = pageOf(Math.floor(a / ENTRIES));
    const others = [...(scanners.get(page) ?? [])].some((actor) => actor !== actorOf(node));
    if (others) found.set(page, (found.get(page) ?? new Set()).add(a % ENTRIES));
  }
  return new Map(
    [...found].map(([page, entries]) => [page, [...entries].sort((one, other) => one - other).slice(0, MOST - 1)]),
  );
}
