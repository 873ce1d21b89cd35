/** What tables map, a piece of the list at a time, within a given time: tables may map each other over and over. */
import type { Cpu } from '../cpu/cpu.ts';
import { mappedRuns, type RunsFilter } from '../inspect/mapped-runs.ts';
import type { Run } from '../mmu/leaves.ts';

export class RunsList {
  readonly runs: Run[] = [];
  /** Whether there is nothing more. */
  isOver = false;
  /** Whether tables were left out, since there was no time for them. */
  isCut = false;
  readonly #rest: Iterator<Run>;
  readonly #milliseconds: number;
  #deadline = 0;

  /**
   * @param milliseconds  for each piece
   * UsageError for a filter that makes no sense.
   */
  constructor(cpu: Cpu, filter: RunsFilter, milliseconds: number = 2000) {
    this.#milliseconds = milliseconds;
    const enters = (): boolean => {
      if (!this.isCut && performance.now() > this.#deadline) this.isCut = true;
      return !this.isCut;
    };
    this.#rest = mappedRuns(cpu, filter, enters)[Symbol.iterator]();
  }

  /** Adds at most so many runs. */
  more(count: number): void {
    this.#deadline = performance.now() + this.#milliseconds;
    for (let added = 0; added < count && !this.isOver; added++) {
      const next = this.#rest.next();
      if (next.done === true) this.isOver = true;
      else this.runs.push(next.value);
    }
  }
}
