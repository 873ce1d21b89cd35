/** Runs the built command as a person would. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';

export const IMAGES = 'test/corpus/images';

export function pagewalk(args: readonly string[], env: Record<string, string> = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', ...env },
    maxBuffer: 1 << 28,
  });
}
