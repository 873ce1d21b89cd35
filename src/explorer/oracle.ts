/**
 * Judges each event by rules (rules.ts), from ghost state of its own: the life of each frame, who holds which lock, what an
 * operation has replaced. It reads memory and caches as an observer would, and never asks the code under test.
 *
 * The same oracle judges explored machines, where its ghost state is taken back with the rest, and running ones
 * (sanitizer.ts).
 */
import { LOCK_PGDIR } from '../hypervisor/locks.ts';
import { ENTRIES } from '../hypervisor/tables.ts';
import { checkCaches, checkFill, pageOfAddress } from './cache-rules.ts';
import { mappingText } from './flat-map.ts';
import { type Ghost, Life, Lives } from './lives.ts';
import type { RuleName, Violation } from './rules.ts';
import { decode, entryAt, leadsToTable, type SeenEntry, spanOf, tablesBelow, walkFor } from './tables-seen.ts';
import type { SeenEvent, Watched } from './watched.ts';
import { isCovered, losesDirty } from './write-rules.ts';

/** Pages of 48-bit addresses: what tells them apart in tables and caches. */
const LINEAR_PAGES = 2 ** 36;

export class Oracle {
  readonly lives: Lives;
  readonly #watched: Watched;
  readonly #without: ReadonlySet<RuleName>;
  readonly #found: Violation[] = [];
  /** The entry about to be written, as it was. */
  #old: SeenEntry = decode(0, 0);

  constructor(watched: Watched, ghost: Ghost, without: readonly RuleName[] = []) {
    this.#watched = watched;
    this.#without = new Set(without);
    this.lives = new Lives(ghost);
    for (const { frame, level, page } of tablesBelow(watched, watched.root, 4, 0))
      this.lives.isTable(watched.pageOf(frame), level, page);
  }

  /** Whether there is something to take. */
  get hasFound(): boolean {
    return this.#found.length > 0;
  }

  /** What breaks a rule, of all events since the last call. */
  take(): Violation[] {
    return this.#found.splice(0);
  }

  /** Before an event happens. */
  before(event: SeenEvent): void {
    const { operation, a, by } = event;
    switch (operation) {
      case 'read':
      case 'load':
      case 'counters':
        this.#uses(event, Math.floor(a / ENTRIES));
        return;
      case 'write':
      case 'exchange':
      case 'publish':
        this.#uses(event, Math.floor(a / ENTRIES));
        this.#writes(event);
        return;
      case 'compareExchange':
        this.#uses(event, Math.floor(a / ENTRIES));
        return;
      case 'writeRun':
        this.#uses(event, Math.floor(a / ENTRIES));
        this.#mustBeCovered(event, Math.floor(a / ENTRIES));
        return;
      case 'scan':
      case 'scanEmpty':
      case 'scanTraits':
      case 'nextTable':
      case 'fill':
        this.#uses(event, a);
        return;
      case 'free':
        this.#frees(event);
        return;
      case 'request':
        if (by === 'cpu' && this.#watched.isUnacknowledged(event.cpu))
          this.#report('acknowledged', event, 'asks again before its last request was acknowledged');
        return;
      default:
        return;
    }
  }

  /** After it: its outcome. */
  after(event: SeenEvent, value: number): void {
    const { operation, a, b, cpu } = event;
    const page = (frame: number): number => this.#watched.pageOf(frame);
    switch (operation) {
      case 'alloc':
        if (value >= 0) this.lives.allocated(page(value), cpu);
        return;
      case 'fill':
        this.lives.filled(page(a));
        return;
      case 'write':
      case 'exchange':
      case 'publish':
        this.#written(event);
        return;
      case 'writeRun':
        if (value > 0) this.#changed(event, a, value);
        return;
      case 'free':
        this.lives.freed(page(a));
        return;
      case 'lock':
        if (value === 0) this.lives.locked(a === LOCK_PGDIR ? -1 : page(a), cpu);
        return;
      case 'unlock':
      case 'retire':
        this.lives.unlocked(a === LOCK_PGDIR ? -1 : page(a));
        return;
      case 'tlbFill':
        checkFill(this.#watched.cachedBy(cpu, { pages: [{ first: pageOfAddress(a, b), pages: 1 }] }), event, (what) =>
          this.#report('one-size', event, what),
        );
        return;
      default:
        return;
    }
  }

  /** When an operation of a CPU has returned. */
  ended(cpu: number): void {
    const event: SeenEvent = { cpu, by: 'cpu', operation: 'read', a: 0, b: 0, c: 0, d: 0 };
    if (this.lives.holdsLock(cpu)) this.#report('locks-dropped', event, `CPU ${cpu} returns with a lock held`);
    if (this.#watched.isUnacknowledged(cpu))
      this.#report('acknowledged', event, 'returns before its request was acknowledged');
    if (!this.#without.has('no-stale')) this.#checkStale(cpu, event);
    this.lives.operationEnded(cpu);
  }

  /** When nobody goes on any more. */
  atEnd(): void {
    const event: SeenEvent = { cpu: 0, by: 'cpu', operation: 'read', a: 0, b: 0, c: 0, d: 0 };
    const linked = new Set<number>();
    for (const { frame } of tablesBelow(this.#watched, this.#watched.root, 4, 0))
      linked.add(this.#watched.pageOf(frame));
    this.lives.forEachTable((page, life) => {
      if (life !== Life.FREE && !linked.has(page))
        this.#report('no-leak', event, `a table of CPU ${this.lives.ownerOf(page)} is neither linked nor free`, page);
    });
  }

  #uses(event: SeenEvent, table: number): void {
    const page = this.#watched.pageOf(table);
    const life = page < 0 ? Life.NONE : this.lives.of(page);
    if (life === Life.PUBLISHED || life === Life.DETACHED) return;
    const who = event.by === 'hardware' ? `the walker of CPU ${event.cpu}` : `CPU ${event.cpu}`;
    if (life === Life.FREE) this.#report('free-table', event, `${who} ${verbOf(event)} a table that is free`, table);
    else if (life === Life.NONE && event.by === 'cpu')
      this.#report('only-tables', event, `${who} ${verbOf(event)} a frame that is no table`, table);
    else if (life === Life.PRIVATE && this.lives.ownerOf(page) !== event.cpu)
      this.#report(
        'private-table',
        event,
        `${who} ${verbOf(event)} a table of CPU ${this.lives.ownerOf(page)} that is not linked yet`,
        table,
      );
  }

  #writes(event: SeenEvent): void {
    const { a, b, c, d: level, operation } = event;
    const table = Math.floor(a / ENTRIES);
    this.#old = entryAt(this.#watched, table, a % ENTRIES);
    this.#mustBeCovered(event, table);
    const isLeaf = (c & 1) !== 0 && operation !== 'publish' && level > 1 && (c & 0x80) !== 0;
    if (isLeaf && (b - (b % 2)) % spanOf(level) !== 0)
      this.#report('well-formed', event, `a superpage of level ${level} begins at frame 0x${b.toString(16)}`, table);
    if (operation !== 'publish') return;
    const linked = this.#watched.pageOf(b);
    if (linked < 0) return;
    if (level < 4 && this.lives.of(linked) === Life.PUBLISHED)
      this.#report('one-parent', event, 'a table is linked again', b);
    if (!this.lives.isFilled(linked)) this.#report('filled-first', event, 'a table is linked before it was filled', b);
  }

  /** I14. */
  #mustBeCovered(event: SeenEvent, table: number): void {
    const page = this.#watched.pageOf(table);
    if (page < 0 || this.lives.of(page) !== Life.PUBLISHED || isCovered(this.#watched, this.lives, event.cpu, page))
      return;
    const level = this.lives.levelOf(page);
    this.#report('owner-lock', event, `CPU ${event.cpu} writes to a table of level ${level} without its lock`, table);
  }

  #written(event: SeenEvent): void {
    const { a, b, c, d: level, operation } = event;
    const old = this.#old;
    const table = Math.floor(a / ENTRIES);
    const at = this.#watched.pageOf(table);
    const first = at < 0 ? 0 : this.lives.firstPage(at) + (a % ENTRIES) * spanOf(level);
    const isSame = old.isPresent && old.frame === b && old.flags === c;
    if (leadsToTable(level, old) && !(isSame && operation !== 'publish')) this.#unlinked(old.frame, level - 1);
    if (operation === 'publish') {
      const linked = this.#watched.pageOf(b);
      if (linked >= 0) this.lives.published(linked, level - 1, first);
      // Linked below what nothing leads to any more: whoever replaced that finds it there, and frees it too.
      if (linked >= 0 && at >= 0 && this.lives.of(at) === Life.DETACHED) this.lives.detached(linked);
    }
    if (!isSame) this.#changed(event, a, 1);
    if (losesDirty(this.#watched, event, old))
      this.#report('keeps-dirty', event, 'D was set by hardware after the entry was read, and is lost', table);
  }

  /** A table, and those below it, can be reached through caches and by who read the entry before, and not otherwise. */
  #unlinked(table: number, level: number): void {
    for (const { frame } of tablesBelow(this.#watched, table, level, 0)) {
      const page = this.#watched.pageOf(frame);
      if (page >= 0) this.lives.detached(page);
    }
  }

  /** Entries of what can be seen have changed: which pages that concerns, and whether each is still one of its states. */
  #changed({ cpu }: SeenEvent, entry: number, count: number): void {
    const watched = this.#watched;
    const at = watched.pageOf(Math.floor(entry / ENTRIES));
    if (at < 0 || this.lives.of(at) !== Life.PUBLISHED) return;
    const span = spanOf(this.lives.levelOf(at));
    const first = this.lives.firstPage(at) + (entry % ENTRIES) * span;
    this.lives.noteChange(cpu, first, count * span);
    if (watched.isAllowed === undefined || this.#without.has('before-or-after')) return;
    for (const page of watched.pages) {
      const linear = page % LINEAR_PAGES;
      if (linear < first || linear >= first + count * span) continue;
      const { mapping } = walkFor(watched, watched.root, page);
      if (watched.isAllowed(page, mapping)) continue;
      const what = `page 0x${page.toString(16)} is mapped to ${mappingText(mapping)}, which no operation asked for`;
      this.#found.push({ rule: 'before-or-after', what, by: 'cpu' });
    }
  }

  #frees(event: SeenEvent): void {
    const { a: frame, b: proof, cpu } = event;
    const page = this.#watched.pageOf(frame);
    if (page < 0) return;
    const life = this.lives.of(page);
    const who = `CPU ${cpu}`;
    if (life === Life.FREE) {
      this.#report('freed-once', event, `${who} frees a table that is free`, frame);
      return;
    }
    if (life === Life.NONE) {
      this.#report('only-tables', event, `${who} frees a frame that is no table`, frame);
      return;
    }
    if (life === Life.PRIVATE) return;
    if (life === Life.PUBLISHED) this.#report('linked-table', event, `${who} frees a table that is linked`, frame);
    if (proof !== 0 && this.#watched.isUnacknowledged(cpu))
      this.#report('acknowledged', event, `${who} frees a table before its request was acknowledged`, frame);
    for (let other = 0; other < this.#watched.cpus; other++)
      if (
        this.#watched
          .cachedBy(other, { table: frame })
          .some((cached) => cached.kind === 'table' && cached.frame === frame)
      )
        this.#report('cached-table', event, `a structure cache of CPU ${other} leads to a table that is freed`, frame);
  }

  /** I9, I11: what this operation wrote is in every TLB as it is now. */
  #checkStale(cpu: number, event: SeenEvent): void {
    const changed = this.lives.changesOf(cpu);
    for (let other = 0; changed.length > 0 && other < this.#watched.cpus; other++)
      checkCaches(this.#watched, this.#watched.cachedBy(other, { pages: changed }), (page, pages, what) => {
        if (this.lives.hasChanged(cpu, page, pages))
          this.#report('no-stale', event, `CPU ${other} still translates ${what} when an operation of CPU ${cpu} ends`);
      });
  }

  #report(rule: RuleName, { by }: SeenEvent, what: string, frame?: number): void {
    if (this.#without.has(rule)) return;
    this.#found.push(frame === undefined ? { rule, what, by } : { rule, what, by, frame });
  }
}

function verbOf({ operation }: SeenEvent): string {
  const isWrite =
    operation === 'write' ||
    operation === 'publish' ||
    operation === 'writeRun' ||
    operation === 'fill' ||
    operation === 'exchange' ||
    operation === 'compareExchange';
  return isWrite ? 'writes to' : 'reads';
}
