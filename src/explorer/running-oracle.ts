/**
 * The oracle on a running machine: what its CPUs' hardware does is watched through their seams, and judged as it happens.
 * What mapping code does, and when it is judged, is for those who extend this: sanitizer.ts, table-sanitizer.ts.
 */
import type { Machine, MachineObserver } from '../cpu/machine.ts';
import { RUNNING } from '../cpu/mailboxes.ts';
import type { Seam } from '../mmu/seam.ts';
import { checkCaches, pageOfAddress } from './cache-rules.ts';
import { KeptCaches, type KeptEntry } from './kept-caches.ts';
import type { Ghost } from './lives.ts';
import { Oracle } from './oracle.ts';
import type { Violation } from './rules.ts';
import { reportOf, SanitizerError, type SanitizerOptions } from './sanitizer-error.ts';
import { SeamTap, type TapListener } from './seam-tap.ts';
import { entryAt, indexOf, type SeenMemory } from './tables-seen.ts';
import type { About, SeenEvent, Watched } from './watched.ts';

/** Ghost state that is never taken back. */
class GrowingGhost implements Ghost {
  readonly pages: number;
  #words: Int32Array = new Int32Array(1 << 14);

  constructor(pages: number) {
    this.pages = pages;
  }

  get(index: number): number {
    return this.#words[index] ?? 0;
  }

  set(index: number, value: number): void {
    if (index >= this.#words.length) {
      const old = this.#words;
      this.#words = new Int32Array(Math.max(2 * old.length, index + 1));
      this.#words.set(old);
    }
    this.#words[index] = value;
  }
}

/** A machine's memory as the oracle reads it. */
export const seenMemory = ({ memory }: Machine): SeenMemory => ({
  get words() {
    return memory.words;
  },
  pageOf: (frame) => memory.pageOf(frame),
});

export abstract class RunningOracle implements MachineObserver {
  readonly #options: SanitizerOptions;
  readonly #seams: Seam[] = [];
  #machine: Machine | undefined;
  #oracle: Oracle | undefined;
  #caches: readonly KeptCaches[] = [];

  constructor(options: SanitizerOptions) {
    this.#options = options;
  }

  /** Of `machine.observe`: begins with the tables and caches as they are now. */
  attach(machine: Machine): () => void {
    if (this.#machine !== undefined) throw new RangeError('this sanitizer watches a machine already');
    if (machine.cpus.length !== machine.mailboxes.count)
      throw new RangeError('a sanitizer watches machines of which this thread runs all CPUs');
    const seams = this.seams(machine);
    const listener = { before: this.before, after: this.after };
    for (const { index, translator } of machine.cpus) {
      seams.push([translator, new SeamTap(index, 'hardware', listener)]);
      seams.push([translator.port, new SeamTap(index, 'hardware', this.#loads(translator.registers, listener))]);
    }
    if (seams.some(([{ observer }]) => observer !== null))
      throw new RangeError('somebody watches this machine already');
    this.#machine = machine;
    this.#caches = machine.cpus.map(({ translator }) => new KeptCaches(translator));
    this.#oracle = new Oracle(
      this.watched(machine),
      new GrowingGhost(machine.memory.bytes.length / 4096),
      this.#options.without,
    );
    for (const [seam, tap] of seams) {
      seam.observer = tap;
      this.#seams.push(seam);
    }
    return () => this.#stop();
  }

  /** Seams besides those of the hardware. */
  protected abstract seams(machine: Machine): [Seam, SeamTap][];

  /** What the oracle may look at. */
  protected abstract watched(machine: Machine): Watched;

  protected get isWatching(): boolean {
    return this.#machine !== undefined;
  }

  protected get machine(): Machine {
    if (this.#machine === undefined) throw new RangeError('this sanitizer watches no machine');
    return this.#machine;
  }

  protected get oracle(): Oracle {
    if (this.#oracle === undefined) throw new RangeError('this sanitizer watches no machine');
    return this.#oracle;
  }

  /** What a CPU has cached and may still use. One that does not run drops all that it was asked to before it does. */
  protected cachesOf(cpu: number): KeptCaches | undefined {
    const { mailboxes } = this.machine;
    if (mailboxes.stateOf(cpu) === RUNNING) return this.#caches[cpu];
    return mailboxes.isOnline(cpu) && !mailboxes.isAsked(cpu) ? this.#caches[cpu] : undefined;
  }

  /** The part of it that was asked for, where it came from the tables below a root. */
  protected cachedBy(cpu: number, root: number, about: About): readonly KeptEntry[] {
    const caches = this.cachesOf(cpu);
    if (caches === undefined) return [];
    if (about.pages === undefined) return caches.tablesTo(about.table);
    return caches.pagesIn(about.pages).filter((entry) => this.#isBelow(root, entry));
  }

  /** Tells of what the oracle has found. */
  protected report(cpu: number): void {
    if (this.#oracle?.hasFound === true) for (const violation of this.#oracle.take()) this.#tell(violation, cpu);
  }

  /** Compares all that any CPU has cached with the tables as they are; `cpu` is whose mistake it is. */
  protected compareAll(cpu: number): void {
    if (this.#options.without?.includes('no-stale') === true) return;
    const memory = seenMemory(this.machine);
    const found: string[] = [];
    for (const { index } of this.machine.cpus)
      for (const entry of this.cachesOf(index)?.pages() ?? [])
        checkCaches({ ...memory, root: entry.root }, [entry], (_page, _pages, what) =>
          found.push(`CPU ${index} still translates ${what}, and the tables do not`),
        );
    for (const what of found) this.#tell({ rule: 'no-stale', what, by: 'cpu' }, cpu);
  }

  #tell(violation: Violation, cpu: number): void {
    const { onViolation } = this.#options;
    const report = reportOf(violation, cpu);
    if (onViolation === undefined) {
      this.#stop(); // the code that is unwound now would break more
      throw new SanitizerError(report);
    }
    onViolation(report);
  }

  #stop(): void {
    for (const seam of this.#seams.splice(0)) seam.observer = null;
    this.#machine = undefined;
    this.#oracle = undefined;
  }

  protected readonly before = (event: SeenEvent): void => {
    if (this.#oracle === undefined) return;
    this.#oracle.before(event);
    this.report(event.cpu);
  };

  protected readonly after = (event: SeenEvent, value: number): void => {
    if (this.#oracle === undefined) return;
    if (event.by === 'hardware') this.#caches[event.cpu]!.note(event.operation, event.a, event.b, event.c);
    this.#oracle.after(event, value);
    this.report(event.cpu);
  };

  /** Of a walker only loads are judged, and only in tables of 512 entries: others number theirs differently. */
  #loads(registers: { readonly format: { readonly entryBytes: number } }, { before }: TapListener): TapListener {
    return {
      before: (event) => {
        if (registers.format.entryBytes === 8) before(event);
      },
      after: () => {},
    };
  }

  /** Other roots may have tables of their own. */
  #isBelow(root: number, { root: filledBelow, lo, hi }: KeptEntry): boolean {
    if (filledBelow === root) return true;
    const seen = seenMemory(this.machine);
    const index = indexOf(pageOfAddress(lo, hi), 4);
    const own = entryAt(seen, filledBelow, index);
    return own.isPresent && own.frame === entryAt(seen, root, index).frame;
  }
}
