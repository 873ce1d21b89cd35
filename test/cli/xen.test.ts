import { openSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/failure.ts';
import * as flags from '../../src/hypervisor/flags.ts';
import { parseRequest } from '../../src/inspect/xen-request.ts';
import { IMAGES, newFolder, pagewalk, write } from '../support/command.ts';

const XEN = `${IMAGES}/xen-idle-6g.ptpages.gz`;
const LINUX = `${IMAGES}/linux4-nopti-2g-user.ptpages.gz`;
const folder = newFolder();
const at = (name: string): string => join(folder, name);

const xen = (image: string, operation: string, ...options: string[]) =>
  pagewalk(['xen', image, ...operation.split(' '), ...options]);
const lines = (text: string): string[] => text.trimEnd().split('\n');
/** The words that steps begin with, in their order. */
const actions = (text: string): string[] => lines(text).flatMap((line) => /^([a-z]+) {2,}[^ ]/.exec(line)?.[1] ?? []);
const listing = (image: string, ...options: string[]): string =>
  pagewalk(['maps', image, '--format', 'qemu-tlb', ...options]).stdout;
/** How many lines differ in place; the two are of one length. */
const differing = (a: string, b: string): number => {
  const [before, after] = [lines(a), lines(b)];
  expect(after).toHaveLength(before.length);
  return before.filter((line, nth) => line !== after[nth]).length;
};

const PROTECT = 'modify ffff830040000000 ffff830040001000 PAGE_HYPERVISOR_RO';

describe('pagewalk xen', () => {
  it('shows a page made read-only inside a 1 GiB page: two splits, a flush, the change, a flush', () => {
    const { stdout, status } = xen(XEN, PROTECT);
    expect(status).toBe(0);
    expect(stdout).toBe(
      [
        'modify_xen_mappings(0xffff830040000000, 0xffff830040001000, 0x800121 PAGE_HYPERVISOR_RO)',
        'split     ffff830040000000 1G: PDPTE 1 of table bfc6c000',
        '  - 80000000400001e3  1G at 40000000  P RW A D PS G XD',
        '  + 00000001bfffa063  table at 1bfffa000  P RW A D; new, 512 x 2M at 40000000  P RW A D PS G XD',
        'split     ffff830040000000 2M: PDE 0 of table 1bfffa000',
        '  - 80000000400001e3  2M at 40000000  P RW A D PS G XD',
        '  + 00000001bfffb063  table at 1bfffb000  P RW A D; new, 512 x 4K at 40000000  P RW A D G XD',
        'flush     everything, global pages too',
        'change    ffff830040000000 4K: PTE 0 of table 1bfffb000',
        '  - 8000000040000163  4K at 40000000  P RW A D G XD',
        '  + 8000000040000121  4K at 40000000  P A G XD',
        'flush     ffff830040000000 4K, global pages too',
        'returns 0, 1 page done: 2 splits, 0 coalesces, 2 flushes',
        'tables: 2 allocated, 0 freed; the heap is 1bfffa000-1c0000000',
        '',
      ].join('\n'),
    );
  });

  it('does as Xen does with --behaviour xen: one flush, in the end', () => {
    const { stdout } = xen(XEN, PROTECT, '--behaviour', 'xen');
    expect(actions(stdout)).toEqual(['split', 'split', 'change', 'flush']);
  });

  it('tells of a table that is replaced and of one that is coalesced, and frees both', () => {
    const { stdout, status } = xen(XEN, 'map ffff8301bca00000 1bca00 0x200 PAGE_HYPERVISOR');
    expect(status).toBe(0);
    expect(actions(stdout)).toEqual(['replace', 'flush', 'free', 'coalesce', 'flush', 'free']);
    expect(stdout).toContain('  + 80000001800001e3  1G at 180000000  P RW A D PS G XD');
    expect(stdout).toContain('free      table 1bfc02000, from the image');
    expect(stdout).toContain('returns 0, 512 pages done: 0 splits, 1 coalesce, 2 flushes');
  });

  it('makes one step of neighbours that change alike', () => {
    const { stdout } = xen(XEN, 'destroy ffff82d040200000 ffff82d040400000');
    expect(actions(stdout)).toEqual(['unmap', 'unmap', 'unmap', 'unmap', 'unlink', 'flush', 'free']);
    expect(stdout).toContain('unmap     ffff82d040200000 1412K: PTE 0-352 of table 1bfc08000');
    expect(stdout).toContain('  - 00000000bfa00121  353 x 4K at bfa00000  P A G');
  });

  it('names the flags that only Xen knows: small pages, PAT of either size', () => {
    const small = xen(XEN, 'map ffff840000000000 0 1 PAGE_HYPERVISOR_WC|MAP_SMALL_PAGES').stdout;
    expect(small).toContain('  + 80000000000003e3  4K at 0  P RW A D PAT G XD SMALL');
  });

  it('says so where nothing changes, and where what is written is what was there', () => {
    const same = xen(XEN, 'map ffff830040000000 40000 512 PAGE_HYPERVISOR');
    expect(lines(same.stdout)[1]).toBe('nothing changes');
    const whole = xen(XEN, 'map ffff830040000000 40000 262144 PAGE_HYPERVISOR').stdout;
    expect(actions(whole)).toEqual(['rewrite', 'flush']);
    expect(whole).toContain('  = 80000000400001e3  1G at 40000000  P RW A D PS G XD');
  });

  it('takes flags as hex and by every name there is', () => {
    const sets = Object.entries(flags).filter(([name]) => name.startsWith('PAGE_HYPERVISOR')) as [string, number][];
    expect(sets).toHaveLength(11);
    for (const [name, value] of sets) {
      const [byName, byHex, byPrefixed] = [name, value.toString(16), `0x${value.toString(16)}`].map(
        (given) => parseRequest('map', ['ffff840000000000', '1', '1', given]).call,
      );
      expect(byName).toContain(`0x${value.toString(16)} PAGE_HYPERVISOR`);
      expect([byHex, byPrefixed]).toEqual([byName, byName]);
    }
    expect(parseRequest('map', ['0', '0', '1', 'PAGE_HYPERVISOR_RW|MAP_SMALL_PAGES']).call).toContain('0x800363');
  });

  it('gives JSON', () => {
    const { stdout, status } = xen(XEN, 'map ffff8301bcba8000 0x1bcba8 1 0x800163', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      call: 'map_pages_to_xen(0xffff8301bcba8000, 0x1bcba8, 1, 0x800163 PAGE_HYPERVISOR)',
      result: '0',
      pages: 1,
      pagesDone: 1,
      splits: 0,
      coalesces: 0,
      flushes: 1,
      allocated: [],
      freed: [],
      heap: { start: '0x1bfffa000', end: '0x1c0000000' },
      written: null,
      steps: [
        {
          action: 'change',
          level: 1,
          table: '0x1bfc01000',
          index: 424,
          count: 1,
          linear: '0xffff8301bcba8000',
          before: { entry: '0x80000001bcba8161', kind: 'page', physical: '0x1bcba8000', flags: 'P A D G XD' },
          after: { entry: '0x80000001bcba8163', kind: 'page', physical: '0x1bcba8000', flags: 'P RW A D G XD' },
        },
        { action: 'flush', linear: '0xffff8301bcba8000', order: 0, global: true, cache: 'no' },
      ],
    });
    const { steps } = JSON.parse(xen(XEN, PROTECT, '--json').stdout);
    expect(steps[0].filled).toMatchObject({ kind: 'page', physical: '0x40000000' });
  });
});

describe('the image that -o writes', () => {
  const path = at('protected.ptpages.gz');
  beforeAll(() => {
    expect(lines(xen(XEN, PROTECT, '-o', path).stdout).at(-1)).toBe(`written to ${path}`);
  });

  it('maps what the operation left: one page read-only, all else as before', () => {
    const rights = (image: string): string[] =>
      lines(pagewalk(['maps', image, '--from', 'ffff830000000000']).stdout).filter((line) =>
        line.includes('ffff83004'),
      );
    expect(rights(XEN)).toEqual(['ffff830040000000-ffff83007fffffff     1G  0000000040000000  -rw-  1G']);
    expect(rights(path)).toEqual([
      'ffff830040000000-ffff830040000fff     4K  0000000040000000  -r--  4K',
      'ffff830040001000-ffff8300401fffff  2044K  0000000040001000  -rw-  4K',
      'ffff830040200000-ffff8300bfdfffff  2044M  0000000040200000  -rw-  2M', // on with what was 2 MiB pages
    ]);
    const below = ['--to', 'ffff82ffffffffff'];
    const maps = (image: string): string => pagewalk(['maps', image, ...below, '--without', 'u']).stdout;
    // The self-map shows the two new tables, and no other difference.
    expect(lines(maps(path)).filter((line) => !line.startsWith('ffff81'))).toEqual(
      lines(maps(XEN)).filter((line) => !line.startsWith('ffff81')),
    );
  });

  it('can be taken further: the page mapped again coalesces to what was there', () => {
    const again = at('again.ptpages.gz');
    const { stdout } = xen(path, 'map ffff830040000000 40000 1 PAGE_HYPERVISOR', '--output', again);
    expect(actions(stdout)).toEqual(['change', 'flush', 'coalesce', 'coalesce', 'flush', 'free', 'free']);
    expect(differing(listing(XEN), listing(again))).toBe(0);
    expect(pagewalk(['info', again]).stdout).toContain('26 frames');
  });

  it('says where it comes from', () => {
    const { stdout } = pagewalk(['info', path]);
    expect(stdout).toContain('; then pagewalk xen: modify_xen_mappings(');
    expect(stdout).toContain('RAM 0000000100000000-00000001c0000000  3G');
  });

  it('may replace the image it was made from, through a symbolic link too', () => {
    const own = write(folder, 'own.ptpages.gz', readFileSync(XEN));
    symlinkSync(own, at('link.ptpages.gz'));
    expect(xen(at('link.ptpages.gz'), PROTECT, '-o', at('link.ptpages.gz')).status).toBe(0);
    expect(listing(own)).toBe(listing(path));
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('keeps the tables of other CPUs, and shows them what they share', () => {
    const shared = at('linux.ptpages.gz');
    const { status } = xen(LINUX, 'modify ffffffff82600000 ffffffff82800000 PAGE_HYPERVISOR_RO', '-o', shared);
    expect(status).toBe(0);
    for (const cpu of ['0', '1'])
      expect(differing(listing(LINUX, '--cpu', cpu), listing(shared, '--cpu', cpu))).toBe(1);
  });
});

describe('a heap that is too small', () => {
  const path = at('short.ptpages.gz');
  const run = () =>
    xen(XEN, 'map ffff830080000000 80000 1024 800363', '--heap', '1bff00000-1bff01000', '-o', path, '--json');

  it('is reported as the result, with how far it came, exit status 1', () => {
    const { status, stdout, stderr } = run();
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      result: '-ENOMEM',
      pages: 1024,
      pagesDone: 512,
      allocated: ['0x1bff00000'],
      heap: { start: '0x1bff00000', end: '0x1bff01000' },
    });
  });

  it('leaves an image with what was done before', () => {
    expect(lines(pagewalk(['maps', path, '--from', 'ffff830080000000', '--to', 'ffff8300803fffff']).stdout)).toEqual([
      'ffff830080000000-ffff8300801fffff     2M  0000000080000000  -rw-  4K',
      'ffff830080200000-ffff8300803fffff     2M  0000000080200000  -rw-  2M',
    ]);
  });
});

describe('a raw dump', () => {
  const path = at('xen.raw');
  const options = ['--cr3', 'bfc6e000', '--paging', '4-level'];
  beforeAll(() => {
    const bytes = gunzipSync(readFileSync(XEN));
    const fd = openSync(path, 'w');
    for (let record = 12 + bytes.readUInt32LE(8); record < bytes.length; record += 4104)
      writeSync(fd, bytes, record + 8, 4096, Number(bytes.readBigUInt64LE(record)));
    truncateSync(path, 0x1c0000000);
  });

  it('knows of no free RAM, and says what to do', () => {
    const { status, stdout, stderr } = xen(path, PROTECT, ...options);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe('pagewalk: no RAM is known to be free; say where new tables may lie, with --heap START-END\n');
  });

  it('gives the same with --heap, as a container of its tables', () => {
    const written = at('from-raw.ptpages.gz');
    const heap = ['--heap', '1bfffa000-1c0000000'];
    const { stdout, status } = xen(path, PROTECT, ...options, ...heap, '-o', written);
    expect(status).toBe(0);
    expect(stdout).toBe(`${xen(XEN, PROTECT).stdout}written to ${written}\n`);
    expect(listing(written)).toBe(listing(at('protected.ptpages.gz')));
  });
});

describe('what pagewalk xen refuses', () => {
  const target = write(folder, 'target', 'as it was');
  const page = 'ffff840000000000';
  it.each([
    ['an unknown operation', `frob ${page}`, 'an operation is one of map, modify, destroy'],
    ['an operand too many', `destroy ${page} ${page} 0`, 'destroy takes START END, not 3 operands'],
    ['an address inside a page', 'map ffff840000000800 0 1 0', 'not the address of a page'],
    ['an address that is not canonical', 'map 800000000000 0 1 0', 'not a canonical address'],
    ['an address that is no number', 'map xyz 0 1 0', 'not a hex address'],
    ['a range past the lower half', 'map 7ffffffff000 0 2 0', 'pass the end of addresses'],
    ['a range that ends before it begins', 'destroy 2000 1000', 'ends before it begins'],
    ['a frame past 2^40', `map ${page} 10000000000 1 0`, 'MFN is hex, at most 0xffffffffff'],
    ['frames past 2^40', `map ${page} ffffffffff 2 800163`, 'entries reach up to frame 0xffffffffff'],
    ['a count that is no number', `map ${page} 0 many 0`, 'NR is a number'],
    ['flags of more than 24 bits', `map ${page} 0 1 1000000`, 'FLAGS is hex, at most 0xffffff'],
    ['an unknown name of flags', `map ${page} 0 1 PAGE_HYPERVISOR_XX`, 'FLAGS are hex, or of MAP_SMALL_PAGES'],
  ])('%s', (_, operation, message) => {
    const [name = '', ...operands] = operation.split(' ');
    expect(() => parseRequest(name, operands)).toThrow(message);
    expect(() => parseRequest(name, operands)).toThrow(UsageError);
  });

  it.each([
    ['an operand too few', `map ${page} 0 1`, 'map takes VIRT MFN NR FLAGS, not 3 operands'],
    [
      'a range over the self-map',
      'destroy ffff800000000000 ffff828000000000',
      'L4 slot 258, which maps the page tables',
    ],
    ['an unknown behaviour', `${PROTECT} --behaviour best`, '--behaviour is xen or pagewalk'],
    ['a CPU that is not there', `${PROTECT} --cpu 7`, 'has no CPU 7'],
    ['a heap that is no range', `${PROTECT} --heap 1000`, '--heap is START-END in hex'],
    ['a heap of parts of frames', `${PROTECT} --heap 800-1000`, 'multiples of 1000'],
    ['a heap that is no RAM', `${PROTECT} --heap c0000000-c0001000`, 'is not all RAM of the image'],
    ['a heap over a hole', `${PROTECT} --heap 90000-d0000`, 'is not all RAM of the image'],
    ['a heap with tables in it', `${PROTECT} --heap bfc60000-bfc70000`, 'which the image holds as a page table'],
    ['an output that is a folder', `${PROTECT} -o ${folder}`, 'is a directory'],
    ['an output that is a device', `${PROTECT} -o /dev/null`, 'not a regular file'],
    ['an output in no folder', `${PROTECT} -o /nowhere/at/all`, 'cannot be written: ENOENT'],
  ])('%s: one clear line, exit status 2', (_, operation, message) => {
    const { status, stdout, stderr } = xen(XEN, operation);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(lines(stderr)).toHaveLength(1);
  });

  it.each([
    ['another paging mode', `${IMAGES}/linux32-pae-2g-user.ptpages.gz`, 'destroy 0 1000', 'has pae paging'],
    ['an image without its tables', `${IMAGES}/xen-idle-6g.cr3page.elf.gz`, PROTECT, 'lacks 4 of its tables'],
    [
      'tables that several entries share, where one is freed twice',
      LINUX,
      'destroy ffffff0000000000 ffffff8000000000',
      'breaks off, as Xen would with a BUG: double free of table',
    ],
  ])('%s, and leaves the output as it was', (_, image, operation, message) => {
    const { status, stdout, stderr } = xen(image, operation, '-o', target);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(lines(stderr)).toHaveLength(1);
    expect(readFileSync(target, 'utf8')).toBe('as it was');
  });
});
