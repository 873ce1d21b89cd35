/** The Superpages view in a browser: Xen's operations on the shown tables, and back. */
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { inChromium, said, showView, useView } from '../support/lab.ts';

inChromium('the Superpages view', () => {
  let page: Page;
  useView('Superpages', (opened) => {
    page = opened;
  });

  const slot = (): Promise<string> => said(page, '#superpages-slot');
  const last = (): Promise<string> => said(page, '.done summary');

  it('splits a 1 GiB page of the directmap, flushes, and shows each step', async () => {
    await page.click('text=Make 4 KiB of a 1 GiB page read-only');
    await expect
      .poll(last)
      .toBe(
        'modify_xen_mappings(0xffff830040000000, 0xffff830040001000, 0x800121 PAGE_HYPERVISOR_RO) returns 0: 2 split, 0 coalesced, 2 flushed, 2 tables allocated, 0 freed',
      );
    const steps = (await page.locator('.step').allTextContents()).map((text) => text.slice(0, 10).trim());
    expect(steps).toEqual(['split', 'split', 'flush', 'change', 'flush']);
    await expect.poll(slot).toContain('PDPTE 1 leads to a table of level 2');
  });

  it('coalesces again, and frees the tables', async () => {
    await page.click('text=Map it writable again');
    await expect.poll(last).toMatch(/2 coalesced, \d flushed, 0 tables allocated, 2 freed$/);
    await expect.poll(slot).toContain('1G page, -rw-');
    expect(await page.locator('.step-free').count()).toBe(2);
  });

  it('takes operations back one by one', async () => {
    await page.click('#undo');
    await expect.poll(slot).toContain('PDPTE 1 leads to a table of level 2');
    await page.click('#undo');
    await expect.poll(slot).toContain('1G page, -rw-');
    expect(await page.isDisabled('#undo')).toBe(true);
  });

  it('runs what is typed, as Xen does it', async () => {
    await page.selectOption('#behaviour', 'xen');
    await page.selectOption('#operation', 'map');
    for (const [at, text] of ['ffff830200000000', '200000', '0x200', 'PAGE_HYPERVISOR'].entries())
      await page.fill(`#operand-${at}`, text);
    await page.click('#superpages form button');
    await expect.poll(last).toMatch(/^map_pages_to_xen\(0xffff830200000000, 0x200000, 512, .* returns 0: 0 split/);
    await page.fill('#operand-3', 'PAGE_NONSENSE');
    await page.click('#superpages form button');
    await expect.poll(() => said(page, '#superpages [role=alert]')).toContain('FLAGS are hex, or of');
    expect(await page.locator('.done > li').count()).toBe(1);
  });

  it('hands the changed tables to the other views', async () => {
    await page.click('#keep');
    await expect.poll(() => said(page, '#title')).toBe('Xen 4.17, 6 GiB, changed');
    await showView(page, 'Map');
    await page.fill('#search', 'ffff830200000000');
    await page.click('text=Find');
    await expect.poll(() => said(page, '.panel h3')).toContain('2M page');
  });

  it('maps into an empty machine', async () => {
    await page.click('#empty');
    await showView(page, 'Superpages');
    await page.click('text=Map 1 GiB');
    await expect.poll(slot).toContain('leads to a table of level 3');
    await page.click('#superpages >> text=Zoom in');
    await expect.poll(slot).toContain('ffff830000000000, 1G: 1G page');
  });
});
