/** Random access to the bytes of a file or buffer, without knowing which: a browser uses this too. */

export interface RandomAccess {
  /** Bytes. */
  readonly size: number;
  /** Copies bytes from `offset` into `target`, as many as there are; returns how many. */
  read(offset: number, target: Uint8Array): number;
}

/** Bytes in memory as something to read an image from. They are not copied. */
export function bytesReader(bytes: Uint8Array): RandomAccess {
  return {
    size: bytes.length,
    read(offset, target) {
      const piece = bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + target.length, bytes.length));
      target.set(piece);
      return piece.length;
    },
  };
}

/** `length` bytes at `offset`, or undefined where the file ends before them. */
export function readExactly(source: RandomAccess, offset: number, length: number): Uint8Array | undefined {
  if (offset < 0 || length < 0 || offset + length > source.size) return undefined;
  const bytes = new Uint8Array(length);
  return source.read(offset, bytes) === length ? bytes : undefined;
}
