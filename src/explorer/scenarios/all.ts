/** Every scenario that comes with pagewalk, by name. */
import type { Declared, Variant } from '../declared.ts';
import { BEYOND_THE_FIX } from './beyond-the-fix.ts';
import { DEMONSTRATIONS } from './demonstrations.ts';
import { LOCKED } from './locked.ts';
import { LOOKUPS } from './lookups.ts';
import { OLDER } from './older.ts';
import { QUIET } from './quiet.ts';
import { XSA_345 } from './xsa-345.ts';

/** Every scenario of `pagewalk race`; docs/races.md has what was seen of each. */
export const SCENARIOS: readonly Declared[] = [
  ...XSA_345,
  ...OLDER,
  ...QUIET,
  ...LOOKUPS,
  ...LOCKED,
  ...BEYOND_THE_FIX,
  ...DEMONSTRATIONS,
];

/** A scenario by its name. RangeError where there is none, with the names there are. */
export function scenarioNamed(name: string): Declared {
  const found = SCENARIOS.find((one) => one.name === name);
  if (found === undefined)
    throw new RangeError(
      `no scenario ${JSON.stringify(name)}; there are ${SCENARIOS.map((one) => one.name).join(', ')}`,
    );
  return found;
}

/** One variant of a scenario, by the label that its report names. RangeError where there is none. */
export function variantOf(name: string, label: string): Variant {
  const { variants } = scenarioNamed(name);
  const found = variants.find((one) => one.label === label);
  if (found === undefined)
    throw new RangeError(
      `${name} has no variant ${JSON.stringify(label)}; it has ${variants.map((one) => one.label).join(', ')}`,
    );
  return found;
}
