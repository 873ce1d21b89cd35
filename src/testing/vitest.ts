/**
 * pagewalk/testing/vitest: the assertions as matchers for Vitest 4. Nothing of Vitest is loaded here:
 *
 *   import { matchers } from 'pagewalk/testing/vitest';
 *   expect.extend(matchers);
 *   expect(cpu).toTranslate('0xffff830000000000', 0);
 */
import type {} from 'vitest';
import type { Cpu } from '../cpu/cpu.ts';
import type { Address } from '../mmu/address.ts';
import { type ExpectedRun, judgeMappings, type MapsOptions } from './mappings.ts';
import {
  type AccessOptions,
  type ExpectedFault,
  judgeFault,
  judgeTranslation,
  type TranslationOptions,
} from './translations.ts';
import type { Verdict } from './verdict.ts';

/** Of a `Cpu`. `not.toTranslate` passes on a fault as on another place; use `toFault` to tell which. */
interface MmuMatchers {
  /** That an access is allowed and reaches `physical`, or anywhere: `assertTranslates`. */
  toTranslate(address: Address, physical?: Address, options?: TranslationOptions): void;
  /** That an access faults: `assertFaults`. */
  toFault(address: Address, fault?: ExpectedFault, options?: AccessOptions): void;
  /** That the tables map these runs, and nothing else unless told so: `assertMaps`. */
  toMap(runs: readonly ExpectedRun[], options?: MapsOptions): void;
}

declare module 'vitest' {
  // Vitest 4; the parameters of version 5 are others, and both cannot be served.
  // biome-ignore lint/suspicious/noExplicitAny: type parameters have to be those of the interface that is extended
  interface Matchers<T = any> extends MmuMatchers {}
}

/** For `expect.extend`. */
export const matchers: {
  /** See `assertTranslates`. */
  readonly toTranslate: (cpu: Cpu, address: Address, physical?: Address, options?: TranslationOptions) => Verdict;
  /** See `assertFaults`. */
  readonly toFault: (cpu: Cpu, address: Address, fault?: ExpectedFault, options?: AccessOptions) => Verdict;
  /** See `assertMaps`. */
  readonly toMap: (cpu: Cpu, runs: readonly ExpectedRun[], options?: MapsOptions) => Verdict;
} = { toTranslate: judgeTranslation, toFault: judgeFault, toMap: judgeMappings };
