/** What a CPU is made with. */
import type { CacheOptions } from './cache-options.ts';
import type { Features, Policy } from './features.ts';

/** A value that an option does not have (option-values.ts) is a RangeError. */
export interface CpuOptions {
  /** Default: `INTEL`. */
  readonly features?: Partial<Features>;
  readonly policy?: Partial<Policy>;
  readonly caches?: CacheOptions;
}
