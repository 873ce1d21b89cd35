/**
 * A mapper of one's own, 4 KiB pages only, written against the machine and run by the explorer under every schedule of two
 * CPUs that use it at once, while their hardware walks. It forgets a flush: the explorer finds the schedule in which that
 * shows. The mended one passes. In the end, the same mistake on a running machine, where a sanitizer watches.
 *
 * After `npm run build`, with Node 22.18 or later, and with older ones:
 *
 *   node examples/my-own-mapper.ts
 *   npx esbuild examples/my-own-mapper.ts --bundle --platform=node --format=esm | node --input-type=module -
 */
import { Machine } from 'pagewalk';
import { coverageText, explore, pageAt, read, replay, Sanitizer, type Scenario } from 'pagewalk/explorer';
import {
  ENOMEM,
  FLUSH_ORDER,
  FLUSH_TLB_GLOBAL,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_TABLE,
  Xen,
  type XenMm,
} from 'pagewalk/hypervisor';

// ---- the mapper ----

type Version = 'forgetful' | 'mended';

const P = 1;
const ONE_PAGE = FLUSH_TLB_GLOBAL | FLUSH_ORDER(0); // INVLPG, on every CPU

/** The entry of a page in a table: entries are numbered table * 512 + index. */
const entryIn = (table: number, page: number, level: number): number =>
  table * 512 + (Math.floor(page / 512 ** (level - 1)) % 512);

/** The table that an entry leads to; a new, empty one where there is none; -1 where there is no memory for it. */
function tableBelow({ tables, heap }: XenMm, entry: number, level: number): number {
  if ((tables.read(entry) & P) !== 0) return tables.frame;
  const table = heap.alloc();
  if (table < 0) return -1;
  tables.fill(table, 0, 0, 0);
  tables.publish(entry, level, table, PAGE_HYPERVISOR_TABLE);
  return table;
}

/** Runs `change` with the L1 table of a page and the L2 entry that leads to it, under the lock of the L3 table. */
function below(mm: XenMm, page: number, change: (l1: number, l2Entry: number) => void): number {
  mm.begin();
  mm.locks.lockPgdir();
  const l3 = tableBelow(mm, entryIn(mm.root, page, 4), 4);
  mm.locks.unlockPgdir();
  if (l3 < 0) return -ENOMEM;
  mm.locks.lockBelow(l3);
  try {
    const l2 = tableBelow(mm, entryIn(l3, page, 3), 3);
    const l1 = l2 < 0 ? -1 : tableBelow(mm, entryIn(l2, page, 2), 2);
    if (l1 < 0) return -ENOMEM;
    change(l1, entryIn(l2, page, 2));
    return 0;
  } finally {
    mm.locks.unlockBelow();
  }
}

/** Maps a page to a frame, whatever it was mapped to. */
const mapPage = (mm: XenMm, page: number, frame: number, version: Version): number =>
  below(mm, page, (l1) => {
    const entry = entryIn(l1, page, 1);
    const old = mm.tables.read(entry);
    mm.tables.write(entry, 1, frame, PAGE_HYPERVISOR);
    if (version === 'mended' && (old & P) !== 0) mm.flush.all(page, ONE_PAGE);
  });

/** Unmaps a page, and frees its L1 table where nothing is left in it. */
const unmapPage = (mm: XenMm, page: number): number =>
  below(mm, page, (l1, l2Entry) => {
    mm.tables.write(entryIn(l1, page, 1), 1, 0, 0);
    const isEmpty = mm.tables.isEmpty(l1, 1);
    if (isEmpty) mm.tables.write(l2Entry, 2, 0, 0);
    const flushed = mm.flush.all(page, ONE_PAGE); // also what leads to the table
    if (isEmpty) mm.heap.free(l1, flushed);
  });

// ---- under every schedule ----

const [page, neighbour] = [pageAt(0), pageAt(1)];
const [before, after] = [0x100, 0x200]; // frames; only tables need memory

const scenario = (version: Version): Scenario => ({
  name: `my-own-mapper, ${version}`,
  about: 'CPU 0 maps a page elsewhere, CPU 1 maps its neighbour and unmaps it; the hardware of both walks to the page',
  prepare: (mm) => void mapPage(mm, page, before, version),
  cpus: [
    [
      {
        name: 'map page 0 elsewhere',
        run: (mm) => mapPage(mm, page, after, version),
        meaning: (flat) => flat.map(page, after, 1, PAGE_HYPERVISOR),
      },
      { name: 'unmap page 0', run: (mm) => unmapPage(mm, page), meaning: (flat) => flat.map(page, 0, 1, 0) },
    ],
    [
      {
        name: 'map page 1',
        run: (mm) => mapPage(mm, neighbour, after + 1, version),
        meaning: (flat) => flat.map(neighbour, after + 1, 1, PAGE_HYPERVISOR),
      },
    ],
  ],
  walks: [[read(page)], [read(page)]],
  pages: [page, neighbour],
});

for (const version of ['forgetful', 'mended'] as const) {
  const { coverage, failures } = explore(scenario(version));
  console.log(`${version}: ${failures.length === 0 ? 'no mistake' : 'mistakes'} in ${coverageText(coverage)}`);
  for (const { kind, what, must, schedule } of failures.slice(0, 1)) {
    console.log(`  ${kind}: ${what}`);
    console.log(`  must hold: ${must}`);
    for (const { cpu, actor, text } of replay(scenario(version), schedule).rows)
      console.log(`    CPU ${cpu}${actor === String(cpu) ? '' : ` (${actor})`} ${text}`);
  }
}

// ---- on a running machine ----

const size = 24 * 4096;
const machine = new Machine({ memory: { size }, cpus: 2 });
const xen = new Xen(machine, { heap: { start: 0, size } });
for (const cpu of machine.cpus) cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0x900 });
const sanitizer = new Sanitizer(xen);
machine.observe(sanitizer);
try {
  sanitizer.operation(0, () => mapPage(xen.on(0), page, 0x3, 'forgetful'));
  machine.cpus[1]!.long.read8('0xffff830000000000');
  sanitizer.operation(0, () => mapPage(xen.on(0), page, 0x4, 'forgetful'));
} catch (found) {
  console.log(`running: ${(found as Error).message}`);
}
