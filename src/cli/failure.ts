/** How the command ends: 0 fine, 1 a mismatch, 2 bad input or usage. */
import { ImageError } from '../image/image-error.ts';
import { UsageError } from '../inspect/usage-error.ts';

export { UsageError };

export const EXIT_MISMATCH = 1;
export const EXIT_USAGE = 2;

/** A UsageError, with the name of the file that is to blame. */
export class FileError extends UsageError {
  constructor(path: string, sentence: string) {
    super(`${path}: ${sentence}`);
  }
}

/** The sentence for a failure that is the input's, not ours; undefined for any other. */
export function sentenceFor(failure: unknown): string | undefined {
  if (failure instanceof UsageError || failure instanceof ImageError) return failure.message;
  const { code, path, syscall, message } = failure as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return undefined;
  if (path === undefined) return message;
  if (code === 'ENOENT') return `${path}: no such file`;
  if (code === 'EISDIR') return `${path}: is a directory`;
  if (code === 'EACCES') return `${path}: permission denied`;
  return `${path}: ${message}`;
}
