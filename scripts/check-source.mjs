// Rules of the house that neither the compiler nor the linter knows. `checkSource(root)` returns complaints.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const MAX_LINES = 300;
/** Cold files that may compute on BigInts: where people write addresses. */
const BIGINT_ALLOWED = ['src/mmu/address.ts'];

const RULES = [
  {
    // 40 to 60 times slower than halves. A BigInt64Array element moved whole is no arithmetic and allowed.
    name: 'BigInt on a path that runs per access',
    applies: (file) => /^src\/(mmu|cpu)\//.test(file) && !BIGINT_ALLOWED.includes(file),
    pattern: /\b(0[xob][\da-f_]+|\d[\d_]*)n\b|\bBigInt\(|BigInt\.as/i,
  },
  { name: 'console outside the command', applies: (file) => !file.startsWith('src/cli/'), pattern: /\bconsole\./ },
  {
    // The build makes constants of all that is declared at the top (for-speed.mjs).
    name: 'variable at the top of a file of the library',
    applies: (file) => !/^src\/(cli|lab)\//.test(file),
    pattern: /^(export )?(let|var) /,
  },
  { name: 'default export', applies: () => true, pattern: /^export default/ },
  {
    // Explored CPUs are unwound by a thrown sentinel, which a catch could swallow.
    name: 'catch in mapping code',
    applies: (file) => file.startsWith('src/hypervisor/'),
    pattern: /\bcatch\b/,
  },
];

export function checkSource(root) {
  const files = readdirSync(join(root, 'src'), { recursive: true })
    .map((name) => `src/${name.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.ts'));
  return files.flatMap((file) => {
    const lines = readFileSync(join(root, file), 'utf8').trimEnd().split('\n');
    const long = lines.length > MAX_LINES ? [`${file}: ${lines.length} lines, more than ${MAX_LINES}`] : [];
    const broken = lines.flatMap((line, at) => {
      const code = line.replace(/^\s*(\/\/|\*|\/\*\*).*$/, '').replace(/\s\/\/ .*$/, '');
      return RULES.filter((rule) => rule.applies(file) && rule.pattern.test(code)).map(
        (rule) => `${file}:${at + 1}: ${rule.name}`,
      );
    });
    return [...long, ...broken];
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const complaints = checkSource(process.cwd());
  for (const complaint of complaints) console.error(complaint);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}
