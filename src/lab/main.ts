/** The script of the lab's page, and of its workers. */
import { h, render } from 'preact';
import { serveJobs } from './jobs.ts';
import { Page } from './page.ts';
import { readStart } from './start.ts';

if (typeof document === 'undefined') serveJobs();
else render(h(Page, { start: readStart() }), document.getElementById('lab')!);
