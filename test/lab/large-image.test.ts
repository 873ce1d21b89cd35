/** A Xen with 64 GiB: quick to show, and smooth to pan. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newFolder } from '../support/command.ts';
import { bundledExample } from '../support/example.ts';
import { inChromium, type Served, said, serveLab, useBrowser } from '../support/lab.ts';

inChromium('an image of a Xen with 64 GiB', () => {
  const lab = useBrowser();
  let served: Served;
  let page: Page;
  beforeAll(async () => {
    const image = join(newFolder(), 'xen-64g.ptpages.gz');
    const input = await bundledExample('xen-boot');
    execFileSync(process.execPath, ['--input-type=module', '-', '--mem', '64G', '-o', image], { input });
    served = await serveLab(image);
  });
  afterAll(() => served.stop());

  it('is shown within a second', async () => {
    // The best of three to eight, with no other tests beside (vitest.config.ts): other work on the machine only ever makes it slower.
    const times: number[] = [];
    for (let load = 0; load < 3 || (load < 8 && Math.min(...times) >= 1000); load++) {
      if (load === 0) page = await lab.open(served.url);
      else await page.reload(); // without the start of a process for the page
      await page.waitForFunction(() => performance.getEntriesByName('lab-picture').length > 0);
      times.push(
        await page.evaluate(() => {
          const [{ startTime, duration }] = performance.getEntriesByName('lab-picture') as [PerformanceEntry];
          return startTime + duration;
        }),
      );
    }
    expect(Math.min(...times)).toBeLessThan(1000);
  });

  it('takes at most 16 ms of script for a frame of panning', async () => {
    await page.fill('#search', 'ffff830800000000');
    await page.click('text=Find');
    await expect.poll(() => said(page, '.panel h3')).toContain('ffff830800000000, 1G: 1G page');
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    const script = async (): Promise<number> => {
      const { metrics } = await session.send('Performance.getMetrics');
      return metrics.find(({ name }) => name === 'ScriptDuration')!.value * 1000;
    };
    const { x, y } = (await page.locator('#map canvas').boundingBox())!;
    await page.mouse.move(x + 700, y + 100);
    await page.mouse.down();
    await page.evaluate(() => performance.clearMeasures());
    const before = await script();
    for (let at = 700; at > 300; at -= 4) await page.mouse.move(x + at, y + 100);
    const spent = (await script()) - before;
    await page.mouse.up();
    const frames = await page.evaluate(() => performance.getEntriesByName('lab-picture').length);
    expect(frames).toBeGreaterThan(20);
    expect(spent / frames).toBeLessThan(16);
  });
});
