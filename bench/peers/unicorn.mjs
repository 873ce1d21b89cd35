// Builds and starts the Unicorn peer: unicorn.c, with the layout of patterns.mjs, into a temporary folder.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codeRange, image64 } from './image.mjs';
import { LAYOUT, LOOPS, ROOTS, STEP, STORE_AT, UNROLL } from './patterns.mjs';
import { PeerProcess } from './protocol.mjs';

const COMPILER = process.env.CC ?? 'cc';
const PROBE = '#include <unicorn/unicorn.h>\nint main(void) { return uc_version(0, 0) == 0; }\n';

const compile = (args, input = '') => spawnSync(COMPILER, args, { input, encoding: 'utf8' });

/** Why there is no Unicorn here, in words; undefined when it can be built. */
function missing(folder) {
  if (process.platform !== 'linux') return 'unicorn.c needs Linux (memfd_create)';
  const { error } = compile(['--version']);
  if (error !== undefined) return `no C compiler (${COMPILER})`;
  const probe = compile(['-x', 'c', '-', '-lunicorn', '-o', join(folder, 'probe')], PROBE);
  return probe.status === 0 ? undefined : 'no Unicorn library or header (Debian: libunicorn-dev)';
}

/** `{ process }` or `{ skipped }`. */
export function startUnicorn(folder) {
  const skipped = missing(folder);
  if (skipped !== undefined) return { skipped };
  const program = join(folder, 'unicorn');
  const source = fileURLToPath(new URL('unicorn.c', import.meta.url));
  const indices = { LOAD: LOOPS.indexOf('load'), STORE: LOOPS.indexOf('store') };
  const layout = { ...LAYOUT, LOOPS: LOOPS.length, ROOTS: ROOTS.length, ...indices };
  const constants = Object.entries({ ...layout, STEP, STORE_AT, UNROLL }).map(([name, value]) => `-D${name}=${value}`);
  const built = compile(['-std=c11', '-O2', ...constants, source, '-lunicorn', '-o', program]);
  if (built.status !== 0) throw new Error(`unicorn.c does not compile:\n${built.stderr}`);

  const { bytes, roots } = image64();
  const image = join(folder, 'ram');
  writeFileSync(image, bytes);
  const ends = LOOPS.map((loop) => codeRange(loop).end);
  return { process: new PeerProcess(program, [image, ...ROOTS.map((root) => roots[root]), ...ends].map(String)) };
}
