// THIRD-PARTY.md: the licences of the packages that are bundled into dist. Run it to write the file anew.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { bundle } from './bundle.mjs';
import { buildLab } from './lab.mjs';

/** Folders of the packages whose files went into a bundle. */
export function bundledPackages(...metafiles) {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const folders = inputs.flatMap((path) => {
    // The last node_modules counts: packages may bring packages.
    return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? [];
  });
  return [...new Set(folders)].sort();
}

/** The document that lists them. */
export function thirdPartyText(folders) {
  const sections = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} is bundled and has no licence file`);
    return `## ${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`;
  });
  return `# Packages bundled into the command and the lab\n\n${sections.join('\n')}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { metafile } = await bundle('unused', { write: false });
  const lab = await buildLab('unused', { write: false });
  writeFileSync('THIRD-PARTY.md', thirdPartyText(bundledPackages(metafile, lab.metafile)));
}
