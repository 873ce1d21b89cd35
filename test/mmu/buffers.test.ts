import { describe, expect, it } from 'vitest';
import { allocate, isSharedBuffer, viewsOf } from '../../src/mmu/buffers.ts';

const SENTENCE = / bytes is more than this host can hold or index \(Node 20: 4 GiB\)$/;

/** A buffer that the host can make and cannot index, or undefined where there is none: Node 20 has them from 4 GiB on. */
function withoutViews(): ArrayBuffer | undefined {
  const buffer = new ArrayBuffer(2 ** 32 + 4096);
  try {
    new Uint8Array(buffer);
    return undefined;
  } catch {
    return buffer;
  }
}

describe('a buffer', () => {
  it('is shared where threads may share it', () => {
    const wasm = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    expect([new ArrayBuffer(8), new SharedArrayBuffer(8), wasm.buffer].map(isSharedBuffer)).toEqual([
      false,
      true,
      true,
    ]);
    expect([false, true].map((shared) => isSharedBuffer(allocate(8, { shared })))).toEqual([false, true]);
  });

  it('is seen at each width, up to its last whole element', () => {
    const { bytes, halfwords, words, quads } = viewsOf(new ArrayBuffer(15));
    expect([bytes.length, halfwords.length, words.length, quads.length]).toEqual([15, 7, 3, 1]);
  });

  it.each([false, true])('that the host cannot make is refused in a sentence, shared: %s', (shared) => {
    expect(() => allocate(2 ** 52, { shared })).toThrow(RangeError);
    expect(() => allocate(2 ** 52, { shared })).toThrow(SENTENCE);
  });

  const unseen = withoutViews();
  it.skipIf(unseen === undefined)('that the host cannot index is refused in a sentence', () => {
    expect(() => viewsOf(unseen!)).toThrow(RangeError);
    expect(() => viewsOf(unseen!)).toThrow(SENTENCE);
  });
});
