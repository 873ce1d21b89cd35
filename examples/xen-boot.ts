/**
 * A booting Xen maps all RAM: its directmap, built by the calls that Xen itself makes, in pages of 1 GiB, 2 MiB and 4 KiB.
 * With 6 GiB each leaf is what a real Xen 4.17 has (test/corpus/images/FACTS.md, test/corpus/xen-boot), but for A and D.
 *
 * After `npm run build`, with Node 22.18 or later; `pagewalk maps` reads the image that `-o` writes:
 *
 *   node examples/xen-boot.ts [--mem 64G] [-o IMAGE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Long from 'long';
import { Machine } from 'pagewalk';
import {
  addressAt,
  DIRECTMAP,
  l4Slot,
  MAP_SMALL_PAGES,
  mapPagesToXen,
  PAGE_CACHE_ATTRS,
  PAGE_HYPERVISOR,
  PAGE_HYPERVISOR_RWX,
  PAGE_HYPERVISOR_SHSTK,
  PAGE_HYPERVISOR_TABLE,
  PAGE_HYPERVISOR_UCMINUS,
  SYS_STATE_BOOT,
  Xen,
} from 'pagewalk/hypervisor';
import { writeContainer } from 'pagewalk/image';

const { mem, output } = parseArgs({
  options: { mem: { type: 'string', default: '6G' }, output: { type: 'string', short: 'o' } },
}).values;
const gib = /^\d+G$/.test(mem) ? Number.parseInt(mem, 10) : 0;
if (gib < 4 || gib > 511) throw new RangeError(`--mem is 4G to 511G, what one L4 entry can map; not ${mem}`);

// QEMU's machine `pc`, in frames: 3 GiB with the VGA hole, their last 128 KiB for ACPI; the rest from 4 GiB on.
const GIB = 2 ** 18;
const VGA = { first: 0xa0, end: 0xc0 };
const LOW_END = 3 * GIB;
const ACPI = LOW_END - 0x20;
const END = (4 + gib - 3) * GIB;

// What lies at the top of RAM: the modules that the boot loader left, mapped last, and below them the stacks of two CPUs.
const MODULES = END - 0x3f7;
const STACKS = [END - 0x3408, END - 0x3458];
/** Pages of a stack that are read-only, so that an overflow faults. They are mapped as shadow stacks are. */
const GUARDS = [0, 5];

/** The first 2 MiB stay small pages that the boot code may run in; the VGA hole in them is not cached (UC-). */
const BOOT = PAGE_HYPERVISOR_RWX | MAP_SMALL_PAGES;
const BOOT_UNCACHED = BOOT | (PAGE_HYPERVISOR_UCMINUS & PAGE_CACHE_ATTRS);

/** Frames `first` to `end`, mapped in one call. */
interface Call {
  readonly what: string;
  readonly first: number;
  readonly end: number;
  readonly flags: number;
}

const CALLS: Call[] = [
  { what: 'first 640 KiB', first: 0, end: VGA.first, flags: BOOT },
  { what: 'VGA hole, UC-', first: VGA.first, end: VGA.end, flags: BOOT_UNCACHED },
  { what: 'up to 2 MiB', first: VGA.end, end: 0x200, flags: BOOT },
  { what: 'RAM below 4 GiB', first: 0x200, end: ACPI - 0x1e0, flags: PAGE_HYPERVISOR },
  { what: 'its last pages', first: ACPI - 0x1e0, end: ACPI, flags: PAGE_HYPERVISOR },
  { what: 'RAM from 4 GiB on', first: 4 * GIB, end: MODULES, flags: PAGE_HYPERVISOR },
  { what: 'the modules', first: MODULES, end: END, flags: PAGE_HYPERVISOR },
  ...STACKS.flatMap((stack, cpu) =>
    GUARDS.map((page) => {
      const first = stack + page;
      return { what: `guard page of CPU ${cpu}`, first, end: first + 1, flags: PAGE_HYPERVISOR_SHSTK };
    }),
  ),
];

// Only tables are looked at, so only they need memory: two that come with Xen's image, and those that calls add.
const ROOT = 0xbfc00;
const FIRST_L3 = ROOT + 1;
const TABLES = 32;
const machine = new Machine({
  memory: { ranges: [{ start: ROOT * 4096, size: TABLES * 4096 }] },
  features: { maxPhyAddr: 40 },
});
// The L4 entry of the directmap is no-execute, which it would not be if a call added it.
const noExecute = Long.UONE.shiftLeft(63);
const slot = ROOT * 4096 + 8 * l4Slot(DIRECTMAP.start);
machine.host.write64(slot, noExecute.or(FIRST_L3 * 4096 + PAGE_HYPERVISOR_TABLE));

const xen = new Xen(machine, {
  root: ROOT,
  heap: { start: (ROOT + 2) * 4096, size: (TABLES - 2) * 4096 },
  systemState: SYS_STATE_BOOT, // one CPU, no locks
});
const mm = xen.on(0);
const countsNow = (): number[] => [mm.heap.allocations - mm.heap.frees, mm.splits, mm.coalesces];

console.log('call                  virt                  mfn     pages  tables  splits  coalesces');
for (const { what, first, end, flags } of CALLS) {
  const before = countsNow();
  const virt = addressAt(DIRECTMAP.start + first);
  const error = mapPagesToXen(mm, virt, first, end - first, flags);
  if (error !== 0) throw new Error(`map_pages_to_xen returned ${error}`);
  const changes = countsNow().map((now, at) => `${now - before[at]! || '-'}`.padStart(8));
  const columns = [what.padEnd(20), virt.toString(16), first.toString(16).padStart(7), `${end - first}`.padStart(8)];
  console.log(columns.join('  ') + changes.join(''));
}

const word = (value: number): Long => Long.fromNumber(value, true);
const registers = { cr0: word(0x8005_003b), cr3: word(ROOT * 4096), cr4: word(0x55_06e0), efer: word(0x1d01) };
const cpu = machine.cpus[0]!;
cpu.enter(registers);
const counts = new Map<number, number>();
for (const { pages } of cpu.leaves(addressAt(DIRECTMAP.start))) counts.set(pages, (counts.get(pages) ?? 0) + 1);
console.log(`directmap of ${mem}: ${counts.get(1)}x4K ${counts.get(512)}x2M ${counts.get(GIB)}x1G`);

const tables = xen.frames.tables();
const { flush, splits, coalesces } = mm;
console.log(`${tables.length} tables, ${splits} splits, ${coalesces} coalesces, ${flush.requests} flushes`);

if (output !== undefined) {
  const bytes = (first: number, end: number) => ({ start: first * 4096, end: end * 4096 });
  const others = { cr2: Long.UZERO, rflags: undefined, rip: undefined, cpl: 0, ac: 0 };
  const image = {
    name: `xen-boot-${mem.toLowerCase()}`,
    description: 'the directmap of Xen, by examples/xen-boot.ts',
    features: { maxPhyAddr: 40, page1gb: true },
    ram: [bytes(0, VGA.first), bytes(VGA.end, LOW_END), bytes(4 * GIB, END)],
    cpus: [{ index: 0, paging: '4-level', ...registers, ...others } as const],
    readFrame(frame: number, target: Uint8Array): boolean {
      machine.host.read(frame * 4096, target);
      return true;
    },
  };
  writeFileSync(output, await writeContainer(image, tables));
  console.log(`written to ${output}`);
}
