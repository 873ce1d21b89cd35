/**
 * What a memory dump maps, and one translation of it, entry by entry: of a `.ptpages` container, of an ELF core that QEMU's
 * `dump-guest-memory` wrote, or of a raw dump, for which `--cr3` and `--paging` say where the tables are. Frames are read
 * when they are touched, so a dump of many GiB costs what its page tables cost.
 *
 * After `npm run build`, with Node 22.18 or later:
 *
 *   node examples/walk-a-dump.ts [--cr3 HEX --paging 4-level] [DUMP [ADDRESS]]
 */
import { fstatSync, openSync, readSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EXAMINE } from 'pagewalk';
import { openCpu, openImage, type RandomAccess, type RawRegisters } from 'pagewalk/image';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cr3: { type: 'string' }, paging: { type: 'string', default: '4-level' } },
});
const [path = 'test/corpus/images/xen-idle-6g.ptpages.gz', address = 'ffff82d040200000'] = positionals;

const file = openSync(path, 'r');
const reader: RandomAccess = {
  size: fstatSync(file).size,
  read: (offset, target) => readSync(file, target, 0, target.length, offset),
};
const raw =
  values.cr3 === undefined ? undefined : { cr3: `0x${values.cr3}`, paging: values.paging as RawRegisters['paging'] };
const image = await openImage(reader, raw === undefined ? {} : { raw });

for (const { index, paging, cr3 } of image.cpus)
  console.log(`CPU ${index}: ${paging} paging, CR3 0x${cr3.toString(16)}`);

const missing = new Set<number>(); // tables that the dump does not hold
const cpu = openCpu(image, image.cpus[0]!.index, { missing });

let [runs, bytes, open] = [0, 0, 0];
for (const { sizeBytes, rights } of cpu.runs()) {
  runs += 1;
  bytes += sizeBytes;
  if (rights.endsWith('wx')) open += sizeBytes;
}
console.log(`CPU 0 maps ${bytes / 1024} KiB in ${runs} runs, ${open / 1024} KiB of them writable and executable`);

const walk = cpu.long.explain(`0x${address}`, EXAMINE);
console.log(`${address}:`);
for (const { name, index, entryAddress, entry, flags, outcome } of walk.steps)
  console.log(`  ${name} ${index} at 0x${entryAddress.toString(16)} is 0x${entry.toString(16)} (${flags}): ${outcome}`);
const size = walk.pageSize === 0 ? '' : `, in a page of ${walk.pageSize / 1024} KiB, ${walk.rights}`;
console.log(walk.physical === undefined ? `  ${walk.summary}` : `  is 0x${walk.physical.toString(16)}${size}`);
if (missing.size > 0) console.log(`${missing.size} tables are not in the dump: what they map is not known`);
