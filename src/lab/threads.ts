/** The soak and the tearing guard, started from the page: two workers over memory that they share. */
import { Machine } from '../cpu/machine.ts';
import type { Locking } from '../hypervisor/behaviour.ts';
import { INVALID_MFN } from '../hypervisor/flags.ts';
import { DIRECTMAP } from '../hypervisor/layout.ts';
import { Xen } from '../hypervisor/xen.ts';
import { mapToMfn } from '../hypervisor/xen-map-to-mfn.ts';
import { startJob } from './jobs.ts';
import type { Looked, Soaked, SoakLayout, SoakTask, TearTask } from './thread.ts';

const WORKERS = 2;
const GIB = 1 << 18;
const TABLES = { start: 0, size: 8 << 20 };
const LAYOUT: SoakLayout = {
  own: { first: DIRECTMAP.start + GIB, pages: 1024 },
  common: { first: DIRECTMAP.start, pages: GIB },
  frames: { first: 0x1000, count: 1024, common: 0x4_0000, marked: 1024 },
};

/** Whether this page may share memory between threads. */
export const canShare = (): boolean =>
  globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function';

export interface SoakResult {
  readonly operations: number;
  readonly reads: number;
  readonly faults: number;
  readonly milliseconds: number;
  /** What is not as the workers left it; empty where all is well. */
  readonly wrong: readonly string[];
}

export async function soak(locking: Locking, operations: number, seed: number): Promise<SoakResult> {
  const { first, count, common, marked } = LAYOUT.frames;
  const ranges = [TABLES, { start: first * 4096, size: count * 4096 }, { start: common * 4096, size: marked * 4096 }];
  const machine = new Machine({ memory: { shared: true, ranges }, cpus: WORKERS + 1 });
  const xen = new Xen(machine, { heap: TABLES, locking, checks: 'full' });
  for (const frames of [
    { first, count },
    { first: common, count: marked },
  ])
    for (let at = 0; at < frames.count; at++) machine.host.write32((frames.first + at) * 4096, frames.first + at);
  machine.memory.clearDirty();
  machine.cpus[0]!.park(); // nobody waits for this page
  for (let cpu = 1; cpu <= WORKERS; cpu++) machine.mailboxes.setOffline(cpu);
  const gate = new SharedArrayBuffer(4);
  const began = performance.now();
  const running = Array.from({ length: WORKERS }, (_, at) => {
    const task: SoakTask = {
      job: 'soak',
      shared: xen.share(),
      cpu: at + 1,
      cpus: WORKERS,
      seed,
      operations,
      layout: LAYOUT,
      gate,
    };
    return startJob<Soaked>(task);
  });
  const settled = await Promise.allSettled(running.map(({ result }) => result));
  const milliseconds = performance.now() - began;
  const done = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = settled.flatMap((one) => (one.status === 'rejected' ? [String((one.reason as Error).message)] : []));
  const sum = (of: (one: Soaked) => number): number => done.reduce((total, one) => total + of(one), 0);
  return {
    operations: sum((one) => one.operations),
    reads: sum((one) => one.reads),
    faults: sum((one) => one.faults),
    milliseconds,
    wrong: failed.length > 0 ? failed : aftermath(xen, done),
  };
}

/** Whether locks are held, and whether own pages are mapped as their owners know them. */
function aftermath(xen: Xen, done: readonly Soaked[]): string[] {
  const wrong = xen.frames
    .tables()
    .flatMap((table) => (xen.frames.info(table).isLocked ? [`table ${table} is locked`] : []));
  const mm = xen.on(0);
  mm.cpu.unpark();
  for (const [at, { map }] of done.entries())
    for (let page = at; page < LAYOUT.own.pages; page += WORKERS) {
      const mapped = mapToMfn(mm, LAYOUT.own.first + page);
      const expected = map[page]! < 0 ? INVALID_MFN : map[page]!;
      if (mapped !== expected) wrong.push(`own page ${page} is mapped to ${mapped}, not ${expected}`);
    }
  return wrong;
}

/** Two threads over one entry: one stores, one looks. */
export async function tear(how: TearTask['how'], looks: number): Promise<Looked & { readonly stores: number }> {
  const machine = new Machine({ memory: { size: 4 << 20, shared: true }, cpus: 2 });
  const stop = new SharedArrayBuffer(4);
  const task: Omit<TearTask, 'job'> = { shared: machine.share(), how, table: 0x200, stop, looks };
  const storing = startJob<number>({ ...task, job: 'store' });
  const looking = startJob<Looked>({ ...task, job: 'look' });
  const looked = await looking.result;
  return { ...looked, stores: await storing.result };
}
