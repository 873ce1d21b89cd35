/** What a check counts, by class, and the first mismatches in words. */
import { print } from '../output.ts';
import { paint } from '../paint.ts';

const SHOWN = 5;

export class CheckReport {
  readonly #classes = new Map<string, { passed: number; failed: number }>();
  readonly #mismatches: string[] = [];
  #hidden = 0;

  /** Counts one comparison; `explain` says what differed. */
  count(className: string, explain?: () => string): void {
    const counts = this.#classes.get(className) ?? { passed: 0, failed: 0 };
    this.#classes.set(className, counts);
    if (explain === undefined) {
      counts.passed += 1;
      return;
    }
    counts.failed += 1;
    if (this.#mismatches.length < SHOWN) this.#mismatches.push(`${className}: ${explain()}`);
    else this.#hidden += 1;
  }

  /** Comparisons so far. */
  get total(): number {
    let total = 0;
    for (const { passed, failed } of this.#classes.values()) total += passed + failed;
    return total;
  }

  get passed(): number {
    let total = 0;
    for (const { passed } of this.#classes.values()) total += passed;
    return total;
  }

  toJson(): object {
    return { classes: Object.fromEntries(this.#classes), mismatches: this.#mismatches, hidden: this.#hidden };
  }

  print(title: string): void {
    print(paint.bold(title));
    for (const [name, { passed, failed }] of this.#classes) {
      const verdict = failed === 0 ? paint.green('ok') : paint.red(`${failed} failed`);
      print(`  ${name.padEnd(34)} ${String(passed).padStart(8)} of ${String(passed + failed).padStart(8)}  ${verdict}`);
    }
    for (const mismatch of this.#mismatches) print(`  ${mismatch.replaceAll('\n', '\n    ')}`);
    if (this.#hidden > 0) print(`  and ${this.#hidden} more`);
  }
}
