/** A scenario with what exploring it must come to: the list that `pagewalk race` knows. */
import type { ErrorKind } from './rules.ts';
import type { Scenario } from './scenario.ts';

/** One way to run it. */
export interface Variant {
  /** `before the fix`, `l3`, `without the flush`. */
  readonly label: string;
  readonly scenario: Scenario;
  /** Preemptions at most; undefined: every schedule. */
  readonly preemptions?: number;
  /** The kinds of errors that must be found: exactly these. None: clean. */
  readonly finds: readonly ErrorKind[];
}

export interface Declared {
  /** `r1`, `xsa-480`. Lower case, digits and dashes. */
  readonly name: string;
  readonly title: string;
  /** What happens, and what became of it, in a few sentences. */
  readonly about: string;
  /** `closed` by the fix; `open` in Xen and shown; `better`: open in Xen, and closed here; `demo`: a mistake of others. */
  readonly status: 'closed' | 'open' | 'better' | 'demo';
  readonly variants: readonly Variant[];
}
