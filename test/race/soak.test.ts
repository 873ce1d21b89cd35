/**
 * Real threads over one set of page tables: four workers change and read overlapping ranges, and what is left at the end is
 * checked by nobody's own book-keeping: the tables as walked, the frame table, and what each worker says it has mapped.
 */
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import type { Plant } from '../../src/explorer/scenario.ts';
import { type Locking, lookUp, mapToMfn, type SharedXen, Xen, type XenMm } from '../../src/hypervisor/index.ts';
import { Machine } from '../../src/index.ts';

const LONG = process.env['PAGEWALK_LONG'] === '1';
const WORKERS = 4;
const SLOT = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const GIB = 1 << 18;
const TABLES = { start: 0, size: 16 << 20 };
const LAYOUT = {
  own: { first: SLOT + GIB, pages: 2048 },
  common: { first: SLOT, pages: GIB },
  /** Data frames: 1024 for own pages, 2048 that the common area begins with; each holds its own number. */
  frames: { first: 0x1000, count: 1024, common: 0x4_0000, marked: 2048 },
};

interface Outcome {
  readonly failure?: string;
  readonly counts: { readonly operations: number; readonly reads: number; readonly faults: number };
  readonly map: Int32Array;
}

const workers = Array.from(
  { length: WORKERS },
  () => new Worker(new URL('../support/soak-worker.mjs', import.meta.url)),
);
afterAll(() => Promise.all(workers.map((worker) => worker.terminate())));

function makeXen(locking: Locking): Xen {
  const { first, count, common, marked } = LAYOUT.frames;
  const machine = new Machine({
    memory: {
      shared: true,
      ranges: [TABLES, { start: first * 4096, size: count * 4096 }, { start: common * 4096, size: marked * 4096 }],
    },
    cpus: WORKERS + 1,
  });
  const xen = new Xen(machine, { heap: TABLES, locking, checks: 'full' });
  for (let at = 0; at < count; at++) machine.host.write32((first + at) * 4096, first + at);
  for (let at = 0; at < marked; at++) machine.host.write32((common + at) * 4096, common + at);
  machine.memory.clearDirty();
  // Tables are looked at from here when all is over; this CPU makes no access meanwhile.
  machine.cpus[0]!.park();
  for (let cpu = 1; cpu <= WORKERS; cpu++) machine.mailboxes.setOffline(cpu);
  return xen;
}

async function round(xen: Xen, seed: number, operations: number, more: object = {}): Promise<Outcome[]> {
  const shared: SharedXen = xen.share();
  const gate = new SharedArrayBuffer(4);
  const watch = new SharedArrayBuffer(8 * (WORKERS + 1));
  return Promise.all(
    workers.map((worker, at) => {
      const done = new Promise<Outcome>((resolve, reject) => worker.once('message', resolve).once('error', reject));
      const task = {
        shared,
        cpu: at + 1,
        cpus: WORKERS,
        seed,
        operations,
        layout: LAYOUT,
        patienceMs: 5000,
        watch,
        ...more,
      };
      worker.postMessage({ task, gate });
      return done;
    }),
  );
}

/** Tables reachable from the root, by a walk of our own. */
function reachable(xen: Xen): Set<number> {
  const found = new Set<number>();
  const enter = (table: number, level: number): void => {
    found.add(table);
    if (level === 1) return;
    for (let index = 0; index < 512; index++) {
      const entry = xen.machine.host.read64(table * 4096 + 8 * index).toBigInt();
      if ((entry & 1n) !== 0n && (level === 4 || (entry & 0x80n) === 0n))
        enter(Number((entry & 0xf_ffff_ffff_f000n) >> 12n), level - 1);
    }
  };
  enter(xen.root, 4);
  return found;
}

/** What is wrong with what is left: no lock held, tables in use = tables reachable, own pages as their owners know them. */
function aftermath(xen: Xen, outcomes: readonly Outcome[]): string[] {
  const wrong: string[] = [];
  const mm: XenMm = xen.on(0);
  mm.cpu.unpark();
  const tables = xen.frames.tables();
  const reached = reachable(xen);
  for (const table of tables) if (xen.frames.info(table).isLocked) wrong.push(`table ${table} is locked`);
  for (const table of tables) if (!reached.has(table)) wrong.push(`leaked table ${table}`);
  for (const table of reached) if (!tables.includes(table)) wrong.push(`table ${table} is reachable and not in use`);
  if (wrong.length > 0) return wrong;
  outcomes.forEach(({ map }, at) => {
    for (let page = at; page < LAYOUT.own.pages; page += WORKERS) {
      const mapped = mapToMfn(mm, LAYOUT.own.first + page);
      const expected = map[page]! < 0 ? 2 ** 52 - 1 : map[page]!;
      if (mapped !== expected) wrong.push(`lost update: own page ${page} is mapped to ${mapped}, not ${expected}`);
    }
  });
  return wrong;
}

describe('four workers over one address space', () => {
  it.each<Locking>(['l3', 'pgdir', 'reverify'])('leave the tables as each of them knows them: %s', async (locking) => {
    const xen = makeXen(locking);
    const looksUp = locking === 'reverify'; // without any lock
    const outcomes = await round(xen, LONG ? Date.now() % 1000 : 1, LONG ? 40_000 : 1000, { looksUp });
    expect(outcomes.map(({ failure }) => failure)).toEqual(Array(WORKERS).fill(undefined));
    expect(aftermath(xen, outcomes)).toEqual([]);
    for (const { counts } of outcomes) {
      expect(counts.faults).toBeGreaterThan(0.02 * counts.reads);
      expect(counts.faults).toBeLessThan(0.9 * counts.reads);
    }
    expect(lookUp(xen.on(0), '0xffff830000000000').level).toBeGreaterThan(0);
  });

  it('go wrong in several ways with the locks of before XSA-345, and say how', async () => {
    const kinds = new Set<string>();
    const end = Date.now() + (LONG ? 120_000 : 10_000);
    for (let seed = 1; kinds.size < 3 && Date.now() < end; seed++) {
      const xen = makeXen('none-prefix');
      const outcomes = await round(xen, seed, 400, { delayed: !LONG, patienceMs: 500 });
      for (const { failure } of outcomes) if (failure !== undefined) kinds.add(kindOf(failure));
      if (outcomes.every(({ failure }) => failure === undefined))
        for (const what of aftermath(xen, outcomes)) kinds.add(kindOf(what));
    }
    expect([...kinds].length).toBeGreaterThanOrEqual(3);
  });
});

describe('mistakes that the explorer can plant', () => {
  it.each<[Plant, RegExp]>([
    ['no-lock', /lost update|double free|detached|free|leaked|wrong|BUG/],
    ['no-flush', /stale translation|stale TLB|wrong mapping/],
    ['no-ack', /stale translation/],
    ['ack-before-flush', /stale translation/],
  ])('show on threads too: %s', async (planted, expected) => {
    const seen = new Set<string>();
    const end = Date.now() + (LONG ? 120_000 : 20_000);
    const isShown = (): boolean => [...seen].some((what) => expected.test(what));
    for (let seed = 1; !isShown() && Date.now() < end; seed++) {
      const xen = makeXen('l3');
      const more = { planted, delayed: seed % 2 === 0, patienceMs: 500 };
      const outcomes = await round(xen, seed, LONG ? 2000 : 300, more);
      for (const { failure } of outcomes) if (failure !== undefined) seen.add(failure);
      if (seen.size === 0) for (const what of aftermath(xen, outcomes)) seen.add(what);
    }
    expect([...seen].join('\n')).toMatch(expected);
  });
});

const KINDS = [
  /stale translation/,
  /a superpage of level \d is in the way/,
  /double free/,
  /use of table .* which is free/,
  /written after the table was freed/,
  /was detached after/,
  /which was not allocated/,
  /leaked table/,
  /lost update/,
  /wrong mapping/,
  /wrong translation/,
  /stale TLB/,
  /is reachable and not in use/,
  /has no page_info/,
  /waited \d+ ms/,
];

function kindOf(what: string): string {
  const kind = KINDS.find((pattern) => pattern.test(what));
  if (kind === undefined) throw new Error(`a failure of no known kind: ${what}`);
  return kind.source;
}
