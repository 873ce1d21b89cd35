/** Runs the examples as their readers do, over the sources instead of the built package. */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { bundledExample } from '../support/example.ts';

async function outputOf(example: string): Promise<string> {
  const input = await bundledExample(example);
  return execFileSync(process.execPath, ['--input-type=module', '-'], { input, encoding: 'utf8' });
}

it('embed: a guest runs on demand paging, prints through a device, and is stopped at its mistake', async () => {
  expect(await outputOf('embed')).toBe(
    [
      'console: hello from the guest',
      'ran 125 instructions, 4 pages mapped on demand, 11 walks',
      'stopped by #PF(7) at 00007fff00400000: a store to read-only code',
      'frames written: 0x1 0x2 0x3 0x4 0x20 0x21 0x22 0x23 (0x1 to 0x4 are the tables: the walks set A and D there)',
      '',
    ].join('\n'),
  );
});
