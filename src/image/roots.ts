/** Where the tables of a CPU begin. */
import type { Cpu } from '../cpu/cpu.ts';
import { type Root, rootsOf } from '../mmu/leaves.ts';

/** None without paging; in PAE paging what the PDPTE registers point to. */
export function rootsOfCpu(cpu: Cpu): Root[] {
  const { root, pdptes, format } = cpu.translator.registers;
  if (format.levels === 0) return [];
  return rootsOf(root, format.mode.rootBits === 0 ? [] : pdptes.values);
}
