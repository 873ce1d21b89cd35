import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const examples = readdirSync('examples').filter((name) => name.endsWith('.ts'));
const tests = readdirSync('test/examples').map((name) => readFileSync(`test/examples/${name}`, 'utf8'));

it.each(examples)('%s is linked from the README and run by a test', (name) => {
  expect(readFileSync('README.md', 'utf8')).toContain(`(examples/${name})`);
  expect(tests.some((text) => text.includes(`('${name.replace('.ts', '')}')`))).toBe(true);
});
