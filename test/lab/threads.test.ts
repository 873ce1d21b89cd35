/** Real threads in a browser: the soak over shared tables, and the guard against torn entries. */
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { inChromium, said, useView } from '../support/lab.ts';

inChromium('threads in the browser', () => {
  let page: Page;
  useView('Threads', (opened) => {
    page = opened;
  });

  /** What a button's run came to. */
  async function run(button: string): Promise<string> {
    const lines = page.locator('#threads-said li');
    const before = await lines.count();
    await page.click(button);
    await expect.poll(() => lines.count(), { timeout: 60_000 }).toBe(before + 1);
    return said(page, '#threads-said li');
  }

  it('may share memory under the headers that the server sends', async () => {
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
  });

  it('change and read the same tables on two workers, and leave them as each knows them', async () => {
    const line = await run('#soak');
    expect(line).toMatch(/: all as it should be$/);
    const [, operations, reads, faults] = /(\d+) operations, (\d+) reads, (\d+) faults/.exec(line)!.map(Number);
    expect(operations).toBe(4000);
    expect(faults! / reads!).toBeGreaterThan(0.02);
    expect(faults! / reads!).toBeLessThan(0.9);
  });

  it('never see a torn entry that is moved whole', async () => {
    const [, torn, looks, changes, stores] = /whole: (\d+) torn in (\d+) looks, (\d+) changes seen of (\d+) stores/
      .exec(await run('#tear'))!
      .map(Number);
    expect(torn).toBe(0);
    expect(looks).toBeGreaterThanOrEqual(10_000_000);
    expect(changes).toBeGreaterThan(10);
    expect(stores).toBeGreaterThan(1000);
  });

  it('do see one that is moved as two halves, so that the guard can fail', async () => {
    expect(await run('#tear-halves')).toMatch(/as halves: 1 torn/);
  });
});
