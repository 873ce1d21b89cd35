/**
 * The page-table entries that a recorded case names: what they hold as far as its lines tell, and which of their flags A
 * and D nobody can tell, since a processor may set them in an access that faults.
 */
import type { OtherOp } from './access-vector.ts';
import type { EntryAt } from './entry-path.ts';
import { hexText } from './wide.ts';

export type Unsure = (entry: EntryAt, before: bigint) => bigint;

export class RecordedEntries {
  readonly #read: (at: number) => bigint;
  readonly #bytes: number;
  readonly #known: Map<number, bigint> = new Map();
  readonly #unsure: Map<number, bigint> = new Map();

  /**
   * @param read   what the emulator's memory holds at an entry
   * @param bytes  of an entry, 4 or 8
   */
  constructor(read: (at: number) => bigint, bytes: number) {
    this.#read = read;
    this.#bytes = bytes;
  }

  /** Whether any of these bytes belongs to an entry. */
  overlap(from: number, bytes: number): boolean {
    for (let at = from - (from % this.#bytes); at < from + bytes; at += this.#bytes)
      if (this.#known.has(at)) return true;
    return false;
  }

  /** Stores that software has made to known entries since the case last told of them. */
  *changes(): Generator<OtherOp> {
    for (const [at, known] of this.#known) if (this.#read(at) !== known) yield this.#store(at);
  }

  /** The store that an entry is as it is, where it was not known. */
  *discover(addresses: Iterable<number>): Generator<OtherOp> {
    for (const at of addresses) if (!this.#known.has(at)) yield this.#store(at);
  }

  /**
   * What an access left: the entries on its path, and those that it wrote as data.
   * @param path    as it was before the access; known
   * @param unsure  the flags of an entry on it that nobody can tell afterwards, from those that nobody could before
   */
  compare(path: readonly EntryAt[], unsure: Unsure): OtherOp {
    for (const entry of path) this.#unsure.set(entry.at, unsure(entry, this.#unsure.get(entry.at) ?? 0n));
    const onPath = new Set(path.map(({ at }) => at));
    const compared: string[][] = [];
    for (const [at, known] of this.#known) {
      const value = this.#read(at);
      if (value === known && !onPath.has(at)) continue;
      this.#known.set(at, value);
      const dontCare = this.#unsure.get(at) ?? 0n;
      compared.push([hexText(BigInt(at)), hexText(value), ...(dontCare === 0n ? [] : [hexText(dontCare)])]);
    }
    return { op: 'mem', e: compared };
  }

  #store(at: number): OtherOp {
    const value = this.#read(at);
    this.#known.set(at, value);
    this.#unsure.delete(at);
    return { op: 'write', pa: hexText(BigInt(at)), v: hexText(value), n: this.#bytes };
  }
}
