// How large each entry point is in a browser: bundled, minified, and compressed by gzip; `long` apart. Fails above the
// budget, so that growth is a decision. Prints the table with --print.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { manifest } from './bundle.mjs';

/** Bytes: minified, compressed. Why the core is as large as it is: docs/decisions/0004-libraries.md. */
const BUDGETS = {
  '.': [75_000, 25_600],
  './image': [85_000, 29_700],
  './hypervisor': [127_000, 44_300],
  './explorer': [222_000, 78_000],
};

const rows = [];
for (const [name, target] of Object.entries(manifest.exports)) {
  if (typeof target !== 'object') continue;
  const { outputFiles } = await build({
    entryPoints: [target.default],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // Test runners are peers of entry points that help with tests.
    external: ['long', 'vitest', 'fast-check'],
    logLevel: 'error',
  });
  const [{ contents }] = outputFiles;
  rows.push({ name, sizes: [contents.length, gzipSync(contents, { level: 9 }).length], budget: BUDGETS[name] });
}

for (const { name, sizes, budget } of rows) {
  const text = `${name.replace('.', 'pagewalk')}: ${sizes[0]} bytes minified, ${sizes[1]} compressed`;
  if (process.argv.includes('--print')) console.log(text);
  if (budget === undefined || sizes.every((size, at) => size <= budget[at])) continue;
  console.error(`${text}: more than the budget of ${budget[0]} and ${budget[1]} in scripts/sizes.mjs`);
  process.exitCode = 1;
}
