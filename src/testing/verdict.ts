/** What a comparison came to, before anybody throws or reports it. */
export interface Verdict {
  /** Whether it is as expected. */
  readonly pass: boolean;
  /** Why it failed, or, where it passed, why its opposite would; with the walk. Made where it is asked for. */
  readonly message: () => string;
  /** What was found and what was expected, for reporters that show both. */
  readonly actual: unknown;
  /** See `actual`. */
  readonly expected: unknown;
}

/**
 * Thrown by the assertions. Named and shaped as Node's own AssertionError, so that test runners show `actual` and
 * `expected`.
 */
export class MmuAssertionError extends Error {
  /** As of Node's. */
  override readonly name: string = 'AssertionError';
  /** As of Node's. */
  readonly code: string = 'ERR_ASSERTION';
  /** The message is always of our making. */
  readonly generatedMessage: boolean = true;
  /** The assertion that failed. */
  readonly operator: string;
  /** What was found. */
  readonly actual: unknown;
  /** What was expected. */
  readonly expected: unknown;

  /** @param operator  the assertion that failed */
  constructor(operator: string, { message, actual, expected }: Verdict) {
    super(message());
    this.operator = operator;
    this.actual = actual;
    this.expected = expected;
  }
}
