/** The lab, served by the built command, in a headless Chromium. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { ROOT } from '../package/run-script.ts';

const CHROMIUM = process.env['PAGEWALK_CHROMIUM'] ?? '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Tests in a browser; where there is none, skipped under a name that says so. */
export const inChromium = (name: string, tests: () => void): void => {
  if (existsSync(CHROMIUM)) describe(name, tests);
  else describe.skip(`${name} (skipped: there is no ${CHROMIUM}; PAGEWALK_CHROMIUM names another)`, tests);
};

export interface Served {
  readonly url: string;
  stop(): void;
}

/** `pagewalk lab` on a free port. */
export async function serveLab(...args: string[]): Promise<Served> {
  const server: ChildProcess = spawn(process.execPath, [`${ROOT}/dist/cli/main.js`, 'lab', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    server.stdout!.on('data', (text: Buffer) => resolve(/http:\S+/.exec(text.toString())![0]));
    server.once('exit', (status) => reject(new Error(`pagewalk lab ended with ${status}`)));
  });
  return { url, stop: () => void server.kill() };
}

export interface Lab {
  /** A page, of which every complaint in the console is a failure. */
  open(url: string, options?: { readonly width?: number; readonly scheme?: 'light' | 'dark' }): Promise<Page>;
}

/** A browser for the tests of a file. */
export function useBrowser(): Lab {
  let browser: Browser | undefined;
  const complaints: string[] = [];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
  });
  afterAll(async () => {
    await browser?.close();
    expect(complaints).toEqual([]);
  });
  return {
    async open(url, { width = 1200, scheme = 'light' } = {}) {
      const page = await browser!.newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
      page.setDefaultTimeout(30_000);
      page.on('console', (message) => {
        if (message.type() !== 'log') complaints.push(`${message.type()}: ${message.text()}`);
      });
      page.on('pageerror', (error) => complaints.push(`${error.stack}`));
      await page.goto(url);
      return page;
    },
  };
}

/** The lab, served and opened at one of its views for the tests of a file; `opened` is told the page. */
export function useView(name: string, opened: (page: Page) => void): void {
  const lab = useBrowser();
  let served: Served | undefined;
  beforeAll(async () => {
    served = await serveLab();
    const page = await lab.open(served.url);
    await showView(page, name);
    opened(page);
  });
  afterAll(() => served?.stop());
}

/** Goes to a view. */
export const showView = (page: Page, name: string): Promise<void> =>
  page.getByRole('tab', { name, exact: true }).click();

/** Whether nothing of the page is wider than the window. */
export const fits = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

/** The text of the first element that a selector finds. */
export const said = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).first().textContent()) ?? '';

/** The rows of tables that a selector finds, cells with bars between. */
export const rowsIn = (page: Page, selector: string): Promise<string[]> =>
  page
    .locator(`${selector} tbody tr`)
    .evaluateAll((rows) => rows.map(({ children }) => [...children].map((cell) => cell.textContent).join(' | ')));
