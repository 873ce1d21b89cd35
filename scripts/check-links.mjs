// Every relative link of every Markdown file leads somewhere: to a file or folder that is part of the project, and to a
// heading of it where there is an anchor. And every page of docs/ is linked from another one. Code is no link.
// `checkLinks(root, files)` returns complaints.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, posix } from 'node:path';
import { pathToFileURL } from 'node:url';

const LEFT_OUT = /(^|\/)(node_modules|dist|dist\.\d+|\.git|\.vitest|coverage)(\/|$)|^docs\/api(\/|$)/;
const LINK = /!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)|^\[[^\]]+\]:\s*(\S+)/gm;

/** @param {string} root @param {readonly string[]} files  paths of the project's files, from `root` */
export function checkLinks(root, files) {
  const pages = new Map(
    files.filter((file) => file.endsWith('.md')).map((file) => [file, readFileSync(join(root, file), 'utf8')]),
  );
  const folders = new Set(files.flatMap((file) => parents(file)));
  const linked = new Set();
  const dead = [...pages].flatMap(([page, text]) =>
    [...withoutCode(text).matchAll(LINK)].flatMap(([, inline, reference]) => {
      const link = inline ?? reference;
      if (/^[a-z][a-z\d+.-]*:/i.test(link)) return [];
      const [path, anchor] = link.split('#');
      const target = path === '' ? page : posix.normalize(posix.join(posix.dirname(page), decodeURI(path)));
      if (target !== page) linked.add(target);
      const isThere = files.includes(target) || folders.has(target.replace(/\/$/, ''));
      if (!isThere) return [`${page}: ${link} leads nowhere`];
      if (anchor === undefined || !target.endsWith('.md')) return [];
      return anchorsOf(pages.get(target)).includes(anchor) ? [] : [`${page}: ${link}: there is no such heading`];
    }),
  );
  const alone = [...pages.keys()].filter((page) => page.startsWith('docs/') && !linked.has(page));
  return [...dead, ...alone.map((page) => `${page}: no page links to it`)];
}

const parents = (file) => {
  const folder = dirname(file);
  return folder === '.' ? [] : [folder, ...parents(folder)];
};

/** Fenced blocks and inline code, emptied. */
const withoutCode = (text) => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '');

/** As GitHub makes them: lower case, punctuation gone, spaces to dashes, a number behind one that was there before. */
function anchorsOf(text) {
  const seen = new Map();
  return [...text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)].map(([, heading]) => {
    const plain = heading.replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const slug = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
}

export function filesBelow(root) {
  return readdirSync(root, { recursive: true })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => !LEFT_OUT.test(name) && existsSync(join(root, name)) && statSync(join(root, name)).isFile())
    .map((name) => normalize(name));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const complaints = checkLinks('.', filesBelow('.'));
  for (const complaint of complaints) console.error(complaint);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}
