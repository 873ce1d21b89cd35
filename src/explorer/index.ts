/**
 * pagewalk/explorer: every schedule of code that changes page tables, judged step by step. Start with `explore`.
 * @module pagewalk/explorer
 */
export { destroy, G1, M2, map, mapToFrame, modify, pageAt, unmap } from './calls.ts';
export { type Coverage, coverageText, type Shard } from './coverage.ts';
export { type Declared, mismatches, searchFor, type Variant } from './declared.ts';
export { type ExploreOptions, explore, type FoundFailure, mergeOutcomes, type Outcome, replay } from './explore.ts';
export { FlatMap, type Mapping } from './flat-map.ts';
export { DivergenceError } from './replay-observer.ts';
export { coverageLine, failureLines, outcomeJson, traceLines } from './report.ts';
export { type ErrorKind, RULES, type Rule, type RuleName, type Violation } from './rules.ts';
export { Sanitizer } from './sanitizer.ts';
export { SanitizerError, type SanitizerOptions, type SanitizerReport } from './sanitizer-error.ts';
export {
  type CpuOperation,
  type HardwareAccess,
  type HardwareOptions,
  type Plant,
  read,
  type Scenario,
  type ScenarioMachine,
  type WarmAccess,
  write,
} from './scenario.ts';
export { SCENARIOS, scenarioNamed, variantOf } from './scenarios/all.ts';
export { ScheduleError } from './schedule.ts';
export type { Limits, Progress } from './search.ts';
export { TableSanitizer } from './table-sanitizer.ts';
export type { Trace, TraceRow } from './trace.ts';
