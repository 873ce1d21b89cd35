import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CacheShape } from '../../src/mmu/cache-shape.ts';
import { Generations, GLOBAL_CONTEXT } from '../../src/mmu/generations.ts';
import { TranslationCache } from '../../src/mmu/translation-cache.ts';
import { high, joined, low } from '../support/guest.ts';

const shape = (entries: number, ways = 4, replacement: CacheShape['replacement'] = 'round-robin'): CacheShape => ({
  entries,
  ways,
  replacement,
});

/** What a cache that loses nothing would hold: context and tag to frame and rights. */
interface Model {
  readonly shift: bigint;
  readonly entries: Map<string, readonly [frame: number, rights: number]>;
}
interface Real {
  readonly cache: TranslationCache;
  readonly generations: Generations;
  readonly loses: boolean;
}

const key = ({ shift }: Model, context: number, address: bigint): string => `${context} ${address >> shift}`;
const dropWhere = ({ entries }: Model, drops: (context: number) => boolean): void => {
  for (const name of entries.keys()) if (drops(Number.parseInt(name, 10))) entries.delete(name);
};

abstract class Command implements fc.Command<Model, Real> {
  abstract run(model: Model, real: Real): void;
  abstract toString(): string;
  check(): boolean {
    return true;
  }
}

class Fill extends Command {
  readonly #args: readonly [address: bigint, context: number, frame: number, rights: number];
  constructor(...args: [bigint, number, number, number]) {
    super();
    this.#args = args;
  }
  run(model: Model, { cache, loses }: Real): void {
    const [address, context, frame, rights] = this.#args;
    const known = model.entries.has(key(model, context, address));
    const replaced = cache.fill(low(address), high(address), context, frame, rights);
    // A dead entry of the same tag may be reported as replaced; a live one must be.
    if (known && !loses) expect(replaced).toBe(true);
    model.entries.set(key(model, context, address), [frame, rights]);
    expect(this.#found(cache, address, context)).toEqual([frame, rights]); // never the victim of its own fill
  }
  #found(cache: TranslationCache, address: bigint, context: number): unknown {
    let seen: unknown;
    cache.forEach((lo, hi, at, frame, rights) => {
      const shift = BigInt(cache.shift);
      if (at === context && joined(lo, hi) >> shift === BigInt.asUintN(64, address) >> shift) seen = [frame, rights];
    });
    return seen;
  }
  toString(): string {
    return `fill(${this.#args.join(', ')})`;
  }
}

class Find extends Command {
  readonly #address: bigint;
  readonly #pcid: number;
  constructor(address: bigint, pcid: number) {
    super();
    this.#address = address;
    this.#pcid = pcid;
  }
  run(model: Model, { cache, loses }: Real): void {
    const own = model.entries.get(key(model, this.#pcid, this.#address));
    const global = model.entries.get(key(model, GLOBAL_CONTEXT, this.#address));
    const slot = cache.find(low(this.#address), high(this.#address), this.#pcid);
    const found = slot < 0 ? undefined : [cache.frameAt(slot), cache.rightsAt(slot)];
    if (loses) expect([undefined, own, global]).toContainEqual(found);
    else expect(found).toEqual(own ?? global);
  }
  toString(): string {
    return `find(${this.#address}, ${this.#pcid})`;
  }
}

class Drop extends Command {
  readonly #address: bigint;
  readonly #context: number;
  constructor(address: bigint, context: number) {
    super();
    this.#address = address;
    this.#context = context;
  }
  run(model: Model, { cache, loses }: Real): void {
    const known = model.entries.delete(key(model, this.#context, this.#address));
    const dropped = cache.drop(low(this.#address), high(this.#address), this.#context);
    if (loses) expect(dropped && !known).toBe(false);
    else expect(dropped).toBe(known);
  }
  toString(): string {
    return `drop(${this.#address}, ${this.#context})`;
  }
}

class Flush extends Command {
  readonly #what: 'all' | 'non-global' | number;
  constructor(what: 'all' | 'non-global' | number) {
    super();
    this.#what = what;
  }
  run(model: Model, { generations }: Real): void {
    if (this.#what === 'all') generations.flushAll();
    else if (this.#what === 'non-global') generations.flushNonGlobal();
    else generations.flush(this.#what);
    dropWhere(model, (context) =>
      this.#what === 'all' ? true : this.#what === 'non-global' ? context !== GLOBAL_CONTEXT : context === this.#what,
    );
  }
  toString(): string {
    return `flush(${this.#what})`;
  }
}

class Compare extends Command {
  run(model: Model, { cache, loses }: Real): void {
    const seen = new Map<string, readonly [number, number]>();
    cache.forEach((lo, hi, context, frame, rights) => {
      const name = `${context} ${joined(lo, hi) >> model.shift}`;
      expect(seen.has(name)).toBe(false);
      seen.set(name, [frame, rights]);
    });
    if (!loses) expect(seen).toEqual(model.entries);
    else for (const [name, value] of seen) expect(model.entries.get(name)).toEqual(value);
  }
  toString(): string {
    return 'forEach()';
  }
}

const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 40n }).map((page) => page << 12n),
  fc.bigInt({ min: 0n, max: 20n }).map((page) => 0xffff_8000_0000_0000n + (page << 12n)),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const context = fc.constantFrom(0, 1, 2, 4095, GLOBAL_CONTEXT);
const commands = fc.commands(
  [
    fc.tuple(address, context, fc.nat(2 ** 31 - 1), fc.nat(4095)).map((args) => new Fill(...args)),
    fc
      .tuple(
        address,
        context,
        fc.maxSafeNat().map((frame) => frame % 2 ** 40),
        fc.nat(4095),
      )
      .map((args) => new Fill(...args)),
    fc.tuple(address, fc.constantFrom(0, 1, 2, 4095)).map((args) => new Find(...args)),
    fc.tuple(address, context).map((args) => new Drop(...args)),
    fc
      .constantFrom<'all' | 'non-global' | number>('all', 'non-global', 0, 1, 2, 4095, GLOBAL_CONTEXT)
      .map((what) => new Flush(what)),
    fc.constant(new Compare()),
  ],
  { maxCommands: 120 },
);

function agrees(shift: number, about: CacheShape, numRuns: number): void {
  fc.assert(
    fc.property(commands, (run) => {
      fc.modelRun(() => {
        const generations = new Generations();
        const real = {
          cache: new TranslationCache(shift, about, generations),
          generations,
          loses: about.entries !== Infinity,
        };
        return { model: { shift: BigInt(shift), entries: new Map() }, real };
      }, run);
    }),
    { numRuns },
  );
}

describe('a translation cache', () => {
  it.each([12, 21, 22, 30, 39, 48])('that keeps everything is a Map, by bits from %i', (shift) => {
    agrees(shift, shape(Number.POSITIVE_INFINITY), 60);
  });

  it.each<[string, CacheShape]>([
    ['one entry', shape(1, 1)],
    ['one set', shape(4)],
    ['16 entries, round robin', shape(16)],
    ['16 entries, random', shape(16, 4, 'random')],
    ['16 entries, direct mapped', shape(16, 1)],
    ['4 to 64 entries', { ...shape(64), first: 4 }],
    ['1 to 2 entries', { ...shape(2, 1), first: 1 }],
  ])('of %s forgets entries and invents none', (_what, about) => {
    agrees(12, about, 60);
  });

  it('grows from 256 entries, and loses none', () => {
    const cache = new TranslationCache(12, shape(Number.POSITIVE_INFINITY), new Generations());
    for (let page = 0; page < 5000; page++) cache.fill(page << 12, page & 1 ? -1 : 0, page % 7, page, page & 7);
    for (let page = 0; page < 5000; page++) {
      const slot = cache.find(page << 12, page & 1 ? -1 : 0, page % 7);
      expect([cache.frameAt(slot), cache.rightsAt(slot)]).toEqual([page, page & 7]);
    }
  });

  it('doubles when it has evicted a quarter of what it holds, up to its size, and keeps what it holds', () => {
    const cache = new TranslationCache(12, { ...shape(64), first: 8 }, new Generations());
    const sizes: number[] = [];
    let lost = 0;
    cache.onEvict = () => lost++;
    cache.onGrow = (entries) => {
      sizes.push(entries);
      let kept = 0;
      cache.forEach(() => kept++);
      expect([entries, kept]).toEqual([entries, entries / 2]); // it was full
    };
    for (let page = 0; page < 1000; page++) cache.fill(page << 12, 0, 0, page, 0);
    expect(sizes).toEqual([16, 32, 64]);
    expect(lost).toBe(1000 - 64);
  });

  it('makes room for as many as it is told of, and no more than its size', () => {
    const cache = new TranslationCache(12, { ...shape(64), first: 8 }, new Generations());
    cache.fill(0x1000, 0, 0, 7, 0);
    const sizes: number[] = [];
    cache.onGrow = (entries) => sizes.push(entries);
    for (const entries of [8, 20, 1000]) cache.reserve(entries);
    expect(sizes).toEqual([16, 32, 64]);
    expect(cache.frameAt(cache.find(0x1000, 0, 0))).toBe(7);
  });

  it('replaces entries of one set in turn and tells which', () => {
    const cache = new TranslationCache(12, shape(4), new Generations());
    const evicted: number[] = [];
    cache.onEvict = (lo) => evicted.push(lo >>> 12);
    for (let page = 1; page <= 9; page++) cache.fill(page << 12, 0, 0, page, 0);
    expect([...evicted].sort()).toEqual([1, 2, 3, 4, 5].sort());
    const left: number[] = [];
    cache.forEach((_lo, _hi, _context, frame) => left.push(frame));
    expect(left.sort()).toEqual([6, 7, 8, 9]);
  });

  it('fills the places of flushed entries before it replaces a live one', () => {
    const generations = new Generations();
    const cache = new TranslationCache(12, shape(4), generations);
    const evicted: number[] = [];
    cache.onEvict = (lo) => evicted.push(lo);
    for (let page = 0; page < 4; page++) cache.fill(page << 12, 0, page & 1, page, 0);
    generations.flush(1);
    for (let page = 8; page < 10; page++) cache.fill(page << 12, 0, 0, page, 0);
    expect(evicted).toEqual([]);
  });

  it('of no entries holds nothing', () => {
    const cache = new TranslationCache(12, shape(0), new Generations());
    expect(cache.fill(0, 0, 0, 1, 1)).toBe(false);
    expect([cache.find(0, 0, 0), cache.drop(0, 0, 0)]).toEqual([-1, false]);
  });

  it('drops everything when its key changes', () => {
    const cache = new TranslationCache(21, shape(16), new Generations());
    cache.fill(0x40_0000, 0, 0, 5, 0);
    cache.reshape(22);
    expect([cache.shift, cache.find(0x40_0000, 0, 0)]).toEqual([22, -1]);
    cache.fill(0x7f_ffff, 0, 0, 6, 0);
    expect(cache.frameAt(cache.find(0x40_0000, 0, 0))).toBe(6);
  });

  it.each([
    [3, 1],
    [16, 3],
    [2, 4],
    [1.5, 1],
  ])('refuses %d entries in %d ways', (entries, ways) => {
    expect(() => new TranslationCache(12, shape(entries, ways), new Generations())).toThrow(RangeError);
  });
});

describe('a translation cache that keeps everything', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('stays small for pages that a guest chose to meet in one set', () => {
    // The 16 canonical pages, one for each value of address bits 47:44, whose address bits cancel out in the set's index.
    const pages = Array.from({ length: 16 }, (_, top) => {
      const topHi = (top << 12) | (top & 8 ? -0x1_0000 : 0); // bits 63:44 of the address, in its high half
      let page = 0;
      for (let bit = 31; bit >= 0; bit--) {
        const rest = (page >>> 10) ^ (((page >>> 20) & 0xfff) >>> 7) ^ (topHi >>> 7);
        page |= ((rest >>> bit) & 1) << bit; // the bit that makes the sum 0; higher bits are settled
      }
      return { lo: page << 12, hi: topHi | ((page >>> 20) & 0xfff) };
    });
    const Real = Int32Array;
    vi.stubGlobal(
      'Int32Array',
      class extends Real {
        constructor(length: number) {
          super(length);
          if (length > 1 << 20) throw new RangeError(`an array of ${length} entries for ${pages.length} pages`);
        }
      },
    );
    const cache = new TranslationCache(12, shape(Number.POSITIVE_INFINITY), new Generations());
    pages.forEach(({ lo, hi }, frame) => cache.fill(lo, hi, 0, frame, 0));
    expect(pages.map(({ lo, hi }) => cache.frameAt(cache.find(lo, hi, 0)))).toEqual(pages.map((_, frame) => frame));
  });

  it.each([
    ['of a fixed size', 16],
    ['that keeps everything', Infinity],
  ] as const)('%s finds nothing of before a flush, however many there were since', (_what, entries) => {
    const generations = new Generations();
    const cache = new TranslationCache(12, shape(entries), generations);
    cache.fill(0x1000, 0, 5, 7, 3);
    for (let flushes = 0; flushes < 10_000; flushes++) {
      generations.flush(5);
      expect(cache.find(0x1000, 0, 5)).toBe(-1);
    }
  });
});
