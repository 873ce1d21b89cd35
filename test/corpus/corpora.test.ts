/** Recorded real systems, through the command: the counts are facts of the corpora. */
import { describe, expect, it } from 'vitest';
import { IMAGES, pagewalk } from '../support/command.ts';

interface Checked {
  readonly passed: number;
  readonly failed: number;
  readonly files: readonly { readonly classes: Record<string, { passed: number; failed: number }> }[];
}

const checked = (args: readonly string[]): Checked => {
  const { status, stdout, stderr } = pagewalk(['check', '--json', ...args]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as Checked;
};

describe('access vectors of QEMU and Bochs', () => {
  it.each(['default', 'everything', 'off'])('all 19,940 cases and 41,129 accesses agree, caches %s', (caches) => {
    const { status, stdout } = pagewalk(['check', 'test/corpus/access', '--caches', caches]);
    expect(status).toBe(0);
    expect(stdout).toContain('41129 of 41129 accesses');
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('19940 passed, 0 failed');
  });
});

describe("the page tables of a booted Xen and two Linux systems against QEMU's listings", () => {
  const { files } = checked([IMAGES]);
  const count = (kind: string): number =>
    files
      .flatMap(({ classes }) => Object.entries(classes))
      .filter(([name]) => name.endsWith(kind))
      .reduce((sum, [, { passed }]) => sum + passed, 0);

  it('has every line of info tlb', () => expect(count(' tlb')).toBe(174_985));
  it('has every line of info mem', () => expect(count(' mem')).toBe(131_575));
  it('has every translation of gva2gpa', () => expect(count(' gva2gpa')).toBe(2_771));
  it('has every leaf with size, rights and raw entry', () => expect(count(' leaves')).toBe(75_616 + 5_379 + 3_500));
});
