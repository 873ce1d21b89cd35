/** Bad input: the message is one clear sentence for a person. */
export class ImageError extends Error {
  /** Always `ImageError`. */
  override readonly name: string = 'ImageError';
}

/** Stops with an `ImageError` unless `condition` holds. */
export function require(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new ImageError(message());
}
