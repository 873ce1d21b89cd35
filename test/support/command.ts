/** Runs the built command as a person would. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const IMAGES = 'test/corpus/images';

export function pagewalk(args: readonly string[], env: Record<string, string> = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', ...env },
    maxBuffer: 1 << 28,
    timeout: 100_000, // a command that waits for ever fails its test, and no other
  });
}

/** A new folder for files of a test's own. */
export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'pagewalk-'));

/** Writes a file into such a folder; returns its path. */
export function write(folder: string, name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}
