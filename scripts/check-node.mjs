// The package as installed, and the tests, on every Node that it is for. Binaries come from npm and are kept below
// node_modules. Not part of `npm test`: it takes as long as that for each of them.
//   npm run check:node [-- PATH...]     only the tests below these paths
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MAJORS = [20, 22, 24];
const paths = process.argv.slice(2);

/** The binary of a major version. The one that runs this needs no download. */
function binaryOf(major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const folder = join('node_modules', '.cache', `node-${major}`);
  const binary = join(folder, 'node_modules', 'node', 'bin', 'node');
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    const args = ['install', `node@${major}`, '--no-audit', '--no-fund', '--loglevel', 'error'];
    spawnSync('npm', args, { cwd: folder, stdio: 'inherit' });
  }
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  if (!stdout?.startsWith(`v${major}.`)) throw new Error(`npm installed no Node ${major} that runs here`);
  return binary;
}

function run(node, args) {
  const { status } = spawnSync(node, args, { stdio: 'inherit' });
  return status === 0;
}

const nodes = MAJORS.map((major) => ({ major, binary: binaryOf(major) }));
const others = nodes.map(({ binary }) => binary).filter((binary) => binary !== process.execPath);
let passed = run(process.execPath, ['scripts/check-installed.mjs', ...others]);
for (const { major, binary } of nodes) {
  const done = run(binary, ['node_modules/vitest/vitest.mjs', 'run', ...paths]);
  console.log(`check Node ${major}: ${done ? 'passed' : 'failed'}`);
  passed &&= done;
}
process.exitCode = passed ? 0 : 1;
