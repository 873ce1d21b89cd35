/**
 * pagewalk/testing: for tests of emulators and of mapping code. Assertions whose messages show the walk, builders for page
 * tables, and a recorder of accesses for `pagewalk check`. Works with any test runner.
 */
export { AccessRecorder, type RecorderOptions } from './access-recorder.ts';
export { type AccessKind, dataByte, fillData } from './access-vector.ts';
export { assertFaults, assertMaps, assertTranslates } from './assertions.ts';
export type { Flags } from './entry-flags.ts';
export type { ExpectedRun, MapsOptions } from './mappings.ts';
export {
  type MapOptions,
  PageTables,
  type PageTablesOptions,
  type TableMode,
  type TablesState,
} from './page-tables.ts';
export { performAccess } from './perform.ts';
export type { AccessOutcome, AccessRequest, Done, Faulted, RecordedState } from './recorded-access.ts';
export type { AccessOptions, ExpectedFault, TranslationOptions } from './translations.ts';
export { MmuAssertionError, type Verdict } from './verdict.ts';
