// The lab's page: one classic script, so that it runs from file:// too, its styles, and the built-in images as scripts.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const IMAGES = ['xen-idle-6g', 'linux4-nopti-2g-user'];

/** Builds the page into `outdir`; the metafile in the result tells what went in. */
export async function buildLab(outdir, options = {}) {
  const result = await build({
    entryPoints: ['src/lab/main.ts'],
    outfile: `${outdir}/lab.js`,
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    metafile: true,
    logLevel: 'error',
    ...options,
  });
  if (options.write === false) return result;
  for (const name of ['index.html', 'lab.css']) copyFileSync(`src/lab/${name}`, `${outdir}/${name}`);
  mkdirSync(`${outdir}/images`, { recursive: true });
  for (const name of IMAGES) {
    const base64 = readFileSync(`test/corpus/images/${name}.ptpages.gz`).toString('base64');
    writeFileSync(`${outdir}/images/${name}.js`, `(globalThis.pagewalkImages ??= {})['${name}'] = '${base64}';\n`);
  }
  return result;
}
