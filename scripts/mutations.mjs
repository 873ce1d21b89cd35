// Tests of the tests: plants each mistake of mutants.mjs and mutants-race.mjs in a copy of the project and expects the tests to fail.
//   npm run test:mutations [-- --list] [-- --only N[,N…]] [-- TESTS…]
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { transformSync } from 'esbuild';
import { MUTANTS } from './mutants.mjs';
import { RACE_MUTANTS } from './mutants-race.mjs';

/**
 * Tests that judge src/mmu and src/cpu, and those that judge mapping code. Folders that are there.
 *
 * `dist` is linked, and built without any mistake. What runs in workers or through the command (test/race/soak.test.ts,
 * test/corpus/xen.test.ts) therefore never notices one: whatever stands in mutants.mjs must be caught by tests that import
 * src.
 */
const FOLDERS = ['test/spec', 'test/mmu', 'test/cpu', 'test/property', 'test/oracle', 'test/corpus', 'test/race'];
const MAPPING_FOLDERS = ['test/cpu', 'test/hypervisor', 'test/property/mapping.test.ts', 'test/race/scenarios.test.ts'];
const isMapping = (file) => /^src\/(hypervisor\/|cpu\/(mailboxes|bells)\.ts)/.test(file);
/** What must notice the mistakes of mutants-race.mjs. It explores all scenarios where it is told to (runTests). */
const RACE_TESTS = ['test/race/scenarios.test.ts'];
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const LINKED = ['node_modules', 'dist'];
/** A mistake may make the tests hang, which is noticed too. */
const LIMIT_MS = 10 * 60_000;
const SLOTS = Math.max(1, Math.min(2, availableParallelism()));

const { values: options, positionals } = parseArgs({
  options: { only: { type: 'string' }, list: { type: 'boolean' } },
  allowPositionals: true,
});
const ALL_MUTANTS = [...MUTANTS, ...RACE_MUTANTS.map((mutant) => ({ ...mutant, tests: RACE_TESTS }))];
const width = String(ALL_MUTANTS.length).length;
const title = ({ number, file, breaks }) => `${String(number).padStart(width)} ${file.padEnd(32)} ${breaks}`;
const all = ALL_MUTANTS.map((mutant, at) => ({ ...mutant, number: at + 1 }));
const only = options.only?.split(',').map(Number);
const chosen = only === undefined ? all : all.filter(({ number }) => only.includes(number));
const running = new Set();

/** The file's text without and with the mistake. An Error where it does not apply, or does not compile. */
function mutate(folder, { file, find, replace }) {
  const text = readFileSync(join(folder, file), 'utf8');
  const pieces = text.split(find);
  if (pieces.length !== 2) throw new Error(`the text to replace stands there ${pieces.length - 1} times, not once`);
  const mutated = pieces.join(replace);
  const compile = (source) => transformSync(source, { loader: 'ts', minifyWhitespace: true }).code;
  if (compile(mutated) === compile(text)) throw new Error('changes nothing');
  return { text, mutated };
}

/** A folder of its own with the project in it, as it is in `from`: whoever edits meanwhile does not disturb. */
function copyProject(from) {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-mutant-'));
  for (const path of COPIED) cpSync(join(from, path), join(folder, path), { recursive: true });
  for (const path of LINKED) if (existsSync(path)) symlinkSync(resolve(path), join(folder, path));
  return folder;
}

/** Tests that should notice one of these mistakes. */
function testsFor(folder, mutants) {
  if (positionals.length > 0) return positionals;
  const folders = new Set(mutants.flatMap(({ file, tests }) => tests ?? (isMapping(file) ? MAPPING_FOLDERS : FOLDERS)));
  return [...folders].filter((path) => existsSync(join(folder, path)));
}

/** Runs tests in a folder; the outcome and the first lines that tell of a failure. */
function runTests(folder, tests, bail) {
  const args = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--no-file-parallelism',
    '--no-isolate',
    ...(bail ? ['--bail=1'] : []),
  ];
  const child = spawn(process.execPath, [...args, '--reporter=default', ...tests], {
    cwd: folder,
    detached: true, // its own process group: vitest's workers end with it
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PAGEWALK_SCENARIOS: 'all', NO_COLOR: '1', CI: '1' },
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  return new Promise((resolve) => {
    let hung = false;
    const limit = setTimeout(() => {
      hung = true;
      endGroup(child);
    }, LIMIT_MS);
    child.on('close', (status) => {
      clearTimeout(limit);
      running.delete(child);
      const failed = output.split('\n').find((line) => /^\s*(FAIL|×)\s/.test(line));
      resolve({ passed: status === 0, by: hung ? 'hung' : (failed?.trim() ?? 'crashed'), output });
    });
  });
}

function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {} // it has ended by itself
}

async function main() {
  if (options.list) return console.log(all.map(title).join('\n'));
  const folders = [copyProject('.')];
  while (folders.length < SLOTS) folders.push(copyProject(folders[0]));
  const clean = () => {
    running.forEach(endGroup);
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', clean);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

  const refused = [];
  const planted = chosen.flatMap((mutant) => {
    try {
      return [{ ...mutant, ...mutate(folders[0], mutant) }];
    } catch (failure) {
      refused.push(mutant);
      console.log(`${title(mutant)}: DOES NOT APPLY: ${failure.message.split('\n')[0]}`);
      return [];
    }
  });

  const unmutated = await runTests(folders[0], testsFor(folders[0], planted), false);
  if (!unmutated.passed) {
    console.log(unmutated.output);
    console.log('the tests fail without any mistake planted');
    process.exitCode = 1;
    return;
  }

  const survivors = [];
  const queue = [...planted];
  await Promise.all(
    folders.map(async (folder) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const path = join(folder, mutant.file);
        writeFileSync(path, mutant.mutated);
        const { passed, by } = await runTests(folder, testsFor(folder, [mutant]), true);
        writeFileSync(path, mutant.text);
        if (passed) survivors.push(mutant);
        console.log(`${title(mutant)}: ${passed ? 'SURVIVED' : `caught by ${by}`}`);
      }
    }),
  );
  const lost = survivors.length + refused.length;
  console.log(
    `${planted.length - survivors.length} caught, ${survivors.length} survived${refused.length > 0 ? `, ${refused.length} do not apply` : ''}`,
  );
  process.exitCode = lost === 0 ? 0 : 1;
}

await main();
