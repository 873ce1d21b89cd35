// The tarball that npm would publish, and a project that has it installed: what people get, not what lies here.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Packs a package folder into `target`; returns the path of the tarball. dist must have been built. */
export function pack(folder, target) {
  const args = ['pack', folder, '--ignore-scripts', '--json', '--pack-destination', target];
  // Called by `npm publish` or `npm pack`, npm hands its own --dry-run on, which would pack nothing.
  const env = { ...process.env, npm_config_dry_run: 'false' };
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { encoding: 'utf8', stdio: 'pipe', env }));
  return join(target, filename);
}

/** Makes an empty project in `folder` that has the package, and `long`, installed from tarballs: no network is asked. */
export function installPacked(folder) {
  mkdirSync(folder, { recursive: true });
  const tarballs = { pagewalk: pack('.', folder), long: pack(resolve('node_modules/long'), folder) };
  const dependencies = Object.fromEntries(Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]));
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'empty', private: true, type: 'module', dependencies }),
  );
  const args = ['install', '--offline', '--no-audit', '--no-fund', '--loglevel', 'error'];
  execFileSync('npm', args, { cwd: folder, stdio: 'pipe' });
}
