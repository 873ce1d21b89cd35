/** What the command does to terminals, pipes and full disks. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { IMAGES, newFolder, pagewalk } from '../support/command.ts';

const XEN = `${IMAGES}/xen-idle-6g.ptpages.gz`;
const LINUX = `${IMAGES}/linux4-nopti-2g-user.ptpages.gz`;

/** Back to the start of the line, and erase it. */
const ERASE = '\r\x1b[K';

/** Standard error is a terminal, and each look at the clock takes 1.5 s. */
const SLOW_TERMINAL = `
  process.stderr.isTTY = true;
  let now = Date.now();
  Date.now = () => (now += 1500);
`;
const preloaded = (code: string): Record<string, string> => ({
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}`,
});

describe('progress', () => {
  it('is taken away before output appears on the same terminal', () => {
    const path = join(newFolder(), 'screen');
    const screen = openSync(path, 'w');
    const args = ['dist/cli/main.js', 'maps', LINUX, '--format', 'qemu-tlb'];
    const env = { ...process.env, ...preloaded(SLOW_TERMINAL) };
    spawnSync(process.execPath, args, { stdio: ['ignore', screen, screen], env });
    closeSync(screen);
    const shown = readFileSync(path, 'utf8');
    expect(shown.includes(`${ERASE}tables read: 100`)).toBe(true);
    // Of a line, a terminal shows what stands behind the last erasure.
    const lines = shown.split('\n').map((line) => line.split(ERASE).at(-1));
    const listing = gunzipSync(readFileSync(`${IMAGES}/linux4-nopti-2g-user.cpu0.tlb.txt.gz`)).toString();
    expect(lines.join('\n') === listing).toBe(true);
  });

  it.each([
    ['info', [LINUX]],
    ['maps', [LINUX, '--without', 'x', '--rights', 'ux']],
    ['maps', [LINUX, '--format', 'qemu-mem']],
    ['maps', [LINUX, '--from', 'ffffffffff000000']],
  ])('is shown by %s %j, and taken away in the end', (command, args) => {
    const { stderr } = pagewalk([command, ...args], preloaded(SLOW_TERMINAL));
    expect(stderr.startsWith(`${ERASE}tables read: 1`)).toBe(true);
    expect(stderr.endsWith(ERASE)).toBe(true);
  });

  it('is not for files and pipes', () => {
    const fast = preloaded(SLOW_TERMINAL.replace('process.stderr.isTTY = true;', ''));
    expect(pagewalk(['maps', LINUX], fast).stderr).toBe('');
  });
});

describe('colours', () => {
  const isColoured = (env: Record<string, string>): boolean =>
    pagewalk(['walk', XEN, '0'], { NO_COLOR: '', FORCE_COLOR: '', CI: '', ...env }).stdout.includes('\x1b[');
  const terminal = preloaded('process.stdout.isTTY = true');

  it.each<[string, Record<string, string>, boolean]>([
    ['a pipe', {}, false],
    ['a pipe in CI', { CI: 'true' }, false],
    ['a pipe with FORCE_COLOR', { FORCE_COLOR: '1' }, true],
    ['a pipe with FORCE_COLOR=0', { FORCE_COLOR: '0' }, false],
    ['a terminal', { ...terminal, TERM: 'xterm' }, true],
    ['a terminal with FORCE_COLOR=0', { ...terminal, TERM: 'xterm', FORCE_COLOR: '0' }, false],
    ['a dumb terminal', { ...terminal, TERM: 'dumb' }, false],
    ['a terminal with NO_COLOR', { ...terminal, TERM: 'xterm', NO_COLOR: '1' }, false],
    ['NO_COLOR against FORCE_COLOR', { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ])('on %s with %j: %s', (_, env, coloured) => expect(isColoured(env)).toBe(coloured));
});

describe('output that nobody takes', () => {
  it.runIf(existsSync('/dev/full')).each([
    ['a listing', ['maps', XEN]],
    ['help', ['--help']],
    ['a check', ['check', XEN]],
  ])('%s on a full disk: one sentence, exit status 2', (_, args) => {
    const full = openSync('/dev/full', 'w');
    const command = ['dist/cli/main.js', ...args];
    const { status, stderr } = spawnSync(process.execPath, command, {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
    closeSync(full);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'pagewalk: standard output: ENOSPC: no space left on device, write\n',
    });
  });

  it.each([
    ['help', ['--help']],
    ['a long listing', ['maps', LINUX, '--format', 'qemu-tlb']],
    ['what went before a failure', ['check', XEN, '/nowhere']],
  ])('%s into a closed pipe: quiet', async (_, args) => {
    const child = spawn(process.execPath, ['dist/cli/main.js', ...args]);
    child.stdout.destroy();
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += String(chunk);
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    if (args.includes('/nowhere')) expect([status, errors]).toEqual([2, 'pagewalk: /nowhere: no such file\n']);
    else expect([status, errors]).toEqual([0, '']);
  });
});
