import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { IMAGES, newFolder, pagewalk, write } from '../support/command.ts';

const XEN = `${IMAGES}/xen-idle-6g.ptpages.gz`;
const folder = newFolder();
const fileOf = (name: string, bytes: Uint8Array | string): string => write(folder, name, bytes);

/** A file of many GiB that begins like this, and is empty else. */
function sparse(name: string, start: string, gib: number): string {
  const path = fileOf(name, start);
  truncateSync(path, gib * 2 ** 30);
  return path;
}

function fifo(name: string): string {
  const path = join(folder, name);
  spawnSync('mkfifo', [path]);
  return path;
}

describe('pagewalk walk', () => {
  it('explains a translation entry by entry', () => {
    const { stdout, status } = pagewalk(['walk', XEN, 'ffff82d040200000']);
    expect(status).toBe(0);
    expect(stdout).toBe(
      [
        'ffff82d040200000  4-level paging',
        '  PML4E  261 at 00000000bfc6e828  00000000bfc6d063  P RW A D                  table 00000000bfc6d000',
        '  PDPTE  321 at 00000000bfc6da08  00000000bfc6a063  P RW A D                  table 00000000bfc6a000',
        '  PDE      1 at 00000000bfc6a008  00000001bfc08063  P RW A D                  table 00000001bfc08000',
        '  PTE      0 at 00000001bfc08000  00000000bfa00121  P A G                     page 00000000bfa00000',
        '  -> 00000000bfa00000  4K page  -r-x  PAT index 0',
        '',
      ].join('\n'),
    );
  });

  it('takes addresses with and without 0x, in either case', () => {
    expect(pagewalk(['walk', XEN, '0xFFFF82D040200ABC']).stdout).toContain('-> 00000000bfa00abc');
  });

  it('says why an address is not mapped', () => {
    expect(pagewalk(['walk', XEN, '0']).stdout).toContain('not mapped: the PTE is not present, error code 00');
    expect(pagewalk(['walk', XEN, '800000000000']).stdout).toContain('not mapped: the address is not canonical');
  });

  it('gives JSON', () => {
    const walk = JSON.parse(pagewalk(['walk', XEN, 'ffff830000000000', '--json']).stdout);
    expect(walk).toMatchObject({ mapped: true, physical: '0x0000000000000000', pageSize: 4096, rights: '-rw-' });
    expect(walk.steps).toHaveLength(4);
  });
});

describe('pagewalk maps', () => {
  it('lists Xen with its self-map and ends', () => {
    const lines = pagewalk(['maps', XEN]).stdout.trimEnd().split('\n');
    expect(lines[0]).toBe('000000000008f000-0000000000090fff     8K  000000000008f000  -r-x  4K');
    expect(lines.filter((line) => line.startsWith('ffff81')).length).toBeGreaterThan(100);
  });

  it('filters by address, rights and page size', () => {
    const writableAndExecutable = pagewalk(['maps', XEN, '--rights', 'wx']).stdout;
    expect(writableAndExecutable).toMatch(/-rwx/);
    expect(writableAndExecutable).not.toMatch(/-rw-|-r-x/);
    const huge = pagewalk(['maps', XEN, '--size', '1G', '--from', 'ffff830000000000']).stdout.trimEnd().split('\n');
    expect(huge).toEqual([
      'ffff830040000000-ffff83007fffffff     1G  0000000040000000  -rw-  1G',
      'ffff830100000000-ffff83017fffffff     2G  0000000100000000  -rw-  1G',
    ]);
    expect(pagewalk(['maps', XEN, '--to', '7fffffffffff', '--without', 'x']).stdout).toBe('');
  });

  it('gives JSON that adds up', () => {
    const runs = JSON.parse(
      pagewalk(['maps', XEN, '--json', '--from', '0xffff82d040000000', '--to', '0xffff82d07effffff']).stdout,
    );
    expect(runs.reduce((sum: number, { sizeBytes }: { sizeBytes: number }) => sum + sizeBytes, 0)).toBe(680 * 4096);
  });

  it('prints what QEMU prints', () => {
    const expected = gunzipSync(readFileSync(`${IMAGES}/xen-idle-6g.cpu0.mem.txt.gz`)).toString();
    expect(pagewalk(['maps', XEN, '--format', 'qemu-mem']).stdout).toBe(expected);
  });
});

describe('pagewalk info', () => {
  it('counts the tables that the capture counted', () => {
    expect(pagewalk(['info', XEN]).stdout).toContain('26 tables');
    const pae = JSON.parse(pagewalk(['info', `${IMAGES}/linux32-pae-2g-user.ptpages.gz`, '--json']).stdout);
    expect(pae.cpus.map(({ tables }: { tables: number }) => tables)).toEqual([25, 36]);
  });

  it('reads registers from the notes of an ELF core', () => {
    const core = JSON.parse(pagewalk(['info', `${IMAGES}/xen-idle-6g.cr3page.elf.gz`, '--json']).stdout);
    expect(core.cpus[0]).toMatchObject({ cr3: '0xbfc6e000', cr4: '0x5506e0', paging: '4-level', cpl: 0 });
  });
});

describe('pagewalk info --cpu', () => {
  const LINUX = `${IMAGES}/linux4-nopti-2g-user.ptpages.gz`;

  it('tells of one CPU', () => {
    const { stdout } = pagewalk(['info', LINUX, '--cpu', '1']);
    expect(stdout.match(/^CPU \d/gm)).toEqual(['CPU 1']);
    const { cpus } = JSON.parse(pagewalk(['info', LINUX, '--cpu', '1', '--json']).stdout);
    expect(cpus).toEqual([expect.objectContaining({ index: 1, tables: 128 })]);
  });

  it('that is not there is refused before anything is told', () => {
    const { status, stdout, stderr } = pagewalk(['info', LINUX, '--cpu', '2']);
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: 'pagewalk: the image has no CPU 2; it has 0, 1\n',
    });
  });
});

describe('a raw dump', () => {
  // The container's frames at their addresses in a sparse file of 7 GiB.
  const bytes = gunzipSync(readFileSync(XEN));
  const path = join(folder, 'xen.raw');
  const fd = openSync(path, 'w');
  for (let at = 12 + bytes.readUInt32LE(8); at < bytes.length; at += 4104)
    writeSync(fd, bytes, at + 8, 4096, Number(bytes.readBigUInt64LE(at)));
  truncateSync(path, 0x1c0000000);

  it('maps the same as the container', () => {
    const raw = pagewalk(['maps', path, '--cr3', 'bfc6e000', '--paging', '4-level', '--format', 'qemu-tlb']);
    expect(raw.stdout).toBe(gunzipSync(readFileSync(`${IMAGES}/xen-idle-6g.cpu0.tlb.txt.gz`)).toString());
  });

  it('honours --no-1g and --maxphyaddr', () => {
    const without1g = pagewalk([
      'walk',
      path,
      'ffff830040000000',
      '--cr3',
      'bfc6e000',
      '--paging',
      '4-level',
      '--no-1g',
    ]);
    expect(without1g.stdout).toContain('the PDPTE has a reserved bit set');
    const narrow = pagewalk([
      'walk',
      path,
      'ffff8301bfc00000',
      '--cr3',
      'bfc6e000',
      '--paging',
      '4-level',
      '--maxphyaddr',
      '32',
    ]);
    expect(narrow.stdout).toContain('has a reserved bit set');
  });

  it.each([
    [['--cr3', 'bfc6e000'], '--cr3 needs --paging'],
    [['--paging', 'pae'], 'go with --cr3'],
    [['--cr3', 'fffffffff000', '--paging', '4-level'], 'past the end of the dump'],
    [['--cr3', 'bfc6e000', '--paging', '4-level', '--maxphyaddr', '99'], '--maxphyaddr is a number from 32 to 52'],
    [['--cr3', '100001000', '--paging', 'pae'], 'CR3 is 0x100001000, more than the 32 bits it has in pae paging'],
  ])('refuses %j', (options, message) => {
    const { status, stderr } = pagewalk(['info', path, ...options]);
    expect([status, stderr.trimEnd().split('\n').length]).toEqual([2, 1]);
    expect(stderr).toContain(message);
  });
});

describe('bad input and usage', () => {
  const container = gunzipSync(readFileSync(XEN));
  const gz = readFileSync(XEN);
  const header = container.subarray(12, 12 + container.readUInt32LE(8)).toString();
  const withHeader = (json: string): Uint8Array => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(Buffer.byteLength(json));
    return Buffer.concat([container.subarray(0, 8), length, Buffer.from(json), container.subarray(12 + header.length)]);
  };
  const absurd = Buffer.from(container);
  absurd.writeUInt32LE(0xfffffff0, 8);

  it.each([
    ['a missing file', ['info', '/nowhere/at/all'], 'no such file'],
    ['a directory', ['info', IMAGES], 'is a directory'],
    ['a pipe', ['info', fifo('pipe')], 'not a regular file'],
    ['a pipe to check', ['check', fifo('pipe.jsonl')], 'not a regular file'],
    ['a device', ['maps', '/dev/zero'], 'not a regular file'],
    ['an empty file', ['info', fileOf('empty', '')], 'the file is empty'],
    ['truncated gzip', ['info', fileOf('cut.gz', gz.subarray(0, 3000))], 'damaged or cut short'],
    [
      'wrong magic',
      ['info', fileOf('magic', 'MMUPTP2\nxxxxxxxxxxxxxxxxxxxxx')],
      'neither a .ptpages container nor an ELF core',
    ],
    ['an absurd header length', ['info', fileOf('absurd', absurd)], 'header claims 4294967280 bytes'],
    [
      'an unknown version',
      ['info', fileOf('v2', withHeader(header.replace('"version": 1', '"version": 2')))],
      'has version 2',
    ],
    ['too few pages', ['info', fileOf('few', container.subarray(0, container.length - 1))], 'the header promises'],
    ['a header that is no JSON', ['info', fileOf('nojson', withHeader('{'))], 'is not JSON'],
    ['a CPU that is not there', ['walk', XEN, '0', '--cpu', '7'], 'has no CPU 7'],
    ['an address that is no number', ['walk', XEN, 'xyz'], 'not a hex address'],
    ['an address out of range', ['walk', XEN, '11112222333344445'], 'out of range'],
    ['an unknown format', ['maps', XEN, '--format', 'xml'], '--format is one of'],
    [
      'two formats at once',
      ['maps', XEN, '--json', '--format', 'qemu-tlb'],
      '--json is --format json, and does not go',
    ],
    ['an unknown option', ['maps', XEN, '--frobnicate'], "unknown option '--frobnicate'"],
    ['an unknown command', ['frobnicate'], 'see pagewalk --help'],
    ['registers for a file that has its own', ['info', XEN, '--cr3', '0', '--paging', 'pae'], 'this file has its own'],
    ['an image without listings', ['check', fileOf('alone.ptpages.gz', gz)], 'nothing to compare'],
    ['a dump of 64 GiB to check', ['check', sparse('64', '\0', 64)], 'neither a .ptpages container nor access'],
    ['a dump of 1 GiB to check', ['check', sparse('1', '\0', 1)], 'neither a .ptpages container nor access'],
    [
      'vectors of 64 GiB',
      ['check', sparse('v', '{"format":"mmu-oracle-1"}\n', 64)],
      'a corpus of 68719476736 bytes, more',
    ],
    ['a container of 64 GiB', ['check', sparse('c', 'MMUPTP1\n', 64)], 'a container of 68719476736 bytes, more'],
    ['lines of no known format', ['check', fileOf('other.jsonl', '{"format":"other"}\n')], 'nor access vectors'],
    [
      'vectors cut inside a line',
      ['check', fileOf('cut.jsonl', '{"format":"mmu-oracle-1"}\n{"var')],
      'line 2: not JSON',
    ],
    ['vectors without a case', ['check', fileOf('none.jsonl', '{"format":"mmu-oracle-1"}\n')], 'nothing to compare'],
  ])('%s: one clear line, exit status 2', (_, args, message) => {
    const { status, stdout, stderr } = pagewalk(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('a file that cannot be checked leaves the reports of those before it', () => {
    const { status, stdout, stderr } = pagewalk(['check', XEN, fileOf('bad.jsonl', '{"format":"other"}')]);
    expect([status, stderr.trimEnd().split('\n').length]).toEqual([2, 1]);
    expect(stdout).toMatch(/cpu0 mem +63 of +63 {2}ok/);
  });

  it('a mismatch: exit status 1, explained, and counted', () => {
    const lines = gunzipSync(readFileSync('test/corpus/access/qemu-bochs.jsonl.gz')).toString().split('\n', 40);
    const planted = lines.map((line, at) =>
      at === 5 ? line.replace('"pa":"0x8', '"pa":"0x9').replace('"err":', '"err":1') : line,
    );
    const { status, stdout } = pagewalk(['check', fileOf('planted.jsonl.gz', gzipSync(planted.join('\n')))]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/case \d+: op \d+ .* expected/);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('37 passed, 1 failed');
  });
});

describe('the command', () => {
  it('tours the image it comes with when nothing is asked', () => {
    const { stdout, status } = pagewalk([]);
    expect(status).toBe(0);
    expect(stdout).toContain('1504 x 4K, 1533 x 2M, 3 x 1G');
    expect(stdout).toContain('-> 00000000bfa00000');
  });

  it('has --version and --help', () => {
    expect(pagewalk(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const { stdout, status } = pagewalk(['--help']);
    expect(status).toBe(0);
    for (const command of ['walk', 'maps', 'info', 'check']) expect(stdout).toContain(command);
  });
});
