/** The package as its users get it: the built dist, through the names in package.json. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { ROOT, runScript } from './run-script.ts';

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
  typeof target === 'string' ? [] : [{ name: name.replace('.', 'pagewalk'), ...target }],
);

/** What a module prints that runs in this package's folder, where Node resolves `pagewalk` by its exports. */
function run(program: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: ROOT, encoding: 'utf8' });
}

/** What a built file imports, directly or through what it is split into, from outside of dist. */
async function foreignImports(path: string): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [path],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'error',
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map((found) => found.path));
  return [...new Set(imports)].sort();
}

describe('entry points', () => {
  it('share their classes: a fault thrown through one is an instance of the FaultError of another', () => {
    const output = run(`
      import { FaultError, Machine } from 'pagewalk';
      import { FaultError as FaultErrorOfImage } from 'pagewalk/image';
      const { cpus: [cpu] } = new Machine({ memory: { size: 1 << 20 } });
      cpu.enter({ cr0: 0x80000001, cr3: 0, cr4: 0, efer: 0 });
      try {
        cpu.long.read8(0x1000);
      } catch (thrown) {
        console.log(thrown instanceof FaultError, thrown instanceof FaultErrorOfImage, thrown.vector);
      }
    `);
    expect(output).toBe('true true 14\n');
  });

  it.each(entries)('$name loads and has declarations', (entry) => {
    expect(Number(run(`console.log(Object.keys(await import('${entry.name}')).length)`))).toBeGreaterThan(0);
    expect(statSync(join(ROOT, entry.types)).size).toBeGreaterThan(0);
  });

  it.each(entries)(
    '$name imports nothing but long, so that it runs in browsers; and the peer it is for',
    async (entry) => {
      const peer = entry.name.replace('pagewalk/testing/', '');
      const allowed = Object.hasOwn(manifest.peerDependencies, peer) ? ['long', peer] : ['long'];
      expect(allowed).toEqual(expect.arrayContaining(await foreignImports(entry.default)));
    },
  );

  it('load fast-check where they are for it, and nothing of Vitest', async () => {
    expect(await foreignImports('dist/testing/fast-check/index.js')).toContain('fast-check');
    expect(await foreignImports('dist/testing/vitest.js')).not.toContain('vitest');
  });

  it('require() works too, on every supported Node', () => {
    const program = "const { Machine } = require('pagewalk'); console.log(typeof Machine)";
    const output = execFileSync(process.execPath, ['--eval', program], { cwd: ROOT, encoding: 'utf8' });
    expect(output).toBe('function\n');
  });
});

const npm = ['pack', '--dry-run', '--json', '--ignore-scripts'];
const [packed] = JSON.parse(execFileSync('npm', npm, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }));
const paths = (packed.files as { path: string }[]).map((file) => file.path);

describe('the package', () => {
  it('depends on long alone at run time', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['long']);
    expect(manifest).not.toHaveProperty('optionalDependencies');
    for (const peer of Object.keys(manifest.peerDependencies))
      expect(manifest.peerDependenciesMeta[peer]).toEqual({ optional: true });
  });

  it('has a command that starts by itself and brings its libraries with it', async () => {
    const path = manifest.bin['pagewalk']!;
    const [shebang] = readFileSync(join(ROOT, path), 'utf8').split('\n', 1);
    expect(shebang).toBe('#!/usr/bin/env node');
    expect(statSync(join(ROOT, path)).mode & 0o111).toBe(0o111);
    const packages = (await foreignImports(path)).filter((name) => !name.startsWith('node:'));
    expect(packages).toEqual(['long']);
  });

  it('ships what is built, its sources and documents, not the tests and their corpora', () => {
    const images = ['dist/cli/xen-idle-6g.ptpages.gz', 'dist/lab/images/xen-idle-6g.js'];
    const needed = ['LICENSE', 'README.md', 'THIRD-PARTY.md', 'src/index.ts', 'dist/lab/lab.js', ...images];
    const built = entries.flatMap((entry) => [entry.types.slice(2), entry.default.slice(2)]);
    expect(paths).toEqual(expect.arrayContaining([...needed, ...built]));
    const folders = new Set(paths.filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
    expect([...folders].sort()).toEqual(['dist', 'docs', 'examples', 'src', 'test']);
    const notShipped = /^docs\/api|^test\/(?!corpus\/[^/]+\/[A-Z]+\.md$)|\.(test\.ts|gz)$|^examples\/(?!.*\.ts$)/;
    const shippedAll = 'dist/cli/xen-idle-6g.ptpages.gz'; // what the command shows without an image
    expect(paths.filter((path) => notShipped.test(path) && path !== shippedAll)).toEqual([]);
  });

  it('has no link in it that leads nowhere', () => {
    const pages = paths
      .filter((path) => path.endsWith('.md'))
      .map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]);
    const rest = paths.filter((path) => !path.endsWith('.md')).map((path) => [path, '']);
    expect(pages.map(([path]) => path)).toContain('README.md');
    expect(runScript('check-links.mjs', Object.fromEntries([...pages, ...rest])).complaints).toEqual([]);
  });
});
