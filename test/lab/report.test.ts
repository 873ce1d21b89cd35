/** `pagewalk report`: one file, opened from disk, that needs no other. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { IMAGES, newFolder, pagewalk } from '../support/command.ts';
import { inChromium, said, showView, useBrowser } from '../support/lab.ts';

const folder = newFolder();
const fileOf = (name: string): string => join(folder, name);
const urlOf = (name: string): string => pathToFileURL(fileOf(name)).href;

it('refuses what it cannot write or read', () => {
  expect(pagewalk(['report', 'xsa-345']).stderr).toContain('--output');
  expect(pagewalk(['report', 'no-such-thing', '-o', fileOf('a.html')]).stderr).toContain('no-such-thing: no such file');
  expect(pagewalk(['report', 'xsa-345', '-o', folder]).stderr).toContain('is a directory');
  const registers = pagewalk(['report', 'xsa-345', '--cr3', '1000', '-o', fileOf('a.html')]);
  expect(registers.stderr).toContain('describe a raw dump, and there is none');
  expect(registers.status).toBe(2);
});

it('holds the tables of a raw dump, and nothing of its memory besides', () => {
  const dump = Buffer.alloc(64 << 12, 'secret');
  dump.fill(0, 0x1000, 0x2000);
  writeFileSync(fileOf('dump'), dump);
  const args = ['--cr3', '1000', '--paging', '4-level', '-o', fileOf('dump.html')];
  expect(pagewalk(['report', fileOf('dump'), ...args]).status).toBe(0);
  const [, base64] = /"base64":"([^"]*)"/.exec(readFileSync(fileOf('dump.html'), 'utf8'))!;
  expect(Buffer.from(base64!, 'base64').length).toBeLessThan(1000); // a container of one empty table, gzipped
});

inChromium('a report opened from a file', () => {
  const lab = useBrowser();

  it('shows its image in every view, without a server', async () => {
    // Names that a careless page would stumble over.
    const path = join(folder, '<script>$&.ptpages');
    writeFileSync(path, readFileSync(`${IMAGES}/xen-idle-6g.ptpages.gz`));
    expect(pagewalk(['report', path, '-o', fileOf('xen.html')]).stdout).toMatch(/^written to .*xen\.html \(\d+ KiB\)/);
    const page = await lab.open(urlOf('xen.html'));
    await expect.poll(() => said(page, '#title')).toBe('<script>$&.ptpages');
    await page.getByRole('button', { name: 'directmap' }).click();
    await page.click('text=Walk this address');
    await page.click('#walk button[type=submit]');
    await expect.poll(() => said(page, '#verdict')).toContain('physical 0000000000000000');
    await showView(page, 'Superpages');
    await page.click('text=Make 4 KiB of a 1 GiB page read-only');
    await expect.poll(() => said(page, '.done summary')).toContain('2 split');
    await page.click('#linux4-nopti-2g-user');
    await expect.poll(() => said(page, '#title')).toBe('Linux, 2 GiB');
    await showView(page, 'Threads');
    expect(await said(page, '#threads')).toContain('may not share memory');
  });

  it('shows an explored scenario, and explores others in a worker made of its own text', async () => {
    expect(pagewalk(['report', 'free-before-flush', '-o', fileOf('race.html')]).status).toBe(0);
    const page = await lab.open(urlOf('race.html'));
    await page.selectOption('#variant', 'wrong');
    await expect.poll(() => said(page, '#endings h3')).toBe('Goes wrong');
    await page.locator('[data-kind=UseAfterFree]').first().click();
    await expect.poll(() => said(page, '#oracle')).toContain('UseAfterFree');
    await page.selectOption('#variant', 'right');
    await expect.poll(() => said(page, '#endings h3')).toBe('Clean');
    await page.selectOption('#scenario', 'promotion');
    await page.click('#explore');
    await expect.poll(() => said(page, '#endings'), { timeout: 30_000 }).toContain('every schedule: 15 states');
  });

  it('is not needed where the built page itself is opened from a file', async () => {
    const page = await lab.open(pathToFileURL('dist/lab/index.html').href);
    await expect.poll(() => said(page, '#title')).toBe('Xen 4.17, 6 GiB');
    await page.click('#linux4-nopti-2g-user');
    await expect.poll(() => said(page, '#title')).toBe('Linux, 2 GiB');
    await showView(page, 'Race');
    await expect.poll(() => said(page, '#endings h3'), { timeout: 30_000 }).toBe('Goes wrong');
  });
});
