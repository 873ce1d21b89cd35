import { describe, expect, it } from 'vitest';
import { DepthFirst } from '../../src/explorer/depth-first.ts';
import { Explored } from '../../src/explorer/explored.ts';
import { minimise } from '../../src/explorer/minimise.ts';
import { RandomSearch } from '../../src/explorer/random.ts';
import { Replayer } from '../../src/explorer/replay.ts';
import { variantOf } from '../../src/explorer/scenarios/all.ts';
import { type Failure, failureKey } from '../../src/explorer/search.ts';

const switchesOf = (schedule: readonly number[]): number =>
  schedule.filter((actor, at) => at > 0 && actor !== schedule[at - 1]).length;

/** Failures as a search finds them: long, with needless switches. */
function failuresOf(name: string, label: string): { replayer: Replayer; failures: Failure[] } {
  const { scenario } = variantOf(name, label);
  const search = new RandomSearch(new Explored(scenario), { runs: 200, seed: 2 });
  search.run();
  return { replayer: new Replayer(new Explored(scenario)), failures: [...search.failures.values()] };
}

describe('a minimal schedule', () => {
  it.each([
    ['r1', 'before the fix'],
    ['r6', 'before the fix'],
    ['xsa-345', 'before the fix'],
  ])('fails in the same way, in no more steps and switches: %s', (name, label) => {
    const { replayer, failures } = failuresOf(name, label);
    expect(failures).not.toEqual([]);
    let shorter = 0;
    for (const failure of failures) {
      const minimal = minimise(replayer, failure);
      expect(minimal.schedule.length).toBeLessThanOrEqual(Math.max(minimal.before, failure.schedule.length));
      expect(switchesOf(minimal.schedule)).toBeLessThanOrEqual(switchesOf(failure.schedule));
      if (switchesOf(minimal.schedule) < switchesOf(failure.schedule)) shorter += 1;
      const again = replayer.replay(minimal.schedule, 'go on');
      expect(again.violations.map(failureKey)).toContain(failureKey(failure.violation));
      expect(again.stuckAt).toBeUndefined();
    }
    expect(shorter).toBeGreaterThan(0);
  });

  it('is stable: it is its own minimum', () => {
    const { replayer, failures } = failuresOf('r1', 'before the fix');
    for (const failure of failures) {
      const once = minimise(replayer, failure);
      const twice = minimise(replayer, { ...failure, schedule: once.schedule });
      expect(twice.schedule).toEqual(once.schedule);
    }
  });

  it('has as few preemptions as a search with that bound finds', () => {
    const { scenario } = variantOf('r1', 'before the fix');
    const none = new DepthFirst(new Explored(scenario), { preemptions: 0 });
    none.run();
    const one = new DepthFirst(new Explored(scenario), { preemptions: 1 });
    one.run();
    const replayer = new Replayer(new Explored(scenario));
    for (const [key, failure] of one.failures) {
      const { preemptions } = minimise(replayer, failure);
      expect(preemptions).toBeGreaterThanOrEqual(none.failures.has(key) ? 0 : 1);
    }
  });
});
