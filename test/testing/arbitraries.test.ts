/** What the arbitraries make: the mix that each of them states, measured; and what they are good for, with mistakes planted. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Xen } from '../../src/hypervisor/index.ts';
import { type Cpu, type Features, Machine, READ } from '../../src/index.ts';
import {
  accessArbitrary,
  applyMapping,
  buildTables,
  ENTRY_MIX,
  entryArbitrary,
  type GuestPlan,
  guestArbitrary,
  mappingArbitrary,
  OPERATION_MIX,
  PLANNED_ADDRESSES,
  performStep,
  STEP_MIX,
  tablesArbitrary,
  UNSPOILED,
} from '../../src/testing/fast-check/index.ts';
import { type PageTables, performAccess, type TableMode } from '../../src/testing/index.ts';

const MODES: readonly TableMode[] = ['32-bit', 'pae', '4-level', '5-level'];
const SEED = 20260401;

/** A CPU that walks the tables of a plan. */
function running({ tables: plan }: GuestPlan): { cpu: Cpu; tables: PageTables } {
  const { host, cpus } = new Machine({ memory: { sparse: {} }, features: plan.features });
  const tables = buildTables(host, plan);
  cpus[0]!.enter(tables.state());
  return { cpu: cpus[0]!, tables };
}

describe('entries', () => {
  const ENTRIES = 1000;

  it.each(
    MODES.flatMap((mode) => [1, 2, 3, 4, 5].map((level) => [mode, level] as const)).filter(
      ([mode, level]) => level <= { '32-bit': 2, pae: 2, '4-level': 4, '5-level': 5 }[mode],
    ),
  )('are well-formed, absent or reserved in the stated shares: %s, level %i', (mode, level) => {
    const kind = level === 1 ? 'page' : 'table';
    const entries = fc.sample(entryArbitrary({ mode, level, kind }), { numRuns: ENTRIES, seed: SEED });
    const { cpu, tables } = running({ tables: { mode, features: {}, pages: [] }, steps: [] });
    tables.map(0x1000, 0x5000);
    const counts = { wellFormed: 0, absent: 0, reserved: 0 };
    for (const entry of entries) {
      tables.set(0x1000, level, entry);
      const step = cpu.explain(0x1000, 0).steps.find((found) => found.level === level);
      if (step?.outcome === 'not present') counts.absent += 1;
      else if (step?.outcome === 'reserved bit set') counts.reserved += 1;
      else counts.wellFormed += 1;
    }
    const share = (count: number): number => (20 * count) / ENTRIES;
    // Of any bits at all, half are absent; nearly all others have reserved bits set, where there are any.
    const hasReserved = mode !== '32-bit';
    expect(Math.abs(share(counts.absent) - ENTRY_MIX.absent - 0.5)).toBeLessThan(0.6);
    if (hasReserved) expect(Math.abs(share(counts.reserved) - ENTRY_MIX.reserved - 0.5)).toBeLessThan(0.6);
    else expect(counts.reserved).toBeLessThan(ENTRIES / 40);
    expect(share(counts.wellFormed)).toBeGreaterThan(ENTRY_MIX.wellFormed - 1);
  });

  it('point to the frames that are given, superpages to multiples of their size', () => {
    const frames = [0x200, 0x345];
    const entries = fc.sample(entryArbitrary({ level: 2, kind: 'page', frames }), { numRuns: 200, seed: SEED });
    const pointers = entries.map((entry) => entry & 0xf_ffff_ffff_f000n);
    // 0x345 is in the superpage that begins at 0x200; the others are those of ENTRY_MIX that are anything or reserved.
    expect(pointers.filter((pointer) => pointer === 0x20_0000n).length).toBeGreaterThan(150);
    expect(pointers).not.toContain(0x34_5000n);
    expect(() => entryArbitrary({ level: 5 })).toThrow('have levels 1 to 4, not 5');
    expect(() => entryArbitrary({ level: 4, kind: 'page' })).toThrow('no entry of level 4 is a page');
  });
});

describe('guests', () => {
  it.each(MODES)('access with about as many successes as faults: %s', (mode) => {
    const counts = { done: 0, page: 0, general: 0, changes: 0, reloads: 0, hits: 0, planned: 0 };
    const codes = new Set<number>();
    for (const guest of fc.sample(guestArbitrary({ mode }), { numRuns: 120, seed: SEED })) {
      const { cpu, tables } = running(guest);
      for (const step of guest.steps) {
        const outcome = performStep(cpu, tables, step);
        if (step.do === 'change') counts.changes += 1;
        if (step.do === 'reload') counts.reloads += 1;
        if (step.do !== 'access' || outcome === undefined) continue;
        const address = BigInt(step.address as bigint);
        const isPlanned = guest.tables.pages.some(
          ({ linear, pageSize }) => linear <= address && address < linear + BigInt(pageSize),
        );
        if (isPlanned) counts.planned += 1;
        if ('physical' in outcome) counts.done += 1;
        else if ('cr2' in outcome) counts.page += 1;
        else counts.general += 1;
        if ('cr2' in outcome) codes.add(outcome.errorCode);
      }
      counts.hits += cpu.counters.hits;
    }
    const accesses = counts.done + counts.page + counts.general;
    const steps = accesses + counts.changes + counts.reloads;
    expect(accesses).toBeGreaterThan(700);
    expect(counts.done).toBeGreaterThan(0.4 * accesses);
    expect(counts.page + counts.general).toBeGreaterThan(0.35 * accesses);
    expect(accesses / steps).toBeCloseTo(STEP_MIX.access / 24, 1);
    expect(counts.changes / steps).toBeCloseTo(STEP_MIX.change / 24, 1);
    expect(counts.reloads).toBeGreaterThan(steps / 48);
    expect(counts.hits).toBeGreaterThan(20);
    expect(counts.planned / accesses).toBeCloseTo(PLANNED_ADDRESSES / 20, 1);
    expect(counts.general > 0).toBe(mode === '4-level' || mode === '5-level');
    expect(codes.size).toBeGreaterThan(8); // of error codes
  });

  /** Whether a property over guests finds that the two CPUs do not do the same. */
  function differs(features: Partial<Features>, change: (cpu: Cpu) => void): boolean {
    const property = fc.property(guestArbitrary({ mode: '4-level' }), (guest) => {
      const right = running(guest);
      const wrong = running({ ...guest, tables: { ...guest.tables, features } });
      change(wrong.cpu);
      for (const step of guest.steps)
        expect(performStep(wrong.cpu, wrong.tables, step)).toEqual(performStep(right.cpu, right.tables, step));
    });
    return fc.check(property, { numRuns: 60, seed: SEED }).failed;
  }

  it('find a CPU that does not do what another does', () => {
    expect(differs({}, () => {})).toBe(false);
    expect(differs({}, (cpu) => cpu.setCr0(0x8000_0001 | 0))).toBe(true); // no WP
    expect(differs({}, (cpu) => cpu.setEfer(1 << 8))).toBe(true); // no NXE
    // A TLB that forgets INVLPG.
    expect(
      differs({}, (cpu) => {
        cpu.invlpg = () => {};
      }),
    ).toBe(true);
  });

  it('shrink to a guest that can be read', () => {
    const property = fc.property(guestArbitrary({ mode: '4-level' }), (guest) => {
      const { cpu, tables } = running(guest);
      for (const step of guest.steps) {
        const outcome = performStep(cpu, tables, step);
        expect(outcome !== undefined && 'physical' in outcome && 'second' in outcome).toBe(false);
      }
    });
    const { failed, counterexample } = fc.check(property, { numRuns: 2000, seed: SEED });
    expect(failed).toBe(true);
    const [{ tables, steps }] = counterexample!;
    expect(steps.length).toBeLessThanOrEqual(2);
    expect(tables.pages).toMatchObject([{ linear: 0n, physical: 0n, flags: 'P RW US', spoiled: undefined }]);
  });

  it('have one access at a time, where only that is wanted', () => {
    const plan = fc.sample(tablesArbitrary({ mode: 'pae', maxPages: 3 }), { numRuns: 1, seed: SEED })[0]!;
    const { cpu } = running({ tables: plan, steps: [] });
    const outcomes = fc
      .sample(accessArbitrary(plan), { numRuns: 200, seed: SEED })
      .map((one) => performAccess(cpu, one));
    expect(plan.pages.length).toBeLessThanOrEqual(3);
    expect(outcomes.filter((outcome) => 'physical' in outcome).length).toBeGreaterThan(30);
  });

  it('make tables of every mode, with half of the pages spoiled', () => {
    const plans = fc.sample(tablesArbitrary(), { numRuns: 400, seed: SEED });
    const pages = plans.flatMap((plan) => plan.pages);
    expect(new Set(plans.map(({ mode }) => mode)).size).toBe(4);
    expect(new Set(pages.map(({ pageSize }) => pageSize))).toEqual(new Set([4096, 2 << 20, 4 << 20, 2 ** 30]));
    const spoiled = pages.filter((page) => page.spoiled !== undefined);
    expect(spoiled.length / pages.length).toBeGreaterThan(1 - (UNSPOILED + 0.4) / 4);
    expect(spoiled.length / pages.length).toBeLessThan(1 - (UNSPOILED - 0.4) / 4);
    expect(new Set(spoiled.map((page) => page.spoiled!.how)).size).toBe(5);
  });
});

describe('mapping operations', () => {
  const REGION = 4 * 512;

  it('leave about half of the region mapped, in pages of both sizes, and need no more than a small heap', () => {
    const counts = { mapped: 0, looked: 0, superpages: 0, pages: 0, splits: 0 };
    const kinds = { map: 0, modify: 0, unmap: 0 };
    for (const operations of fc.sample(mappingArbitrary(), { numRuns: 120, seed: SEED })) {
      const machine = new Machine({ memory: { size: 64 * 4096 } });
      const xen = new Xen(machine, { heap: { start: 0, size: 64 * 4096 } });
      const cpu = machine.cpus[0]!;
      cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0x900 });
      for (const operation of operations) {
        kinds[operation.op] += 1;
        expect(applyMapping(xen.on(0), operation)).toBe(0);
      }
      for (const { level } of cpu.leaves()) {
        counts.pages += 1;
        if (level > 1) counts.superpages += 1;
      }
      for (let page = 0; page < REGION; page += 61) {
        counts.looked += 1;
        if (cpu.probe(page * 4096, 0xffff8300 | 0, READ) === 0) counts.mapped += 1;
      }
    }
    const all = kinds.map + kinds.modify + kinds.unmap;
    expect(counts.mapped / counts.looked).toBeGreaterThan(1 / 3);
    expect(counts.mapped / counts.looked).toBeLessThan(2 / 3);
    expect(counts.superpages).toBeGreaterThan(100);
    expect(counts.pages).toBeGreaterThan(1000);
    for (const kind of ['map', 'modify', 'unmap'] as const)
      expect(kinds[kind] / all).toBeCloseTo(OPERATION_MIX[kind] / 20, 1);
  });

  it('stay in the region', () => {
    const firstPage = 512 * 7;
    for (const operations of fc.sample(mappingArbitrary({ firstPage, pages: 512 }), { numRuns: 50, seed: SEED }))
      for (const { page, pages } of operations) {
        expect(page).toBeGreaterThanOrEqual(firstPage);
        expect(pages).toBeGreaterThan(0);
        expect(page + pages).toBeLessThanOrEqual(firstPage + 512);
      }
    expect(() => mappingArbitrary({ pages: 100 })).toThrow('whole superpages');
  });
});
