// npm run bench:accesses [-- --long] [-- --json] [-- --only TEXT]
// What an access costs beside a raw typed-array access with the same stream of offsets. Every case runs in a process of its
// own: a call site that has seen objects of several shapes costs five times as much.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import * as loops from './access-loops.mjs';
import { CASES } from './cases.mjs';
import { Guest } from './guest.mjs';
import { compare, warmUp } from './measure.mjs';

const SHORT = { rounds: 120, warmUpMs: 60 };
const LONG = { rounds: 4000, warmUpMs: 1000 };
/** Addresses of a stream that loops are called with first: see `measureCase`. */
const PIECE = 256;

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean' },
    long: { type: 'boolean' },
    only: { type: 'string' },
    case: { type: 'string' }, // of the processes started here
    library: { type: 'string' },
  },
});
const project = fileURLToPath(new URL('..', import.meta.url));

async function measureCase({ name, loop, stream, raw, map, physical, argument, touched = 0, cpl, ...about }) {
  const { Machine } = await import(pathToFileURL(options.library).href);
  const guest = new Guest(Machine, about);
  map(guest);
  for (let page = 0; page < touched; page++) guest.touch(page);
  if (cpl !== undefined) guest.cpu.setCpl(cpl);
  const isKnown = loop === 'read32Known';
  const variantsOver = (stream) => {
    const at = stream.map(physical);
    const direct = isKnown ? loops.known.raw(guest, at) : (repeats) => loops.raw[raw](guest, at, repeats);
    const through = isKnown
      ? loops.known.cpu(guest, stream)
      : (repeats) => loops.cpu[loop](guest, stream, repeats, argument);
    return [
      { name: 'raw', run: direct, operations: stream.length },
      { name: 'cpu', run: through, operations: stream.length },
    ];
  };
  const variants = variantsOver(stream);
  check(name, guest.cpu, stream, ...variants.map(({ run }) => run), about, LOADS.test(loop));
  const durations = options.long ? LONG : SHORT;
  // Many short calls first. Where V8 compiles a loop while it runs, it knows less about the variables of it, and may keep that
  // code for good: loads took 3.9 instead of 2.2 raw ones then, in one process of ten.
  if (!isKnown) warmUp(variantsOver(stream.subarray(0, PIECE)), durations.warmUpMs); // V8 knows constants of one closure only
  const [base, cpu] = compare(variants, durations);
  const { ns, ratio, median: medianNs, p90: p90Ns, isByAll, sink } = cpu;
  return { name, rawNs: base.ns, ns, ratio, medianNs, p90Ns, isByAll, sink };
}

/** Loops that return the sum of what they loaded. */
const LOADS = /^(read|longRead|movCr3And|invlpgAnd|demand)/;

/** That both loops read the same, and that an operation takes the walks and TLB hits that the case is about. */
function check(name, cpu, stream, direct, through, { walks, tlbHits }, comparesSums) {
  const [expected, sum] = [direct(1), through(1)];
  if (comparesSums && expected !== sum) throw new Error(`${name}: the loops do not read the same`);
  cpu.counters.reset();
  through(1);
  for (const [what, count, each] of [
    ['walks', cpu.counters.walks, walks],
    ['TLB hits', cpu.counters.hits, tlbHits],
  ])
    if (each !== undefined && Math.abs(count - each * stream.length) > stream.length / 10)
      throw new Error(`${name}: ${count} ${what} in ${stream.length} operations`);
}

/** The built package; built here where it is not. */
function libraryPath() {
  const built = resolve(project, 'dist/index.js');
  if (existsSync(built)) return { path: built, remove: () => {} };
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-bench-'));
  const path = join(folder, 'index.mjs');
  const esbuild = resolve(project, 'node_modules/.bin/esbuild');
  execFileSync(esbuild, [resolve(project, 'src/index.ts'), '--bundle', '--format=esm', `--outfile=${path}`], {
    stdio: 'pipe',
  });
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

const HEADER = ['', 'raw ns', 'ns', 'ratio', 'median', '90 %'];

function row({ name, rawNs, ns, ratio, medianNs, p90Ns }) {
  const digits = (value) => value.toFixed(value < 100 ? 2 : 0);
  return [name, digits(rawNs), digits(ns), digits(ratio), digits(medianNs), digits(p90Ns)];
}

const line = ([name, ...figures]) => name.padEnd(60) + figures.map((figure) => figure.padStart(8)).join('');

function main() {
  const { path, remove } = libraryPath();
  const chosen = CASES.filter(({ name }) => name.includes(options.only ?? ''));
  const about = { node: process.version, v8: process.versions.v8, cpu: cpus()[0]?.model ?? 'unknown' };
  if (!options.json) {
    console.log(
      `Node ${about.node}, V8 ${about.v8}, ${about.cpu}. Minima over rounds; ratio: median within rounds; per operation.`,
    );
    console.log(line(HEADER));
  }
  const results = [];
  try {
    for (const { name } of chosen) {
      const flags = ['--case', name, '--library', path, ...(options.long ? ['--long'] : [])];
      const result = JSON.parse(
        execFileSync(process.execPath, [fileURLToPath(import.meta.url), ...flags], { encoding: 'utf8' }),
      );
      results.push(result);
      if (!options.json) console.log(line(row(result)));
    }
  } finally {
    remove();
  }
  if (options.json) console.log(JSON.stringify({ ...about, results }, null, 2));
}

if (options.case === undefined) main();
else console.log(JSON.stringify(await measureCase(CASES.find(({ name }) => name === options.case))));
