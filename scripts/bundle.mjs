// The one esbuild call for every entry point, so that they share classes. Entry points are what package.json exports and
// its bin, a new one needs a line there and nothing here; and what the command loads when it has looked at its arguments.
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { forSpeed } from './for-speed.mjs';

export const manifest = JSON.parse(readFileSync('package.json', 'utf8'));

const outputs = [
  ...Object.values(manifest.exports).flatMap((target) => (typeof target === 'object' ? [target.default] : [])),
  ...Object.values(manifest.bin),
  './dist/cli/command.js', // loaded by the command; it finds its files from where it lies
];

/** Bundles into `outdir`; `options` go to esbuild as they are. The metafile in the result tells what went in. */
export function bundle(outdir, options = {}) {
  return build({
    entryPoints: outputs.map((path) => path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')),
    outdir,
    outbase: 'src',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2022',
    minifySyntax: true, // puts constants where they are used
    sourcemap: true,
    metafile: true,
    logLevel: 'error',
    external: ['node:*', ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })],
    plugins: [nodeBuiltins, forSpeed],
    ...options,
  });
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
