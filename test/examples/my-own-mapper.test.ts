/** A mapper of one's own, explored: its missing flush is found, and nothing is when it is mended. */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { bundledExample } from '../support/example.ts';

it('my-own-mapper: the missing flush is found by exploring and by watching; mended, it passes', async () => {
  const input = await bundledExample('my-own-mapper');
  const lines = execFileSync(process.execPath, ['--input-type=module', '-'], { input, encoding: 'utf8' })
    .trimEnd()
    .split('\n');
  expect(lines[0]).toMatch(/^forgetful: mistakes in every schedule: [\d,]+ states/);
  expect(lines[1]).toMatch(
    /^ {2}StaleTranslation: CPU \d still translates page 0x830000000 \(4K\) to frame 0x100 when/,
  );
  const trace = lines.filter((line) => line.startsWith('    CPU '));
  expect(trace.filter((line) => line.includes('writes L1[0] of 0x3 := 4K page 0x200'))).toHaveLength(1);
  expect(trace.filter((line) => /\(w\d\) keeps page 0x830000000: 4K page 0x100/.test(line))).not.toEqual([]);
  expect(lines.at(-2)).toMatch(/^mended: no mistake in every schedule: [\d,]+ states/);
  expect(lines.at(-1)).toBe(
    'running: StaleTranslation: CPU 1 still translates page 0x830000000 (4K) to frame 0x3 when an operation of CPU 0 ' +
      'ends. The rule no-stale: what an operation replaced is in no TLB when it ends',
  );
});
