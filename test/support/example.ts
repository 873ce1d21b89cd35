/** Examples, bundled over the sources instead of the built package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { ROOT } from '../package/run-script.ts';

const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
};
/** What the package exports, by the names that examples import. */
const sources = Object.fromEntries(
  Object.entries(exports).flatMap(([name, target]) =>
    typeof target === 'string'
      ? []
      : [[name.replace('.', 'pagewalk'), target.default.replace('./dist', './src').replace(/\.js$/, '.ts')]],
  ),
);

/** The code of one example, for `node --input-type=module -`. */
export async function bundledExample(name: string): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [`examples/${name}.ts`],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    alias: sources,
    logLevel: 'error',
  });
  return outputFiles[0]!.text;
}
