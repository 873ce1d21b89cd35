/** The script of the lab's page. */
import { h, render } from 'preact';
import { Page } from './page.ts';
import { readStart } from './start.ts';

render(h(Page, { start: readStart() }), document.getElementById('lab')!);
