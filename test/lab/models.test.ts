/** What the lab's views show, against what the library says by other ways. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { explainWalk } from '../../src/cpu/explain.ts';
import { NONE } from '../../src/cpu/fault.ts';
import { explore } from '../../src/explorer/explore.ts';
import { SCENARIOS, variantOf } from '../../src/explorer/scenarios/all.ts';
import { takeCensus } from '../../src/image/census.ts';
import { openCpu, openImage } from '../../src/image/index.ts';
import { tablesOnly } from '../../src/inspect/tables-only.ts';
import { bitFields } from '../../src/lab/entry-bits.ts';
import { proposalsFor } from '../../src/lab/operation-form.ts';
import { loadText } from '../../src/lab/race-load.ts';
import { RaceRun } from '../../src/lab/race-run.ts';
import { RunsList } from '../../src/lab/runs-list.ts';
import { Slots } from '../../src/lab/slots.ts';
import { emptySubject, type Subject, subjectFromBytes } from '../../src/lab/subject.ts';
import { Summaries } from '../../src/lab/summary.ts';
import { ChangedTables } from '../../src/lab/superpages.ts';
import { checksOf } from '../../src/lab/walk-checks.ts';
import { type AccessForm, accessOf, applyRegisters, formOf, runAccess } from '../../src/lab/walk-run.ts';
import { IMAGES } from '../support/command.ts';

const NAMES = ['xen-idle-6g', 'linux4-nopti-2g-user', 'linux32-pae-2g-user'];
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(`${IMAGES}/${name}.ptpages.gz`));
const opened = (name: string): Promise<Subject> => subjectFromBytes(bytesOf(name), name);

describe.each(NAMES)('slots of %s', (name) => {
  it('are what the leaves are, at every level', async () => {
    const { cpu } = await opened(name);
    const slots = new Slots(cpu);
    let seen = 0;
    const wrong: unknown[] = [];
    for (const leaf of cpu.leaves()) {
      if (++seen % 7 !== 0) continue;
      for (let level = 1; level <= slots.levels; level++) {
        const slot = slots.read(level, slots.slotOfPage(level, leaf.page));
        const isRight =
          level > leaf.level
            ? slot.kind === 'table'
            : slot.kind === 'page' &&
              slot.entryLevel === leaf.level &&
              slot.lo === leaf.lo &&
              slot.rights === leaf.rights;
        if (!isRight) wrong.push([leaf, slot]);
      }
    }
    expect(wrong).toEqual([]);
    expect(seen).toBeGreaterThan(1000);
  });

  it('sum up to the pages that the leaves map', async () => {
    const { cpu } = await opened(name);
    const slots = new Slots(cpu);
    const summaries = new Summaries(slots);
    summaries.allow(60_000);
    const top = slots.levels;
    let pages = 0;
    for (let slot = 0; slot < slots.countOf(top); slot++) {
      const read = slots.read(top, slot);
      if (read.kind === 'table') pages += summaries.of(read.frame, top - 1, read.rights)!.pages;
      else if (read.kind === 'page') pages += read.pages;
    }
    let expected = 0;
    for (const leaf of cpu.leaves()) expected += leaf.pages;
    expect(pages).toBe(expected);
  });

  it('are the same in what is sent to a browser', async () => {
    const image = await openImage(bytesOf(name));
    const sent = await openImage(await tablesOnly(image));
    for (const { index } of image.cpus)
      expect(takeCensus(openCpu(sent, index))).toEqual(takeCensus(openCpu(image, index)));
  });
});

describe('a summary without time', () => {
  it('is not known, and is once there is time', async () => {
    const slots = new Slots((await opened('xen-idle-6g')).cpu);
    const summaries = new Summaries(slots);
    const { frame, rights } = slots.read(4, 262);
    expect(summaries.of(frame, 3, rights)).toBeUndefined();
    summaries.allow(60_000);
    expect(summaries.of(frame, 3, rights)).toMatchObject({ largest: 3, smallest: 1 });
  });
});

describe('the checks of an access', () => {
  it('fail exactly where the processor faults, over every kind of access and page', async () => {
    const subject = await opened('linux4-nopti-2g-user');
    const { cpu } = subject;
    const pages = [...cpu.leaves()].filter((_, at) => at % 397 === 0).map(({ page }) => page);
    const addresses = pages.map((page) => new Slots(cpu).addressOf(page));
    addresses.push({ lo: 0, hi: 0 }, { lo: 0, hi: 0x8000 });
    const outcomes = { allowed: 0, denied: 0 };
    const wrong: unknown[] = [];
    for (const kind of ['read', 'write', 'fetch', 'read-modify-write'] as const)
      for (let bits = 0; bits < 64; bits++) {
        const [ac, implicit, wp, smep, smap, user] = [1, 2, 4, 8, 16, 32].map((bit) => (bits & bit) !== 0);
        const form = { ...formOf(cpu, ''), kind, ac, implicit, wp, smep, smap, cpl: user ? 3 : 0 } as AccessForm;
        expect(applyRegisters(cpu, form)).toBe('');
        for (const { lo, hi } of addresses) {
          const walk = explainWalk(cpu.translator, lo, hi, accessOf(form));
          const passed = checksOf(cpu, walk, accessOf(form)).every((check) => check.passed);
          if (passed !== (walk.vector === NONE)) wrong.push([form, hi, lo]);
          outcomes[passed ? 'allowed' : 'denied'] += 1;
        }
      }
    expect(wrong).toEqual([]);
    expect(outcomes.allowed).toBeGreaterThan(1000);
    expect(outcomes.denied).toBeGreaterThan(1000);
  });

  it('leave what the processor does to the processor', async () => {
    const { cpu } = await opened('xen-idle-6g');
    const run = runAccess(cpu, 0x4020_0000, 0xffff82d0 | 0, accessOf(formOf(cpu, '')));
    expect([run.vector, run.walk.physical!.toString(16)]).toEqual([NONE, 'bfa00000']);
    expect(run.caches.map(({ change }) => change)).toEqual(['new', 'new', 'new', 'new']);
  });
});

describe('tables that map each other over and over', () => {
  /** A root whose every entry leads to itself: 2^36 pages of one frame. */
  const image = {
    ...emptySubject().image,
    readFrame(_frame: number, target: Uint8Array): boolean {
      const entries = new DataView(target.buffer, target.byteOffset, 4096);
      for (let index = 0; index < 512; index++) entries.setInt32(8 * index, 0x1063, true);
      return true;
    },
  };

  it('are listed for so long, and no longer; the list says that it is cut', () => {
    const list = new RunsList(openCpu(image, 0), { size: '4K' }, 50);
    list.more(3);
    expect([list.runs.length, list.isOver, list.isCut]).toEqual([3, false, false]);
    list.more(1e9);
    expect([list.isOver, list.isCut]).toEqual([true, true]);
  });

  it('are summed up at once, and looked at for proposals', () => {
    const slots = new Slots(openCpu(image, 0));
    const summaries = new Summaries(slots);
    summaries.allow(60_000);
    expect(summaries.of(1, 4, 3)!.pages).toBe(2 ** 36);
    expect(proposalsFor(openCpu(image, 0))[0]!.text).toBe('Map 1 GiB');
  });

  it('are sent as the one table that they are', async () => {
    expect((await openImage(await tablesOnly(image))).frames).toBe(1);
  });
});

describe('bits of an entry', () => {
  it('cover all 64 of a present one, each once', async () => {
    const { format } = (await opened('xen-idle-6g')).cpu.registers;
    for (const [level, lo] of [
      [1, 0x163],
      [2, 0x1e3],
      [2, 0x63],
      [3, 0x1e3],
      [4, 0x63],
    ] as const) {
      const covered = bitFields(format, level, lo, 0x8000_0000 | 0).flatMap(({ bits }) => {
        const [high, low = high] = bits.split(':').map(Number) as [number, number?];
        return Array.from({ length: high - low + 1 }, (_, at) => low + at);
      });
      const isLeaf = level === 1 || (lo & 0x80) !== 0;
      // Bits 62:59 of an entry that leads to a table are ignored; bit 12 of a large page is PAT and not address.
      expect(new Set(covered).size).toBe(isLeaf ? 64 : 60);
    }
    expect(bitFields(format, 1, 0xffe, -1)).toHaveLength(1);
  });
});

describe('operations on tables', () => {
  const options = { cpu: 0, behaviour: 'pagewalk', heap: '' } as const;

  it('are taken back to the last bit', async () => {
    const { image } = await opened('xen-idle-6g');
    const tables = new ChangedTables(image, options);
    const before = [...tables.cpu.leaves()].map(({ lo, hi }) => [lo, hi]);
    tables.apply('modify', ['ffff830040000000', 'ffff830040001000', 'PAGE_HYPERVISOR_RO']);
    const between = await tables.container();
    tables.apply('map', ['ffff830040000000', '40000', '262144', 'PAGE_HYPERVISOR']);
    tables.undo();
    expect(Buffer.from(await tables.container()).equals(Buffer.from(between))).toBe(true);
    tables.undo();
    tables.undo();
    expect([...tables.cpu.leaves()].map(({ lo, hi }) => [lo, hi])).toEqual(before);
  });

  it('change nothing where they make no sense', () => {
    const tables = new ChangedTables(emptySubject().image, options);
    expect(() => tables.apply('map', ['ffff830000000001', '0', '1', '63'])).toThrow('not the address of a page');
    expect(() => tables.apply('destroy', ['ffff830000000000'])).toThrow('destroy takes START END');
    expect(tables.done).toEqual([]);
  });
});

describe('a run of a scenario', () => {
  it('tells of each schedule of a search what the search has found', () => {
    for (const { variants } of SCENARIOS.filter(({ name }) => /^(xsa-345|r2|lost-dirty)$/.test(name)))
      for (const variant of variants.filter(({ finds }) => finds.length > 0)) {
        const { failures } = explore(variant.scenario, { mode: 'bounded', preemptions: 1 });
        for (const { schedule, what } of failures) {
          const run = new RaceRun(variant, schedule);
          expect(run.standAt(run.length).verdicts.join()).toContain(what);
          expect(run.schedule).toBe(schedule);
        }
      }
  });

  it('holds at a step what it held there before, wherever it was meanwhile', () => {
    const variant = variantOf('xsa-345', 'l3');
    const run = new RaceRun(variant);
    run.runToEnd(0);
    const there = Array.from({ length: run.length + 1 }, (_, at) => run.standAt(at));
    for (const at of [run.length, 0, 5, 3, run.length]) expect(run.standAt(at)).toEqual(there[at]);
    expect(there.at(-1)!.verdicts).toEqual([]);
    expect(there.at(-1)!.hasEnded).toBe(true);
  });
});

describe('what people paste', () => {
  it('is a schedule, a report, or refused in one sentence', () => {
    const variant = variantOf('promotion', 'wrong');
    const outcome = explore(variant.scenario);
    const { schedule } = outcome.failures[0]!;
    expect(loadText(` ${schedule}\n`)).toMatchObject({
      schedule,
      of: { name: 'promotion', variant: { label: 'wrong' } },
    });
    const report = [{ name: 'promotion', variant: 'wrong', ...outcome }];
    expect(loadText(JSON.stringify(report))).toMatchObject({ explored: [{ name: 'promotion' }] });
    for (const text of [
      '',
      'nonsense',
      schedule.slice(0, -1),
      '[]',
      '{}',
      '[{"name":"promotion"}]',
      '[1]',
      '[',
      '{"name":"x","variant":"y","failures":[]}',
    ])
      expect(() => loadText(text)).toThrow(/^(not |the report is no JSON)/);
  });
});
