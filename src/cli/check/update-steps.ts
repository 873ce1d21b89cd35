/**
 * What an operation did to tables, one entry, allocation, flush or free a step. Writes into a table that is not linked yet
 * stand right before the store that links it, by index: their own order does not matter.
 */
import { PAGE_HYPERVISOR_TABLE } from '../../hypervisor/flags.ts';
import { flagsOf, frameOf } from '../../mmu/entry.ts';
import { type Frame, hex64 } from '../../mmu/halves.ts';

export interface UpdateStep {
  readonly kind: 'allocate' | 'write' | 'flush' | 'free';
  /** Frame; of a flush, the page. */
  readonly at: number;
  /** Of a write, the index; of a flush, its flags. */
  readonly detail: number;
  /** Of a write, what is written. */
  readonly lo: number;
  readonly hi: number;
}

export class UpdateSteps {
  readonly #steps: UpdateStep[] = [];
  /** What was written to each table that is not linked yet. */
  readonly #hidden = new Map<Frame, UpdateStep[]>();

  allocate(table: Frame): void {
    this.#steps.push({ kind: 'allocate', at: table, detail: 0, lo: 0, hi: 0 });
    this.#hidden.set(table, []);
  }

  free(table: Frame): void {
    this.#steps.push({ kind: 'free', at: table, detail: 0, lo: 0, hi: 0 });
  }

  flush(page: number, flags: number): void {
    this.#steps.push({ kind: 'flush', at: page, detail: flags, lo: 0, hi: 0 });
  }

  write(table: Frame, index: number, lo: number, hi: number): void {
    const step: UpdateStep = { kind: 'write', at: table, detail: index, lo, hi };
    const hidden = this.#hidden.get(table);
    if (hidden === undefined) this.#show(step);
    else hidden.push(step);
  }

  /** `count` entries from `index`, the value growing by `step` (below 2^31) as a 64-bit number. */
  writeRun(table: Frame, index: number, lo: number, hi: number, count: number, step: number): void {
    let [nextLo, nextHi] = [lo, hi];
    for (let at = index; at < index + count; at++) {
      this.write(table, at, nextLo, nextHi);
      nextLo = (nextLo + step) | 0;
      if (nextLo >>> 0 < step) nextHi = (nextHi + 1) | 0;
    }
  }

  /** In order; what was never linked comes last. */
  all(): readonly UpdateStep[] {
    for (const table of [...this.#hidden.keys()].sort((a, b) => a - b)) this.#unhide(table);
    return this.#steps;
  }

  #show(step: UpdateStep): void {
    if (flagsOf(step.lo, step.hi) === PAGE_HYPERVISOR_TABLE) this.#unhide(frameOf(step.lo, step.hi));
    this.#steps.push(step);
  }

  #unhide(table: Frame): void {
    const hidden = this.#hidden.get(table);
    this.#hidden.delete(table);
    for (const step of hidden?.sort((a, b) => a.detail - b.detail) ?? []) this.#show(step);
  }
}

/** The first step that differs, in words; or undefined. */
export function stepsDiffer(expected: UpdateSteps, actual: UpdateSteps): string | undefined {
  const [wanted, got] = [expected.all(), actual.all()];
  const length = Math.max(wanted.length, got.length);
  for (let nth = 0; nth < length; nth++) {
    if (!isSame(wanted[nth], got[nth])) return `step ${nth + 1}: ${text(got[nth])}, expected ${text(wanted[nth])}`;
  }
  return undefined;
}

const isSame = (a: UpdateStep | undefined, b: UpdateStep | undefined): boolean =>
  a !== undefined &&
  b !== undefined &&
  a.kind === b.kind &&
  a.at === b.at &&
  a.detail === b.detail &&
  a.lo === b.lo &&
  a.hi === b.hi;

function text(step: UpdateStep | undefined): string {
  if (step === undefined) return 'none';
  const { kind, at, detail, lo, hi } = step;
  if (kind === 'write') return `write ${hex64(lo, hi)} to entry ${detail} of table ${at.toString(16)}`;
  if (kind === 'flush') return `flush page ${at.toString(16)} with ${detail.toString(16)}`;
  return `${kind} table ${at.toString(16)}`;
}
