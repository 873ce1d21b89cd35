/** Files that the command writes: whole, or not at all. */
import { closeSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { FileError } from './failure.ts';

/** FileError for what cannot be replaced by a file. */
export function checkOutput(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory()) throw new FileError(path, 'is a directory');
  if (stats !== undefined && !stats.isFile()) throw new FileError(path, 'not a regular file');
}

/** Under another name first: what stands under this one is whole at any time. */
export function writeWhole(path: string, bytes: Uint8Array | string): void {
  const target = statSync(path, { throwIfNoEntry: false }) === undefined ? path : realpathSync(path);
  const fresh = `${target}.${process.pid}.tmp`;
  try {
    const fd = openSync(fresh, 'wx');
    try {
      writeFileSync(fd, bytes);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, target);
  } catch (failure) {
    rmSync(fresh, { force: true });
    const reason = (failure as Error).message.replace(/, \w+ '.*$/, ''); // names the other file
    throw new FileError(path, `cannot be written: ${reason}`);
  }
}
