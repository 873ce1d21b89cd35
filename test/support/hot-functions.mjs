// Run with --log-ic: explores a scenario, then accesses and maps as an emulator does. At the end, a control: a place that
// sees objects of five shapes.
import { explore, variantOf } from '../../dist/explorer/index.js';
import { mapPages, modifyPages, Xen } from '../../dist/hypervisor/index.js';
import { Machine } from '../../dist/index.js';

const SIZE = 16 << 20;
const FIRST = 0xffff83000 * 2 ** 16; // page number of 0xffff830000000000
const HI = 0xffff8300 | 0;

explore(variantOf('r1', 'l3').scenario);

const machine = new Machine({ memory: { size: SIZE } });
const xen = new Xen(machine, { heap: { start: 0, size: SIZE } });
const [cpu] = machine.cpus;
cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
const mm = xen.on(0);
for (let n = 0; n < 5; n++) {
  for (let page = 0; page < 2048; page++) mapPages(mm, FIRST + page, 1024 + page, 1, 0x800163);
  for (let k = 0; k < 20_000; k++) {
    const lo = (k & 2047) * 4096;
    cpu.write32(lo, HI, cpu.read32(lo, HI) + 1);
    if (cpu.faulted !== 0) throw new Error(`vector ${cpu.faulted}`);
  }
  modifyPages(mm, FIRST, FIRST + 2048, 0);
  cpu.invpcid(2, 0, 0, 0, 0);
}

const control = (object) => object.at;
for (let k = 0; k < 1000; k++)
  control([{ at: 1 }, { a: 0, at: 1 }, { b: 0, at: 1 }, { c: 0, at: 1 }, { d: 0, at: 1 }][k % 5]);
