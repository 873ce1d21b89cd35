/** `pagewalk info`: what an image is, its CPUs, and how many tables they use. */
import type Long from 'long';
import pc from 'picocolors';
import { type Census, takeCensus } from '../image/census.ts';
import type { Image, ImageCpu } from '../image/image.ts';
import { openCpu } from '../image/open-image.ts';
import { hex64 } from '../mmu/halves.ts';
import { print } from './output.ts';
import { sizeText } from './walk-text.ts';

const hex = (value: Long): string => `0x${value.toString(16)}`;
const LEVELS = ['', 'PT', 'PD', 'PDPT', 'PML4', 'PML5'];

export function printInfo(image: Image): void {
  print(`${pc.bold(image.name)}  ${image.kind}${image.frames === undefined ? '' : `, ${image.frames} frames`}`);
  if (image.description !== '') print(`  ${image.description}`);
  for (const { start, end } of image.ram)
    print(`  RAM ${hex64Number(start)}-${hex64Number(end)}  ${sizeText(end - start)}`);
  for (const cpu of image.cpus) printCpu(image, cpu);
}

export function infoJson(image: Image): object {
  return {
    kind: image.kind,
    name: image.name,
    description: image.description,
    frames: image.frames ?? null,
    features: image.features,
    ram: image.ram,
    cpus: image.cpus.map((cpu) => ({
      index: cpu.index,
      paging: cpu.paging,
      cpl: cpu.cpl,
      cr0: hex(cpu.cr0),
      cr2: hex(cpu.cr2),
      cr3: hex(cpu.cr3),
      cr4: hex(cpu.cr4),
      efer: hex(cpu.efer),
      rip: cpu.rip === undefined ? null : hex(cpu.rip),
      ...takeCensus(openCpu(image, cpu.index)),
    })),
  };
}

function printCpu(image: Image, cpu: ImageCpu): void {
  const { index, paging, cpl, cr0, cr3, cr4, efer, rip } = cpu;
  print(`${pc.bold(`CPU ${index}`)}  ${paging} paging, CPL ${cpl}${rip === undefined ? '' : `, RIP ${hex(rip)}`}`);
  print(`  CR0 ${hex(cr0)}  CR3 ${hex(cr3)}  CR4 ${hex(cr4)}  EFER ${hex(efer)}`);
  print(`  ${censusText(takeCensus(openCpu(image, index)))}`);
}

function censusText({ tables, tablesByLevel, leavesByLevel }: Census): string {
  const byLevel = tablesByLevel.map((count, level) => ({ count, level })).filter(({ count }) => count > 0);
  const used = byLevel.reverse().map(({ count, level }) => `${count} as ${LEVELS[level]}`);
  const leaves = leavesByLevel.flatMap((count, level) => (count > 0 ? [`${count} at level ${level}`] : []));
  return `${tables} tables (${used.join(', ')}); leaves: ${leaves.join(', ') || 'none'}`;
}

const hex64Number = (value: number): string => hex64(value | 0, Math.floor(value / 0x1_0000_0000));
