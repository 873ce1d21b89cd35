/** Buffers of guest memory: private to a thread or shared by several, and the same bytes at each width. */

/** Whether threads may share a buffer. By name: pages without cross-origin isolation have no global `SharedArrayBuffer`. */
export const isSharedBuffer = (buffer: ArrayBufferLike): boolean => buffer[Symbol.toStringTag] === 'SharedArrayBuffer';

/** A buffer of zeros. RangeError where the host has none of that size, or none that is shared. */
export function allocate(sizeBytes: number, kind: { readonly shared: boolean }): ArrayBufferLike {
  if (kind.shared && typeof SharedArrayBuffer === 'undefined')
    throw new RangeError('there is no SharedArrayBuffer here: in a browser the page needs cross-origin isolation');
  try {
    return kind.shared ? new SharedArrayBuffer(sizeBytes) : new ArrayBuffer(sizeBytes);
  } catch {
    throw tooLarge(sizeBytes);
  }
}

/** The bytes of a buffer, from its start, in elements of each width. */
export interface BufferViews {
  readonly bytes: Uint8Array;
  readonly halfwords: Uint16Array;
  readonly words: Int32Array;
  readonly quads: BigInt64Array;
}

/**
 * Views of a buffer; bytes at its end that make no whole element are left out. RangeError where the buffer is resizable, or
 * larger than the host's arrays may be.
 */
export function viewsOf(buffer: ArrayBufferLike): BufferViews {
  const { byteLength, resizable, growable } = buffer as ArrayBufferLike & { resizable?: boolean; growable?: boolean };
  if (resizable === true || growable === true)
    throw new RangeError(
      'guest memory must not be a resizable buffer: each load would take three times as long; use one of fixed length, and attach() when it grew',
    );
  try {
    return {
      bytes: new Uint8Array(buffer),
      halfwords: new Uint16Array(buffer, 0, Math.floor(byteLength / 2)),
      words: new Int32Array(buffer, 0, Math.floor(byteLength / 4)),
      quads: new BigInt64Array(buffer, 0, Math.floor(byteLength / 8)),
    };
  } catch {
    throw tooLarge(byteLength); // Node 20 makes buffers of more than 4 GiB, and no array over one
  }
}

const tooLarge = (sizeBytes: number): RangeError =>
  new RangeError(`a buffer of ${sizeBytes} bytes is more than this host can hold or index (Node 20: 4 GiB)`);
