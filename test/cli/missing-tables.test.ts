/** Tables that an image does not hold, through the command. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { IMAGES, newFolder, pagewalk } from '../support/command.ts';

const CORE = `${IMAGES}/xen-idle-6g.cr3page.elf.gz`;
const folder = newFolder();

/** A sparse dump of 64 GiB: one PDE points past its end, the next to a table. */
function dump(): string {
  const path = join(folder, 'past-end.raw');
  const fd = openSync(path, 'w');
  const entries: [at: number, entry: bigint][] = [
    [0x1000, 0x2003n],
    [0x2000, 0x3003n],
    [0x3000, 0x11_8000_0003n],
    [0x3008, 0x4003n],
    [0x4000, 0x9003n],
  ];
  for (const [at, entry] of entries) writeSync(fd, new BigInt64Array([entry]), 0, 8, at);
  ftruncateSync(fd, 64 * 2 ** 30);
  closeSync(fd);
  return path;
}

const DUMP = [dump(), '--cr3', '1000', '--paging', '4-level'];

describe('a table that an image does not hold', () => {
  it('maps nothing, and a note says that it is missing', () => {
    const { stdout, stderr, status } = pagewalk(['maps', ...DUMP]);
    expect(stdout).toBe('0000000000200000-0000000000200fff     4K  0000000000009000  -rwx  4K\n');
    expect(stderr).toBe('pagewalk: 1 table is not in the image; what would be mapped there is left out\n');
    expect(status).toBe(0);
  });

  it.each([
    ['text', 4],
    ['json', 5],
    ['qemu-tlb', 5],
    ['qemu-mem', 3],
  ])('leaves no phantom pages in format %s', (format, most) => {
    const { stdout, stderr } = pagewalk(['maps', CORE, '--format', format]);
    expect(stdout.trimEnd().split('\n').length).toBeLessThanOrEqual(most + 1);
    expect(stdout).not.toContain('ffffffffff000 ');
    expect(stderr).toBe('pagewalk: 4 tables are not in the image; what would be mapped there is left out\n');
  });

  it('is an outcome of its own in a walk', () => {
    const { stdout, stderr, status } = pagewalk(['walk', ...DUMP, '0', '200000']);
    expect(stdout.split('\n').slice(4, 6)).toEqual([
      '  PTE      0 at 0000001180000000  the table is not in the image',
      '  not known: the table is not in the image',
    ]);
    expect(stdout).toContain('-> 0000000000009000');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const walk = JSON.parse(pagewalk(['walk', ...DUMP, '0', '--json']).stdout);
    expect(walk).toMatchObject({ mapped: false, vector: null, summary: 'the table is not in the image' });
    expect(walk.steps.at(-1)).toMatchObject({ entry: null, outcome: 'the table is not in the image' });
  });

  it('is not counted as a table', () => {
    const { cpus } = JSON.parse(pagewalk(['info', ...DUMP, '--json']).stdout);
    expect(cpus[0]).toMatchObject({ tables: 4, missing: 1, leavesByLevel: [0, 1, 0, 0, 0, 0] });
    const { stdout, stderr } = pagewalk(['info', `${IMAGES}/linux32-pae-2g-user.cr3page.elf.gz`, '--cpu', '1']);
    expect(stdout).toContain('0 tables; leaves: none');
    expect(stderr).toContain('1 table is not in the image');
  });
});
