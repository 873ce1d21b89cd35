/** What a comparison came to, before anybody throws or reports it. */

export interface Verdict {
  readonly pass: boolean;
  /** Why it failed, or, where it passed, why its opposite would; with the walk. Made where it is asked for. */
  readonly message: () => string;
  /** What was found and what was expected, for reporters that show both. */
  readonly actual: unknown;
  readonly expected: unknown;
}

/**
 * Thrown by the assertions. Named and shaped as Node's own AssertionError, so that test runners show `actual` and
 * `expected`.
 */
export class MmuAssertionError extends Error {
  override readonly name: string = 'AssertionError';
  readonly code: string = 'ERR_ASSERTION';
  readonly generatedMessage: boolean = true;
  readonly operator: string;
  readonly actual: unknown;
  readonly expected: unknown;

  /** @param operator  the assertion that failed */
  constructor(operator: string, { message, actual, expected }: Verdict) {
    super(message());
    this.operator = operator;
    this.actual = actual;
    this.expected = expected;
  }
}
