// The one esbuild call for every entry point, so that they share classes. Entry points are what package.json exports and
// its bin, a new one needs a line there and nothing here; and what the command loads when it has looked at its arguments.
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

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
    minifySyntax: true, // puts constants where they are used: 0.7 ns a hit
    sourcemap: true,
    metafile: true,
    logLevel: 'error',
    external: ['node:*', ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })],
    plugins: [nodeBuiltins, forSpeed],
    ...options,
  });
}

/**
 * Two things about the source that V8 would otherwise pay for at each access (1.6 ns a hit, and a third of a miss):
 * fields that a class declares without a value would be `undefined` first, so that V8 never again takes for granted what
 * the constructor puts there: they are left out. And esbuild puts constants where they are used only if nothing stands in front of
 * them: imports, which count wherever they stand, go to the end.
 */
const forSpeed = {
  name: 'for-speed',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8').replace(/^ {2}(protected )?(readonly )?\w+: [^=(\n]*;$/gm, '');
      const imports = text.match(IMPORTS) ?? [];
      return { contents: [text.replace(IMPORTS, ''), ...imports].join('\n'), loader: 'ts' };
    });
  },
};
const IMPORTS = /^import [^;]*;$/gm;

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
