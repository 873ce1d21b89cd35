// CPU 1 in a thread of its own, which does one thing: hold a lock and die, run without ever polling, poll, or park.
import { parentPort, workerData } from 'node:worker_threads';
import { Xen } from '../../dist/hypervisor/index.js';

const { shared, what, l3, stop } = workerData;
const flag = new Int32Array(stop);
const xen = Xen.attach(shared, 1);
const mm = xen.on(1);
const { cpu } = mm;
cpu.enter({ cr0: 0x8001_0001, cr3: xen.root * 4096, cr4: 0xa0, efer: 0xd00 });
const read = () => {
  const value = cpu.read32(0, 0xffff_8300 | 0);
  return cpu.faulted === 0 ? value : `#${cpu.faulted}`;
};

if (what === 'die with a lock') {
  mm.begin();
  mm.locks.lockBelow(l3);
  process.exit(0);
}
const before = read();
if (what === 'park') cpu.park();
parentPort.postMessage(before);
while (Atomics.load(flag, 0) === 0) if (what === 'poll') cpu.poll();
if (what === 'park') cpu.unpark();
parentPort.postMessage(read());
