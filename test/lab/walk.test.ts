/** The Walk view in a browser: walks, checks, caches, error codes. */
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { inChromium, rowsIn, said, useView } from '../support/lab.ts';

inChromium('the Walk view', () => {
  let page: Page;
  useView('Walk', (opened) => {
    page = opened;
  });

  const walk = (): Promise<void> => page.click('#walk button[type=submit]');
  const verdict = (): Promise<string> => said(page, '#verdict');
  const checks = (): Promise<string[]> => page.locator('.checks li').allTextContents();

  it('walks through four entries, and fills the caches', async () => {
    await page.fill('#walk-address', 'ffff82d040200abc');
    await walk();
    await expect.poll(verdict).toBe('physical 00000000bfa00abc, 4K page, -r-x, PAT index 0');
    expect(await said(page, '#began')).toBe('TLB miss, nothing in the structure caches: the walk begins at the root');
    expect(await rowsIn(page, '.steps')).toEqual([
      'PML4E | 261 | 0xbfc6e828 | 00000000bfc6d063 | P RW A D | table 0xbfc6d000',
      'PDPTE | 321 | 0xbfc6da08 | 00000000bfc6a063 | P RW A D | table 0xbfc6a000',
      'PDE | 1 | 0xbfc6a008 | 00000001bfc08063 | P RW A D | table 0x1bfc08000',
      'PTE | 0 | 0x1bfc08000 | 00000000bfa00121 | P A G | page 0xbfa00000',
    ]);
    const cached = await rowsIn(page, '.caches');
    expect(cached).toHaveLength(4);
    expect(cached[0]).toMatch(/^\+ TLB, level 1 \| ffff82d040200000 \| page 0xbfa00000 \| -r-x G/);
  });

  it('hits the TLB the second time', async () => {
    await walk();
    await expect.poll(() => said(page, '#began')).toMatch(/^TLB hit: a page of level 1/);
    expect(await page.locator('.cache-new').count()).toBe(0);
  });

  it('explains why a write is refused, bit by bit, and that the fault drops the translation', async () => {
    await page.selectOption('#walk-kind', 'write');
    await walk();
    await expect.poll(verdict).toBe('#PF, error code 0x3: the access rights deny the access');
    expect((await checks()).at(-1)).toBe('✗ write: R/W = 0 over the whole walk');
    expect(await page.locator('#error-code li').allTextContents()).toContain('W/R = 1: the access was a write');
    expect((await rowsIn(page, '.caches')).filter((row) => row.startsWith('− TLB'))).toHaveLength(1);
  });

  it('lets the supervisor write where CR0.WP = 0, and not the user', async () => {
    await page.uncheck('#walk-wp');
    await walk();
    await expect.poll(verdict).toMatch(/^physical 00000000bfa00abc/);
    await page.selectOption('#walk-cpl', '3');
    await walk();
    await expect.poll(verdict).toBe('#PF, error code 0x7: the access rights deny the access');
    expect((await checks()).at(-1)).toBe('✗ user mode: U/S = 0 over the whole walk');
    await page.selectOption('#walk-cpl', '0');
    await page.check('#walk-wp');
  });

  it('tells #GP from #SS for what is not canonical', async () => {
    await page.selectOption('#walk-kind', 'read');
    await page.fill('#walk-address', '800000000000');
    await walk();
    await expect.poll(verdict).toBe('#GP: the address is not canonical');
    await page.check('#walk-stack');
    await walk();
    await expect.poll(verdict).toBe('#SS: the address is not canonical');
    await page.uncheck('#walk-stack');
  });

  it('drops one page with INVLPG, and all but global ones with MOV CR3', async () => {
    await page.fill('#walk-address', 'ffff830040000000');
    await walk();
    await expect.poll(verdict).toContain('1G page');
    await page.click('text=INVLPG');
    await expect
      .poll(() => rowsIn(page, '.caches'))
      .toContainEqual(expect.stringMatching(/^− TLB, level 3 \| ffff830040000000/));
    await walk();
    await page.click('text=MOV CR3');
    await expect.poll(() => said(page, '.caches caption')).toContain('MOV CR3');
    const rows = await rowsIn(page, '.caches');
    expect(rows.filter((row) => / cache /.test(row)).every((row) => row.startsWith('−'))).toBe(true);
    expect(rows.filter((row) => row.startsWith('TLB')).every((row) => row.includes(' G '))).toBe(true);
  });

  it('says what is no address', async () => {
    await page.fill('#walk-address', 'here');
    await walk();
    await expect.poll(() => said(page, '#walk [role=alert]')).toContain('not a hex address');
  });
});
