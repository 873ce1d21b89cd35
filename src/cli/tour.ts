/**
 * `pagewalk` without arguments: what the page tables of a booted Xen map, region by region, and one translation explained.
 * The image comes with the package.
 */
import { fileURLToPath } from 'node:url';
import type Long from 'long';
import type { Cpu } from '../cpu/cpu.ts';
import { explainWalk, rightsText } from '../cpu/explain.ts';
import { sizeText, walkLines } from '../cpu/walk-text.ts';
import { openCpu } from '../image/open-image.ts';
import { XEN_REGIONS } from '../inspect/regions.ts';
import { EXAMINE, NO_EXECUTE, USER, WRITABLE } from '../mmu/access.ts';
import { toHalves } from '../mmu/address.ts';
import { hex64, PAGE_SIZE } from '../mmu/halves.ts';
import { openImageFile } from './image-file.ts';
import { print } from './output.ts';
import { paint } from './paint.ts';

/** The first instruction of Xen's own code. */
const EXPLAINED = '0xffff82d040200000';

export async function tour(): Promise<void> {
  const path = fileURLToPath(new URL('./xen-idle-6g.ptpages.gz', import.meta.url));
  const image = await openImageFile(path, { '1g': true });
  const cpu = openCpu(image, 0);
  print(paint.bold('The page tables of a booted Xen 4.17 with 6 GiB'));
  print(
    paint.dim(
      'region                     from              to                   mapped  pages                     rights',
    ),
  );
  for (const { name, start, end } of XEN_REGIONS) printRegion(cpu, name, toHalves(start), toHalves(end).subtract(1));
  print('');
  print(paint.bold('One translation'));
  const { low, high } = toHalves(EXPLAINED);
  for (const line of walkLines(explainWalk(cpu.translator, low, high, EXAMINE), paint)) print(line);
  print('');
  print(
    paint.dim(
      'More: pagewalk walk IMAGE ADDRESS, pagewalk maps IMAGE, pagewalk info IMAGE, pagewalk check FILE, pagewalk --help',
    ),
  );
}

function printRegion(cpu: Cpu, name: string, first: Long, last: Long): void {
  const bySize = new Map<number, number>();
  const rights = new Set<string>();
  let mapped = 0;
  for (const leaf of cpu.leaves(first, last)) {
    bySize.set(leaf.pages, (bySize.get(leaf.pages) ?? 0) + 1);
    rights.add(rightsText(leaf.rights & (USER | WRITABLE | NO_EXECUTE)));
    mapped += leaf.pages;
  }
  if (mapped === 0) return;
  const pages = [...bySize]
    .sort(([a], [b]) => a - b)
    .map(([size, count]) => `${count} x ${sizeText(size * PAGE_SIZE)}`);
  const range = `${hex64(first.low, first.high)}  ${hex64(last.low, last.high)}`;
  print(
    `${name.padEnd(25)}  ${range} ${sizeText(mapped * PAGE_SIZE).padStart(8)}  ${pages.join(', ').padEnd(24)}  ${[...rights].join(' ')}`,
  );
}
