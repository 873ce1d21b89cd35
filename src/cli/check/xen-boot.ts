/**
 * Replays the mapping calls of a booting Xen (format xen-mm-trace): each on the page tables that the real Xen had at that
 * moment, adopted, and compared with those it had afterwards. Format and rules: test/corpus/xen-boot/FORMAT.md.
 */
import { Machine } from '../../cpu/machine.ts';
import type { BehaviourName } from '../../hypervisor/behaviour.ts';
import { SYS_STATE_SMP_BOOT } from '../../hypervisor/control.ts';
import { INVALID_MFN } from '../../hypervisor/flags.ts';
import { mapPagesToXen } from '../../hypervisor/map-pages.ts';
import type { XenMm } from '../../hypervisor/mm.ts';
import { modifyXenMappingsLite } from '../../hypervisor/modify-lite.ts';
import { destroyXenMappings, modifyXenMappings } from '../../hypervisor/modify-mappings.ts';
import { Xen } from '../../hypervisor/xen.ts';
import { PAGE_SIZE } from '../../mmu/halves.ts';
import type { PhysicalMemory } from '../../mmu/physical-memory.ts';
import { endProgress, progress } from '../output.ts';
import type { CheckReport } from './report.ts';
import { frameAt, TableState, tablesDiffer, tablesIn } from './table-state.ts';
import { CALL_ARGUMENTS, parseCalls, type TracedCall } from './xen-format.ts';

/** As each is called, with its arguments in order. */
const FUNCTIONS: Readonly<Record<TracedCall['fn'], (mm: XenMm, args: readonly string[]) => number | undefined>> = {
  map_pages_to_xen: (mm, [virt, mfn, nrMfns, flags]) => {
    const frame = Math.min(Number(mfn), INVALID_MFN); // which is written as 64 ones
    return mapPagesToXen(mm, virt!, frame, Number(nrMfns), Number(flags));
  },
  modify_xen_mappings: (mm, [s, e, nf]) => modifyXenMappings(mm, s!, e!, Number(nf)),
  destroy_xen_mappings: (mm, [s, e]) => destroyXenMappings(mm, s!, e!),
  modify_xen_mappings_lite: (mm, [s, e, nf]) => {
    modifyXenMappingsLite(mm, s!, e!, Number(nf));
    return undefined;
  },
};

/** Where tables are added: no trace has any from 1 TiB on. */
const HEAP = { start: 2 ** 40, size: 64 * PAGE_SIZE };

/** Replays every call of a file's lines; returns what to say besides the counts. */
export function checkXenBoot(lines: readonly string[], behaviour: BehaviourName, report: CheckReport): string {
  const state = new TableState();
  for (const call of parseCalls(lines)) {
    const mismatch = replay(call, state, behaviour);
    report.count(
      call.fn,
      mismatch === undefined ? undefined : () => `call ${call.i} by ${call.caller ?? call.tag}: ${mismatch}`,
    );
    progress(() => `${report.total} calls`);
  }
  endProgress();
  return `: behaviour ${behaviour}`;
}

/** Takes the state to what it is after the call. Returns what differs, perhaps. */
function replay(call: TracedCall, state: TableState, behaviour: BehaviourName): string | undefined {
  state.apply(call.pre);
  const outcome = execute(call, state, behaviour);
  state.apply(call.post);
  if (typeof outcome === 'string') return outcome;
  const { ret, memory } = outcome;
  if (ret !== call.ret) return `returns ${ret}, expected ${call.ret}`;
  return tablesDiffer(state.tables, frameAt(call.root_after ?? call.root), tablesIn(memory), frameAt(call.root));
}

/** The call on the tables as they were. What is wrong with those, where nobody can adopt them. */
function execute(
  call: TracedCall,
  state: TableState,
  behaviour: BehaviourName,
): string | { readonly ret: number | undefined; readonly memory: PhysicalMemory } {
  const memory = { ranges: [...state.ranges(), HEAP] };
  const machine = new Machine({ memory, features: { page1gb: true, maxPhyAddr: 52 } });
  state.writeTo(machine.memory);
  const options = { heap: HEAP, root: frameAt(call.root), behaviour, systemState: SYS_STATE_SMP_BOOT } as const;
  try {
    const mm = new Xen(machine, { ...options, checks: 'full' }).on(0);
    const values = CALL_ARGUMENTS[call.fn].map((name) => call.args[name]!);
    return { ret: FUNCTIONS[call.fn](mm, values), memory: machine.memory };
  } catch (failure) {
    if (failure instanceof RangeError) return failure.message;
    throw failure;
  }
}
