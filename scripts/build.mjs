// Builds dist/: the bundles, declarations from tsc, and the image that the command shows without arguments.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { bundle, manifest } from './bundle.mjs';
import { keepConstants, nameLocally } from './for-speed.mjs';
import { buildLab } from './lab.mjs';
import { bundledPackages, thirdPartyText } from './third-party.mjs';

// A folder of its own first: a failed build leaves the last good dist as it was, and two builds at once do not mix.
const fresh = `dist.${process.pid}`;

async function main() {
  const { metafile } = await bundle(fresh);
  for (const [path, { inputs }] of Object.entries(metafile.outputs)) {
    const files = Object.keys(inputs);
    if (!path.endsWith('.js') || !files.every((file) => /^(constants:|src\/(?!cli\/|lab\/))/.test(file))) continue;
    const text = keepConstants(readFileSync(path, 'utf8'));
    writeFileSync(path, files.includes('src/hypervisor/map-pages.ts') ? nameLocally(text) : text);
  }
  const lab = await buildLab(`${fresh}/lab`);
  if (readFileSync('THIRD-PARTY.md', 'utf8') !== thirdPartyText(bundledPackages(metafile, lab.metafile)))
    throw new Error('THIRD-PARTY.md does not list what is bundled; run node scripts/third-party.mjs');
  const { status } = spawnSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', fresh], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('tsc could not make the declarations');
  copyFileSync('test/corpus/images/xen-idle-6g.ptpages.gz', `${fresh}/cli/xen-idle-6g.ptpages.gz`);
  for (const path of Object.values(manifest.bin)) chmodSync(path.replace('./dist', fresh), 0o755);
  rmSync('dist', { recursive: true, force: true });
  renameSync(fresh, 'dist');
}

try {
  await main();
} catch (failure) {
  // The first line is enough: esbuild and tsc have told the details by now.
  process.stderr.write(`build: ${failure.message.split('\n')[0].replace(/:$/, '')}\n`);
  process.exitCode = 1;
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
