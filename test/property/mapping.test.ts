import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Behaviour, Locking } from '../../src/hypervisor/index.ts';
import { FlatMap, type Run } from '../support/flat-map.ts';
import { AREAS, ENOMEM, G1, M2, MappingWorld, type Request, type WorldOptions } from '../support/mapping-world.ts';

// Flags of mappings, typed from Xen's list.
const RW = 0x80_0163;
const RO = 0x80_0121;
const RX = 0x121;
const RWX = 0x163;
const SHSTK = 0x80_0161;
const WT = 0x80_016b;
const UC = 0x80_017b;
const WC = 0x80_01e3;
const P = 0x1;
const A_AND_D = 0x60;
const G = 0x100;
const SMALL_PAGES = 0x200;
const AVAIL1 = 0x400;
const SMALL_ONLY = 0x280; // PAT or MAP_SMALL_PAGES
const INVALID_MFN = 2 ** 52 - 1;

/** Most pages of one request where each takes an entry of its own. */
const MOST_SMALL = 1030;

/** A request without its area: pages from the area's start, frames from there too. */
interface Step extends Omit<Request, 'page' | 'mfn'> {
  readonly at: number;
  /** Page `at` of the area is mapped to frame `base` + `at`. */
  readonly base: number;
}

const weighted = <T>(...choices: readonly (readonly [weight: number, T])[]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, value]) => ({ weight, arbitrary: fc.constant(value) })));

// Aligned to 1 GiB; past 4 GiB in the second GiB; past 2^32 frames; aligned to 2 MiB, over 4 GiB; not at all, over 4 GiB.
const base = weighted([6, 0], [2, 0xc_0000], [1, 2 ** 32], [1, 0x200], [1, 0xf_fe00], [1, 1], [1, 0xf_fdf1]);
const mapFlags = weighted(
  ...([
    [9, RW],
    [2, RO],
    [1, RX],
    [1, RWX],
    [1, SHSTK],
    [1, WT],
    [1, UC],
    [2, WC],
  ] as const),
  ...([
    [1, RW | SMALL_PAGES],
    [1, RW & ~G],
    [1, RW | AVAIL1],
    [1, RW & ~A_AND_D],
    [1, RO & ~A_AND_D],
  ] as const),
  ...([
    [5, 0],
    [1, 0x80_0060],
  ] as const),
);
const modifyFlags = weighted([5, 0], [3, RO], [3, RW], [1, RX], [1, SHSTK], [1, P], [1, RO & ~A_AND_D]);

const boundary = weighted([3, 0], [3, M2], [1, 2 * M2], [1, G1 - 2 * M2], [2, G1 - M2], [4, G1], [1, G1 + M2]);
const delta = weighted([8, 0], [2, -1], [2, 1], [1, -2], [1, 2], [1, M2 - 1]);
const at = fc.tuple(boundary, delta).map(([near, by]) => Math.max(0, near + by));
/** Pages of a request that starts at `from`. */
const count = (from: number): fc.Arbitrary<number> => {
  const to2M = M2 - (from % M2);
  const to1G = G1 - (from % G1);
  const shared = [
    [6, 1],
    [2, 2],
    [2, 5],
    [1, M2 - 1],
    [4, M2],
    [1, M2 + 1],
    [1, 2 * M2],
    [2, to2M],
  ] as const;
  return weighted(...shared, [1, to2M - 1], [1, to2M + 1], [2, to1G], [1, to1G - 1], [1, to1G + 1], [3, G1], [1, 0]);
};
const range = at.chain((from) => fc.tuple(fc.constant(from), count(from)));
const how = fc.record({ cpu: fc.nat(1), parks: weighted([4, false], [1, true]), byAddress: fc.boolean() });

const map = fc
  .tuple(how, range, fc.option(base), mapFlags)
  .map(([by, [from, pages], other, flags]): Change => ({ ...by, kind: 'map', at: from, count: pages, other, flags }));
const modify = fc
  .tuple(how, range, modifyFlags)
  .map(([by, [from, pages], flags]): Change => ({ ...by, kind: 'modify', at: from, count: pages, other: null, flags }));
const populate = fc
  .tuple(how, range)
  .map(([by, [from, pages]]): Change => ({ ...by, kind: 'populate', at: from, count: pages, other: null, flags: 0 }));
const lookUp = fc
  .tuple(how, at)
  .map(([by, from]): Change => ({ ...by, kind: 'look up', at: from, count: 1, other: null, flags: 0 }));

/** A step whose frames are those of the sequence, where no others are given. */
interface Change extends Omit<Step, 'base'> {
  readonly other: number | null;
}
const plain = { other: null, flags: RW } as const;

/** All but the last page, then the last: what coalesces. */
const fill = fc
  .tuple(how, weighted([2, 0], [2, M2], [1, G1]), weighted([3, M2], [2, G1]), weighted([5, RW], [1, WC], [1, RO]))
  .map(([by, first, span, flags]): Change[] => {
    const from = first - (first % span);
    const whole = { ...by, ...plain, kind: 'map', flags } as const;
    return [
      { ...whole, at: from, count: span - 1 },
      { ...whole, at: from + span - 1, count: 1 },
    ];
  });
/** A hole or another mapping in a large page, then the same as before. */
const restore = fc
  .tuple(how, range, fc.oneof(mapFlags, modifyFlags), weighted([1, 'map'], [1, 'modify']), fc.nat(M2))
  .map(([by, [from], flags, kind, pages]): Change[] => {
    const block = from - (from % G1);
    const here = { ...by, at: from, count: 1 + (pages % 7) };
    return [
      { ...by, ...plain, kind: 'map', at: block, count: G1 },
      { ...here, kind: kind as 'map' | 'modify', other: null, flags },
      { ...here, ...plain, kind: 'map' },
    ];
  });
/** Other rights for a part of a block, and back: what coalesces after modify. */
const reform = fc
  .tuple(how, at, weighted([3, M2], [1, G1]), weighted([5, RW], [1, WC], [1, RW | SMALL_PAGES]), fc.nat(M2))
  .map(([by, first, span, flags, inside]): Change[] => {
    const from = first - (first % span);
    const here = { ...by, other: null, at: from + inside, count: 1 + ((M2 - inside - 1) % 5) };
    return [
      { ...by, ...plain, kind: 'map', at: from, count: span, flags },
      { ...here, kind: 'modify', flags: RO },
      { ...here, kind: 'modify', flags },
    ];
  });
/** Tables ahead of their use. */
const prepare = fc
  .tuple(how, range, fc.nat(M2), fc.boolean())
  .map(([by, [from, pages], inside, destroys]): Change[] => [
    { ...by, kind: 'populate', at: from, count: pages, other: null, flags: 0 },
    { ...by, kind: destroys ? 'modify' : 'map', at: from, count: pages, other: null, flags: 0 },
    { ...by, ...plain, kind: 'map', at: from + (pages === 0 ? 0 : inside % pages), count: 1 },
  ]);

/** Small pieces with holes between them, then a request for all of it. */
const sparse = fc
  .tuple(
    how,
    fc.array(fc.tuple(range, fc.option(base), mapFlags), { minLength: 1, maxLength: 4 }),
    fc.oneof(range, fc.constant([0, 2 * G1] as [number, number])),
    weighted<Pick<Step, 'kind' | 'flags'>>(
      [3, { kind: 'map', flags: 0 }],
      [3, { kind: 'modify', flags: 0 }],
      [2, { kind: 'modify', flags: RO }],
      [1, { kind: 'map', flags: RW }],
    ),
  )
  .map(([by, pieces, [from, pages], whole]): Change[] => [
    ...pieces.map(([[first, size], other, flags]): Change => {
      const isWhole = size >= M2 && first % 2 === 0;
      return { ...by, kind: 'map', at: first, count: isWhole ? size : 1 + (size % 5), other, flags };
    }),
    { ...by, ...whole, at: from, count: pages, other: null },
  ]);
/** What a superpage says already, or nearly. */
const again = fc
  .tuple(how, range, weighted([2, M2], [1, G1]), weighted([3, 0], [1, A_AND_D], [1, G], [1, P]))
  .map(([by, [from, pages], span, without]): Change[] => {
    const block = from - (from % span);
    return [
      { ...by, ...plain, kind: 'map', at: block, count: span },
      { ...by, ...plain, kind: 'map', at: from, count: Math.min(pages, 1 + (pages % 700)), flags: RW & ~without },
    ];
  });

const steps = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: map.map((one) => [one]) },
      { weight: 4, arbitrary: modify.map((one) => [one]) },
      { weight: 1, arbitrary: populate.map((one) => [one]) },
      { weight: 1, arbitrary: lookUp.map((one) => [one]) },
      { weight: 3, arbitrary: fill },
      { weight: 3, arbitrary: restore },
      { weight: 2, arbitrary: reform },
      { weight: 3, arbitrary: sparse },
      { weight: 1, arbitrary: again },
      { weight: 1, arbitrary: prepare },
    ),
    { minLength: 3, maxLength: 7, size: 'max' },
  )
  .map((groups) => groups.flat());

const CHANGES: Readonly<Record<string, Partial<Behaviour>>> = {
  none: {},
  uniform: { coalesce: 'uniform' },
  afterModify: { coalesceAfterModify: 'yes' },
  both: { coalesce: 'uniform', coalesceAfterModify: 'yes' },
  rollback: { onFailure: 'rollback' },
};
type ChangeName = keyof typeof CHANGES;

/** When tables run out: at each allocation from the same state; at each and then again; never. */
type Failing = 'each' | 'on the way' | 'never';

interface Setting extends Omit<WorldOptions, 'preset' | 'changes' | 'shared'> {
  readonly area: number;
  readonly base: number;
  readonly failing: Failing;
}
const ACTIVE = 3;
const BOOT = 1;
const setting = (presets: 'xen' | 'pagewalk'): fc.Arbitrary<Setting> =>
  fc.record({
    locking:
      presets === 'xen'
        ? fc.constantFrom<Locking>('l3', 'pgdir', 'reverify', 'none-prefix')
        : fc.constantFrom<Locking>('l3', 'pgdir', 'reverify'),
    page1gb: weighted([4, true], [1, false]),
    nx: weighted([6, true], [1, false]),
    systemState: weighted([5, ACTIVE], [1, BOOT]),
    area: fc.constantFrom(...AREAS),
    base,
    failing: weighted<Failing>([3, 'each'], [1, 'on the way'], [1, 'never']),
  });

/** How much of each kind there was. */
const mix = {
  requests: 0,
  /** Undefined by the preset, and left out. */
  skipped: 0,
  splits: 0,
  /** Coalesced: at the end of a request that wrote less. */
  to2M: 0,
  to1G: 0,
  afterModify: 0,
  /** Written as superpages. */
  written2M: 0,
  written1G: 0,
  /** Of a superpage that was split for it. */
  partialUnmaps: 0,
  populates: 0,
  parked: 0,
  /** Of what superpages say already. */
  said: 0,
  memoryTypes: 0,
  /** Failures; of them, those with something done before, and those of modify. */
  enomem: 0,
  enomemMidway: 0,
  enomemModify: 0,
  /** Pages accessed, entries of TLBs and structure caches judged. */
  checked: 0,
};

/** Where a request may leave something stale, or read what is not there. */
function samples(area: number, { page, count: pages, kind }: Request, before: readonly Run[]): number[] {
  const end = page + pages;
  const block = page - (page % G1);
  const found = [page - 1, page, page + 1, page + (pages >> 1), end - 1, end, block, block + M2, block + G1 - 1];
  const next2M = page - (page % M2) + M2;
  found.push(next2M - 1, next2M, end - (end % M2) - 1, end - (end % M2));
  const nearby = before.filter((run) => run.page < end + M2 && run.page + run.count > page - M2).slice(0, 4);
  for (const run of nearby) found.push(run.page, run.page + run.count - 1);
  if (kind === 'look up') found.length = 2;
  return [...new Set(found)].filter((one) => one >= area && one < Math.min(area + 2 * G1, 2 ** 52));
}

/** The request that a step makes in a world: no larger than it may be. Undefined where the preset leaves it undefined. */
function requestOf(world: MappingWorld, { area, base: home }: Setting, change: Change): Request | undefined {
  const { other, at: from, count: asked, ...rest } = change;
  const { kind, flags } = rest;
  const first = other ?? home;
  const isMapping = kind === 'map' && (flags & P) !== 0;
  const isSmall = kind === 'populate' || (isMapping && ((flags & SMALL_ONLY) !== 0 || first % M2 !== 0));
  const page = area + Math.min(from, 2 * G1 - 1);
  const pages = Math.min(asked, area + 2 * G1 - page, isSmall ? MOST_SMALL : Infinity);
  const mfn = isMapping || from % 2 === 0 ? first + from : INVALID_MFN;
  const request = { ...rest, page, count: pages, mfn };
  // Xen maps what it finds, where P is asked for over a hole.
  if (kind !== 'modify' || (flags & P) === 0 || world.behaviour.absentEntries === 'zero') return request;
  const run = world.flat.within(page, pages)[0];
  return run === undefined ? undefined : { ...request, page: run.page, count: run.count };
}

/** What a request did, by the level of the leaf over its last page, before and after. */
function countMix(request: Request, before: number, after: number): void {
  const { kind, count: pages, flags, parks } = request;
  const isMapping = kind === 'map' && (flags & P) !== 0;
  if (isMapping && after === 3 && pages >= G1) mix.written1G += 1;
  else if (isMapping && after === 3 && before < 3) mix.to1G += 1;
  else if (isMapping && after === 2 && pages >= M2) mix.written2M += 1;
  else if (isMapping && after === 2 && before < 2) mix.to2M += 1;
  if (kind === 'modify' && after > before && before > 0) mix.afterModify += 1;
  if (kind === 'populate') mix.populates += 1;
  if (parks) mix.parked += 1;
}

function perform(world: MappingWorld, options: Setting, change: Change): string[] {
  const request = requestOf(world, options, change);
  if (request === undefined) {
    mix.skipped += 1;
    return [];
  }
  mix.requests += 1;
  const { flat } = world;
  const { kind, count: pages, page } = request;
  const mm = world.mms[request.cpu]!;
  const looked = samples(options.area, request, flat.runs);
  const problems = world.access(flat, looked);
  const before = world.walk();
  const name = `${kind} ${JSON.stringify(request)}`;
  const told = (found: readonly string[]): string[] => found.map((what) => `${name}: ${what}`);
  if (kind === 'look up') problems.push(...world.judgeLookup(request));

  const isRollback = world.behaviour.onFailure === 'rollback';
  const isSaved = options.failing === 'each' && kind !== 'look up';
  if (isSaved) world.save();
  const sizeAt = (walked: typeof before): number =>
    walked.runs.find((run) => run.page <= page + pages - 1 && page + pages - 1 < run.page + run.count)?.level ?? 0;
  for (let budget = options.failing === 'never' ? -1 : 0; kind !== 'look up'; budget++) {
    const [splits, evictions, flushes] = [mm.splits, mm.flush.cacheFlushes.length, mm.flush.requests];
    const { coalesces } = mm;
    mm.heap.budget = budget;
    const error = world.run(request);
    mm.heap.budget = -1;
    const { pagesDone } = mm;
    const walked = world.walk();
    if (error === 0) {
      const changes = world.changesMemoryType(request);
      if (world.isSaid(request, before)) {
        mix.said += 1;
        // Tables that became one run before may be noticed now: that alone is flushed.
        const isCoalesced = mm.coalesces !== coalesces;
        if (mm.splits !== splits || (mm.flush.requests !== flushes && !isCoalesced))
          problems.push('what is mapped so was not left alone');
      }
      world.expect(flat, request, pages);
      problems.push(...world.judge(flat, walked), ...world.judgeCaches(walked));
      problems.push(...world.judgeShape(request, before, walked), ...world.noteKept(request, walked, true));
      if (pagesDone !== pages) problems.push(`${pagesDone} pages done of ${pages}`);
      if (changes && mm.flush.cacheFlushes.length === evictions) problems.push('no cache was flushed');
      if (changes) mix.memoryTypes += 1;
      mix.splits += mm.splits - splits;
      if (mm.splits > splits && (request.flags & P) === 0) mix.partialUnmaps += 1;
      countMix(request, sizeAt(before), sizeAt(walked));
      break;
    }
    const failed = flat.clone();
    world.expect(failed, request, pagesDone);
    if (error !== -ENOMEM) problems.push(`error ${error}`);
    if (pagesDone < 0 || pagesDone >= pages) problems.push(`${pagesDone} of ${pages} pages done, and -ENOMEM`);
    if (budget < 0) problems.push('there are not enough tables for this test');
    problems.push(...world.judge(failed, walked));
    const isUnflushed = kind === 'modify' && world.behaviour.failedModify === 'unflushed';
    if (isUnflushed) world.dropCaches();
    else problems.push(...world.judgeCaches(walked), ...world.access(failed, looked));
    if (isRollback && (pagesDone !== 0 || JSON.stringify(walked) !== JSON.stringify(before)))
      problems.push('it was not rolled back');
    mix.enomem += 1;
    if (pagesDone > 0) mix.enomemMidway += 1;
    if (kind === 'modify') mix.enomemModify += 1;
    if (problems.length > 0) return told([`${problems.join('; ')} (budget ${budget})`]);
    if (!isSaved) {
      world.flat = failed;
      problems.push(...world.noteKept(request, walked, false));
      return [...told(problems), ...perform(world, { ...options, failing: 'never' }, change)];
    }
    world.restore();
    problems.push(...world.access(flat, looked));
  }
  problems.push(...world.access(flat, looked), ...world.judgeLeaves(flat));
  return told(problems);
}

function runSteps(preset: 'xen' | 'pagewalk', name: ChangeName, options: Setting, changes: readonly Change[]): void {
  const { area: _area, base: _base, failing, ...others } = options;
  const world = new MappingWorld({ ...others, preset, changes: CHANGES[name]!, shared: failing === 'each' });
  for (const change of changes) expect(perform(world, options, change)).toEqual([]);
  expect(world.judgeRuns(world.flat)).toEqual([]);
  mix.checked += world.checked;
}

const RUNS = process.env['PAGEWALK_LONG'] === '1' ? 2000 : 50;

describe('any sequence of requests comes to what a flat map says', () => {
  it.each(
    (['xen', 'pagewalk'] as const).flatMap((preset) => Object.keys(CHANGES).map((name) => [preset, name] as const)),
  )('preset %s, options: %s', (preset, name) => {
    fc.assert(
      fc.property(setting(preset), steps, (options, changes) => runSteps(preset, name, options, changes)),
      { numRuns: RUNS },
    );
  });

  it('with requests of every kind among them', () => {
    // A quarter to a third of what 500 sequences make.
    const least: Partial<typeof mix> = {
      ...{ requests: 2000, splits: 300, to2M: 40, to1G: 45, afterModify: 12, written2M: 100, written1G: 65 },
      ...{ partialUnmaps: 50, populates: 50, parked: 220, said: 60, memoryTypes: 50 },
      ...{ enomem: 700, enomemMidway: 110, enomemModify: 90, checked: 70_000 },
    };
    const missed = Object.entries(least).filter(([kind, number]) => mix[kind as keyof typeof mix] < number);
    expect({ missed, mix }).toEqual({ missed: [], mix });
  });
});

describe('the flat map', () => {
  it('says of every page what a map from pages to mappings says', () => {
    const requests = fc.array(
      fc.record({
        what: fc.constantFrom('map', 'modify'),
        page: fc.nat(30),
        count: fc.nat(12),
        shift: fc.constantFrom(0, 0, 1000),
        flags: fc.constantFrom(RW, RO, WC, 0),
      }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(requests, (all) => {
        const flat = new FlatMap();
        const pages = new Map<number, { mfn: number; flags: number }>();
        for (const { what, page: first, count: number, shift, flags } of all) {
          if (what === 'map') flat.map(first, number, first + shift, flags);
          else flat.modify(first, number, flags);
          for (let page = first; page < first + number; page++) {
            const old = pages.get(page);
            if ((flags & P) === 0) pages.delete(page);
            else if (what === 'map') pages.set(page, { mfn: page + shift, flags });
            else if (old !== undefined)
              pages.set(page, { ...old, flags: (old.flags & ~0x80_0063) | (flags & 0x80_0063) });
          }
        }
        const found = Array.from({ length: 50 }, (_, page) => flat.at(page)).map((run) => run && [run.mfn, run.flags]);
        expect(found).toEqual(
          Array.from({ length: 50 }, (_, page) => pages.get(page)).map((one) => one && [one.mfn, one.flags]),
        );
        const runs = [...pages].sort(([a], [b]) => a - b).map(([page, one]) => ({ page, count: 1, ...one }));
        expect(flat.differs(runs)).toBe('');
      }),
    );
  });
});
