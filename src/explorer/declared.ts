/** A scenario with what exploring it must come to: the list that `pagewalk race` knows. */
import type { ExploreOptions, Outcome } from './explore.ts';
import type { ErrorKind } from './rules.ts';
import type { Scenario } from './scenario.ts';

/** One way to run it. */
export interface Variant {
  /** `before the fix`, `l3`, `without the flush`. */
  readonly label: string;
  /** What runs. */
  readonly scenario: Scenario;
  /** Preemptions at most; undefined: every schedule. */
  readonly preemptions?: number;
  /** The kinds of errors that must be found, among others. None: every schedule must be clean. */
  readonly finds: readonly ErrorKind[];
}

/** A scenario with the ways to run it and what each must come to. */
export interface Declared {
  /** `r1`, `xsa-480`. Lower case, digits and dashes. */
  readonly name: string;
  /** One line. */
  readonly title: string;
  /** What happens, and what became of it, in a few sentences. */
  readonly about: string;
  /** `closed` by the fix; `open` in Xen and shown; `better`: open in Xen, and closed here; `demo`: a mistake of others. */
  readonly status: 'closed' | 'open' | 'better' | 'demo';
  /** At least one. */
  readonly variants: readonly Variant[];
}

/** Whether an exploration came to what its variant declares, and if not, why not; nothing where it did. */
export function mismatches({ finds }: Variant, { coverage, failures }: Outcome): string[] {
  const found = new Set(failures.map(({ kind }) => kind));
  const missing = finds.filter((kind) => !found.has(kind)).map((kind) => `${kind} is not found`);
  if (finds.length > 0) return missing;
  const unexpected = [...found].map((kind) => `${kind} is found`);
  return coverage.complete ? unexpected : [...unexpected, 'not every schedule was seen'];
}

/** How a variant is explored: every schedule, or with the preemptions that it declares. */
export const searchFor = ({ preemptions }: Variant): ExploreOptions =>
  preemptions === undefined ? {} : { mode: 'bounded', preemptions };
