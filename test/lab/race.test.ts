/** The Race view in a browser: XSA-345 with its endings, forward and back, other choices, schedules and reports. */
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { explore } from '../../src/explorer/explore.ts';
import { variantOf } from '../../src/explorer/scenarios/all.ts';
import { inChromium, rowsIn, said, useView } from '../support/lab.ts';

const outcome = explore(variantOf('xsa-345', 'before the fix').scenario, { mode: 'bounded', preemptions: 1 });
/** The ending that takes the fewest steps. */
const shortest = [...outcome.failures].sort((one, other) => one.steps - other.steps)[0]!;

/** `s3.0,0x2,1` as 0, 0, 1. */
const turnsOf = (schedule: string): string[] =>
  schedule
    .split(':')[2]!
    .split(',')
    .filter((run) => !run.startsWith('s'))
    .flatMap((run) => {
      const [actor, times = '1'] = run.split('x');
      return Array<string>(Number(times)).fill(actor!);
    });

inChromium('the Race view', () => {
  let page: Page;
  useView('Race', (opened) => {
    page = opened;
  });

  const step = (): Promise<string> => said(page, '#step');
  const oracle = (): Promise<string> => said(page, '#oracle');

  it('finds the three endings of XSA-345 before the fix by itself', async () => {
    await page.waitForSelector('#endings');
    const kinds = await page
      .locator('#endings [data-kind]')
      .evaluateAll((all) => all.map((one) => one.getAttribute('data-kind')));
    expect([...new Set(kinds)].sort()).toEqual(['Bug', 'DoubleFree', 'UseAfterFree']);
  });

  it.each([
    ['Bug', 'Bug: virt_to_xen_l2e(0xffff830000000000): a superpage of level 3 is in the way'],
    ['UseAfterFree', 'a table that is free (rule: nobody reads or writes a table after it was freed)'],
    ['DoubleFree', 'DoubleFree: CPU 1 frees a table that is free (rule: a table is freed once)'],
  ])('replays the %s to where the oracle sees it', async (kind, said) => {
    await page.locator(`[data-kind=${kind}]`).first().click();
    await expect.poll(oracle).toContain(said);
  });

  it('goes back and forward, by buttons and by keys, with the machine as it was', async () => {
    const [, end] = /step (\d+) of/.exec(await step())!;
    await expect.poll(() => said(page, '#race-frames .life-free')).toContain('free');
    await page.click('#first');
    expect(await oracle()).toBe('');
    await expect.poll(() => page.locator('.life-free').count()).toBe(0);
    await page.click('#forward');
    await expect.poll(step).toBe(`step 1 of ${end}`);
    await page.focus('.lanes');
    await page.keyboard.press('ArrowDown');
    await expect.poll(step).toBe(`step 2 of ${end}`);
    await page.keyboard.press('End');
    await expect.poll(oracle).toContain('DoubleFree');
  });

  it('shows who holds a lock, and what has just changed', async () => {
    await page
      .locator('.lanes tr', { hasText: /locks map_pgdir_lock/ })
      .first()
      .click();
    const locks = (): Promise<string[]> => page.locator('#race-locks li').allTextContents();
    await expect.poll(locks).toEqual([expect.stringMatching(/^map_pgdir_lock: CPU \d$/)]);
    expect(await page.locator('#race-locks .changed').count()).toBe(1);
  });

  it('comes to no harm with the same turns and the fix', async () => {
    await page.click('#last');
    await page.click('#with-fix');
    await expect.poll(() => said(page, '#note')).toMatch(/^The same turns with l3: [1-9]\d* of \d+ could not be taken/);
    await expect.poll(oracle).toBe('This is the end, and no rule was broken.');
  });

  it('explores the fixed code: clean', async () => {
    await page.click('#explore');
    await expect.poll(() => said(page, '#endings h3'), { timeout: 30_000 }).toBe('Clean');
    expect(await said(page, '#endings p')).toMatch(/^every schedule: /);
  });

  it('lets people choose who moves next, and tells them when it goes wrong', async () => {
    await page.selectOption('#variant', 'before the fix');
    await expect.poll(step).toBe('step 0 of 0');
    const choose = (actor: string): Promise<void> => page.click(`#choices [data-actor="${actor}"]`);
    const turns = turnsOf(shortest.schedule);
    for (const [at, actor] of turns.entries()) {
      expect(await oracle()).toBe('');
      await choose(actor);
      await expect.poll(step).toBe(`step ${at + 1} of ${at + 1}`);
    }
    await expect.poll(oracle).toContain(shortest.what);
    expect(await said(page, '#schedule')).toBe(shortest.schedule);
    // Somebody else, one step earlier: what came after is replaced.
    await page.click('#back');
    await choose(turns.at(-1) === '0' ? '1' : '0');
    await expect.poll(() => said(page, '#schedule')).not.toBe(shortest.schedule);
    await page.click('#run-to-end');
    await expect.poll(step).toMatch(/^step (\d+) of \1$/);
    await expect.poll(oracle).not.toBe('');
  });

  it('loads a schedule of any scenario, and a JSON report; says what is neither', async () => {
    const { failures } = explore(variantOf('r2', 'before the fix').scenario, { mode: 'bounded', preemptions: 1 });
    await page.click('#load summary');
    const load = async (text: string): Promise<void> => {
      await page.fill('#load-text', text);
      await page.click('#load button');
    };
    await load(failures[0]!.schedule);
    await expect.poll(() => page.inputValue('#scenario')).toBe('r2');
    await expect.poll(oracle).toContain(failures[0]!.kind);
    await load(JSON.stringify([{ name: 'xsa-345', variant: 'before the fix', ...outcome }]));
    await expect.poll(() => page.inputValue('#scenario')).toBe('xsa-345');
    expect(await page.locator('#endings [data-kind]').count()).toBe(outcome.failures.length);
    await load('pw1:000000:0x3:zz');
    await expect.poll(() => said(page, '#race > [role=alert]')).toContain('not a schedule of any scenario');
    expect((await rowsIn(page, '.lanes')).length).toBeGreaterThan(3); // what was there stays
  });
});
