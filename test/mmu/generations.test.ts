import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Generations, GLOBAL_CONTEXT } from '../../src/mmu/generations.ts';
import { TranslationCache } from '../../src/mmu/translation-cache.ts';

type Step = readonly ['fill' | 'flush', number] | readonly ['flushNonGlobal' | 'flushAll'];

const context = fc.constantFrom(0, 1, 2, 4095, GLOBAL_CONTEXT);
const steps = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<Step>[]>(
    { weight: 6, arbitrary: fc.tuple(fc.constant('fill' as const), context) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('flush' as const), context) },
    { weight: 1, arbitrary: fc.constantFrom(['flushNonGlobal'] as const, ['flushAll'] as const) },
  ),
);

describe('generations', () => {
  it('let an entry live until its context is flushed, and no longer', () => {
    fc.assert(
      fc.property(steps, (run) => {
        const generations = new Generations();
        const filled: { number: number; of: number; isLive: boolean }[] = [];
        for (const step of run) {
          const [what, which] = step;
          if (what === 'fill') filled.push({ number: generations.of(which), of: which, isLive: true });
          else if (what === 'flush') generations.flush(which);
          else generations[what]();
          for (const entry of filled) {
            if (what === 'flushAll' || (what === 'flushNonGlobal' && entry.of !== GLOBAL_CONTEXT)) entry.isLive = false;
            if (what === 'flush' && entry.of === which) entry.isLive = false;
            expect(generations.isPresent(entry.number, entry.of)).toBe(entry.isLive);
            if (entry.isLive) expect(entry.number).toBe(generations.of(entry.of));
          }
        }
      }),
    );
  });

  it('have numbers of their own, whatever the context and the time', () => {
    const generations = new Generations();
    const all = (): number[] => Array.from({ length: 100 }, (_, pcid) => generations.of(pcid));
    const numbers = [...all(), generations.of(GLOBAL_CONTEXT)];
    generations.flushAll();
    numbers.push(...all(), generations.of(GLOBAL_CONTEXT));
    generations.flushNonGlobal();
    numbers.push(...all());
    generations.flush(7);
    numbers.push(generations.of(7));
    expect(new Set(numbers).size).toBe(303);
  });

  it.each([
    ['flush', (generations: Generations) => generations.flush(3)],
    ['flushNonGlobal', (generations: Generations) => generations.flushNonGlobal()],
  ] as const)('begin anew when numbers run out at a %s, with nothing left in the caches', (_what, flush) => {
    const generations = new Generations(20); // its 19 first numbers
    const shape = { entries: 16, ways: 4, replacement: 'round-robin' } as const;
    const cache = new TranslationCache(12, shape, generations);
    let began = 0;
    generations.subscribe(() => began++);
    for (let time = 0; time < 100; time++) {
      cache.fill(0x1000, 0, 1, time, 0);
      cache.fill(0x2000, 0, 3, time, 0);
      cache.fill(0x3000, 0, GLOBAL_CONTEXT, time, 0);
      const before = began;
      flush(generations);
      expect(cache.find(0x2000, 0, 3)).toBe(-1);
      if (began > before) cache.forEach(() => expect.unreachable('an entry is left'));
      else expect(cache.frameAt(cache.find(0x3000, 0, 1))).toBe(time);
    }
    expect(began).toBeGreaterThan(2);
  });
});
