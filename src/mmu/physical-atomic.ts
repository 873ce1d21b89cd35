/**
 * Locked operations at a physical place, atomic towards other threads wherever the bytes lie within one aligned quadword.
 * Across quadwords (a split lock), and on devices, they are one load and one store; ROM and holes drop the store.
 */
import { type Frame, PAGE_SIZE } from './halves.ts';
import { PAGE_ROM } from './page-flags.ts';
import type { PhysicalAccess } from './physical-access.ts';

const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);
const scratchBytes = new Uint8Array(scratchQuad.buffer);

/** Byte position in the buffer of bytes that can be locked: writable RAM within one aligned quadword. -1 elsewhere. */
function lockableAt({ memory }: PhysicalAccess, frame: Frame, offset: number, size: number): number {
  if ((offset & 7) + size > 8) return -1;
  const page = memory.pageOf(frame);
  return page < 0 || memory.pages.has(page, PAGE_ROM) ? -1 : page * PAGE_SIZE + offset;
}

/** Stores (lo, hi) where the bytes are (expectedLo, expectedHi), in the form `load` returns. Returns the old value, its high half in `physical.hi`. */
export function compareExchange(
  physical: PhysicalAccess,
  frame: Frame,
  offset: number,
  size: number,
  expectedLo: number,
  expectedHi: number,
  lo: number,
  hi: number,
): number {
  const at = lockableAt(physical, frame, offset, size);
  const old =
    at >= 0 ? exchangeWithin(physical, at, size, expectedLo, expectedHi, lo, hi) : physical.load(frame, offset, size);
  const oldHi = physical.hi;
  const equal = old === expectedLo && (size < 8 || oldHi === expectedHi);
  if (at < 0) physical.store(frame, offset, size, equal ? lo : old, equal ? hi : oldHi);
  else if (equal) physical.memory.noteWrite(Math.floor(at / PAGE_SIZE), frame, offset, size);
  physical.hi = oldHi; // a device or `onCodeWrite` may have used the CPU
  return old;
}

/** Stores (lo, hi). Returns the old value, its high half in `physical.hi`. */
export function exchange(
  physical: PhysicalAccess,
  frame: Frame,
  offset: number,
  size: number,
  lo: number,
  hi: number,
): number {
  if (lockableAt(physical, frame, offset, size) < 0) {
    const old = physical.load(frame, offset, size);
    const oldHi = physical.hi;
    physical.store(frame, offset, size, lo, hi);
    physical.hi = oldHi;
    return old;
  }
  for (;;) {
    const old = physical.load(frame, offset, size);
    const oldHi = physical.hi;
    const seen = compareExchange(physical, frame, offset, size, old, oldHi, lo, hi);
    if (seen === old && (size < 8 || physical.hi === oldHi)) return old;
  }
}

/** Compare-and-set of bytes within one aligned quadword of the buffer. */
function exchangeWithin(
  physical: PhysicalAccess,
  at: number,
  size: number,
  expectedLo: number,
  expectedHi: number,
  lo: number,
  hi: number,
): number {
  const { words, quads } = physical.memory;
  if (size === 4 && at % 4 === 0) return Atomics.compareExchange(words, at / 4, expectedLo, lo);
  const quad = Math.floor(at / 8);
  for (;;) {
    const whole = Atomics.load(quads, quad);
    scratchQuad[0] = whole;
    const old = readScratch(at & 7, size);
    const oldHi = scratch[1]!;
    if (size === 8) physical.hi = oldHi;
    if (old !== expectedLo || (size === 8 && oldHi !== expectedHi)) return old;
    for (let k = 0; k < size; k++) scratchBytes[(at & 7) + k] = (k < 4 ? lo : hi) >>> (8 * (k & 3));
    if (Atomics.compareExchange(quads, quad, whole, scratchQuad[0]!) === whole) return old;
  }
}

function readScratch(at: number, size: number): number {
  let value = 0;
  for (let k = 0; k < Math.min(size, 4); k++) value |= scratchBytes[at + k]! << (8 * k);
  return value;
}
