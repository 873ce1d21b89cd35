/** What a CPU is made with. */
import type { CacheOptions } from './cache-options.ts';
import type { Features, Policy } from './features.ts';

/** A value that an option does not have (option-values.ts) is a RangeError. */
export interface CpuOptions {
  /** Default: `INTEL`. */
  readonly features?: Partial<Features>;
  /** What it does where the manuals leave a choice. Default: `DEFAULT_POLICY`. */
  readonly policy?: Partial<Policy>;
  /** Sizes of TLB and structure caches, or none, or all that was ever cached. */
  readonly caches?: CacheOptions;
}
