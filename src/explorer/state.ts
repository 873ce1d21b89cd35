/**
 * All that outlives an event in an explored machine, as words that can be taken back: the shared buffers themselves, and
 * words of the explorer's own. A shadow of each says what changed in a range since it was settled last; what changed goes
 * to a journal and into a hash, so that going back costs what was changed and comparing states costs nothing.
 *
 * Memory: shadows as large as the buffers, 8 bytes a word changed along the schedule in hand.
 */

/** A buffer of words; each has a number in the state: `base` + its index. */
export interface Space {
  readonly words: Int32Array;
  readonly base: number;
  /** As they were when they were settled last. */
  readonly shadow: Int32Array;
  /** 1 for words that do not make states different, such as counters that only grow. */
  readonly ignored: Uint8Array;
}

/** Something besides words that an event replaced whole, such as what a CPU has cached. */
export interface Replaced {
  readonly restore: () => void;
  /** The hashes of what was and of what is there now, XORed. */
  readonly hashA: number;
  readonly hashB: number;
}

const OBJECT = -1;

export class State {
  /** Two lanes of 32 bits: equal states have equal hashes; different ones differ but for one in 2^64. */
  hashA = 0;
  hashB = 0;

  readonly #spaces: Space[] = [];
  #words = 0;
  #journalAt: Int32Array = new Int32Array(1 << 12);
  #journalOld: Int32Array = new Int32Array(1 << 12);
  #length = 0;
  readonly #objects: Replaced[] = [];

  /** Makes a buffer part of the state, as it is now. `ignores` says which words are left out of the hash. */
  add(words: Int32Array, ignores: (index: number) => boolean = () => false): Space {
    const ignored = new Uint8Array(words.length);
    for (let index = 0; index < words.length; index++) ignored[index] = ignores(index) ? 1 : 0; // 3 ms less than `from`
    const space = { words, base: this.#words, shadow: words.slice(), ignored };
    this.#spaces.push(space);
    this.#words += words.length;
    return space;
  }

  /** Where the journal stands: what `undo` goes back to. */
  get mark(): number {
    return this.#length;
  }

  /** Notes what changed between two indexes of a space since it was settled last. */
  settle(space: Space, from: number, to: number): void {
    const { words, shadow } = space;
    for (let index = from; index < to; index++) if (words[index] !== shadow[index]) this.#change(space, index);
  }

  /** Sets a word and notes it. */
  set(space: Space, index: number, value: number): void {
    if (space.words[index] === value) return;
    space.words[index] = value;
    this.settle(space, index, index + 1);
  }

  /** Notes that something besides words was replaced. */
  replaced(what: Replaced): void {
    this.#push(OBJECT, 0);
    this.#objects.push(what);
    this.hashA ^= what.hashA;
    this.hashB ^= what.hashB;
  }

  /** Goes back to a mark. */
  undo(mark: number): void {
    while (this.#length > mark) {
      this.#length -= 1;
      const at = this.#journalAt[this.#length]!;
      if (at === OBJECT) this.#putBack(this.#objects.pop()!);
      else this.#restore(at, this.#journalOld[this.#length]!);
    }
  }

  /** The words that are not as the shadows say: what an event changed and did not declare. For tests. */
  undeclared(): string[] {
    const wrong: string[] = [];
    for (const [space, { words, shadow }] of this.#spaces.entries())
      for (let index = 0; index < words.length; index++)
        if (words[index] !== shadow[index])
          wrong.push(`word ${index} of buffer ${space}: ${shadow[index]}, now ${words[index]}`);
    return wrong;
  }

  #putBack({ restore, hashA, hashB }: Replaced): void {
    this.hashA ^= hashA;
    this.hashB ^= hashB;
    restore();
  }

  #change({ words, base, shadow, ignored }: Space, index: number): void {
    const old = shadow[index]!;
    const now = words[index]!;
    shadow[index] = now;
    this.#push(base + index, old);
    if (ignored[index] === 0) this.#rehash(base + index, old, now);
  }

  #restore(word: number, old: number): void {
    let at = this.#spaces.length - 1;
    while (this.#spaces[at]!.base > word) at -= 1;
    const { words, base, shadow, ignored } = this.#spaces[at]!;
    const index = word - base;
    const now = words[index]!;
    words[index] = old;
    shadow[index] = old;
    if (ignored[index] === 0) this.#rehash(word, old, now);
  }

  #rehash(word: number, old: number, now: number): void {
    this.hashA ^= mixA(word, old) ^ mixA(word, now);
    this.hashB ^= mixB(word, old) ^ mixB(word, now);
  }

  #push(at: number, old: number): void {
    if (this.#length === this.#journalAt.length) {
      this.#journalAt = grown(this.#journalAt);
      this.#journalOld = grown(this.#journalOld);
    }
    this.#journalAt[this.#length] = at;
    this.#journalOld[this.#length] = old;
    this.#length += 1;
  }
}

/** One lane of the hash of "`word` holds `value`". */
export function mixA(word: number, value: number): number {
  let mixed = Math.imul(value ^ Math.imul(word, 0x9e37_79b1), 0x85eb_ca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed ^ word, 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}

/** The other lane. */
export function mixB(word: number, value: number): number {
  let mixed = Math.imul(value ^ Math.imul(word, 0x27d4_eb2f), 0x1656_67b1);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed + word, 0x2c1b_3c6d);
  return mixed ^ (mixed >>> 14);
}

function grown(words: Int32Array): Int32Array {
  const larger = new Int32Array(2 * words.length);
  larger.set(words);
  return larger;
}
