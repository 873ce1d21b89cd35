// The package as its users get it: packed, installed into an empty project, and used from strict TypeScript, JavaScript,
// worker threads, a browser bundle and the command; and the code of README.md, as it stands there. One line for each.
//   node scripts/check-installed.mjs [NODE...]     with other Node binaries too
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import vm from 'node:vm';
import { build, transform } from 'esbuild';
import { installPacked } from './pack.mjs';

const CONSUMER = 'test/package/consumer';

/** No types but the package's own and the language's: a user may have neither Node's nor a browser's. */
const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2022'],
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
  noEmit: true,
};
const GLOBALS =
  'declare const console: { log(...values: unknown[]): void };\ndeclare const process: { exit(code: number): never };\n';

const project = mkdtempSync(join(tmpdir(), 'pagewalk-installed-'));
const path = (name) => join(project, name);
let failed = 0;

try {
  installPacked(project);
  await writePrograms();
  for (const [name, options] of [
    ['TypeScript', { module: 'nodenext' }],
    ['TypeScript, resolved as bundlers do', { module: 'esnext', moduleResolution: 'bundler' }],
  ])
    report(name, compile(options));
  for (const node of [process.execPath, ...process.argv.slice(2).map((binary) => resolve(binary))]) runAll(node);
  report('a browser bundle', await inBrowser());
} finally {
  rmSync(project, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;

/** `complaint` says what went wrong; nothing where all went well. */
function report(name, complaint) {
  console.log(`installed ${name}: ${complaint === undefined ? 'passed' : `failed\n${complaint}`}`);
  if (complaint !== undefined) failed += 1;
}

async function writePrograms() {
  cpSync(CONSUMER, project, { recursive: true });
  writeFileSync(path('globals.d.ts'), GLOBALS);
  const blocks = [...readFileSync('README.md', 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
  if (blocks.length === 0) throw new Error('README.md has no code');
  writeFileSync(path('readme.ts'), blocks.join('\n'));
  writeFileSync(path('readme-first.ts'), blocks[0]);
  for (const name of ['strict', 'readme', 'readme-first']) {
    // verbatim: an import that the code does not use would hide a name that is not there
    const tsconfigRaw = { compilerOptions: { verbatimModuleSyntax: true } };
    const { code } = await transform(readFileSync(path(`${name}.ts`), 'utf8'), { loader: 'ts', tsconfigRaw });
    writeFileSync(path(`${name}.mjs`), code);
  }
}

function compile(options) {
  const files = ['globals.d.ts', 'strict.ts', 'readme.ts', 'readme-first.ts'];
  const config = { compilerOptions: { ...COMPILER_OPTIONS, ...options }, files };
  writeFileSync(path('tsconfig.json'), JSON.stringify(config));
  const { status, stdout, error } = spawnSync(resolve('node_modules/.bin/tsc'), ['-p', path('tsconfig.json')], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `${error?.message ?? stdout}`;
}

function runAll(node) {
  const { stdout: version } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  const run = (name, args, expected) => {
    const { status, stdout, stderr, error } = spawnSync(node, args, {
      cwd: project,
      encoding: 'utf8',
      timeout: 60_000,
    });
    const isRight = status === 0 && expected(stdout);
    report(`${name}, Node ${version.trim()}`, isRight ? undefined : `${error?.message ?? ''}${stdout}${stderr}`);
  };
  const says = (text) => (stdout) => stdout === `${text}\n`;
  run('TypeScript program', ['strict.mjs'], says('strict 1 function function function'));
  run('ES module', ['plain.mjs'], says('plain 42 true'));
  run('CommonJS', ['required.cjs'], says('required 42 true'));
  run('worker threads', ['threads.mjs'], says('threads 0,0 true'));
  run('code of README.md', ['readme.mjs'], printsInOrder(readFileSync(path('readme.ts'), 'utf8')));
  run('first code of README.md', ['readme-first.mjs'], printsInOrder(readFileSync(path('readme-first.ts'), 'utf8')));
  run('command', ['node_modules/.bin/pagewalk'], (stdout) => stdout.includes('Xen'));
}

/** Whether the lines that comments behind `console.log(...);` promise are printed, in this order. */
function printsInOrder(code) {
  const promised = [...code.matchAll(/^.*console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
  if (promised.length === 0) throw new Error('the code of README.md says nothing of what it prints');
  return (stdout) => {
    let at = 0;
    for (const line of stdout.split('\n')) if (line === promised[at]) at += 1;
    return at === promised.length;
  };
}

/** In a global object of its own, with what browsers have and the bundle may use. */
async function inBrowser() {
  const { outputFiles, errors } = await build({
    absWorkingDir: project,
    entryPoints: [path('browser.mjs')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    logLevel: 'silent',
  });
  if (errors.length > 0) return errors.map(({ text }) => text).join('\n');
  const globals = { TextDecoder, TextEncoder, DecompressionStream, CompressionStream, Blob, performance };
  const context = vm.createContext(globals);
  try {
    await vm.runInContext(`(async () => { ${outputFiles[0].text} })()`, context);
  } catch (failure) {
    return failure.stack;
  }
  return context.result === 'browser 0 0 true' ? undefined : `it said ${context.result}`;
}
