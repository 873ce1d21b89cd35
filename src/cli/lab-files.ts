/** The lab's page as it was built: served file by file, or all in one. */
import { readFileSync } from 'node:fs';

/** Names of the images that come with it. */
export const BUILT_IN_IMAGES: readonly string[] = ['xen-idle-6g', 'linux4-nopti-2g-user'];

const folder = new URL('../lab/', import.meta.url);

export const labFile = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

/** The page, told what to begin with. */
export function pageWith(start: object): string {
  // `<` would end the element early where a name holds `</script`.
  const json = JSON.stringify(start).replaceAll('<', '\\u003c');
  return replaced(labFile('index.html'), '{}', json);
}

/** The same with styles, script and images inside: one file that needs no other. esbuild leaves no `</script` in a script. */
export function selfContainedPage(start: object): string {
  const styled = replaced(
    pageWith(start),
    '<link rel="stylesheet" href="lab.css">',
    `<style>${labFile('lab.css')}</style>`,
  );
  // Before the page's script, which looks for them before it loads them.
  const images = BUILT_IN_IMAGES.map((name) => `<script>${labFile(`images/${name}.js`)}</script>\n`).join('');
  return replaced(
    styled,
    '<script src="lab.js" id="script"></script>',
    `${images}<script id="script">${labFile('lab.js')}</script>`,
  );
}

/** With a text in the place of another; not as a pattern, in which `$` would mean something. */
function replaced(page: string, what: string, by: string): string {
  const at = page.indexOf(what);
  if (at < 0) throw new Error(`the page of the lab has no ${what}`);
  return page.slice(0, at) + by + page.slice(at + what.length);
}
