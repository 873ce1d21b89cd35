/**
 * The oracle on a machine whose tables an embedder writes by itself, through `machine.host` or by stores of a guest: nobody
 * is told of such writes. What walkers read and what is cached is seen all the same. The embedder says which frames it has
 * freed and which are tables again, and calls `check` at the end of each of its operations.
 *
 * 4-level paging only; what is cached in other modes is not judged. `check` walks for each translation that any CPU may have
 * cached, and `freed` looks at every table.
 */
import type { Machine } from '../cpu/machine.ts';
import type { Seam } from '../mmu/seam.ts';
import { Life } from './lives.ts';
import { RunningOracle, seenMemory } from './running-oracle.ts';
import type { SanitizerOptions } from './sanitizer-error.ts';
import type { SeamTap } from './seam-tap.ts';
import { tablesBelow } from './tables-seen.ts';
import type { SeenEvent, Watched } from './watched.ts';

/** Judges tables that an embedder, or its guest, writes by itself, by what it is told: `freed`, `table`, `check`. */
export class TableSanitizer extends RunningOracle {
  constructor(options: SanitizerOptions = {}) {
    super(options);
  }

  /** A frame is a table from now on; needed only where it was freed before. */
  table(frame: number): void {
    this.oracle.lives.isTable(this.#pageOf(frame), 1, 0);
  }

  /**
   * A table is given back. Reported where that was done before, where an entry below the root of some CPU leads to it, or
   * where a structure cache does; from now on, where a walker reads it.
   */
  freed(frame: number, cpu = 0): void {
    const { lives } = this.oracle;
    const page = this.#pageOf(frame);
    if (lives.of(page) !== Life.FREE) {
      lives.isTable(page, 1, 0);
      if (!this.#isLinked(frame)) lives.detached(page);
    }
    const event: SeenEvent = { cpu, by: 'cpu', operation: 'free', a: frame, b: 1, c: 0, d: 0 };
    this.before(event);
    this.after(event, 0);
  }

  /** Reports translations that any CPU still has cached and the tables do not give any more; even of fewer rights. */
  check(cpu = 0): void {
    this.compareAll(cpu);
  }

  protected override seams(): [Seam, SeamTap][] {
    return [];
  }

  protected override watched(machine: Machine): Watched {
    const { pageOf } = seenMemory(machine);
    return {
      get words() {
        return machine.memory.words;
      },
      pageOf,
      root: machine.cpus[0]!.registers.root,
      cpus: machine.cpus.length,
      locking: 'none-prefix',
      locksAreTaken: () => false,
      cachedBy: (cpu, { pages, table }) =>
        (pages === undefined ? this.cachesOf(cpu)?.tablesTo(table) : this.cachesOf(cpu)?.pagesIn(pages)) ?? [],
      lastRead: () => undefined,
      isUnacknowledged: () => false,
      isAllowed: undefined,
      pages: [],
    };
  }

  #isLinked(table: number): boolean {
    const seen = seenMemory(this.machine);
    for (const { registers } of this.machine.cpus)
      if (registers.format.levels === 4)
        for (const { frame } of tablesBelow(seen, registers.root, 4, 0)) if (frame === table) return true;
    return false;
  }

  #pageOf(frame: number): number {
    const page = this.machine.memory.pageOf(frame);
    if (page < 0) throw new RangeError(`frame 0x${frame.toString(16)} is no RAM`);
    return page;
  }
}
