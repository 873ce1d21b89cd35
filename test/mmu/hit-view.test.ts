import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BYTES, HitView, LargeView, SLOT_SHIFT, TAG_HI, TAG8, VIEW_SLOTS } from '../../src/mmu/hit-view.ts';
import { high, low } from '../support/guest.ts';

type Step =
  | readonly ['fill', bigint, number]
  | readonly ['find', bigint]
  | readonly ['drop', bigint, number]
  | readonly ['regime', number]
  | readonly ['dropAll', number];

// Few pages, chosen to meet in slots; pieces end where views do, at 4 GiB of the buffer.
const address = fc
  .tuple(fc.nat(2), fc.nat(1), fc.constantFrom(0n, 0xffff_8000_0000_0000n))
  .map(([near, far, half]) => half + (BigInt(far) << 24n) + (BigInt(near) << 12n));
const steps = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<Step>[]>(
    { weight: 10, arbitrary: fc.tuple(fc.constant('fill' as const), address, fc.nat(2 ** 30 - 2 ** 19)) },
    { weight: 20, arbitrary: fc.tuple(fc.constant('find' as const), address) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('drop' as const), address, fc.integer({ min: 1, max: 7 })) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('regime' as const), fc.nat(2)) },
    // Often enough to use up the generations.
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('dropAll' as const), fc.constantFrom(1, 2, 511, 512, 1023, 1024, 1025)),
    },
  ),
  { maxLength: 200, size: 'max' },
);

/** Looks as the hit path does: index of the word that (lo, hi) lies in, or -1. */
function find(view: HitView | LargeView, lo: number, hi: number): number {
  if (view instanceof LargeView) return view.find(lo, hi);
  const { slots } = view;
  const at = ((lo ^ view.key) >>> SLOT_SHIFT) & view.mask;
  return slots[at] === (lo & TAG8) && slots[at + TAG_HI] === hi ? (slots[at + BYTES]! + lo) >>> 2 : -1;
}

describe('a hit view', () => {
  it.each([12, 21] as const)('of pieces of 2^%i bytes finds what was filled under its regime, or nothing', (shift) => {
    let hits = 0;
    fc.assert(
      fc.property(steps, (run) => {
        const view = shift === 12 ? new HitView() : new LargeView();
        const model = new Map<string, number>();
        let regime = 0;
        const wordWithin = (at: bigint): number => Number(BigInt.asUintN(shift, at) >> 2n);
        const name = (at: bigint, of = regime): string => `${of} ${at >> BigInt(shift)}`;
        for (const [what, value, word] of run) {
          if (what === 'fill') {
            view.fill(low(value), high(value), word);
            model.set(name(value), word);
            expect(find(view, low(value), high(value))).toBe(word + wordWithin(value));
          } else if (what === 'find') {
            const found = find(view, low(value), high(value));
            expect([-1, (model.get(name(value)) ?? NaN) + wordWithin(value)]).toContain(found);
            if (found >= 0) hits += 1;
          } else if (what === 'drop') {
            if (!(view instanceof HitView)) continue;
            view.drop(low(value), high(value), word);
            for (let of = 0; of < 3; of++) if (((word >> of) & 1) !== 0) model.delete(name(value, of));
            const found = find(view, low(value), high(value));
            expect([-1, (model.get(name(value)) ?? NaN) + wordWithin(value)]).toContain(found);
          } else if (what === 'regime') {
            regime = value;
            view.useRegime(regime);
          } else {
            for (let time = 0; time < value; time++) view.dropAll();
            model.clear();
          }
        }
      }),
      { numRuns: 200 },
    );
    expect(hits).toBeGreaterThan(100);
  });

  it('keeps the entries of other regimes while one of them is used', () => {
    const view = new HitView();
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

  it('has as many slots as it is told, all empty, and hits in each', () => {
    const view = new HitView();
    view.useRegime(1);
    view.dropAll();
    for (let page = 0; page < VIEW_SLOTS; page++) view.fill(page << 12, 0, page);
    view.resize(4 * VIEW_SLOTS);
    for (let page = 0; page < 4 * VIEW_SLOTS; page++) expect(find(view, page << 12, 0)).toBe(-1);
    for (let page = 0; page < 4 * VIEW_SLOTS; page++) view.fill(page << 12, 0, page);
    for (let page = 0; page < 4 * VIEW_SLOTS; page++) expect(find(view, page << 12, 0)).toBe(page);
    for (let generation = 0; generation < 2 * VIEW_SLOTS; generation++) {
      view.dropAll();
      expect(find(view, (generation % VIEW_SLOTS) << 12, 0)).toBe(-1);
    }
  });

  it('is empty for good after it ran through all generations', () => {
    const view = new HitView();
    for (let page = 0; page < VIEW_SLOTS; page++) view.fill(page << 12, 0, page);
    for (let generation = 0; generation < 3000; generation++) {
      view.dropAll();
      expect(find(view, (generation % VIEW_SLOTS) << 12, 0)).toBe(-1);
    }
  });

  it('answers for no address before it was filled', () => {
    const view = new HitView();
    for (let page = 0; page < VIEW_SLOTS; page++) expect(find(view, page << 12, 0)).toBe(-1);
  });
});
