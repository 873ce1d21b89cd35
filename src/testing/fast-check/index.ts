/**
 * pagewalk/testing/fast-check: arbitraries for fast-check 4. Each says which mix of successes and faults it makes: random
 * bits alone would fault nearly always, and test little.
 */
export {
  accessArbitrary,
  type GuestOptions,
  type GuestPlan,
  type GuestStep,
  guestArbitrary,
  PLANNED_ADDRESSES,
  performStep,
  STEP_MIX,
} from './accesses.ts';
export { ENTRY_MIX, type EntryOptions, entryArbitrary } from './entries.ts';
export {
  applyMapping,
  type MappingOperation,
  type MappingOptions,
  mappingArbitrary,
  OPERATION_MIX,
} from './mapping.ts';
export {
  buildTables,
  type PlannedPage,
  type Spoiling,
  type TablesOptions,
  type TablesPlan,
  tablesArbitrary,
  UNSPOILED,
} from './tables.ts';
