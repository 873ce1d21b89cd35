/** An image and the listings beside it: what is there, what is missing, what is broken. */
import { copyFileSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { containerBytes, openImage } from '../../src/image/index.ts';
import { IMAGES, newFolder, pagewalk, write } from '../support/command.ts';

/** A folder with a copy of an image and its listings. */
function copyOf(name: string, ...without: string[]): string {
  const folder = newFolder();
  for (const file of readdirSync(IMAGES))
    if (file.startsWith(`${name}.`) && file.endsWith('.gz')) copyFileSync(join(IMAGES, file), join(folder, file));
  for (const listing of without) rmSync(join(folder, `${name}.${listing}.txt.gz`));
  return folder;
}

const lastLine = (text: string): string | undefined => text.trimEnd().split('\n').at(-1);
const linesOf = (path: string): string[] => gunzipSync(readFileSync(path)).toString().trimEnd().split('\n');
const packed = (lines: readonly string[]): Uint8Array => gzipSync(`${lines.join('\n')}\n`);

describe('a listing beside an image', () => {
  const PAE = 'linux32-pae-2g-user';

  it.each([
    ['cpu1.tlb', [`cpu1 tlb: no file ${PAE}.cpu1.tlb.txt.gz`]],
    ['cpu0.gva2gpa', [`cpu0 gva2gpa: no file ${PAE}.cpu0.gva2gpa.txt.gz`]],
    ['cpu0.leaves', [`cpu0 leaves: no file ${PAE}.cpu0.leaves.txt.gz`]],
    ['cpu0.mem', []], // QEMU has none with 5-level paging
  ])('%s that is missing among others is a failure, told by name', (listing, complaints) => {
    const { status, stdout } = pagewalk(['check', copyOf(PAE, listing)]);
    expect(stdout.split('\n').filter((line) => line.includes('no file'))).toEqual(
      complaints.map((line) => `  ${line}`),
    );
    expect(lastLine(stdout)).toMatch(complaints.length === 0 ? / passed, 0 failed$/ : / passed, 1 failed$/);
    expect(status).toBe(complaints.length);
  });

  it('may be missing for a CPU with the tables of an earlier one', () => {
    const { status, stdout } = pagewalk(['check', copyOf('xen-idle-6g')]);
    expect([status, stdout.includes('cpu1')]).toEqual([0, false]);
  });

  it('is asked for of one CPU with --cpu', () => {
    const { status, stdout } = pagewalk(['check', `${IMAGES}/${PAE}.ptpages.gz`, '--cpu', '1']);
    expect(stdout.match(/cpu\d \w+/g)).toEqual(['cpu1 tlb', 'cpu1 mem', 'cpu1 gva2gpa']);
    expect([status, lastLine(stdout)]).toEqual([0, expect.stringMatching(/^\d{4,} passed, 0 failed$/)]);
  });

  it.each([
    ['the image has no such CPU', [`${IMAGES}/${PAE}.ptpages.gz`, '--cpu', '7'], 'the image has no CPU 7; it has 0, 1'],
    ['that CPU has none', [`${IMAGES}/xen-idle-6g.ptpages.gz`, '--cpu', '1'], 'nothing to compare: no listing'],
    ['the file is no image', ['test/corpus/access', '--cpu', '0'], '--cpu goes with images; this file is none'],
  ])('cannot be asked for with --cpu where %s', (_, args, sentence) => {
    const { status, stdout, stderr } = pagewalk(['check', ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(sentence);
  });

  it('with one line changed, missing or added: one line failed each', () => {
    const folder = copyOf('xen-idle-6g', 'cpu0.tlb', 'cpu0.leaves', 'cpu0.gva2gpa');
    const path = join(folder, 'xen-idle-6g.cpu0.mem.txt.gz');
    const lines = linesOf(path);
    const check = (changed: readonly string[]): string | undefined => {
      write(folder, 'xen-idle-6g.cpu0.mem.txt.gz', packed(changed));
      return lastLine(pagewalk(['check', folder]).stdout);
    };
    // Three more listings are missing.
    expect(check(lines)).toBe('63 passed, 3 failed');
    expect(check(lines.with(10, 'x'))).toBe('62 passed, 4 failed');
    expect(check([...lines, 'x'])).toBe('63 passed, 4 failed');
    expect(check(lines.slice(0, -1))).toBe('62 passed, 4 failed');
  });

  it.each([
    ['an address that is none', 'zz 0000000000000000'],
    ['an address of 17 digits', '00000000000000000 unmapped'],
    ['half a line', '0000000000000000'],
    ['no line at all', ''],
  ])('of translations with %s is refused with file and line', (_, line) => {
    const folder = copyOf('xen-idle-6g');
    const name = 'xen-idle-6g.cpu0.gva2gpa.txt.gz';
    write(folder, name, packed(linesOf(join(folder, name)).with(2, line)));
    const { status, stderr } = pagewalk(['check', folder]);
    expect([status, stderr]).toEqual([
      2,
      `pagewalk: ${join(folder, name)}: line 3: not an address and what it translates to\n`,
    ]);
  });

  it('that is damaged is refused by name', () => {
    const folder = copyOf('xen-idle-6g');
    const path = write(folder, 'xen-idle-6g.cpu0.tlb.txt.gz', packed(['x']).subarray(0, 10));
    const { status, stderr } = pagewalk(['check', folder]);
    expect([status, stderr]).toEqual([2, `pagewalk: ${path}: the gzip data is damaged or cut short\n`]);
  });

  it('is compared with tables that are there: a note tells how many are not', async () => {
    const folder = copyOf('xen-idle-6g');
    const image = await openImage(readFileSync(join(folder, 'xen-idle-6g.ptpages.gz')));
    rmSync(join(folder, 'xen-idle-6g.ptpages.gz'));
    write(folder, 'xen-idle-6g.ptpages', containerBytes(image, image.frameNumbers!.slice(1)));
    const { status, stderr } = pagewalk(['check', folder]);
    expect([status, stderr]).toEqual([
      1,
      'pagewalk: 1 table is not in the image; what would be mapped there is left out\n',
    ]);
  });
});
