// What the build does to the source that V8 would otherwise pay for at each access. Tests of dist judge it.
//
// * Fields that a class declares without a value would be `undefined` first, so that V8 never again takes for granted what the
//   constructor puts there: they are left out (a hit: 1.6 ns).
// * Constants are put where they are used. esbuild does so for those of a file without imports; so the numbers of each file
//   go to a module of their own (a hit: 0.7 ns; a miss: a quarter).
// * Private members become plain ones. V8 puts functions together as long as their bytecode is no longer than 920 bytes, and
//   `this.#name` takes two instructions and `this.#name()` four more than it would without `#` (a miss: a tenth). TypeScript
//   and the declarations keep them private.
// * Functions and what else a module names are constants. V8 knows a constant where it is used, and looks at anything else at each use,
//   whether it is what it was: four instructions a call, also where it has put the function in place (a mapped page: a tenth).
//   esbuild makes variables of constants, which `keepConstants` takes back. What chunks import and export is looked at as variables are,
//   also where it is defined: `nameLocally` gives it a second name, which is not (a mapped page 4 %, a 1 GiB page 7 %).
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIELD_WITHOUT_VALUE = /^ {2}(protected )?(readonly )?[\w$]+: [^=(\n]*;$/gm;
const PRIVATE = /((?<=[\w)\]!?])\??\.|^ +(?:static |readonly |get |set )*)#(\w+)/gm;
const CLASS = /^(?:export )?(?:abstract )?class (\w+)/gm;
const CONSTANT = /^(export )?const ([A-Z][A-Z0-9_]*)(?:: number)? = ([-~()<>|&+*/\s\w]+);$/gm;
const FUNCTION = /^(export )?function (\w+)(.*?\n\})$/gms;
const IMPORT_OF_FILE = /^import (?:type )?\{([^}]*)\} from '(\.[^']*)';$/gm;

const known = new Map();

/** The numbers that a file names, by name: `{ value, isExported }`. */
function constantsOf(path) {
  if (known.has(path)) return known.get(path);
  const found = new Map();
  known.set(path, found);
  const text = readFileSync(path, 'utf8');
  const imported = new Map();
  for (const [, names, from] of text.matchAll(IMPORT_OF_FILE))
    for (const name of names.split(',')) imported.set(name.trim(), resolve(dirname(path), from));
  const numberOf = (name) =>
    found.get(name) ?? (imported.has(name) ? constantsOf(imported.get(name)).get(name) : undefined);
  for (const [, isExported, name, expression] of text.matchAll(CONSTANT)) {
    const names = expression.match(/(?<!\w)[A-Za-z_]\w*/g) ?? []; // not the x of 0x
    if (names.some((other) => numberOf(other) === undefined)) continue;
    const numbers = expression.replace(/\b[A-Z][A-Z0-9_]*\b/g, (other) => `(${numberOf(other)?.value ?? other})`);
    const value = Function(`return ${numbers}`)();
    if (typeof value === 'number') found.set(name, { value, isExported: isExported !== undefined });
  }
  return found;
}

const folder = (name) => fileURLToPath(new URL(`../src/${name}`, import.meta.url));
/** Where plain members bring something: mapping code was measured without effect. */
const PLAIN = ['mmu', 'cpu'].map(folder);
/** Where functions are constants, and none is called before it is there. */
const CONSTANT_FUNCTIONS = [...PLAIN, folder('hypervisor')];

/** Classes that have a private member of a name, by name: a class and those it extends may have one each. */
const owners = new Map();
for (const path of PLAIN)
  for (const file of readdirSync(path).sort())
    for (const [owner, name] of privateMembers(readFileSync(resolve(path, file), 'utf8')))
      owners.set(name, [...new Set([...(owners.get(name) ?? []), owner])]);

function privateMembers(text) {
  const members = [];
  withPlainMembers(text, (owner, name) => members.push([owner, name]));
  return members;
}

/** `#name` becomes `$name`, of the second class that has one `$name2`, and so on. */
function withPlainMembers(text, plain = plainName) {
  const classes = [...text.matchAll(CLASS)];
  const ownerAt = (offset) => classes.findLast(({ index }) => index < offset)[1];
  return text.replace(PRIVATE, (_, before, name, offset) => `${before}${plain(ownerAt(offset), name)}`);
}

function plainName(owner, name) {
  const at = owners.get(name).indexOf(owner);
  return `$${name}${at === 0 ? '' : at + 1}`;
}

export const forSpeed = {
  name: 'for-speed',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\?constants$/ }, ({ path }) => ({ path, namespace: 'constants' }));
    onLoad({ filter: /.*/, namespace: 'constants' }, ({ path }) => ({
      contents: [...constantsOf(path.replace(/\?constants$/, ''))]
        .map(([name, { value }]) => `export const ${name} = ${value};`)
        .join('\n'),
    }));
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const plain = PLAIN.includes(dirname(path)) ? withPlainMembers(source) : source;
      const constant = CONSTANT_FUNCTIONS.includes(dirname(path))
        ? plain.replace(FUNCTION, '$1const $2 = function$3;')
        : plain;
      const text = constant.replace(FIELD_WITHOUT_VALUE, '');
      const constants = constantsOf(path);
      if (constants.size === 0) return { contents: text, loader: 'ts' };
      const names = [...constants.keys()];
      const exported = names.filter((name) => constants.get(name).isExported);
      return {
        contents: [
          `import { ${names.join(', ')} } from ${JSON.stringify(`${path}?constants`)};`,
          `export { ${exported.join(', ')} };`,
          text.replace(CONSTANT, (line, _export, name) => (constants.has(name) ? '' : line)),
        ].join('\n'),
        loader: 'ts',
      };
    });
  },
};

/** For what the library is bundled from: no file of it has a variable at its top (check-source.mjs). */
export const keepConstants = (text) => text.replace(/^var /gm, 'const ');

const IMPORT = /^import \{\n([^}]*)\} from "(?:\.\.?\/)+chunk-.*";$/gm;
const EXPORT = /^export \{\n([^}]*)\};$/m;
const NAMED = /([\w$]+)(?: as ([\w$]+))?(?=,?$)/gm;

/** On the lines of the statements, so that source maps hold. */
export function nameLocally(text) {
  const uses = new Map();
  for (const [name] of text.matchAll(/(?<![\w$.])[\w$]+/g)) uses.set(name, (uses.get(name) ?? 0) + 1);
  const isUsed = (name) => uses.get(name) > 2; // more than where it is defined, imported or exported
  const imported = text.replace(IMPORT, (statement, list) => {
    const constants = [];
    const names = list.replace(NAMED, (item, name, local = name) => {
      if (!isUsed(local)) return item;
      constants.push(`${local} = ${local}$in`);
      return `${name} as ${local}$in`;
    });
    return constants.length === 0
      ? statement
      : `${statement.replace(list, () => names)} const ${constants.join(', ')};`;
  });
  return imported.replace(EXPORT, (_, list) => {
    const constants = [];
    const names = list.replace(NAMED, (item, local, name = local) => {
      if (!isUsed(local)) return item;
      constants.push(`${local}$out = ${local}`);
      return `${local}$out as ${name}`;
    });
    return constants.length === 0 ? `export {\n${list}};` : `const ${constants.join(', ')}; export {\n${names}};`;
  });
}
