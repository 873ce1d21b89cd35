/** What people install, as they use it: one line of scripts/check-installed.mjs for each way. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ROOT } from './run-script.ts';

const { stdout, stderr } = spawnSync(process.execPath, ['scripts/check-installed.mjs'], {
  cwd: ROOT,
  encoding: 'utf8',
});
const { version } = process;

/** What the script says of one use: `passed`, or what went wrong. */
function outcome(use: string): string {
  const start = `installed ${use}: `;
  const from = stdout.indexOf(start);
  if (from < 0) return `nothing is said of it\n${stdout}${stderr}`;
  return stdout
    .slice(from + start.length)
    .split('\ninstalled ')[0]!
    .trimEnd();
}

describe('the package, packed and installed into an empty project', () => {
  it.each([
    'TypeScript',
    'TypeScript, resolved as bundlers do',
    `TypeScript program, Node ${version}`,
    `ES module, Node ${version}`,
    `CommonJS, Node ${version}`,
    `worker threads, Node ${version}`,
    `code of README.md, Node ${version}`,
    `first code of README.md, Node ${version}`,
    `command, Node ${version}`,
    'a browser bundle',
  ])('works from %s', (use) => {
    expect(outcome(use)).toBe('passed');
  });
});
