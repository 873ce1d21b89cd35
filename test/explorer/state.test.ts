import { describe, expect, it } from 'vitest';
import { type Space, State } from '../../src/explorer/state.ts';
import { numbers } from '../support/tiny-programs.ts';

function made(): { state: State; words: Int32Array; space: Space } {
  const state = new State();
  state.add(new Int32Array(3));
  const words = new Int32Array(8);
  return { state, words, space: state.add(words) };
}
const hashOf = ({ hashA, hashB }: State): string => `${hashA} ${hashB}`;

describe('State', () => {
  it('has the hash of what its words are, whatever they were in between', () => {
    const next = numbers(3);
    const { state, words, space } = made();
    const met = new Map<string, string>();
    for (let step = 0; step < 20_000; step++) {
      state.set(space, next(4), next(3));
      const text = words.join();
      const known = met.get(text);
      if (known !== undefined && known !== hashOf(state)) throw new Error(`${text} has two hashes`);
      met.set(text, hashOf(state));
    }
    expect(met.size).toBe(3 ** 4);
    expect(new Set(met.values()).size).toBe(met.size);
  });

  it('goes back to each mark', () => {
    const next = numbers(5);
    const { state, words, space } = made();
    const marks: { mark: number; text: string; hash: string }[] = [];
    for (let step = 0; step < 6000; step++) {
      if (next(3) > 0 || marks.length === 0) {
        marks.push({ mark: state.mark, text: words.join(), hash: hashOf(state) });
        for (let nth = next(4); nth > 0; nth--) state.set(space, next(8), next(1 << 16) - 50);
      } else {
        marks.length -= next(Math.min(8, marks.length));
        const { mark, text, hash } = marks.pop()!;
        state.undo(mark);
        expect([words.join(), hashOf(state)]).toEqual([text, hash]);
      }
    }
  });

  it('notes words that others changed, and tells of those that nobody noted', () => {
    const { state, words, space } = made();
    const before = hashOf(state);
    words[2] = 5;
    words[6] = 6;
    expect(state.undeclared()).toEqual(['word 2 of buffer 1: 0, now 5', 'word 6 of buffer 1: 0, now 6']);
    state.settle(space, 0, 4);
    expect(state.undeclared()).toEqual(['word 6 of buffer 1: 0, now 6']);
    state.settle(space, 4, 8);
    expect([state.undeclared(), hashOf(state) === before]).toEqual([[], false]);
    state.undo(0);
    expect([words.join(), hashOf(state)]).toEqual(['0,0,0,0,0,0,0,0', before]);
  });

  it('leaves words out of the hash that it was told to, and takes them back all the same', () => {
    const state = new State();
    const words = new Int32Array(2);
    const space = state.add(words, (index) => index === 1);
    state.set(space, 1, 9);
    expect([state.hashA, state.hashB]).toEqual([0, 0]);
    state.undo(0);
    expect(words[1]).toBe(0);
  });

  it('takes back what is no word, in order with the words', () => {
    const { state, space, words } = made();
    let kept = 'nothing';
    state.set(space, 0, 1);
    const { mark } = state;
    const before = hashOf(state);
    state.replaced({
      hashA: 3,
      hashB: 4,
      restore: () => {
        kept = `taken back while word 0 is ${words[0]}`;
      },
    });
    expect(hashOf(state)).not.toBe(before);
    state.set(space, 0, 2);
    state.undo(mark);
    expect([kept, hashOf(state)]).toEqual(['taken back while word 0 is 1', before]);
  });
});
