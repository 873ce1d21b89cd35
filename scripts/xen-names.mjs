// Which Xen name each export of pagewalk/hypervisor stands for, from the `Xen:` and `Not in Xen:` lines of the docs in
// src/hypervisor. Without arguments: complains about exports without one, and where docs/xen-names.md is not up to date.
//   node scripts/xen-names.mjs [--write]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = 'src/hypervisor';
const PAGE = 'docs/xen-names.md';
const MARKERS = ['<!-- names: made by scripts/xen-names.mjs -->', '<!-- end of names -->'];
const DECLARATION = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?^export (?:function|const|class) (\w+)/gm;

/** Each exported value with its documentation, by file in alphabetical order. */
function declarations() {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith('.ts') && name !== 'index.ts')
    .sort()
    .flatMap((file) => {
      const text = readFileSync(join(FOLDER, file), 'utf8');
      return [...text.matchAll(DECLARATION)].map(([, doc = '', name]) => ({
        file,
        name,
        doc: doc.replace(/^\s*\* ?/gm, ''),
      }));
    });
}

/** The names that index.ts exports; of `export *`, all of the file. */
function isPublic({ file, name }, index) {
  const from = new RegExp(`export (\\*|\\{([^}]*)\\}) from '\\./${file.replace('.', '\\.')}'`).exec(index);
  return from !== null && (from[1] === '*' || new RegExp(`(^|[\\s,])${name}($|[\\s,])`).test(from[2]));
}

const index = readFileSync(join(FOLDER, 'index.ts'), 'utf8');
const names = declarations().filter((declaration) => isPublic(declaration, index));
const sentence = (doc, start) =>
  new RegExp(`${start}((?:(?!\\n\\s*\\n)[\\s\\S])*)`).exec(doc)?.[1].replace(/\s+/g, ' ').trim();
const rows = names.map(({ file, name, doc }) => {
  const other = sentence(doc, 'Not in Xen:');
  const xen = other === undefined ? sentence(doc, '(?:^|\\s)Xen:') : undefined;
  return { file, name, xen, other };
});
const missing = rows.filter(({ xen, other }) => xen === undefined && other === undefined);
const lines = rows.map(({ name, file, xen, other }) => `| \`${name}\` | ${xen ?? `not in Xen: ${other}`} | ${file} |`);
const table = ['| here | Xen | file |', '|---|---|---|', ...lines].join('\n');

const page = readFileSync(PAGE, 'utf8');
const [start, end] = MARKERS.map((marker) => page.indexOf(marker));
const made = `${page.slice(0, start)}${MARKERS[0]}\n${table}\n${page.slice(end)}`;
for (const { file, name } of missing)
  console.error(`${FOLDER}/${file}: ${name} has neither a "Xen:" nor a "Not in Xen:" line`);
if (process.argv.includes('--write')) writeFileSync(PAGE, made);
else if (made !== page) console.error(`${PAGE} is not up to date: node scripts/xen-names.mjs --write`);
process.exitCode = missing.length > 0 || (made !== page && !process.argv.includes('--write')) ? 1 : 0;
