/** `pagewalk info`: what an image is, its CPUs or one of them, and how many tables they use. */
import type Long from 'long';
import { sizeText } from '../cpu/walk-text.ts';
import { type Census, takeCensus } from '../image/census.ts';
import type { Image, ImageCpu } from '../image/image.ts';
import { cpuState, openCpu } from '../image/open-image.ts';
import { hex64 } from '../mmu/halves.ts';
import { print } from './output.ts';
import { paint } from './paint.ts';
import type { TableWatch } from './table-watch.ts';

const hex = (value: Long): string => `0x${value.toString(16)}`;
const LEVELS = ['', 'PT', 'PD', 'PDPT', 'PML4', 'PML5'];

/** `index`: of the only CPU to tell of, perhaps. */
export function printInfo(image: Image, index: number | undefined, watch: TableWatch): void {
  const cpus = chosenCpus(image, index);
  print(`${paint.bold(image.name)}  ${image.kind}${image.frames === undefined ? '' : `, ${image.frames} frames`}`);
  if (image.description !== '') print(`  ${image.description}`);
  for (const { start, end } of image.ram)
    print(`  RAM ${hex64Number(start)}-${hex64Number(end)}  ${sizeText(end - start)}`);
  for (const cpu of cpus) printCpu(image, cpu, watch);
}

export function infoJson(image: Image, index: number | undefined, watch: TableWatch): object {
  return {
    kind: image.kind,
    name: image.name,
    description: image.description,
    frames: image.frames ?? null,
    features: image.features,
    ram: image.ram,
    cpus: chosenCpus(image, index).map((cpu) => ({
      index: cpu.index,
      paging: cpu.paging,
      cpl: cpu.cpl,
      cr0: hex(cpu.cr0),
      cr2: hex(cpu.cr2),
      cr3: hex(cpu.cr3),
      cr4: hex(cpu.cr4),
      efer: hex(cpu.efer),
      rip: cpu.rip === undefined ? null : hex(cpu.rip),
      ...censusOf(image, cpu.index, watch),
    })),
  };
}

const chosenCpus = (image: Image, index: number | undefined): readonly ImageCpu[] =>
  index === undefined ? image.cpus : [cpuState(image, index)];

const censusOf = (image: Image, index: number, watch: TableWatch): Census =>
  takeCensus(openCpu(image, index, watch), watch.missing, watch.enters);

function printCpu(image: Image, cpu: ImageCpu, watch: TableWatch): void {
  const { index, paging, cpl, cr0, cr3, cr4, efer, rip } = cpu;
  print(`${paint.bold(`CPU ${index}`)}  ${paging} paging, CPL ${cpl}${rip === undefined ? '' : `, RIP ${hex(rip)}`}`);
  print(`  CR0 ${hex(cr0)}  CR3 ${hex(cr3)}  CR4 ${hex(cr4)}  EFER ${hex(efer)}`);
  print(`  ${censusText(censusOf(image, index, watch))}`);
}

function censusText({ tables, tablesByLevel, leavesByLevel }: Census): string {
  const byLevel = tablesByLevel.map((count, level) => ({ count, level })).filter(({ count }) => count > 0);
  const used = byLevel.reverse().map(({ count, level }) => `${count} as ${LEVELS[level]}`);
  const leaves = leavesByLevel.flatMap((count, level) => (count > 0 ? [`${count} at level ${level}`] : []));
  const breakdown = used.length === 0 ? '' : ` (${used.join(', ')})`;
  return `${tables} tables${breakdown}; leaves: ${leaves.join(', ') || 'none'}`;
}

const hex64Number = (value: number): string => hex64(value | 0, Math.floor(value / 0x1_0000_0000));
