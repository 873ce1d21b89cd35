/** gzip through the platform's own streams, which Node and browsers share. */
import { ImageError } from './image-error.ts';
import type { RandomAccess } from './reader.ts';

/** An inflated image is kept in memory; what is larger is refused before it fills it. */
export const MAX_INFLATED: number = 2 ** 31;

/** Small: some browsers inflate a whole chunk, 1000 times its size at worst, before the limit can stop them. */
const CHUNK = 1 << 16;

export function isGzip(start: Uint8Array): boolean {
  return start[0] === 0x1f && start[1] === 0x8b;
}

/**
 * ImageError where the stream is damaged, cut short, or inflates to more than `limit` bytes. What `source.read` throws comes
 * through as it is: a disk that fails is no damaged file.
 */
export async function gunzip(source: RandomAccess, limit: number = MAX_INFLATED): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const readFailures: unknown[] = [];
  try {
    for await (const piece of chunks(compressed(source, readFailures).pipeThrough(new DecompressionStream('gzip')))) {
      length += piece.length;
      if (length > limit) break;
      pieces.push(piece);
    }
  } catch {
    if (readFailures.length > 0) throw readFailures[0];
    throw new ImageError('the gzip data is damaged or cut short');
  }
  if (length > limit)
    throw new ImageError(`the gzip data inflates to more than ${limit} bytes; a raw dump has to be decompressed first`);
  return join(pieces, length);
}

export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream('gzip'));
  for await (const piece of chunks(stream)) {
    pieces.push(piece);
    length += piece.length;
  }
  return join(pieces, length);
}

/** Bytes of `source` as they are asked for; what its `read` throws is also put into `failures`. */
function compressed(source: RandomAccess, failures: unknown[]): ReadableStream<BufferSource> {
  let offset = 0;
  return new ReadableStream({
    pull(controller) {
      const chunk = new Uint8Array(Math.min(CHUNK, source.size - offset));
      const count = chunk.length === 0 ? 0 : readOrNote(source, offset, chunk, failures);
      if (count === 0) return controller.close();
      offset += count;
      controller.enqueue(chunk.subarray(0, count));
    },
  });
}

function readOrNote(source: RandomAccess, offset: number, target: Uint8Array, failures: unknown[]): number {
  try {
    return source.read(offset, target);
  } catch (failure) {
    failures.push(failure);
    throw failure;
  }
}

async function* chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Without this a stream left early (the limit) would keep inflating.
    await reader.cancel().catch(() => {});
  }
}

function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
