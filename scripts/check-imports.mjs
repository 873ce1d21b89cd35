// Imports point downward: a file imports only from files listed above it in docs/architecture.md, whose list is thereby
// kept true. Also which packages which folder may import. `checkImports(root)` returns complaints, one a line.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';

const HEADING = '## Files, in import order';
// Statements, and import('…') as expression or type.
const IMPORT = /(?:^\s*(?:import|export)\b(?:[^'"]*?\bfrom)?\s*|\bimport\(\s*)['"]([^'"]+)['"]/gm;

/** The list in the document: one path a line, then what the file holds. */
export function readOrder(root) {
  const path = join(root, 'docs/architecture.md');
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const block = text.slice(text.indexOf(HEADING)).match(/```text\n([\s\S]*?)```/);
  if (!text.includes(HEADING) || block === null) return undefined;
  return block[1].split('\n').flatMap((line) => line.trim().match(/^src\/\S+/)?.[0] ?? []);
}

export function checkImports(root) {
  const order = readOrder(root);
  if (order === undefined) return [`docs/architecture.md has no list under "${HEADING}"`];
  const files = sources(root, 'src');
  const position = new Map(order.map((file, at) => [file, at]));
  const complaints = [
    ...order.filter((file, at) => order.indexOf(file) !== at).map((file) => `${file} is listed twice`),
    ...order.filter((file) => !files.includes(file)).map((file) => `${file} is listed and does not exist`),
    ...files.filter((file) => !position.has(file)).map((file) => `${file} is not listed in docs/architecture.md`),
  ];
  for (const file of files) {
    for (const [, target] of readFileSync(join(root, file), 'utf8').matchAll(IMPORT)) {
      const complaint = target.startsWith('.') ? upward(position, file, target) : foreign(file, target);
      if (complaint !== undefined) complaints.push(complaint);
    }
  }
  return complaints;
}

function upward(position, file, target) {
  const imported = normalize(join(dirname(file), target));
  if (!position.has(imported)) return `${file} imports ${imported}, which is not listed`;
  return position.get(imported) < position.get(file) ? undefined : `${file} imports ${imported}, which stands below it`;
}

/** Packages that certain files alone need: optional peers, so that users of other entry points need not have them; and the lab's. */
const OWN = {
  vitest: 'src/testing/vitest.ts',
  'fast-check': 'src/testing/fast-check/',
  preact: 'src/lab/',
  'preact/hooks': 'src/lab/',
};

/** `long` everywhere; Node and bundled packages in the command only; what is for certain files in those. */
function foreign(file, target) {
  const isOwn = Object.hasOwn(OWN, target) && file.startsWith(OWN[target]);
  const allowed = target === 'long' || file.startsWith('src/cli/') || isOwn;
  return allowed ? undefined : `${file} imports the package ${target}`;
}

function sources(root, folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.ts'))
    .sort();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const complaints = checkImports(process.cwd());
  for (const complaint of complaints) console.error(complaint);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}
