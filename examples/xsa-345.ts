/**
 * XSA-345 (CVE-2020-27672), reproduced: one CPU turns a 1 GiB area back into a superpage while another maps a superpage over
 * it. In Xen before the fix this ends in three ways; each is shown by the shortest schedule that leads there. Then the code
 * with the fix, under every schedule.
 *
 * After `npm run build`, with Node 22.18 or later, and with older ones:
 *
 *   node examples/xsa-345.ts
 *   npx esbuild examples/xsa-345.ts --bundle --platform=node --format=esm | node --input-type=module -
 */
import { coverageText, explore, replay, searchFor, variantOf } from 'pagewalk/explorer';

const before = variantOf('xsa-345', 'before the fix');
const { failures } = explore(before.scenario, searchFor(before));
for (const ending of ['Bug', 'UseAfterFree', 'DoubleFree'] as const) {
  const { what, schedule, switches } = failures.find(({ kind }) => kind === ending)!;
  const { rows } = replay(before.scenario, schedule);
  console.log(`${ending}: ${what}`);
  console.log(`  after ${rows.length} steps, with ${switches} changes from one CPU to the other; the last steps:`);
  for (const { cpu, text } of rows.slice(-4)) console.log(`    CPU ${cpu} ${text}`);
}

const fixed = variantOf('xsa-345', 'l3'); // a lock for each L3 table
const { coverage, failures: left } = explore(fixed.scenario);
console.log(`with the fix: ${left.length === 0 ? 'no mistake' : 'mistakes'} in ${coverageText(coverage)}`);
