/** The Map view in a browser: pictures, bits, lists, keys. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { beforeEach, expect, it } from 'vitest';
import { IMAGES } from '../support/command.ts';
import { fits, inChromium, rowsIn, said, showView, useView } from '../support/lab.ts';

inChromium('the Map view', () => {
  let page: Page;
  useView('Map', (opened) => {
    page = opened;
  });
  // Another image is another picture: each test begins at the top.
  beforeEach(async () => {
    await page.setViewportSize({ width: 1200, height: 900 });
    await page.click('#empty');
    await page.click('#xen-idle-6g');
    await expect.poll(() => said(page, '#title')).toBe('Xen 4.17, 6 GiB');
  });

  const heading = (): Promise<string> => said(page, '.panel h3');
  async function find(address: string): Promise<void> {
    await page.fill('#search', address);
    await page.click('text=Find');
  }
  /** Colours in the picture's strip, from left to right at the height of 2 MiB pages, without repetition. */
  const coloursOf = (): Promise<number> =>
    page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('#map canvas')!;
      const { data } = canvas.getContext('2d')!.getImageData(0, canvas.height - 50, canvas.width, 1);
      return new Set(Array.from({ length: data.length / 4 }, (_, at) => data.slice(4 * at, 4 * at + 3).join())).size;
    });

  it('finds the 1 GiB pages of the directmap of the built-in Xen, and decodes their bits', async () => {
    await page.getByRole('button', { name: 'directmap' }).click();
    await expect.poll(() => said(page, '#where')).toContain('16 slots of 1G each');
    await find('ffff830040000000');
    await expect.poll(heading).toBe('ffff830040000000, 1G: 1G page, -rw-, mapped by PDPTE 1');
    const bits = await rowsIn(page, '.bits');
    expect(bits).toContain('7 | PS | 1 | maps a page of this size');
    expect(bits).toContain('51:12 | address | 0x40000000 | physical address of the page');
    expect(bits).toContain('63 | XD | 1 | no instruction fetches from here down');
    expect(await coloursOf()).toBeGreaterThan(2);
  });

  it('goes one level of tables down and up, by keys alone', async () => {
    await page.focus('#map canvas');
    await page.keyboard.press('ArrowRight');
    await expect.poll(heading).toContain('0000008000000000, 512G: hole');
    await page.keyboard.press('Home');
    for (const each of ['1G', '2M', '4K']) {
      await page.keyboard.press('Enter');
      await expect.poll(() => said(page, '#where')).toContain(`slots of ${each} each`);
    }
    await page.keyboard.press('Backspace');
    await expect.poll(() => said(page, '#where')).toContain('slots of 2M each');
  });

  it('selects with a click, and zooms with a double click', async () => {
    const canvas = page.locator('#map canvas');
    const { width, height } = (await canvas.boundingBox())!;
    // Slot 262, the directmap, of 512.
    await canvas.click({ position: { x: (262.5 / 512) * width, y: height - 60 } });
    await expect.poll(heading).toContain('PML4E 262 leads to a table');
    await canvas.dblclick({ position: { x: (262.5 / 512) * width, y: height - 60 } });
    await expect.poll(() => said(page, '#where')).toContain('slots of 1G each');
  });

  it('lists what is mapped, filtered, and goes where a row says', async () => {
    await page.click('text=List and filter');
    await page.selectOption('#runs-size', '1G');
    await page.click('#runs button[type=submit]');
    await expect
      .poll(() => rowsIn(page, '#runs'))
      .toEqual([
        'ffff830040000000 | ffff83007fffffff | 1G | 0000000040000000 | -rw- | 1G',
        'ffff830100000000 | ffff83017fffffff | 2G | 0000000100000000 | -rw- | 1G',
      ]);
    await page.click('#runs tbody tr:nth-child(2) button');
    await expect.poll(heading).toContain('ffff830100000000, 1G: 1G page');
    await page.fill('#runs-from', 'nonsense');
    await page.click('#runs button[type=submit]');
    expect(await said(page, '#runs [role=alert]')).toContain('not a hex address');
  });

  it('says the same as a table', async () => {
    await page.click('text=The picture as a table');
    await expect
      .poll(() => rowsIn(page, '#strip-table'))
      .toContain('ffff830000000000 | 512G | table | -rw- | 0xbfc6c000');
    const rows = await rowsIn(page, '#strip-table');
    expect(rows.filter((row) => row.includes('hole')).length).toBeGreaterThan(2);
  });

  it('takes Linux, an empty machine, and an image that is opened', async () => {
    await page.click('#linux4-nopti-2g-user');
    await page.getByRole('button', { name: 'kernel image' }).click();
    await expect.poll(heading).toContain('ffffffff82600000, 2M: 2M page, -r-x');
    await page.click('#empty');
    await expect.poll(heading).toContain('hole; PML4E 0 is not present');
    const buffer = readFileSync(`${IMAGES}/linux32-pae-2g-user.ptpages.gz`);
    await page.setInputFiles('#file', { name: 'pae.ptpages.gz', mimeType: 'application/gzip', buffer });
    await expect.poll(() => said(page, '#title')).toBe('pae.ptpages.gz');
    await find('c0000000');
    await expect.poll(heading).toContain('00000000c0000000');
    await page.setInputFiles('#file', { name: 'noise', mimeType: 'text/plain', buffer: Buffer.from('no image') });
    await expect.poll(() => said(page, '.images [role=alert]')).toContain('neither a .ptpages container');
  });

  it('takes an image that is dropped anywhere on the page', async () => {
    const base64 = readFileSync(`${IMAGES}/linux32-pae-2g-user.ptpages.gz`, 'base64');
    const data = await page.evaluateHandle((text) => {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], 'dropped'));
      return transfer;
    }, base64);
    await page.dispatchEvent('#map', 'drop', { dataTransfer: data });
    await expect.poll(() => said(page, '#title')).toBe('dropped');
    await expect.poll(() => said(page, '#where')).toContain('PDEs: 512 slots of 2M each');
    await showView(page, 'Superpages');
    await expect.poll(() => said(page, '#superpages [role=alert]')).toContain('know 4-level paging only');
    await page.getByRole('tab', { name: 'Superpages' }).press('ArrowLeft');
    await page.getByRole('tab', { name: 'Walk' }).press('ArrowLeft');
    await expect.poll(() => page.isVisible('#map canvas')).toBe(true);
  });

  it('fits a narrow screen, like every other view', async () => {
    await page.setViewportSize({ width: 380, height: 800 });
    for (const view of ['Walk', 'Superpages', 'Race', 'Threads', 'Map']) {
      await showView(page, view);
      expect([view, await fits(page)]).toEqual([view, true]);
    }
  });

  it('follows the button before the system in its colours', async () => {
    const background = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.click('#theme');
    expect(await background()).toBe(light);
    await page.click('#theme');
    expect(await background()).not.toBe(light);
    await page.click('#theme');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await background()).not.toBe(light);
    await page.emulateMedia({ colorScheme: 'light' });
  });
});
