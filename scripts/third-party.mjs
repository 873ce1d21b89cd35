// THIRD-PARTY.md: the licences of the packages that are bundled into dist. Run it to write the file anew.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** Names of the packages whose files went into a bundle. */
export function bundledPackages(metafile) {
  const names = Object.keys(metafile.inputs).flatMap((path) => {
    const found = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\/[^:]*$/.exec(path);
    return found ? [found[1]] : [];
  });
  return [...new Set(names)].sort();
}

/** The document that lists them. */
export function thirdPartyText(names) {
  const sections = names.map((name) => {
    const folder = `node_modules/${name}`;
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    return `## ${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`;
  });
  return `# Packages bundled into the command\n\n${sections.join('\n')}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { metafile } = await build({
    entryPoints: ['src/cli/main.ts'],
    bundle: true,
    write: false,
    metafile: true,
    outdir: 'unused',
    format: 'esm',
    platform: 'node',
    external: ['long'],
    logLevel: 'error',
  });
  if (!existsSync('node_modules')) throw new Error('run npm ci first');
  writeFileSync('THIRD-PARTY.md', thirdPartyText(bundledPackages(metafile)));
}
