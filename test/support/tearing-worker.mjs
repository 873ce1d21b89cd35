// The other thread of the tearing test: over the same memory, it writes entries in the way it is told until it is stopped.
import { parentPort, workerData } from 'node:worker_threads';
import { Xen } from '../../dist/hypervisor/index.js';
import { Machine } from '../../dist/index.js';

const { shared, how, table, stop } = workerData;
const machine = Machine.attach(shared, 0);
const cpu = machine.cpus[0];
// As mapping code stores; the table itself is nobody's.
const { tables } = new Xen(machine, { heap: { start: 0x10_0000, size: 0x1000 } }).on(0);
const words = machine.memory.words;
const control = new Int32Array(stop);
cpu.enter({ cr0: 1, cr3: 0, cr4: 0, efer: 0 });

parentPort.postMessage('ready');
let stores = 0;
for (let value = 1; Atomics.load(control, 0) === 0; value = value >= 0xffff ? 1 : value + 1, stores++) {
  // Both halves of each pattern carry the same number, so that a reader knows a torn one.
  const lo = (value << 12) | 1;
  const hi = value;
  const entry = table * 512;
  if (how === 'cpu') cpu.write64(table * 4096, 0, lo, hi);
  else if (how === 'tables') tables.write(entry, 1, (value & 0xfffff) + value * 0x100000, 1);
  else if (how === 'halves') {
    words[table * 1024] = lo;
    words[table * 1024 + 1] = hi;
  } else if (how === 'frames') {
    // Another CPU remaps a page: a fresh entry each time, A and D clear, with the frame alternating.
    tables.write(entry, 1, 0x300 + (value & 1), 0x3);
  }
}
parentPort.postMessage(stores);
