/** pagewalk: an exact x86-64 MMU to embed. */
export { Cpu, type CpuState, type MappedRun } from './cpu/cpu.ts';
