import { describe, expect, it } from 'vitest';
import { Visited } from '../../src/explorer/visited.ts';

describe('Visited', () => {
  it('knows nothing at first, and what was set', () => {
    const visited = new Visited();
    expect(visited.get(1, 2)).toBe(-1);
    visited.set(1, 2, 0);
    expect(visited.get(1, 2)).toBe(0);
    expect(visited.get(2, 1)).toBe(-1);
    visited.set(1, 2, 7);
    expect([visited.get(1, 2), visited.count]).toEqual([7, 1]);
  });

  it('keeps every state and its number as it grows, like a map', () => {
    const visited = new Visited();
    const map = new Map<string, number>();
    for (let nth = 0; nth < 60_000; nth++) {
      // Few first lanes, so that many slots collide.
      const [a, b] = [Math.imul(nth % 97, 0x9e37_79b1) | 0, Math.imul(nth, 0x85eb_ca6b) | 0];
      visited.set(a, b, nth % 1000);
      map.set(`${a} ${b}`, nth % 1000);
    }
    expect(visited.count).toBe(map.size);
    for (const [key, value] of map) {
      const [a, b] = key.split(' ').map(Number);
      if (visited.get(a!, b!) !== value) throw new Error(`${key}: ${visited.get(a!, b!)}, not ${value}`);
    }
    expect(visited.get(5, 5)).toBe(-1);
  });

  it('tells states apart whose first lanes are equal', () => {
    const visited = new Visited();
    visited.set(0, 0, 3);
    visited.set(0, 1, 4);
    visited.set(0, 1 << 14, 5);
    expect([visited.get(0, 0), visited.get(0, 1), visited.get(0, 1 << 14)]).toEqual([3, 4, 5]);
  });
});
