/** What becomes of a broken rule on a running machine: it is thrown, or told. */
import { type ErrorKind, RULES, type RuleName, type Violation } from './rules.ts';

/** One breach of a rule, with the CPU that did it. */
export interface SanitizerReport extends Violation {
  /** What sort of mistake. */
  readonly kind: ErrorKind;
  /** Number of that CPU. */
  readonly cpu: number;
}

/** What a sanitizer does about a broken rule, and which ones it judges. */
export interface SanitizerOptions {
  /** Told of each broken rule, and all goes on. Without it the first one is thrown as a SanitizerError. */
  readonly onViolation?: (report: SanitizerReport) => void;
  /** Rules that are not judged. */
  readonly without?: readonly RuleName[];
}

/** Thrown out of the operation that broke a rule; where it is an operation of the seam, that did not happen. */
export class SanitizerError extends Error {
  /** Always `SanitizerError`. */
  override readonly name: string = 'SanitizerError';
  /** The breach, as data. */
  readonly report: SanitizerReport;

  constructor(report: SanitizerReport) {
    const { kind, what, rule, frame } = report;
    const table = frame === undefined ? '' : ` (0x${frame.toString(16)})`;
    super(`${kind}: ${what}${table}. The rule ${rule}: ${RULES[rule].text}`);
    this.report = report;
  }

  /** What sort of mistake. */
  get kind(): ErrorKind {
    return this.report.kind;
  }

  /** The rule that was broken. */
  get rule(): RuleName {
    return this.report.rule;
  }

  /** The CPU that broke it. */
  get cpu(): number {
    return this.report.cpu;
  }
}

export const reportOf = (violation: Violation, cpu: number): SanitizerReport => ({
  ...violation,
  kind: RULES[violation.rule].kind,
  cpu,
});
