// A user's worker threads: two of them map pages of one machine at once, a third party reads what they mapped.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Machine } from 'pagewalk';
import { mapPagesToXen, PAGE_HYPERVISOR, Xen } from 'pagewalk/hypervisor';

const START = 0xffff_8300_0000_0000n;
const PAGES = 1000;

if (isMainThread) {
  const machine = new Machine({ memory: { size: 16 << 20, shared: true }, cpus: 3 });
  const xen = new Xen(machine, { heap: { start: 8 << 20, size: 4 << 20 } });
  const mm = xen.on(0);
  const shared = xen.share();
  machine.cpus[0].park();
  const codes = await Promise.all(
    [1, 2].map((cpu) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { shared, cpu } });
      return new Promise((done, failed) => worker.on('error', failed).on('exit', done));
    }),
  );
  const [cpu] = machine.cpus;
  cpu.unpark();
  cpu.enter({ cr0: 0x8001_0001, cr3: mm.root * 4096, cr4: 0x20, efer: 0xd00 });
  const mapped = [...cpu.leaves()].reduce((sum, { pages }) => sum + pages, 0);
  console.log('threads', codes.join(), mapped === 2 * PAGES);
} else {
  const { shared, cpu } = workerData;
  const mm = Xen.attach(shared, cpu).on(cpu);
  for (let page = 0; page < PAGES; page++) {
    const code = mapPagesToXen(mm, START + BigInt(cpu * 2 * PAGES + page) * 4096n, 8 * page + cpu, 1, PAGE_HYPERVISOR);
    if (code !== 0) throw new Error(`mapping failed: ${code}`);
    mm.cpu.poll();
  }
  mm.cpu.park();
}
