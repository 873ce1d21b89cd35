/** Edge cases of concurrent mapping by their numbers, each over every schedule of a small machine. */
import { describe, expect, it } from 'vitest';
import { G1, M2, map, modify, pageAt } from '../../src/explorer/calls.ts';
import { searchFor } from '../../src/explorer/declared.ts';
import { DepthFirst } from '../../src/explorer/depth-first.ts';
import { explore } from '../../src/explorer/explore.ts';
import { Explored, type Witness } from '../../src/explorer/explored.ts';
import type { ErrorKind } from '../../src/explorer/rules.ts';
import { read, type Scenario, write } from '../../src/explorer/scenario.ts';
import { SCENARIOS, variantOf } from '../../src/explorer/scenarios/all.ts';
import { walkFor } from '../../src/explorer/tables-seen.ts';
import { mapPages, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO, type XenMm } from '../../src/hypervisor/index.ts';
import { G, NX, P, RW } from '../../src/mmu/entry.ts';

const RO = PAGE_HYPERVISOR_RO;
/** Without A and D: hardware sets them. */
const CLEAN = P | RW | G | NX;

/** Explores every schedule and tells a witness of each event. */
function everySchedule(
  scenario: Scenario,
  witness: Witness,
  look: (explored: Explored) => void = () => {},
): DepthFirst {
  const explored = new Explored(scenario);
  explored.witness = (...event) => {
    witness(...event);
    look(explored);
  };
  const search = new DepthFirst(explored);
  search.run();
  return search;
}

const superpage =
  (flags: number = PAGE_HYPERVISOR) =>
  (mm: XenMm): void =>
    void mapPages(mm, pageAt(0), M2, M2, flags);

function brokenGigabyte(mm: XenMm): void {
  mapPages(mm, pageAt(0), G1, G1, PAGE_HYPERVISOR);
  mapPages(mm, pageAt(0), G1, 1, RO);
}

describe('56: locks of L3 tables', () => {
  /** Whether two CPUs ever hold locks at once. */
  function areEverHeldAtOnce(scenario: Scenario): boolean {
    let held = false;
    const search = everySchedule(
      scenario,
      () => {},
      ({ lives }) => (held ||= lives.holdsTableLock(0) && lives.holdsTableLock(1)),
    );
    expect([search.truncated, [...search.failures.keys()]]).toEqual([undefined, []]);
    return held;
  }

  it('let CPUs below different tables go on side by side', () => {
    expect(areEverHeldAtOnce({ name: '56', about: '', cpus: [[map(0, 7)], [map(512 ** 3, 9)]] })).toBe(true);
  });

  it('make CPUs below the same table wait for one another', () => {
    expect(areEverHeldAtOnce({ name: '56', about: '', cpus: [[map(0, 7)], [map(1, 9)]] })).toBe(false);
  });
});

it('57: map_pgdir_lock is never held over a flush or an allocation', () => {
  let flushes = 0;
  let wrong = 0;
  for (const { variants } of SCENARIOS.filter(({ name }) => /^r[1-7]|xsa/.test(name))) {
    const { scenario } = variants.find(({ label }) => label === 'l3') ?? variants.at(-1)!;
    let holder = -1;
    const explored = new Explored({ ...scenario, walks: [] });
    explored.witness = ({ cpu, by, operation }) => {
      holder = explored.lives.holderOf(-1);
      if (by === 'hardware' || !['flush', 'request', 'acknowledge', 'alloc', 'graceEnd'].includes(operation)) return;
      flushes += operation === 'flush' ? 1 : 0;
      if (holder === cpu) wrong += 1;
    };
    new DepthFirst(explored).run();
  }
  expect(wrong).toBe(0);
  expect(flushes).toBeGreaterThan(50);
});

it('63: a third CPU may hold a stale translation until its flush, and holds none when the call returns', () => {
  let stale = 0;
  const scenario: Scenario = {
    name: '63',
    about: 'a third CPU walks while a page is remapped',
    prepare: superpage(),
    cpus: [[map(0, 2 * M2, M2)], [], []],
    walks: [[], [], [read(pageAt(3)), read(pageAt(3))]],
    pages: [pageAt(3)],
  };
  const search = everySchedule(
    scenario,
    () => {},
    ({ world }) => {
      const held = world.cached[2]!.entries.find(({ kind }) => kind === 'page');
      const memory = { words: world.memory.words, pageOf: (frame: number) => world.pageOf(frame) };
      const { mapping } = walkFor(memory, world.root, pageAt(3));
      if (held?.frame === M2 && mapping?.mfn === 2 * M2 + 3) stale += 1;
    },
  );
  expect([search.truncated, [...search.failures.keys()]]).toEqual([undefined, []]);
  expect(stale).toBeGreaterThan(0);
});

describe('65: hardware sets A and D', () => {
  const racing = (cpus: Scenario['cpus'], prepare: (mm: XenMm) => void): Scenario => ({
    name: '65',
    about: 'a store races with a mapping call',
    prepare,
    cpus,
    walks: [[], [write(pageAt(3))]],
    without: ['keeps-dirty'],
  });

  it.each<[string, Scenario]>([
    ['a split', racing([[map(0, 7, 1, RO)], []], superpage(CLEAN))],
    ['a coalesce', racing([[map(0, G1)], []], brokenGigabyte)],
    ['modify', racing([[modify(0, M2, RO)], []], superpage(CLEAN))],
  ])('during %s, and no table or translation goes wrong', (_what, scenario) => {
    let marks = 0;
    const search = everySchedule(scenario, ({ operation }, _actor, _node, value) => {
      if (operation === 'compareExchange' && value === 1) marks += 1;
    });
    expect([search.truncated, [...search.failures.keys()]]).toEqual([undefined, []]);
    if (scenario.prepare !== brokenGigabyte) expect(marks).toBeGreaterThan(0);
  });

  it('and D is lost where flags without it are copied by a split: what Xen rules out by setting D beforehand', () => {
    const lost = explore({ ...racing([[map(0, 7, 1, RO)], []], superpage(CLEAN)), without: [] });
    expect([...new Set(lost.failures.map(({ kind }) => kind))]).toEqual(['LostDirty']);
    const kept = explore({ ...racing([[map(0, 7, 1, RO)], []], superpage()), without: [] });
    expect([kept.failures, kept.coverage.complete]).toEqual([[], true]);
  });
});

it('66: a walk through a cached pointer may reach a detached table, and never a freed one', () => {
  let detached = 0;
  const scenario: Scenario = {
    name: '66',
    about: 'a walker has cached the way to a table that is coalesced away',
    prepare: brokenGigabyte,
    cpus: [[map(0, G1)], []],
    warm: [[], [read(pageAt(1))]],
    walks: [[], [read(pageAt(2)), read(pageAt(3))]],
    pages: [pageAt(0)],
  };
  const search = everySchedule(
    scenario,
    () => {},
    ({ world, lives }) => {
      for (const { kind, frame } of world.cached[1]!.entries)
        if (kind === 'table' && lives.of(world.pageOf(frame)) === 4) detached += 1;
    },
  );
  expect([search.truncated, [...search.failures.keys()]]).toEqual([undefined, []]);
  expect(detached).toBeGreaterThan(0);
});

describe('what other scenarios show', () => {
  it.each<[string, string, string, ErrorKind[]]>([
    ['59: a call within a call below the same L3 table waits for itself', 'u11', 'xen', ['Deadlock']],
    ['59: and is refused here', 'u11', 'pagewalk', ['Bug']],
    [
      '61: a CPU with interrupts off waits for the lock whose holder waits for its acknowledgement',
      'u10',
      'xen',
      ['Deadlock'],
    ],
    ['61: and is refused here', 'u10', 'pagewalk', ['Bug']],
    ['62: a walker without a lock, interrupts off, meets no freed table', 'u1', 'interrupts off', []],
    ['62: with interrupts on it does', 'u1', 'interrupts on', ['UseAfterFree']],
    ['62: and where a hypervisor below flushes', 'u2', 'the hypervisor below flushes', ['UseAfterFree']],
    ['64: a page mapped again before modify has flushed leaves a third CPU behind', 'u5', 'xen', ['StaleTranslation']],
    ['64: and not where modify flushes under the lock', 'u5', 'pagewalk', []],
  ])('%s', (_what, name, label, kinds) => {
    const variant = variantOf(name, label);
    const { failures, coverage } = explore(variant.scenario, searchFor(variant));
    expect([...new Set(failures.map(({ kind }) => kind))]).toEqual(kinds);
    expect(coverage.complete).toBe(true);
  });
});
