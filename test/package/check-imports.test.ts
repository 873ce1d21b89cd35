import { describe, expect, it } from 'vitest';
import { type Outcome, runScript } from './run-script.ts';

const LIST = ['src/bug.ts       a broken invariant', 'src/mmu/walk.ts  the walk', 'src/cli/main.ts  the command'];
const SOURCES = {
  'src/bug.ts': "import Long from 'long';\nexport const ZERO: Long = Long.ZERO;\n",
  'src/mmu/walk.ts': "import { ZERO } from '../bug.ts';\nexport { ZERO };\n",
  'src/cli/main.ts':
    "import { readFileSync } from 'node:fs';\nimport pc from 'picocolors';\nimport '../mmu/walk.ts';\n",
};

function architecture(lines: readonly string[]): string {
  return `# Architecture\n\n## Files, in import order\n\nAnything.\n\n\`\`\`text\n${lines.join('\n')}\n\`\`\`\n`;
}

function check(changes: Readonly<Record<string, string>>, lines: readonly string[] = LIST): Outcome {
  return runScript('check-imports.mjs', { 'docs/architecture.md': architecture(lines), ...SOURCES, ...changes });
}

function complaint(text: string): Outcome {
  return { status: 1, complaints: [text] };
}

describe('the import order check', () => {
  it('accepts imports of files above', () => {
    expect(check({})).toEqual({ status: 0, complaints: [] });
  });

  it('reads past blank lines, indentation and lines that start with #', () => {
    expect(check({}, ['# the base', `  ${LIST[0]}`, '', ...LIST.slice(1)])).toEqual({ status: 0, complaints: [] });
  });

  it.each([
    ['import', "import { walk } from './mmu/walk.ts';"],
    ['import over several lines', "import {\n  walk,\n} from './mmu/walk.ts';"],
    ['import type', "import type { Walk } from './mmu/walk.ts';"],
    ['import for effect', "import './mmu/walk.ts';"],
    ['export from', "export { walk } from './mmu/walk.ts';"],
    ['export all', "export * from './mmu/walk.ts';"],
    ['import as an expression', "export const walk = () => import('./mmu/walk.ts');"],
  ])('reports an upward %s', (_form, statement) => {
    const expected = complaint('src/bug.ts imports src/mmu/walk.ts, which stands below it');
    expect(check({ 'src/bug.ts': `${statement}\n` })).toEqual(expected);
  });

  it('reports a file that imports itself', () => {
    const expected = complaint('src/bug.ts imports src/bug.ts, which stands below it');
    expect(check({ 'src/bug.ts': "import './bug.ts';\n" })).toEqual(expected);
  });

  it('reports a file that is not listed', () => {
    const expected = complaint('src/mmu/tlb.ts is not listed in docs/architecture.md');
    expect(check({ 'src/mmu/tlb.ts': 'export {};\n' })).toEqual(expected);
  });

  it('reports a listed file that is gone', () => {
    const expected = complaint('src/mmu/tlb.ts is listed and does not exist');
    expect(check({}, [...LIST, 'src/mmu/tlb.ts  the TLB'])).toEqual(expected);
  });

  it('reports a file that is listed twice', () => {
    expect(check({}, [...LIST, 'src/bug.ts  again'])).toMatchObject({ status: 1 });
  });

  it.each(['picocolors', 'node:fs'])('reports %s outside the command', (name) => {
    const expected = complaint(`src/mmu/walk.ts imports the package ${name}`);
    expect(check({ 'src/mmu/walk.ts': `import '${name}';\n` })).toEqual(expected);
  });

  it('allows an optional peer in the entry point that is for it, and nowhere else', () => {
    const list = [...LIST, 'src/testing/vitest.ts  matchers', 'src/testing/fast-check/tables.ts  tables'];
    const own = {
      'src/testing/vitest.ts': "import type {} from 'vitest';\n",
      'src/testing/fast-check/tables.ts': "import { nat } from 'fast-check';\nexport { nat };\n",
    };
    expect(check(own, list)).toEqual({ status: 0, complaints: [] });
    expect(check({ ...own, 'src/testing/vitest.ts': "import 'fast-check';\n" }, list)).toEqual(
      complaint('src/testing/vitest.ts imports the package fast-check'),
    );
  });

  it('fails with a sentence where the document has no list', () => {
    const expected = complaint('docs/architecture.md has no list under "## Files, in import order"');
    expect(check({ 'docs/architecture.md': '# Architecture\n' })).toEqual(expected);
  });
});
