// The table of docs/races.md: what exploring each scenario has seen. Without arguments: complains where the table says
// anything else but times than a run of today.
//   node scripts/races.mjs [--write]
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const PAGE = 'docs/races.md';
const MARKERS = ['<!-- races: made by scripts/races.mjs -->', '<!-- end of races -->'];

const run = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, ['dist/cli/main.js', 'race', ...args, '--json'], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }),
  );

const declared = new Map(run().map((scenario) => [scenario.name, scenario]));
const rows = run('--all').map(({ name, variant, coverage, failures, wrong }) => {
  if (wrong.length > 0) throw new Error(`${name}, ${variant}: ${wrong.join(', ')}`);
  const kinds = [...new Set(failures.map(({ kind }) => kind))].sort();
  const [cpus] = coverage.machine.split(',');
  const walks = /(\d+|no) hardware walk/.exec(coverage.machine)[1].replace('no', '0');
  const searched =
    coverage.bound === undefined || coverage.bound === null ? 'all' : `at most ${coverage.bound} preemptions`;
  const found = kinds.length === 0 ? 'clean' : kinds.join(', ');
  const states = coverage.states.toLocaleString('en');
  return {
    name,
    text: `| ${name} | ${variant} | ${cpus.replace(' CPUs', '')} | ${walks} | ${searched} | ${found} | ${states} |`,
    ms: coverage.ms,
  };
});

const total = rows.reduce((sum, { ms }) => sum + ms, 0);
const scenarios = [...new Set(rows.map(({ name }) => name))];
const table = [
  MARKERS[0],
  '',
  '| scenario | what happens | status |',
  '|---|---|---|',
  ...scenarios.map((name) => `| ${name} | ${declared.get(name).title} | ${declared.get(name).status} |`),
  '',
  '| scenario | variant | CPUs | walks | schedules | found | states | ms |',
  '|---|---|---|---|---|---|---|---|',
  ...rows.map(({ text, ms }) => `${text} ${Math.round(ms)} |`),
  '',
  `${rows.length} variants in ${(total / 1000).toFixed(1)} s on one core.`,
  '',
  MARKERS[1],
].join('\n');

const page = readFileSync(PAGE, 'utf8');
const start = page.indexOf(MARKERS[0]);
const end = page.indexOf(MARKERS[1]) + MARKERS[1].length;
if (start < 0 || end < start) throw new Error(`${PAGE} has lost its markers`);
const withoutTimes = (text) => text.replace(/ \d+ \|$/gm, '').replace(/ in [\d.]+ s on one core/, '');
if (process.argv.includes('--write')) writeFileSync(PAGE, page.slice(0, start) + table + page.slice(end));
else if (withoutTimes(page.slice(start, end)) !== withoutTimes(table)) {
  console.error(`${PAGE} is not up to date; run node scripts/races.mjs --write`);
  process.exitCode = 1;
}
