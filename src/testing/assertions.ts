/**
 * Assertions about a CPU's address translation, for any test runner: each throws an `MmuAssertionError` whose message shows
 * the walk, entry by entry.
 */
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
import { MmuAssertionError, type Verdict } from './verdict.ts';

/**
 * That an access to `address` is allowed and reaches `physical`.
 * @param physical  byte address, its offset in the page included; undefined: wherever it leads
 */
export function assertTranslates(cpu: Cpu, address: Address, physical?: Address, options?: TranslationOptions): void {
  throwUnless('assertTranslates', judgeTranslation(cpu, address, physical, options));
}

/** That an access to `address` faults: by default with a page fault of any error code. */
export function assertFaults(cpu: Cpu, address: Address, fault?: ExpectedFault, options?: AccessOptions): void {
  throwUnless('assertFaults', judgeFault(cpu, address, fault, options));
}

/**
 * That the tables map these runs, and with `elsewhere: 'nothing'`, the default, nothing else. How they are cut into pages
 * does not count.
 */
export function assertMaps(cpu: Cpu, runs: readonly ExpectedRun[], options?: MapsOptions): void {
  throwUnless('assertMaps', judgeMappings(cpu, runs, options));
}

function throwUnless(operator: string, verdict: Verdict): void {
  if (!verdict.pass) throw new MmuAssertionError(operator, verdict);
}
