/** How many tables and leaves the tables of a CPU hold. */
import type { Cpu } from '../cpu/cpu.ts';
import { isPresent } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import type { Enters } from '../mmu/leaves.ts';
import { rootsOfCpu } from './roots.ts';

export interface Census {
  /** Distinct table frames reachable, root included; those that the image lacks left out. */
  readonly tables: number;
  /** Distinct table frames that the image lacks. */
  readonly missing: number;
  /** Distinct tables by the level they are used at, index 1 to 5; a self-mapped one counts at each of its levels. */
  readonly tablesByLevel: readonly number[];
  /** Present, well-formed leaf entries in those tables, by level; a shared table's leaves count once. */
  readonly leavesByLevel: readonly number[];
}

/**
 * @param missing  what `openCpu` is told to tell of missing frames
 * @param enters   asked before each table is read; where it is false, the table is left out with all below
 */
export function takeCensus(cpu: Cpu, missing: ReadonlySet<Frame> = new Set(), enters: Enters = () => true): Census {
  const { registers, port } = cpu.translator;
  const { format } = registers;
  const tablesByLevel = [0, 0, 0, 0, 0, 0];
  const leavesByLevel = [0, 0, 0, 0, 0, 0];
  const held = new Set<Frame>();
  const lacking = new Set<Frame>();
  const seen = new Set<number>();
  const count = (table: Frame, level: number): void => {
    if (missing.has(table)) lacking.add(table);
    else {
      held.add(table);
      tablesByLevel[level]! += 1;
    }
  };
  const visit = (table: Frame, level: number): void => {
    if (seen.has(table * 8 + level) || !enters(table, level)) return;
    seen.add(table * 8 + level);
    for (let index = 0; index < 4096 / format.entryBytes; index++) {
      port.load(table, index, format.entryBytes);
      const { lo, hi } = port;
      if (!isPresent(lo)) continue;
      const leaf = format.isLeaf(level, lo);
      if (format.violatesReserved(level, leaf, lo, hi)) continue;
      if (leaf) leavesByLevel[level]! += 1;
      else visit(format.tableFrame(lo, hi), level - 1);
    }
    count(table, level); // only now: whether a frame is missing shows when it is read
  };
  if (format.mode.rootBits > 0) count(registers.cr3Lo >>> 12, 3); // the PDPT, which the walk knows as registers
  for (const { frame } of rootsOfCpu(cpu)) visit(frame, format.levels);
  return { tables: held.size, missing: lacking.size, tablesByLevel, leavesByLevel };
}
