/** What events change is declared, and taken back exactly: words of all buffers, and what caches hold. */
import { describe, expect, it } from 'vitest';
import { cachedBy } from '../../src/explorer/cached.ts';
import { DepthFirst } from '../../src/explorer/depth-first.ts';
import { Explored } from '../../src/explorer/explored.ts';
import type { Scenario } from '../../src/explorer/scenario.ts';
import { SCENARIOS } from '../../src/explorer/scenarios/all.ts';
import { tinyProgram } from '../support/tiny-programs.ts';

/** Looks after each event, and before each step. */
class Watching extends Explored {
  looks = 0;
  readonly wrong: Set<string> = new Set();

  constructor(scenario: Scenario) {
    super(scenario);
    this.witness = (event) => this.#look(event.operation);
  }

  override enabled(): number {
    this.#look('a step');
    return super.enabled();
  }

  #look(after: string): void {
    this.looks += 1;
    for (const what of this.world.state.undeclared()) this.wrong.add(`after ${after}: ${what}`);
    for (const [cpu, { entries }] of this.world.cached.entries()) {
      const now = cachedBy(cpu, this.world.cpus[cpu]!.translator);
      if (JSON.stringify(now.entries) !== JSON.stringify(entries))
        this.wrong.add(`after ${after}: caches of CPU ${cpu}`);
    }
  }
}

/** Everything that is state, by name; what is private to the explorer is in the hash. */
function everything({ world }: Explored): unknown {
  const { memory, frames, shared, mailboxes, taken, cpuWords, state } = world;
  const spaces = { memory, frames, shared, mailboxes, taken, cpuWords };
  const words = Object.entries(spaces).map(([name, space]) => [name, space.words.join()]);
  // In which order caches were filled is no part of what they hold.
  const cached = world.cpus.map((cpu) =>
    cachedBy(cpu.index, cpu.translator)
      .entries.map((entry) => JSON.stringify(entry))
      .sort(),
  );
  return { words, cached, hash: [state.hashA, state.hashB] };
}

/** Explores all of it, or some thousand events. */
function watched(
  scenario: Scenario,
  maxStates: number,
): { readonly events: number; readonly wrong: readonly string[] } {
  const explored = new Watching(scenario);
  const { mark } = explored.world.state;
  const before = everything(explored);
  new DepthFirst(explored, { maxStates }).run();
  explored.world.state.undo(mark);
  expect(everything(explored)).toEqual(before);
  return { events: explored.looks, wrong: [...explored.wrong] };
}

describe('each event', () => {
  it('declares all that it changes, in random programs, and undoing takes it back', () => {
    let events = 0;
    for (let seed = 0; seed < 80; seed++) {
      const seen = watched(tinyProgram(seed), 50);
      events += seen.events;
      expect([seed, seen.wrong]).toEqual([seed, []]);
    }
    expect(events).toBeGreaterThan(2000);
  });

  const variants = SCENARIOS.flatMap(({ name, variants: all }) =>
    all.map(({ label, scenario }) => [`${name}, ${label}`, scenario] as const),
  );
  it('declares all that it changes in every scenario, and undoing takes it back', () => {
    for (const [name, scenario] of variants) expect([name, watched(scenario, 40).wrong]).toEqual([name, []]);
  });
});

describe('a state', () => {
  it('has the same hash however it was reached: the hash of all its words', () => {
    for (let seed = 0; seed < 60; seed++) {
      /** Memory by hash: a hash that two memories share would be a mistake. */
      const met = new Map<string, string>();
      class Comparing extends Explored {
        override enabled(): number {
          const { memory, cpuWords, state } = this.world;
          const content = memory.words.join() + cpuWords.words.filter((_, index) => index % 16 < 8).join();
          const hash = `${state.hashA} ${state.hashB}`;
          const known = met.get(hash);
          if (known !== undefined) expect(content).toBe(known);
          met.set(hash, content);
          return super.enabled();
        }
      }
      new DepthFirst(new Comparing(tinyProgram(seed)), { reductions: 'off', maxStates: 15 }).run();
    }
  });
});
