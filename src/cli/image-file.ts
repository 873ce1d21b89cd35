/** Image files on disk: opened here, read on demand, parsed by src/image. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { Image } from '../image/image.ts';
import { ImageError } from '../image/image-error.ts';
import { openImage } from '../image/open-image.ts';
import type { RawRegisters } from '../image/raw.ts';
import type { RandomAccess } from '../image/reader.ts';
import { parseAddress, parseCount } from '../inspect/number-text.ts';
import { FileError, UsageError } from './failure.ts';

/** What `--cr3`, `--paging`, `--maxphyaddr` and `--no-1g` say of a raw dump. */
export interface RawOptions {
  readonly cr3?: string;
  readonly paging?: string;
  readonly maxphyaddr?: string;
  readonly '1g': boolean;
}

/** A text of more bytes is refused before it fills the memory; the largest corpus has a tenth. */
export const MAX_TEXT: number = 2 ** 28;

/** A reader over an open file; `close` it in the end. FileError where it is no regular file, or reading fails. */
export function fileReader(path: string): RandomAccess & { close(): void } {
  // Asked of the path: to open a pipe would wait for a writer.
  const stats = statSync(path);
  if (stats.isDirectory()) throw new FileError(path, 'is a directory');
  if (!stats.isFile()) throw new FileError(path, 'not a regular file');
  const fd = openSync(path, 'r');
  return {
    size: stats.size,
    read(offset, target) {
      try {
        return readSync(fd, target, 0, target.length, offset);
      } catch (failure) {
        throw new FileError(path, (failure as Error).message);
      }
    },
    close: () => closeSync(fd),
  };
}

/** Opens an image; failures name the file. The file stays open as long as the process: frames are read on demand. */
export async function openImageFile(path: string, options: RawOptions): Promise<Image> {
  const raw = rawRegisters(options);
  const reader = fileReader(path);
  try {
    return await openImage(reader, raw === undefined ? {} : { raw });
  } catch (failure) {
    if (failure instanceof ImageError) throw new FileError(path, failure.message);
    throw failure;
  }
}

/** UsageError for options of a raw dump that would be ignored, since there is none. */
export function refuseRawOptions({ cr3, paging, maxphyaddr, '1g': page1gb }: RawOptions): void {
  if (cr3 !== undefined || paging !== undefined || maxphyaddr !== undefined || !page1gb)
    throw new UsageError('--cr3, --paging, --maxphyaddr and --no-1g describe a raw dump, and there is none');
}

const PAGING = ['4-level', '5-level', 'pae', '32-bit'] as const;

function rawRegisters(options: RawOptions): RawRegisters | undefined {
  if (options.cr3 === undefined) {
    if (options.paging !== undefined || options.maxphyaddr !== undefined || !options['1g'])
      throw new UsageError('--paging, --maxphyaddr and --no-1g describe a raw dump and go with --cr3');
    return undefined;
  }
  const paging = PAGING.find((mode) => mode === options.paging);
  if (paging === undefined) throw new UsageError(`--cr3 needs --paging, one of ${PAGING.join(', ')}`);
  const maxPhyAddr = options.maxphyaddr === undefined ? 52 : parseCount(options.maxphyaddr, '--maxphyaddr', 32, 52);
  return { cr3: parseAddress(options.cr3), paging, maxPhyAddr, page1gb: options['1g'] };
}
