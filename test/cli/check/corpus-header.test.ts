/** Which format a corpus is of, and that a version nobody here knows is refused by name. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { corpusFormat } from '../../../src/cli/check/corpus-header.ts';
import { UsageError } from '../../../src/cli/failure.ts';
import { newFolder, pagewalk, write } from '../../support/command.ts';

describe('the header of a corpus', () => {
  it.each([
    ['{"format":"mmu-oracle-1"}', 'mmu-oracle'],
    ['{"format":"xen-map-trace","version":1}', 'xen-map-trace'],
    ['{"format": "xen-mm-trace", "version": 1, "name": "x"}', 'xen-mm-trace'],
  ])('names its format: %s', (line, format) => {
    expect(corpusFormat(line)).toBe(format);
    expect(readFileSync('docs/corpora.md', 'utf8')).toContain(`"format":"${format.replace(/oracle$/, 'oracle-1')}"`);
  });

  it.each([
    ['{"format":"other"}'],
    ['{"format":"mmu-oracle"}'],
    ['{"format":"toString"}'],
    ['{"format":1}'],
    ['{}'],
    ['null'],
    ['[]'],
    ['{"format'],
    [''],
  ])('is none: %s', (line) => {
    expect(corpusFormat(line)).toBeUndefined();
  });

  it.each([
    ['{"format":"mmu-oracle-2"}', 'mmu-oracle of version 2; this package reads version 1'],
    ['{"format":"mmu-oracle-10"}', 'mmu-oracle of version 10; this package reads version 1'],
    ['{"format":"xen-map-trace","version":2}', 'xen-map-trace of version 2; this package reads version 1'],
    ['{"format":"xen-mm-trace","version":"1"}', 'xen-mm-trace of version "1"; this package reads version 1'],
    ['{"format":"xen-map-trace"}', 'xen-map-trace of no version; this package reads version 1'],
  ])('of another version is refused: %s', (line, sentence) => {
    expect(() => corpusFormat(line)).toThrow(UsageError);
    expect(() => corpusFormat(line)).toThrow(sentence);
  });

  it('of another version makes the command end in one line that names the file', () => {
    const path = write(newFolder(), 'next.jsonl', '{"format":"mmu-oracle-2"}\n');
    expect(pagewalk(['check', path])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: `pagewalk: ${path}: mmu-oracle of version 2; this package reads version 1\n`,
    });
  });
});
