import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { GENERATIONS, HIGHS, HOMES, PLACES, TAGS } from '../../src/mmu/hit-table.ts';
import { HitView, TAG8 } from '../../src/mmu/hit-view.ts';
import { A, ALL, D, Guest } from '../support/guest.ts';

const still = (): void => {};

function find(view: HitView, lo: number): number {
  const at = (lo >>> 12) ^ view.key;
  return TAGS[at] === (lo & TAG8) && HIGHS[at] === 0 ? (PLACES[at]! + lo) >>> 2 : -1;
}

/** Empties a view until it has no home any more. */
function moveOut(view: HitView): void {
  for (let time = 0; time < GENERATIONS; time++) view.dropAll();
}

/** Lets the finalizers of what is garbage now run. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let turn = 0; turn < 3; turn++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('the homes of hit views', () => {
  afterEach(collect);

  it('are empty when they are let again', () => {
    const keys = new Set<number>();
    const view = new HitView(still);
    let repeated = 0;
    for (let move = 0; move < 3 * HOMES; move++) {
      view.fill(0x1000, 0, 1);
      if (keys.has(view.key)) repeated += 1;
      keys.add(view.key);
      expect(find(view, 0x2000)).toBe(-1);
      view.fill(0x2000, 0, 2);
      moveOut(view);
    }
    expect(keys.size + repeated).toBe(3 * HOMES);
    expect(repeated).toBeGreaterThan(HOMES);
  });

  it('are not let again while somebody lives there', () => {
    const settled = Array.from({ length: 100 }, () => new HitView(still));
    for (const [nth, view] of settled.entries()) view.fill(0x1000, 0, nth);
    const keys = new Set(settled.map(({ key }) => key));
    expect(keys.size).toBe(settled.length);
    const mover = new HitView(still);
    let gone = 0;
    for (let move = 0; move < 2 * HOMES; move++) {
      mover.fill(0x1000, 0, 1 << 20);
      expect(keys).not.toContain(mover.key);
      moveOut(mover);
    }
    for (const [nth, view] of settled.entries()) {
      const found = find(view, 0x1000);
      expect([-1, nth]).toContain(found);
      if (found < 0) gone += 1;
    }
    expect(gone).toBe(settled.length); // the table was emptied meanwhile
    for (const [nth, view] of settled.entries()) view.fill(0x1000, 0, nth);
    for (const [nth, view] of settled.entries()) expect(find(view, 0x1000)).toBe(nth);
  });

  it('come back from views that are garbage', async () => {
    const fillMany = (): number => {
      const views = Array.from({ length: HOMES }, () => new HitView(still));
      return views.filter((view) => view.fill(0x1000, 0, 1) !== 0).length;
    };
    for (let time = 0; time < 3; time++) {
      expect(fillMany()).toBeGreaterThan(HOMES / 2);
      await collect();
    }
  });

  it('may all be taken: then a view stays empty, and a CPU finds what it needs in its TLB', async () => {
    let views = Array.from({ length: HOMES + 1 }, () => new HitView(still));
    const marks = views.map((view) => view.fill(0x1000, 0, 5));
    expect(marks.filter((mark) => mark === 0).length).toBeGreaterThan(0);
    for (const [nth, view] of views.entries()) expect(find(view, 0x1000)).toBe(marks[nth] === 0 ? -1 : 5);

    const guest = new Guest();
    guest.map(0x1000n, 0x8000n | ALL | A | D);
    guest.machine.memory.words[0x8000 / 4] = 77;
    const { cpu } = guest;
    expect([cpu.read32(0x1000, 0), cpu.read32(0x1000, 0)]).toEqual([77, 77]);
    const { hits } = cpu.counters;
    expect(cpu.read32(0x1000, 0)).toBe(77);
    expect(cpu.counters.hits).toBe(hits + 1);

    views = [];
    await collect();
    for (let time = 0; time < 3; time++) cpu.read32(0x1000, 0);
    expect(cpu.counters.hits).toBe(hits + 2);
    expect(cpu.read32(0x1000, 0)).toBe(77);
  });
});
