/** Examples that check somebody's code: each finds the mistake that it plants, says so in plain words, and passes without it. */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { bundledExample } from '../support/example.ts';

async function outputOf(example: string): Promise<string[]> {
  const input = await bundledExample(example);
  const output = execFileSync(process.execPath, ['--input-type=module', '-'], { input, encoding: 'utf8' });
  return output.trimEnd().split('\n');
}

it('my-own-tlb: a TLB that keeps pieces of a page after INVLPG is found, by the shortest guest that shows it', async () => {
  const lines = await outputOf('my-own-tlb');
  expect(lines[0]).toMatch(/^forgetful: a read of 0x\w+ leads to 0x\w+, and should lead to a fault$/);
  expect(lines[1]).toMatch(/^ {2}0x\w+ is mapped to 0x\w+: a page of (2048|1048576) KiB, P RW US$/);
  expect(lines.slice(2, -1)).toEqual([
    expect.stringMatching(/^ {2}a read of 0x[1-9a-f]\w*$/), // not of the first piece: that one is dropped
    expect.stringMatching(/^ {2}bits 0x1 of the entry of 0x\w+ are changed, then INVLPG of 0x\w+$/),
    lines[2],
  ]);
  const [, reads, faults] = /^mended: no difference in 500 guests: (\d+) reads, (\d+) of them faults$/.exec(
    lines.at(-1)!,
  )!;
  expect(Number(reads)).toBeGreaterThan(3000);
  expect(Number(faults) / Number(reads)).toBeGreaterThan(0.2);
  expect(Number(faults) / Number(reads)).toBeLessThan(0.6);
});

it('missing-flush: the stale read goes unnoticed, and the sanitizer notices the operation that makes it possible', async () => {
  expect(await outputOf('missing-flush')).toEqual([
    'forgetful, unwatched: CPU 1 reads 0x5ec2e7 from a page that is not mapped',
    'mended, unwatched: CPU 1 gets a page fault',
    expect.stringMatching(
      /^forgetful, watched: StaleTranslation: CPU 1 still translates page 0x400 \(4K\) to frame 0x200/,
    ),
    'mended, watched: nothing is wrong',
  ]);
});

it('xsa-345: ends in three ways before the fix, and in none with it', async () => {
  const lines = await outputOf('xsa-345');
  expect(lines.filter((line) => /^[A-Z]/.test(line))).toEqual([
    'Bug: virt_to_xen_l2e(0xffff830000000000): a superpage of level 3 is in the way',
    expect.stringMatching(/^UseAfterFree: CPU \d (reads|writes to) a table that is free$/),
    expect.stringMatching(/^DoubleFree: CPU \d frees a table that is free$/),
  ]);
  expect(lines.filter((line) => line.startsWith('    CPU '))).toHaveLength(12);
  expect(lines.at(-1)).toMatch(/^with the fix: no mistake in every schedule: [\d,]+ states/);
});
