/**
 * Executes a program against a log: each operation gets the outcome that it had, until the log ends. There, whoever
 * explores decides: an outcome at once, so that the code goes on, or the sentinel, which unwinds it.
 */
import type { Operation, SeamObserver } from '../mmu/seam.ts';
import type { LogNode } from './program.ts';

/** Thrown to unwind a CPU. Not an `Error`: nothing may take it for one. */
const UNWIND: unique symbol = Symbol('unwind');

/** The code did something else than it did with the same log before: it depends on what is not behind the seam. */
export class DivergenceError extends Error {
  /** Always `DivergenceError`. */
  override readonly name: string = 'DivergenceError';
}

/**
 * Asked when the code reaches an operation whose outcome the log does not have. Returns the log with that outcome, so that
 * the code goes on; or undefined, to unwind it.
 */
export type AtEnd = (node: LogNode) => LogNode | undefined;

export class ReplayObserver implements SeamObserver {
  value = 0;
  frame = 0;
  /** Operations that were replayed, and code that was executed again, since construction. */
  replayed = 0;
  executions = 0;
  /** Whether to note where in the code each operation stands. */
  notesSites = false;

  #log: readonly LogNode[] = [];
  #at = 0;
  #root: LogNode | undefined;
  #atEnd: AtEnd = () => undefined;
  /** Gives an operation what it needs besides its numbers. */
  #detail: (operation: Operation) => unknown = () => undefined;
  #isUnwinding = false;

  /** Runs `code` with a log, until it ends or is unwound. The node reached is discovered. */
  run(node: LogNode, code: () => number, atEnd: AtEnd, detail: (operation: Operation) => unknown): void {
    this.#log = node.log();
    this.#root = node;
    while (this.#root.parent !== undefined) this.#root = this.#root.parent;
    this.#at = 0;
    this.#atEnd = atEnd;
    this.#detail = detail;
    this.#isUnwinding = false;
    this.executions += 1;
    let result: number;
    try {
      result = code();
    } catch (thrown) {
      if (thrown === UNWIND) return;
      if (thrown instanceof DivergenceError || this.#isUnwinding) throw thrown;
      const { here } = this;
      here.pending = 'thrown';
      here.message = thrown instanceof Error ? thrown.message : String(thrown);
      return;
    }
    if (this.#isUnwinding) throw new DivergenceError('code caught what unwinds it: `catch` must let it through');
    const { here } = this;
    if (here.pending === 'operation') throw diverged(here, 'the end');
    here.pending = 'end';
    here.result = result;
    if (here.parent !== undefined) here.parent.mayEnd = true;
  }

  /** The node that the code has reached. */
  get here(): LogNode {
    return this.#at === 0 ? this.#root! : this.#log[this.#at - 1]!;
  }

  enter(operation: Operation, a: number, b: number, c: number, d: number): boolean {
    if (this.#isUnwinding) throw UNWIND;
    const { here } = this;
    if (here.pending === 'unknown') this.#discover(here, operation, a, b, c, d);
    else if (here.operation !== operation || here.a !== a || here.b !== b || here.c !== c || here.d !== d)
      throw diverged(here, `${operation}(${a}, ${b}, ${c}, ${d})`);
    const next = this.#log[this.#at];
    if (next !== undefined) this.replayed += 1;
    return this.#outcome(next ?? this.#ask(here));
  }

  leave(): void {}

  #discover(here: LogNode, operation: Operation, a: number, b: number, c: number, d: number): void {
    here.pending = 'operation';
    here.operation = operation;
    here.a = a;
    here.b = b;
    here.c = c;
    here.d = d;
    here.detail = this.#detail(operation);
    if (this.notesSites) here.site = new Error().stack;
  }

  #ask(here: LogNode): LogNode {
    const next = this.#atEnd(here);
    if (next === undefined) {
      this.#isUnwinding = true;
      throw UNWIND;
    }
    (this.#log as LogNode[]).push(next);
    return next;
  }

  #outcome(next: LogNode): boolean {
    this.#at += 1;
    this.value = next.value;
    this.frame = next.frame;
    return true;
  }
}

const diverged = (node: LogNode, now: string): DivergenceError =>
  new DivergenceError(
    `the code is not deterministic: with the same outcomes it did ${node.operation}(${node.a}, ${node.b}, ${node.c}, ${node.d}), and now ${now}`,
  );
