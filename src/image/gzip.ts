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
  const { readable, writable } = new DecompressionStream('gzip');
  const feeding = feed(source, writable);
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of chunks(readable)) {
      length += piece.length;
      if (length > limit) break;
      pieces.push(piece);
    }
  } catch {
    const failed = await feeding;
    if (failed !== undefined) throw failed.reason;
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

/**
 * Writes all of `source`, each chunk when the one before has been taken. `pipeThrough` does not wait in Node 20 and 22: their
 * queues count chunks where they should count bytes, and a file of 1 GiB would be read before the first byte is inflated.
 * @returns what `source.read` threw; what is wrong with the data shows where the stream is read
 */
async function feed(
  source: RandomAccess,
  writable: WritableStream<BufferSource>,
): Promise<{ readonly reason: unknown } | undefined> {
  const writer = writable.getWriter();
  try {
    for (let offset = 0; ; ) {
      const chunk = new Uint8Array(Math.min(CHUNK, source.size - offset));
      let count = 0;
      try {
        if (chunk.length > 0) count = source.read(offset, chunk);
      } catch (reason) {
        await writer.abort(reason).catch(() => {});
        return { reason };
      }
      if (count === 0) break;
      await writer.write(chunk.subarray(0, count));
      offset += count;
    }
    await writer.close();
  } catch {}
  return undefined;
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
