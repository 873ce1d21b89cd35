/** How many tables and leaves the tables of a CPU hold. */
import type { Cpu } from '../cpu/cpu.ts';
import { isPresent } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';
import { rootsOf } from '../mmu/leaves.ts';

export interface Census {
  /** Distinct table frames reachable, root included. */
  readonly tables: number;
  /** Distinct tables by the level they are used at, index 1 to 5; a self-mapped one counts at each of its levels. */
  readonly tablesByLevel: readonly number[];
  /** Present, well-formed leaf entries in those tables, by level; a shared table's leaves count once. */
  readonly leavesByLevel: readonly number[];
}

export function takeCensus(cpu: Cpu): Census {
  const { registers, port } = cpu.translator;
  const { format } = registers;
  const tablesByLevel = [0, 0, 0, 0, 0, 0];
  const leavesByLevel = [0, 0, 0, 0, 0, 0];
  const frames = new Set<Frame>();
  const seen = new Set<number>();
  const visit = (table: Frame, level: number): void => {
    if (seen.has(table * 8 + level)) return;
    seen.add(table * 8 + level);
    frames.add(table);
    tablesByLevel[level]! += 1;
    for (let index = 0; index < 4096 / format.entryBytes; index++) {
      port.load(table, index, format.entryBytes);
      const { lo, hi } = port;
      if (!isPresent(lo)) continue;
      const leaf = format.isLeaf(level, lo);
      if (format.violatesReserved(level, leaf, lo, hi)) continue;
      if (leaf) leavesByLevel[level]! += 1;
      else visit(format.tableFrame(lo, hi), level - 1);
    }
  };
  if (format.levels > 0) {
    const pdptes = format.mode.rootBits === 0 ? [] : registers.pdptes.values;
    if (pdptes.length > 0) {
      tablesByLevel[3]! += 1;
      frames.add(registers.cr3Lo >>> 12); // the PDPT, which the walk knows as registers
    }
    for (const { frame } of rootsOf(registers.root, pdptes)) visit(frame, format.levels);
  }
  return { tables: frames.size, tablesByLevel, leavesByLevel };
}
