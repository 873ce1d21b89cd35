/**
 * Linear watchpoints. A watched page has no hit view, so that accesses to it take the slow path and ask here; a watch
 * costs nothing elsewhere.
 */
import { PAGE_SIZE } from '../mmu/halves.ts';

/** Called after an access to watched bytes was done: its first byte, its size, and READ, WRITE or FETCH as asked for. */
export type WatchCallback = (lo: number, hi: number, size: number, access: number) => void;

/** Linear bytes whose accesses are reported, whatever they are mapped to; see `addWatch`. */
export interface Watch {
  /** Linear address of the first byte; halves may be unsigned. */
  readonly lo: number;
  /** High half of that address. */
  readonly hi: number;
  /** Bytes, 1 to 4096. */
  readonly length: number;
  /** READ | WRITE | FETCH. */
  readonly kinds: number;
  /** Called after each such access; it may use the CPU. */
  readonly callback: WatchCallback;
}

export class Watchpoints {
  #watches: Watch[] = [];

  get isEmpty(): boolean {
    return this.#watches.length === 0;
  }

  add(watch: Watch): void {
    if (!Number.isInteger(watch.length) || watch.length < 1 || watch.length > PAGE_SIZE)
      throw new RangeError(`a watchpoint covers 1 to ${PAGE_SIZE} bytes, not ${watch.length}`);
    this.#watches.push(watch);
  }

  remove(watch: Watch): void {
    this.#watches = this.#watches.filter((other) => other !== watch);
  }

  /** Whether any watched byte lies in the aligned piece of 2^shift bytes around an address. */
  touches(lo: number, hi: number, shift: number): boolean {
    for (const watch of this.#watches) if (overlaps(watch, lo & -(1 << shift), hi, 2 ** shift, 64)) return true;
    return false;
  }

  /** Calls back the watches that an access overlaps; addresses of 32 bits wrap to 0. */
  report(lo: number, hi: number, size: number, access: number, addressBits: 32 | 64): void {
    for (const watch of this.#watches)
      if ((watch.kinds & access) !== 0 && overlaps(watch, lo, hi, size, addressBits))
        watch.callback(lo, hi, size, access);
  }
}

/** Distances below 2^52 are exact; addresses farther apart than that do not overlap either way. */
function overlaps(watch: Watch, lo: number, hi: number, size: number, addressBits: 32 | 64): boolean {
  const within = (watch.lo >>> 0) - (lo >>> 0);
  const distance = addressBits === 32 ? within | 0 : ((watch.hi | 0) - hi) * 0x1_0000_0000 + within;
  return distance < size && distance > -watch.length;
}
