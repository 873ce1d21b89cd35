// The numbers in README.md: what the recorded systems and the races come to, counted by replaying and reading them, never
// typed. Without arguments: complains where README.md says anything else.
//   node scripts/readme.mjs [--write]
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { MUTANTS } from './mutants.mjs';
import { RACE_MUTANTS } from './mutants-race.mjs';

const PAGE = 'README.md';
const MARKERS = ['<!-- numbers: made by scripts/readme.mjs -->', '<!-- end of numbers -->'];
const CORPUS = 'test/corpus';
const number = (count) => count.toLocaleString('en');

/** What `pagewalk check` says of a folder of recordings; all of it must pass. */
function replayed(folder) {
  const args = ['dist/cli/main.js', 'check', '--json', `${CORPUS}/${folder}`];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`pagewalk check ${CORPUS}/${folder} fails:\n${stdout}${stderr}`);
  return JSON.parse(stdout);
}

function recordedAccesses() {
  const { passed, files } = replayed('access');
  const accesses = files.reduce((sum, { note }) => sum + Number(/^(\d+) of \d+ accesses$/.exec(note)[1]), 0);
  return `${number(passed)} recorded cases (${number(accesses)} accesses) from QEMU and Bochs, adjudicated by the manual where those differ: with caches, keeping everything, and without caches.`;
}

function listedTables() {
  const classes = replayed('images').files.flatMap((file) => Object.entries(file.classes));
  const lines = (kind) =>
    classes.filter(([name]) => name.endsWith(` ${kind}`)).reduce((sum, [, { passed }]) => sum + passed, 0);
  return `The page tables of a booted Xen and two booted Linux systems: ${number(lines('tlb'))} lines of \`info tlb\`, ${number(lines('mem'))} of \`info mem\`, ${number(lines('gva2gpa'))} translations, equal to what QEMU printed.`;
}

/** Replaying all of the traces takes minutes, and is what `npm run test:long` does: here they are counted. */
function mappingCalls() {
  const traces = `${CORPUS}/xen-traces`;
  const operations = readdirSync(traces)
    .filter((name) => name.endsWith('.jsonl.gz'))
    .flatMap((name) =>
      gunzipSync(readFileSync(`${traces}/${name}`))
        .toString()
        .trimEnd()
        .split('\n')
        .slice(1),
    )
    .reduce((sum, line) => sum + JSON.parse(line).ops.length, 0);
  return `${number(operations)} mapping calls executed by Xen's own code, and the ${number(replayed('xen-boot').passed)} calls of a real Xen's boot: the same tables, flushes and frees, one by one.`;
}

/** docs/races.md is compared with a run of today by scripts/races.mjs. */
function explored() {
  const rows = readFileSync('docs/races.md', 'utf8')
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter((cells) => cells.length === 10 && /^\d+$/.test(cells[3]));
  const scenarios = new Set(rows.map(([, name]) => name)).size;
  const clean = rows.filter((cells) => cells[6] === 'clean').length;
  const states = rows.reduce((sum, cells) => sum + Number(cells[7].replaceAll(',', '')), 0);
  if (rows.length === 0) throw new Error('docs/races.md has no table of variants');
  return `${scenarios} scenarios of CPUs that change one another's page tables, in ${rows.length} variants with ${number(states)} states: the ${rows.length - clean} that have a mistake show it, the ${clean} that have none are clean ([docs/races.md](docs/races.md)).`;
}

const mutations = () =>
  `${number(MUTANTS.length + RACE_MUTANTS.length)} mistakes to plant on purpose, each of which a test must catch (\`npm run test:mutations\`).`;

const items = [recordedAccesses, listedTables, mappingCalls, explored, mutations].map((item) => `* ${item()}`);
const block = [MARKERS[0], '', ...items, '', MARKERS[1]].join('\n');

const page = readFileSync(PAGE, 'utf8');
const start = page.indexOf(MARKERS[0]);
const end = page.indexOf(MARKERS[1]) + MARKERS[1].length;
if (start < 0 || end < start) throw new Error(`${PAGE} has lost its markers`);
if (process.argv.includes('--write')) writeFileSync(PAGE, page.slice(0, start) + block + page.slice(end));
else if (page.slice(start, end) !== block) {
  console.error(`${PAGE} is not up to date; run node scripts/readme.mjs --write`);
  process.exitCode = 1;
}
