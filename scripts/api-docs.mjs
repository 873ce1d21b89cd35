// API documentation as static files in docs/api, from the doc comments. Fails on any warning, and where a public symbol has
// no doc comment. typedoc needs TypeScript 6, so it lives in docs/api-tools, with a lock file of its own.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const TOOLS = 'docs/api-tools';
const TYPEDOC = `${TOOLS}/node_modules/typedoc/bin/typedoc`;

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const entryPoints = Object.values(exports).flatMap((target) =>
  typeof target === 'object' ? [target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts')] : [],
);

if (!existsSync(TYPEDOC)) run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: TOOLS });
run(process.execPath, [
  TYPEDOC,
  ...['--options', `${TOOLS}/typedoc.json`],
  ...entryPoints.flatMap((path) => ['--entryPoints', path]),
]);
