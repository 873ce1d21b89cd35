// npm run bench:explorer [-- --rounds N] [-- --json]
// New events a second of an exhaustive search on one core: events that happened, not those that were replayed. Minimum and
// median over rounds; each round explores the same scenario from the start.
import { parseArgs } from 'node:util';
import { explore, map, pageAt, read, variantOf } from '../dist/explorer/index.js';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, json: { type: 'boolean' } } });

const PAGE_HYPERVISOR_RO = 0x800121;
const { scenario } = variantOf('r1', 'l3');
const [first, second] = [read(pageAt(0)), read(pageAt(600))];
const CASES = [
  [
    'r1 under l3, five walks',
    {
      ...scenario,
      walks: [
        [second, first],
        [first, second, first],
      ],
    },
  ],
  [
    'three CPUs of code, two walks',
    { ...scenario, cpus: [...scenario.cpus, [map(1, 6, 1, PAGE_HYPERVISOR_RO)]], walks: [[first], [], [second]] },
  ],
];

const rows = CASES.map(([name, one]) => {
  const rounds = Array.from({ length: Number(values.rounds) }, () => explore(one, { minimises: false }).coverage);
  const speeds = rounds.map(({ events, ms }) => (events / ms) * 1000).sort((a, b) => b - a);
  const { states, events, replayed, executions } = rounds[0];
  return {
    case: name,
    states,
    events,
    replayed,
    executions,
    'best events/s': Math.round(speeds[0]),
    'median events/s': Math.round(speeds[speeds.length >> 1]),
  };
});
if (values.json) console.log(JSON.stringify(rows));
else console.table(rows);
