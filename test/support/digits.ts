/** Numbers out of a case's number: digits of a mixed-radix counter, and pseudo-random ones for what is not enumerated. */

/** A well mixed 32-bit hash of a case's number and a position. */
export function mix(seed: number, id: number, position: number): number {
  let h =
    Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(id + 1, 0xc2b2ae35) ^ Math.imul(position + 1, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Takes decisions for one case: first from the counter, so that a run of cases covers all combinations, then at random. */
export class Chooser {
  readonly #seed: number;
  readonly #id: number;
  #counter: number;
  #position = 0;

  constructor(seed: number, id: number, counter: number) {
    this.#seed = seed;
    this.#id = id;
    this.#counter = counter;
  }

  /** The counter's next digit: over successive cases all combinations of such choices come up. */
  each<T>(choices: readonly T[]): T {
    const digit = this.#counter % choices.length;
    this.#counter = Math.floor(this.#counter / choices.length);
    return choices[digit]!;
  }

  any<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  below(limit: number): number {
    return mix(this.#seed, this.#id, this.#position++) % limit;
  }

  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** `count` random bits. */
  bits(count: number): bigint {
    let value = 0n;
    for (let at = 0; at < count; at += 32) value = (value << 32n) | BigInt(this.below(0x1_0000_0000));
    return BigInt.asUintN(count, value);
  }
}
