/**
 * A missing flush, found by the sanitizer: a kernel takes a page away from one process and gives it to another, and forgets
 * that a second CPU still has the old translation. The read there returns what belongs to somebody else, and nothing
 * complains; with the sanitizer the very operation does, before anybody reads.
 *
 * After `npm run build`, with Node 22.18 or later, and with older ones:
 *
 *   node examples/missing-flush.ts
 *   npx esbuild examples/missing-flush.ts --bundle --platform=node --format=esm | node --input-type=module -
 */
import { Machine } from 'pagewalk';
import { SanitizerError, TableSanitizer } from 'pagewalk/explorer';
import { PageTables } from 'pagewalk/testing';

type Version = 'forgetful' | 'mended';

const PAGE = 0x40_0000;
const FRAME = 0x20_0000;

/** Two CPUs in one address space; both have read the page. */
function boot(): { machine: Machine; tables: PageTables } {
  const machine = new Machine({ memory: { size: 4 << 20 }, cpus: 2 });
  const tables = new PageTables(machine.host).map(PAGE, FRAME);
  machine.host.write32(FRAME, 0x600d);
  for (const cpu of machine.cpus) {
    cpu.enter({ ...tables.state(), cpl: 3 });
    cpu.read32(PAGE, 0);
  }
  return { machine, tables };
}

/** The kernel on CPU 0 unmaps the page; its frame is then somebody else's. */
function unmap({ cpus, host }: Machine, tables: PageTables, version: Version): void {
  tables.set(PAGE, 1, 0n);
  const flushed = version === 'forgetful' ? cpus.slice(0, 1) : cpus;
  for (const cpu of flushed) cpu.invlpg(PAGE, 0); // a real kernel sends an IPI to the others, and waits
  host.write32(FRAME, 0x5ec2e7);
}

for (const version of ['forgetful', 'mended'] as const) {
  const { machine, tables } = boot();
  unmap(machine, tables, version);
  const other = machine.cpus[1]!;
  const value = other.read32(PAGE, 0);
  console.log(
    other.faulted === 0
      ? `${version}, unwatched: CPU 1 reads 0x${value.toString(16)} from a page that is not mapped`
      : `${version}, unwatched: CPU 1 gets a page fault`,
  );
}

for (const version of ['forgetful', 'mended'] as const) {
  const { machine, tables } = boot();
  const sanitizer = new TableSanitizer();
  machine.observe(sanitizer);
  try {
    unmap(machine, tables, version);
    sanitizer.check(0); // the operation ends here: nobody may use what it has taken away
    console.log(`${version}, watched: nothing is wrong`);
  } catch (failure) {
    if (!(failure instanceof SanitizerError)) throw failure;
    console.log(`${version}, watched: ${failure.message}`);
  }
}
