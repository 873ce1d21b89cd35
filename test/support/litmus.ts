/** What litmus tests come to: every outcome of a scenario, over every schedule. */
import { DepthFirst, type DepthFirstOptions } from '../../src/explorer/depth-first.ts';
import { Explored } from '../../src/explorer/explored.ts';
import type { RuleName, Violation } from '../../src/explorer/rules.ts';
import type { Scenario } from '../../src/explorer/scenario.ts';
import type { XenMm } from '../../src/hypervisor/index.ts';

/** Programs of litmus tests are no mapping code: they touch what they like, without locks, and flush as they like. */
const LAWLESS: readonly RuleName[] = [
  'only-tables',
  'owner-lock',
  'no-stale',
  'acknowledged',
  'keeps-dirty',
  'no-leak',
];

/** What programs returned, by CPU, and what memory holds in the end. */
export interface Outcome {
  readonly results: readonly (readonly number[])[];
  readonly last: readonly number[];
}

/**
 * Every outcome of a scenario.
 * @param last  what of the machine's end belongs to the outcome
 */
export function outcomesOf(
  scenario: Scenario,
  last: (mm: XenMm) => readonly number[],
  options: DepthFirstOptions = {},
): Outcome[] {
  const found = new Map<string, Outcome>();
  const atEnd: Scenario['atEnd'] = (mm, results) => {
    const outcome = { results, last: last(mm) };
    found.set(JSON.stringify(outcome), outcome);
    return [];
  };
  const [violation] = violationsOf({ ...scenario, atEnd }, options);
  if (violation !== undefined) throw new Error(`${scenario.name}: ${violation.what}`);
  return [...found.values()];
}

/** Every rule that some schedule of a scenario breaks, of those that bind litmus tests. */
export function violationsOf(scenario: Scenario, options: DepthFirstOptions = {}): Violation[] {
  const search = new DepthFirst(new Explored({ without: LAWLESS, ...scenario }), options);
  search.run();
  if (search.truncated !== undefined) throw new Error(`${scenario.name}: ${search.truncated}`);
  return [...search.failures.values()].map(({ violation }) => violation);
}
