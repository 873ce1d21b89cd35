/**
 * Replays traces of Xen's own mapping code (format xen-map-trace): each operation with the leaves, tables and counts that
 * Xen's left behind. Format, and what is compared with which behaviour: test/corpus/xen-traces/FORMAT.md.
 */
import { Machine } from '../../cpu/machine.ts';
import { BEHAVIOURS, type BehaviourName } from '../../hypervisor/behaviour.ts';
import { INVALID_MFN, pagesOf } from '../../hypervisor/flags.ts';
import { pageOf } from '../../hypervisor/layout.ts';
import { mapPages } from '../../hypervisor/map-pages.ts';
import type { XenMm } from '../../hypervisor/mm.ts';
import { modifyPages } from '../../hypervisor/modify-mappings.ts';
import { Xen } from '../../hypervisor/xen.ts';
import { toHalves } from '../../mmu/address.ts';
import { endProgress, progress } from '../output.ts';
import { LeafLister, type LeafRun } from './leaf-runs.ts';
import type { CheckReport } from './report.ts';
import { UpdateOrder } from './update-order.ts';
import { stepsDiffer, UpdateSteps } from './update-steps.ts';
import { UpdateWatch } from './update-watch.ts';
import {
  parseScenarios,
  type Scenario,
  type TracedModify,
  type TracedOp,
  type TraceEvent,
  type UpdateCounts,
} from './xen-format.ts';

interface Replayed {
  readonly rc: number;
  /** Tables that can be reached. */
  readonly tables: number;
  readonly count: UpdateCounts;
  readonly runs: readonly LeafRun[];
  /** Tables that are allocated: as many as can be reached. */
  readonly allocated: number;
  readonly splits: number;
  /** What was done in the wrong order. */
  readonly violation: string | undefined;
  readonly steps: UpdateSteps | undefined;
}

/** Replays every operation of a file's lines; returns what to say besides the counts. */
export function checkXenTraces(lines: readonly string[], behaviour: BehaviourName, report: CheckReport): string {
  let scenarios = 0;
  let stopped = 0;
  let left = 0;
  for (const scenario of parseScenarios(lines)) {
    scenarios += 1;
    const unanswered = replay(scenario, behaviour, report);
    if (unanswered > 0) stopped += 1;
    left += unanswered;
    progress(() => `${report.total} operations`);
  }
  endProgress();
  const early = `${stopped} of ${scenarios} scenarios stopped early, ${left} operations not compared`;
  return `: behaviour ${behaviour}; ${early}`;
}

/**
 * Returns how many operations were not compared, since an earlier one had other tables left or to add than in Xen, and so
 * got further with its budget, or less far.
 */
function replay({ ops, ...scenario }: Scenario, behaviour: BehaviourName, report: CheckReport): number {
  const traced = new TracedXen({ ops, ...scenario }, behaviour);
  let xenTables = 1;
  for (const [nth, op] of ops.entries()) {
    const tablesBefore = traced.allocated;
    const got = traced.apply(op, behaviour === 'xen');
    const sameBudget = op.budget < 0 || (tablesBefore === xenTables && got.count.alloc === op.count.alloc);
    const result = resultDiffers(op, got);
    if (result !== undefined && !sameBudget && behaviour !== 'xen') return ops.length - nth;
    const mismatch = result ?? brokenRule(got) ?? (behaviour === 'xen' ? notAsXen(op, got) : worseThanXen(op, got));
    report.count(
      op.budget >= 0 ? `${op.op}, budget of tables` : op.op,
      mismatch === undefined
        ? undefined
        : () => `scenario ${scenario.scenario}, operation ${nth}: ${callText(op)}: ${mismatch}`,
    );
    xenTables = op.tables;
  }
  return 0;
}

function callText(op: TracedOp): string {
  const what =
    op.op === 'map'
      ? `map ${op.va} to ${op.mfn}, ${op.n} pages, flags ${op.flags.toString(16)}`
      : `modify ${op.va} to ${op.end}, flags ${op.nf.toString(16)}`;
  return op.budget >= 0 ? `${what}, budget ${op.budget}` : what;
}

/** One CPU with tables from the scenario's pool. */
class TracedXen {
  readonly #mm: XenMm;
  readonly #lister: LeafLister;
  readonly #order: UpdateOrder;
  readonly #watch: UpdateWatch;

  constructor({ page1gb, pool, root, ops }: Scenario, behaviour: BehaviourName) {
    const heap = { start: pool * 4096, size: framesFor(ops) * 4096 };
    const machine = new Machine({ memory: { ranges: [heap] }, features: { page1gb: page1gb !== 0, maxPhyAddr: 52 } });
    const xen = new Xen(machine, { heap, behaviour, checks: 'full' });
    this.#mm = xen.on(0);
    this.#lister = new LeafLister(machine.memory);
    this.#order = new UpdateOrder(machine.memory, root, BEHAVIOURS[behaviour].modifySplit);
    this.#watch = new UpdateWatch(this.#order);
    this.#mm.observer = this.#watch;
  }

  /** Tables in use, the root with them. */
  get allocated(): number {
    const { allocations, frees } = this.#mm.heap;
    return 1 + allocations - frees;
  }

  apply(op: TracedOp, wantsSteps: boolean): Replayed {
    const { heap, flush, splits, root } = this.#mm;
    const { allocations, frees } = heap;
    const { requests } = flush;
    flush.flags = 0;
    heap.budget = op.budget;
    const steps = wantsSteps && op.ev !== undefined ? new UpdateSteps() : undefined;
    this.#watch.steps = steps;
    const rc = this.#call(op);
    const { runs, tables } = this.#lister.list(root);
    return {
      rc,
      runs,
      tables,
      allocated: this.allocated,
      splits: this.#mm.splits - splits,
      violation: this.#order.end(),
      steps,
      count: {
        alloc: heap.allocations - allocations,
        free: heap.frees - frees,
        flush: flush.requests - requests,
        flushFlags: flush.flags,
      },
    };
  }

  #call(op: TracedOp): number {
    const page = pageOf(`0x${op.va}`);
    if (op.op === 'modify') return modifyPages(this.#mm, page, pageOf(`0x${op.end}`), op.nf);
    const mfn = Math.min(Number(`0x${op.mfn}`), INVALID_MFN); // which Xen writes as 64 ones
    return mapPages(this.#mm, page, mfn, op.n, op.flags);
  }
}

/** Frames for the most tables that Xen had at a time, those freed in the end included; and some more. */
function framesFor(ops: readonly TracedOp[]): number {
  let most = 1;
  let before = 1;
  for (const { tables, count } of ops) {
    most = Math.max(most, before + count.alloc);
    before = tables;
  }
  return most + 64;
}

function resultDiffers(op: TracedOp, { rc, runs }: Replayed): string | undefined {
  return rc === op.rc ? leavesDiffer(op, runs) : `returns ${rc}, expected ${op.rc}`;
}

function brokenRule({ violation, allocated, tables }: Replayed): string | undefined {
  return allocated === tables ? violation : `${allocated} tables are allocated, ${tables} can be reached`;
}

function notAsXen(op: TracedOp, got: Replayed): string | undefined {
  if (got.tables !== op.tables) return `${got.tables} tables, expected ${op.tables}`;
  for (const name of ['alloc', 'free', 'flush', 'flushFlags'] as const)
    if (got.count[name] !== op.count[name]) return `count.${name} is ${got.count[name]}, expected ${op.count[name]}`;
  return op.ev === undefined || got.steps === undefined ? undefined : stepsDiffer(stepsOf(op.ev), got.steps);
}

/**
 * Never more tables, nor more flushes; but a modify is flushed for each split, which Xen leaves out, and before it drops the
 * lock of each L3 table, where Xen flushes once under the last.
 */
function worseThanXen(op: TracedOp, got: Replayed): string | undefined {
  if (got.tables > op.tables) return `${got.tables} tables, more than Xen's ${op.tables}`;
  const most = op.count.flush + (op.op === 'modify' ? got.splits + lastL3(op) - l3Of(pageOf(`0x${op.va}`)) : 0);
  return got.count.flush > most ? `${got.count.flush} flushes, more than ${most}` : undefined;
}

/** Number of the L3 table of a page. */
const l3Of = (page: number): number => Math.floor(page / pagesOf(4));
const lastL3 = ({ va, end }: TracedModify): number => l3Of(Math.max(pageOf(`0x${va}`), pageOf(`0x${end}`) - 1));

function leavesDiffer(op: TracedOp, runs: readonly LeafRun[]): string | undefined {
  const length = Math.max(runs.length, op.leaves.length);
  for (let nth = 0; nth < length; nth++) {
    const run = runs[nth];
    const [got, wanted] = [run === undefined ? 'none' : runText(run), op.leaves[nth]?.join(' ') ?? 'none'];
    if (got !== wanted) return `leaves from ${got}, expected ${wanted}`;
  }
  return undefined;
}

const runText = ({ page, mfn, pages, level, flags }: LeafRun): string =>
  `${page === 0 ? '' : page.toString(16)}${page === 0 ? '0' : '000'} ${mfn.toString(16)} ${pages} ${level} ${flags}`;

function stepsOf(events: readonly TraceEvent[]): UpdateSteps {
  const steps = new UpdateSteps();
  for (const event of events) {
    if (event[0] === 'a') steps.allocate(event[1]);
    else if (event[0] === 'f') steps.free(event[1]);
    else if (event[0] === 'F') steps.flush(pageOf(`0x${event[1]}`), event[2]);
    else {
      const [, table, index, value, count = 1, step = '0'] = event;
      const { low, high } = toHalves(`0x${value}`);
      steps.writeRun(table, index, low, high, count, Number(`0x${step}`));
    }
  }
  return steps;
}
