// Every check that is not a test, one line each. All run, even after one failed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack } from './pack.mjs';

if (!existsSync('dist/index.js')) spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
const folder = mkdtempSync(join(tmpdir(), 'pagewalk-check-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const tarball = pack('.', folder);

const CHECKS = [
  ['types', 'node_modules/.bin/tsc', ['--noEmit', '-p', 'tsconfig.json']],
  ['lint and format', 'node_modules/.bin/biome', ['check', '--error-on-warnings', '.']],
  ['import order', process.execPath, ['scripts/check-imports.mjs']],
  ['house rules', process.execPath, ['scripts/check-source.mjs']],
  ['Xen names', process.execPath, ['scripts/xen-names.mjs']],
  ['races', process.execPath, ['scripts/races.mjs']],
  ['README', process.execPath, ['scripts/readme.mjs']],
  ['links', process.execPath, ['scripts/check-links.mjs']],
  ['sizes', process.execPath, ['scripts/sizes.mjs']],
  ['package', 'node_modules/.bin/publint', ['run', '--strict', tarball]],
  ['package types', 'node_modules/.bin/attw', [tarball, '--profile', 'esm-only']],
];

let failed = 0;
for (const [name, command, args] of CHECKS) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  const passed = status === 0;
  if (!passed) failed += 1;
  console.log(`check ${name}: ${passed ? 'passed' : 'failed'}`);
  if (!passed) console.log(error?.message ?? `${stdout}${stderr}`.trimEnd());
}
process.exitCode = failed === 0 ? 0 : 1;
