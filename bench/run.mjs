// npm run bench [-- --long] [-- --json] [-- --only PART[,PART…]] [-- --write]
// All parts one after the other, and the goals with what was measured; then what has changed since bench/baseline.json.
// --write makes this run the baseline, and writes the tables and plots of docs/performance.md.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { judge } from './goals.mjs';
import { fillBlocks } from './performance-page.mjs';

const { values: options } = parseArgs({
  options: {
    long: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string' },
    write: { type: 'boolean' },
  },
});
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const BASELINE = here('baseline.json');
const PAGE = here('../docs/performance.md');
const PLOTS = here('../docs');

/** The script of each part, its options, those of --long, and what of its JSON counts. */
const PARTS = {
  accesses: ['accesses.mjs', [], ['--long'], ({ results }) => results],
  mapping: ['mapping.mjs', ['--rounds', '20'], ['--rounds', '100'], ({ results }) => results],
  workers: ['workers.mjs', ['--seconds', '0.2'], ['--seconds', '1.5'], (all) => all],
  explorer: ['explorer.mjs', ['--rounds', '3'], ['--rounds', '15'], (all) => all],
  image: ['image.mjs', ['--rounds', '3'], ['--rounds', '9'], (all) => all],
  allocation: ['allocation.mjs', [], [], (all) => all],
  scale: ['scale.mjs', options.write ? ['--svg', PLOTS] : [], options.write ? ['--svg', PLOTS] : [], (all) => all],
  peers: ['peers/run.mjs', ['--rounds', '6'], ['--rounds', '40'], ({ results }) => results],
};

function run(part) {
  const [script, short, long, pick] = PARTS[part];
  const flags = [here(script), '--json', ...(options.long ? long : short)];
  const output = execFileSync(process.execPath, flags, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return pick(JSON.parse(output));
}

/** Figures by name, in nanoseconds, lower is better: what a baseline keeps. */
function figuresOf({ accesses = [], mapping = [], explorer = [] }) {
  return Object.fromEntries([
    ...accesses.map(({ name, ratio }) => [`${name} (ratio)`, ratio]),
    ...mapping.map(({ name, ns }) => [`${name} (ns)`, ns]),
    ...explorer.map((row) => [`${row.case} (ns an event)`, 1e9 / row['best events/s']]),
  ]);
}

/** What differs from the baseline by more than a fifth: less may be noise on a shared machine. */
function changes(figures) {
  if (!existsSync(BASELINE)) return [];
  const { figures: before } = JSON.parse(readFileSync(BASELINE, 'utf8'));
  return Object.entries(figures).flatMap(([name, now]) => {
    const was = before[name];
    if (was === undefined) return [`${name}: ${now.toFixed(2)}, new`];
    return now > 1.2 * was || now < was / 1.2 ? [`${name}: ${was.toFixed(2)} before, ${now.toFixed(2)} now`] : [];
  });
}

function print(about, goals, changed, { accesses = [], mapping = [], workers }) {
  console.log(`Node ${about.node}, V8 ${about.v8}, ${about.cores} x ${about.cpu}`);
  for (const { goal, text, unit, value, isMet } of goals) {
    const measured = value === undefined ? 'not measured' : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
    const verdict = value === undefined ? '' : isMet ? 'met' : 'NOT MET';
    console.log(goal.padEnd(66) + text.padEnd(16) + measured.padEnd(22) + verdict);
  }
  for (const { name, undisturbed } of mapping)
    if (undisturbed < 1) console.log(`Others used the core in every round of some pieces of: ${name}`);
  const byAll = accesses.filter(({ isByAll }) => isByAll).length;
  if (byAll > 0) console.log(`Others used the core nearly always, and all rounds count, of ${byAll} accesses`);
  for (const { locking, what, isByRounds } of workers?.results ?? [])
    if (isByRounds) console.log(`Others used the cores nearly always, and all rounds count, of: ${locking}, ${what}`);
  if (changed.length > 0) console.log(`\nSince bench/baseline.json, by more than a fifth:\n${changed.join('\n')}`);
}

const chosen = options.only?.split(',') ?? Object.keys(PARTS);
const unknown = chosen.find((part) => !(part in PARTS));
if (unknown !== undefined) throw new RangeError(`--only ${unknown}: parts are ${Object.keys(PARTS).join(', ')}`);
if (options.write && chosen.length < Object.keys(PARTS).length) throw new RangeError('--write takes all parts');

const results = {};
for (const part of chosen) {
  if (!options.json) process.stderr.write(`${part}…\n`);
  results[part] = run(part);
}
const about = {
  node: process.version,
  v8: process.versions.v8,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  date: new Date().toISOString().slice(0, 10),
};
const goals = judge(results);
const figures = figuresOf(results);
const changed = changes(figures);
if (options.write) {
  writeFileSync(BASELINE, `${JSON.stringify({ ...about, figures }, null, 2)}\n`);
  writeFileSync(PAGE, fillBlocks(readFileSync(PAGE, 'utf8'), { about, goals, results }));
}
if (options.json) console.log(JSON.stringify({ ...about, goals, changed, results }, null, 2));
else print(about, goals, changed, results);
