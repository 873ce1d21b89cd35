import { describe, expect, it } from 'vitest';
import { runScript } from './run-script.ts';

const complaints = (files: Readonly<Record<string, string>>): readonly string[] =>
  runScript('check-links.mjs', { 'README.md': '[docs](docs/a.md)\n', 'docs/a.md': '# First part\n', ...files })
    .complaints;

describe('the link check', () => {
  it.each([
    ['a file', '[a](docs/a.md)'],
    ['a folder', '[docs](docs)'],
    ['a heading', '[a](docs/a.md#first-part)'],
    ['a heading of its own page', '# Here\n\n[here](#here)'],
    ['a picture', '![a](docs/a.md)'],
    ['an address', '[elsewhere](https://example.org/nowhere.md)'],
    ['code', '`[a](b.md)`\n\n```md\n[a](b.md)\n```'],
  ])('accepts %s', (_what, text) => {
    expect(complaints({ 'README.md': `[docs](docs/a.md)\n\n${text}\n` })).toEqual([]);
  });

  it.each([
    ['a file that is not there', '[b](docs/b.md)', 'README.md: docs/b.md leads nowhere'],
    ['a picture that is not there', '![b](b.png)', 'README.md: b.png leads nowhere'],
    ['a reference that is not there', '[b][1]\n\n[1]: b.md', 'README.md: b.md leads nowhere'],
    ['a file outside the project', '[b](../b.md)', 'README.md: ../b.md leads nowhere'],
    ['a heading that is not there', '[a](docs/a.md#second)', 'README.md: docs/a.md#second: there is no such heading'],
    ['a heading that is code', '```md\n# Here\n```\n\n[here](#here)', 'README.md: #here: there is no such heading'],
  ])('reports %s', (_what, text, complaint) => {
    expect(complaints({ 'README.md': `[docs](docs/a.md)\n\n${text}\n` })).toEqual([complaint]);
  });

  it('counts headings of the same words', () => {
    const twice = { 'docs/a.md': '# Part\n\n# Part\n' };
    expect(complaints({ ...twice, 'README.md': '[a](docs/a.md#part-1)\n' })).toEqual([]);
    expect(complaints({ ...twice, 'README.md': '[a](docs/a.md#part-2)\n' })).toHaveLength(1);
  });

  it('reports a page of docs that no other page links to', () => {
    expect(complaints({ 'docs/b.md': '[b](b.md)\n' })).toEqual(['docs/b.md: no page links to it']);
  });
});
