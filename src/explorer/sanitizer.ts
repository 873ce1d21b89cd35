/**
 * The oracle on a running Xen: judges what mapping code does through the seam (Xen's functions, and an embedder's own that
 * use `mm.tables`, `mm.heap`, `mm.locks` and `mm.flush`), and what walkers and caches do meanwhile.
 *
 * Most rules are judged at the operation that breaks them. Some are about what is left when a whole mapping operation
 * ends: stale translations, locks that are held, acknowledgements nobody waited for. It ends
 * - when the function given to `operation` returns, for an embedder's own code;
 * - else when the next one on the same CPU begins: all of Xen's functions ask for the system state first;
 * - else when `check` is called.
 * The drop of a lock is no end: a flush may come after it.
 */
import type { Machine } from '../cpu/machine.ts';
import { SYS_STATE_BOOT } from '../hypervisor/control.ts';
import type { Xen } from '../hypervisor/xen.ts';
import type { Seam } from '../mmu/seam.ts';
import { RunningOracle, seenMemory } from './running-oracle.ts';
import type { SanitizerOptions } from './sanitizer-error.ts';
import { SeamTap, type TapListener } from './seam-tap.ts';
import type { SeenEvent, Watched } from './watched.ts';

/** What an operation read last from each entry; of two that share a place, the later. */
class LastReads {
  static readonly #PLACES = 64;
  readonly #entries: Float64Array = new Float64Array(LastReads.#PLACES).fill(-1);
  readonly #flags: Int32Array = new Int32Array(LastReads.#PLACES);

  note(entry: number, flags: number): void {
    const at = entry % LastReads.#PLACES;
    this.#entries[at] = entry;
    this.#flags[at] = flags;
  }

  of(entry: number): number | undefined {
    const at = entry % LastReads.#PLACES;
    return this.#entries[at] === entry ? this.#flags[at] : undefined;
  }

  forget(): void {
    this.#entries.fill(-1);
  }
}

/**
 * Judges mapping code on a running Xen: `machine.observe(new Sanitizer(xen))`. The first broken rule is thrown as a
 * `SanitizerError`, or each is told to `onViolation`. CPUs of one thread only; costs 2 to 9 times.
 */
export class Sanitizer extends RunningOracle {
  readonly #xen: Xen;
  /** By CPU: what it has read, whether it waits for an acknowledgement, and how many operations it is in. */
  readonly #reads: readonly LastReads[];
  readonly #hasAsked: boolean[];
  readonly #depths: number[];

  constructor(xen: Xen, options: SanitizerOptions = {}) {
    super(options);
    this.#xen = xen;
    const { count } = xen.machine.mailboxes;
    this.#reads = Array.from({ length: count }, () => new LastReads());
    this.#hasAsked = new Array(count).fill(false);
    this.#depths = new Array(count).fill(0);
  }

  /** Runs one operation of a CPU, and judges what it leaves. Operations within it are part of it. */
  operation<Result>(cpu: number, run: () => Result): Result {
    if (this.#depths[cpu] === 0) this.#end(cpu); // what was before it
    this.#depths[cpu]! += 1;
    let result: Result;
    try {
      result = run();
    } catch (failure) {
      this.#depths[cpu]! -= 1;
      throw failure;
    }
    this.#depths[cpu]! -= 1;
    if (this.#depths[cpu] === 0) this.#end(cpu);
    return result;
  }

  /**
   * Ends the operations of all CPUs, and compares everything that is cached with the tables as they are, so that changes
   * show which the seam did not tell of. `cpu` is named as the one that made them.
   */
  check(cpu = 0): void {
    for (const { index } of this.machine.cpus) if (this.#depths[index] === 0) this.#end(index);
    if (this.isWatching) this.compareAll(cpu);
  }

  /** Declares another root: an L4 table of the embedder's that gets Xen's entries. */
  root(frame: number): void {
    this.oracle.lives.isTable(this.machine.memory.pageOf(frame), 4, 0);
  }

  protected override seams(machine: Machine): [Seam, SeamTap][] {
    if (machine !== this.#xen.machine) throw new RangeError('this sanitizer is for another machine');
    const listener: TapListener = { before: this.#beforeMapping, after: this.#afterMapping };
    return machine.cpus.map(({ index }) => [this.#xen.on(index), new SeamTap(index, 'cpu', listener)]);
  }

  protected override watched(machine: Machine): Watched {
    const xen = this.#xen;
    const { pageOf } = seenMemory(machine);
    return {
      get words() {
        return machine.memory.words;
      },
      pageOf,
      root: xen.root,
      cpus: machine.cpus.length,
      locking: xen.on(machine.cpus[0]!.index).options.locking,
      locksAreTaken: () => xen.systemState > SYS_STATE_BOOT,
      cachedBy: (cpu, about) => this.cachedBy(cpu, xen.root, about),
      lastRead: (cpu, entry) => this.#reads[cpu]!.of(entry),
      isUnacknowledged: (cpu) => this.#hasAsked[cpu]!,
      isAllowed: undefined,
      pages: [],
    };
  }

  readonly #beforeMapping = (event: SeenEvent): void => {
    const { operation, cpu } = event;
    if (operation === 'systemState') {
      if (this.#depths[cpu] === 0) this.#end(cpu);
    } else this.before(event);
  };

  readonly #afterMapping = (event: SeenEvent, value: number): void => {
    const { operation, cpu, a } = event;
    if (operation === 'read') {
      this.#reads[cpu]!.note(a, value);
      return;
    }
    if (operation === 'request') this.#hasAsked[cpu] = true;
    else if (operation === 'acknowledge') this.#hasAsked[cpu] = false;
    this.after(event, value);
  };

  #end(cpu: number): void {
    if (!this.isWatching) return;
    this.oracle.ended(cpu);
    this.#reads[cpu]!.forget();
    this.#hasAsked[cpu] = false;
    this.report(cpu);
  }
}
