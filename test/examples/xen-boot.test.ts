/** The directmap that examples/xen-boot.ts builds, against a real Xen: its listings, and the calls it made. */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { leafLines, openCpu, openImage } from '../../src/image/index.ts';
import { IMAGES, newFolder, pagewalk } from '../support/command.ts';
import { bundledExample } from '../support/example.ts';

const DIRECTMAP = 'ffff830000000000';
let example = '';

beforeAll(async () => {
  example = await bundledExample('xen-boot');
});

const ARGS = ['--input-type=module', '-'];
const run = (...args: string[]): string[] =>
  execFileSync(process.execPath, [...ARGS, ...args], { input: example, encoding: 'utf8' })
    .trimEnd()
    .split('\n');
const refuse = (...args: string[]): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [...ARGS, ...args], { input: example, encoding: 'utf8' });

const linesOf = (path: string): string[] => gunzipSync(readFileSync(path)).toString().trimEnd().split('\n');
/** The lines of a listing that lie in the directmap. */
const inDirectmap = (lines: Iterable<string>): string[] => [...lines].filter((line) => line >= DIRECTMAP);

/** A line of `info tlb` without D and A; of the leaves listing without them in the entry. */
const withoutUse = (line: string): string =>
  line
    .replace(/[D-][A-](.{4})$/, '--$1')
    .replace(/[0-9a-f]{3}$/, (low) => (Number.parseInt(low, 16) & ~0x60).toString(16).padStart(3, '0'));

describe('the directmap of the 6 GiB machine', () => {
  const image = join(newFolder(), 'xen-boot.ptpages.gz');
  let printed: string[] = [];
  beforeAll(() => {
    printed = run('-o', image);
  });

  it('says what it did', () => {
    expect(printed.slice(-3)).toEqual([
      'directmap of 6G: 1504x4K 1533x2M 3x1G',
      '8 tables, 2 splits, 2 coalesces, 6 flushes',
      `written to ${image}`,
    ]);
  });

  it('is line for line what QEMU listed for a real Xen, but for A and D', () => {
    const expected = inDirectmap(linesOf(`${IMAGES}/xen-idle-6g.cpu0.tlb.txt.gz`));
    expect(expected).toHaveLength(1504 + 1533 + 3);
    const { stdout, status } = pagewalk(['maps', image, '--format', 'qemu-tlb']);
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n').map(withoutUse)).toEqual(expected.map(withoutUse));
  });

  it('has its raw entries and effective rights, but for A and D', async () => {
    const expected = inDirectmap(linesOf(`${IMAGES}/xen-idle-6g.cpu0.leaves.txt.gz`));
    const cpu = openCpu(await openImage(new Uint8Array(readFileSync(image))), 0);
    expect([...leafLines(cpu)].map(withoutUse)).toEqual(expected.map(withoutUse));
  });

  it('comes from the calls that the real Xen made and that changed its directmap', () => {
    interface Call {
      readonly fn: string;
      readonly args: { readonly virt: string; readonly mfn: string; readonly nr_mfns: string };
      readonly post: { readonly pages?: object };
    }
    const traced = linesOf('test/corpus/xen-boot/xen-mmtrace-6g.jsonl.gz')
      .slice(1)
      .map((line) => JSON.parse(line) as Call)
      .filter(({ fn, args, post }) => fn === 'map_pages_to_xen' && args.virt >= `0x${DIRECTMAP}` && post.pages)
      .map(({ args }) => [args.virt.slice(2), args.mfn.slice(2), Number(args.nr_mfns)]);
    const calls = printed
      .filter((line) => line.includes('  ffff83'))
      .map((line) => line.slice(20).trim().split(/ +/))
      .map(([virt, mfn, pages]) => [virt, mfn, Number(pages)]);
    expect(calls.slice(3)).toEqual(traced); // the first 2 MiB come with Xen's image
    expect(traced).toHaveLength(8);
  });

  it('is written with the RAM of the machine that was captured', async () => {
    const [written, captured] = await Promise.all(
      [image, `${IMAGES}/xen-idle-6g.ptpages.gz`].map((path) => openImage(new Uint8Array(readFileSync(path)))),
    );
    expect(written!.ram).toEqual(captured!.ram);
    expect(written!.features.maxPhyAddr).toBe(captured!.features.maxPhyAddr);
  });
});

it('maps 64 GiB with the pages that a real Xen took', () => {
  const [, , facts] = /\| 262\+: directmap \|(?: [^|]*\|){3} (([^|]*)) \|/.exec(
    readFileSync(`${IMAGES}/FACTS.md`, 'utf8'),
  )!;
  expect(facts).toBe('1504x4K 1533x2M 61x1G');
  expect(run('--mem', '64G')).toContain(`directmap of 64G: ${facts}`);
});

it.each(['3G', '512G', '6', 'G', '-1G'])('refuses --mem=%s', (mem) => {
  const { status, stderr } = refuse(`--mem=${mem}`);
  expect(status).toBe(1);
  expect(stderr).toContain('--mem is 4G to 511G');
});
