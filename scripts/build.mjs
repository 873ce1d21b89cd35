// Builds dist/: one esbuild call for every entry point (so that they share classes), then declarations from tsc.
// Entry points are what package.json exports and its bin, so a new one needs a line there and nothing here.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { build } from 'esbuild';
import { bundledPackages, thirdPartyText } from './third-party.mjs';

const root = new URL('..', import.meta.url);
const file = (path) => new URL(path, root);
const manifest = JSON.parse(readFileSync(file('package.json'), 'utf8'));

const outputs = [
  ...Object.values(manifest.exports).flatMap((target) => (typeof target === 'object' ? [target.default] : [])),
  ...Object.values(manifest.bin),
];
const entryPoints = outputs.map((path) => path.replace('./dist/', 'src/').replace(/\.js$/, '.ts'));

async function main() {
  // Into a folder of its own first: a failed build leaves the last good dist as it was.
  rmSync(file('dist.new'), { recursive: true, force: true });
  const { metafile } = await build({
    absWorkingDir: process.cwd(),
    entryPoints,
    outdir: 'dist.new',
    outbase: 'src',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2022',
    sourcemap: true,
    metafile: true,
    logLevel: 'error',
    external: ['node:*', ...Object.keys(manifest.dependencies)],
    // commander and picocolors are CommonJS and require Node's modules by their bare names
    plugins: [nodeBuiltins],
    banner: { js: '' },
  });
  if (readFileSync(file('THIRD-PARTY.md'), 'utf8') !== thirdPartyText(bundledPackages(metafile)))
    throw new Error('THIRD-PARTY.md does not list what is bundled; run node scripts/third-party.mjs');
  execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', 'dist.new'], { stdio: 'inherit' });
  copyFileSync(file('test/corpus/images/xen-idle-6g.ptpages.gz'), file('dist.new/cli/xen-idle-6g.ptpages.gz'));
  for (const path of Object.values(manifest.bin)) chmodSync(file(path.replace('./dist/', 'dist.new/')), 0o755);
  rmSync(file('dist'), { recursive: true, force: true });
  renameSync(file('dist.new'), file('dist'));
}

/** Bare names of Node's modules, as CommonJS packages require them, become imports: an ES module has no `require`. */
const nodeBuiltins = {
  name: 'node-builtins',
  setup({ onResolve, onLoad }) {
    const names = /^(node:)?(child_process|events|fs|path|process|tty|util)$/;
    onResolve({ filter: names }, ({ path, kind }) => {
      const name = path.replace('node:', '');
      return kind === 'require-call' ? { path: name, namespace: 'builtin' } : { path: `node:${name}`, external: true };
    });
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `import * as all from 'node:${path}'; module.exports = all.default ?? all;`,
      loader: 'js',
    }));
  },
};

try {
  await main();
} catch (failure) {
  process.stderr.write(`build: ${failure.message}\n`);
  process.exitCode = 1;
}
