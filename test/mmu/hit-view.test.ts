import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import * as usedTable from '../../src/mmu/hit-table.ts';
import { HitView, LargeView, TAG8 } from '../../src/mmu/hit-view.ts';
import { high, low } from '../support/guest.ts';

const { GENERATIONS, NO_REGIME, SLOTS } = usedTable;

type Step =
  | readonly ['fill', number, bigint, number]
  | readonly ['find', number, bigint]
  | readonly ['drop', number, bigint, number]
  | readonly ['regime', number, number]
  | readonly ['dropAll', number, number];

// Three views, and few pages, chosen to meet in slots; pieces end where views do, at 4 GiB of the buffer.
const VIEWS = 3;
const view = fc.nat(VIEWS - 1);
const address = fc
  .tuple(fc.nat(2), fc.nat(1), fc.constantFrom(0n, 1n << 41n, 0xffff_8000_0000_0000n))
  .map(([near, far, half]) => half + (BigInt(far) << 29n) + (BigInt(near) << 12n));
const steps = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<Step>[]>(
    { weight: 10, arbitrary: fc.tuple(fc.constant('fill' as const), view, address, fc.nat(2 ** 30 - 2 ** 19)) },
    { weight: 20, arbitrary: fc.tuple(fc.constant('find' as const), view, address) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('drop' as const), view, address, fc.integer({ min: 1, max: 7 })) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('regime' as const), view, fc.nat(2)) },
    // Often enough to use up the keys of a home.
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('dropAll' as const), view, fc.constantFrom(1, 2, GENERATIONS - 1, GENERATIONS)),
    },
  ),
  { maxLength: 200, size: 'max' },
);

const still = (): void => {};

/** Looks as the hit path does: index of the word that (lo, hi) lies in, or -1. */
function find(view: HitView | LargeView, lo: number, hi: number, table = usedTable): number {
  if (view instanceof LargeView) return view.find(lo, hi);
  const { TAGS, HIGHS, PLACES } = table;
  const at = (lo >>> 12) ^ view.key;
  return TAGS[at] === (lo & TAG8) && HIGHS[at] === hi ? (PLACES[at]! + lo) >>> 2 : -1;
}

/** Answers as views must, of whatever they have not had to forget. */
class Model {
  readonly #words = new Map<string, number>();
  regime = 0;
  readonly #shift: number;

  constructor(shift: number) {
    this.#shift = shift;
  }

  fill(at: bigint, word: number): void {
    this.#words.set(this.#name(at, this.regime), word);
  }

  wordAt(at: bigint): number {
    const within = Number(BigInt.asUintN(this.#shift, at) >> 2n);
    return (this.#words.get(this.#name(at, this.regime)) ?? NaN) + within;
  }

  drop(at: bigint, regimes: number): void {
    for (let of = 0; of < 3; of++) if (((regimes >> of) & 1) !== 0) this.#words.delete(this.#name(at, of));
  }

  dropAll(): void {
    this.#words.clear();
  }

  #name(at: bigint, regime: number): string {
    return `${regime} ${at >> BigInt(this.#shift)}`;
  }
}

describe('hit views', () => {
  it.each([
    ['4 KiB pages', 12, 12, 12],
    ['large pages', 21, 21, 21],
    ['both', 12, 21, 12],
  ])('of %s find what was filled into them under their regime, or nothing', (_, ...shifts) => {
    let hits = 0;
    fc.assert(
      fc.property(steps, (run) => {
        const views = shifts.map((shift) => (shift === 12 ? new HitView(still) : new LargeView(still)));
        const models = shifts.map((shift) => new Model(shift));
        const check = (which: number, at: bigint): boolean => {
          const found = find(views[which]!, low(at), high(at));
          expect([-1, models[which]!.wordAt(at)]).toContain(found);
          return found >= 0;
        };
        for (const step of run) {
          const [what, which] = step;
          const [view, model] = [views[which]!, models[which]!];
          if (what === 'fill') {
            view.fill(low(step[2]), high(step[2]), step[3]);
            model.fill(step[2], step[3]);
            expect(check(which, step[2])).toBe(true);
          } else if (what === 'find') {
            if (check(which, step[2])) hits += 1;
          } else if (what === 'drop') {
            if (!(view instanceof HitView)) continue;
            view.drop(low(step[2]), high(step[2]), step[3]);
            model.drop(step[2], step[3]);
            const { regime } = model;
            for (const other of [0, 1, 2, regime]) {
              model.regime = other;
              view.useRegime(other);
              check(which, step[2]);
            }
          } else if (what === 'regime') {
            model.regime = step[2];
            view.useRegime(step[2]);
          } else {
            for (let time = 0; time < step[2]; time++) view.dropAll();
            model.dropAll();
          }
        }
      }),
      { numRuns: 200 },
    );
    expect(hits).toBeGreaterThan(100);
  });

  it('keep the entries of other regimes while one of them is used', () => {
    const view = new HitView(still);
    view.useRegime(1);
    view.fill(0x1000, 0, 11);
    view.useRegime(2);
    expect(find(view, 0x1000, 0)).toBe(-1);
    view.fill(0x1000, 0, 22);
    view.useRegime(1);
    expect(find(view, 0x1fff, 0)).toBe(11 + 1023);
    view.useRegime(2);
    expect(find(view, 0x1000, 0)).toBe(22);
  });

  it('take nothing while they are closed, and keep what they had', () => {
    const view = new HitView(still);
    view.fill(0x1000, 0, 11);
    view.useRegime(NO_REGIME);
    expect(find(view, 0x1000, 0)).toBe(-1);
    expect(view.fill(0x1000, 0, 22)).toBe(0);
    expect(find(view, 0x1000, 0)).toBe(-1);
    view.useRegime(0);
    expect(find(view, 0x1000, 0)).toBe(11);
  });

  it('have the same pages of some CPUs side by side', async () => {
    vi.resetModules(); // a new table: in one that was emptied, the homes that are let next may be any
    const { HitView } = await import('../../src/mmu/hit-view.ts');
    const table = await import('../../src/mmu/hit-table.ts');
    expect(table).not.toBe(usedTable);
    const views = Array.from({ length: 12 }, () => new HitView(still));
    const pages = Array.from({ length: 4096 }, (_, page) => page << 12);
    for (const [nth, view] of views.entries()) for (const lo of pages) view.fill(lo, 0, (nth << 22) + (lo >>> 2));
    for (const [nth, view] of views.entries())
      for (const lo of pages) expect(find(view, lo, 0, table)).toBe((nth << 22) + (lo >>> 2));
  });

  it('have room for all pages below 4 GiB', () => {
    const view = new HitView(still);
    for (let page = 0; page < SLOTS; page++) view.fill(page << 12, 0, page);
    let found = 0;
    for (let page = 0; page < SLOTS; page++) if (find(view, page << 12, 0) === page) found += 1;
    expect(found).toBe(SLOTS);
  });

  it('answer for no address before they were filled', () => {
    for (const view of [new HitView(still), new LargeView(still)])
      for (let page = 0; page < SLOTS; page++) if (find(view, page << 12, 0) !== -1) expect.unreachable();
  });

  it('tell of a key that a fill has changed', () => {
    const told: number[] = [];
    const view = new HitView(() => told.push(view.key));
    view.fill(0x1000, 0, 1);
    view.fill(0x2000, 0, 2);
    expect(told).toEqual([view.key]);
    for (let time = 0; time < GENERATIONS; time++) view.dropAll();
    view.fill(0x1000, 0, 1);
    expect(told).toHaveLength(2);
    expect(told[1]).toBe(view.key);
    expect(told[1]).not.toBe(told[0]);
  });
});
