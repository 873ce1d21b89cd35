/**
 * States that a search has met, by their 64-bit hash, with one number each. Open addressing; 12 bytes a state, doubling
 * when three quarters are full.
 */
export class Visited {
  count = 0;
  #keysA = new Int32Array(1 << 14);
  #keysB = new Int32Array(1 << 14);
  /** The number + 1; 0 where the slot is free. */
  #values = new Int32Array(1 << 14);

  /** The number of a state, or -1. */
  get(a: number, b: number): number {
    return this.#values[this.#find(a, b)]! - 1;
  }

  /** @param value  0 or more */
  set(a: number, b: number, value: number): void {
    if (4 * this.count >= 3 * this.#values.length) this.#grow();
    const at = this.#find(a, b);
    if (this.#values[at] === 0) this.count += 1;
    this.#keysA[at] = a;
    this.#keysB[at] = b;
    this.#values[at] = value + 1;
  }

  #find(a: number, b: number): number {
    const mask = this.#values.length - 1;
    let at = (a ^ (b >>> 7)) & mask;
    while (this.#values[at] !== 0 && (this.#keysA[at] !== a || this.#keysB[at] !== b)) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const [keysA, keysB, values] = [this.#keysA, this.#keysB, this.#values];
    const size = 2 * values.length;
    this.#keysA = new Int32Array(size);
    this.#keysB = new Int32Array(size);
    this.#values = new Int32Array(size);
    this.count = 0;
    for (let at = 0; at < values.length; at++) if (values[at] !== 0) this.set(keysA[at]!, keysB[at]!, values[at]! - 1);
  }
}
