/** The example that walks dumps, with each of the three kinds there are. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { IMAGES, newFolder } from '../support/command.ts';
import { bundledExample } from '../support/example.ts';

let input = '';
beforeAll(async () => {
  input = await bundledExample('walk-a-dump');
});

function run(...args: string[]): string[] {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-', ...args], {
    input,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}

/** The tables of the container, each frame where it lies in memory: a sparse file. */
function rawDump(): string {
  const bytes = gunzipSync(readFileSync(`${IMAGES}/xen-idle-6g.ptpages.gz`));
  const path = join(newFolder(), 'memory.raw');
  const file = openSync(path, 'w');
  for (let at = 12 + bytes.readUInt32LE(8); at < bytes.length; at += 8 + 4096)
    writeSync(file, bytes, at + 8, 4096, Number(bytes.readBigUInt64LE(at)));
  closeSync(file);
  return path;
}

const XEN = [
  'CPU 0 maps 6380400 KiB in 1674 runs, 656 KiB of them writable and executable',
  'ffff82d040200000:',
  '  PML4E 261 at 0xbfc6e828 is 0xbfc6d063 (P RW A D): table',
  '  PDPTE 321 at 0xbfc6da08 is 0xbfc6a063 (P RW A D): table',
  '  PDE 1 at 0xbfc6a008 is 0x1bfc08063 (P RW A D): table',
  '  PTE 0 at 0x1bfc08000 is 0xbfa00121 (P A G): page',
  '  is 0xbfa00000, in a page of 4 KiB, -r-x',
];

describe('walk-a-dump', () => {
  it('walks the container of a booted Xen where it is given nothing', () => {
    const cpus = [0, 1].map((cpu) => `CPU ${cpu}: 4-level paging, CR3 0xbfc6e000`);
    expect(run()).toEqual([...cpus, ...XEN]);
  });

  it('walks a raw dump the same way', () => {
    const lines = run('--cr3', 'bfc6e000', rawDump(), 'ffff82d040200000');
    expect(lines).toEqual(['CPU 0: 4-level paging, CR3 0xbfc6e000', ...XEN]);
  });

  it('walks an ELF core as far as it goes, and says what is missing', () => {
    const lines = run(`${IMAGES}/linux4-nopti-2g-user.cr3page.elf.gz`, 'ffff888000000000');
    expect(lines[0]).toMatch(/^CPU 0: 4-level paging, CR3 0x/);
    expect(lines.some((line) => line.startsWith('  PML4E 273 at '))).toBe(true);
    expect(lines.at(-1)).toMatch(/^\d+ tables are not in the dump: what they map is not known$/);
  });
});
