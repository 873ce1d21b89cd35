/** A user's TypeScript, at its strictest, over every entry point. It is compiled and run where the package is installed. */
import { AMD, type Cpu, FaultError, Machine, NONE, PF, type SharedMachine } from 'pagewalk';
import { explore, map, type Outcome, type Scenario } from 'pagewalk/explorer';
import { mapPagesToXen, PAGE_HYPERVISOR, Xen, type XenMm } from 'pagewalk/hypervisor';
import { containerBytes, type Image, ImageError, openCpu, openImage } from 'pagewalk/image';

const machine: Machine = new Machine({ memory: { size: 8 << 20, shared: true }, features: AMD, caches: { tlb: 64 } });
const cpu: Cpu | undefined = machine.cpus[0];
if (cpu === undefined) throw new Error('a machine has a CPU');
cpu.enter({ cr0: 0x8001_0001, cr3: 0x1000n, cr4: '0x20', efer: 0xd00 });
if (cpu.read32(0x1000, 0) !== 0 || cpu.faulted !== PF) throw new Error('nothing is mapped');
try {
  cpu.long.read64('0xffff830000000000');
  throw new Error('that faults');
} catch (thrown) {
  if (!(thrown instanceof FaultError) || thrown.vector !== PF) throw thrown;
}
const shared: SharedMachine = machine.share();

const xen = new Xen(machine, { heap: { start: 4 << 20, size: 2 << 20 } });
const mm: XenMm = xen.on(0);
if (mapPagesToXen(mm, '0xffff830000000000', 0, 512, PAGE_HYPERVISOR) !== 0)
  throw new Error('there is memory for tables');
cpu.setCr3(mm.root * 4096, 0);
if (cpu.probe(0, 0xffff8300 | 0) !== NONE) throw new Error('now it is mapped');

const scenario: Scenario = { name: 'mine', about: 'two CPUs', cpus: [[map(0, 7)], [map(1, 9)]] };
const outcome: Outcome = explore(scenario);
if (!outcome.coverage.complete || outcome.failures.length > 0) throw new Error('two CPUs that do not meet go well');

// @ts-expect-error: a machine without memory is refused by the compiler
const refused = (): Machine => new Machine({ cpus: 1 });

const damaged: Promise<Image> = openImage({ size: 4, read: () => 0 });
damaged.then(
  () => process.exit(1),
  (reason: unknown) => {
    if (!(reason instanceof ImageError)) throw reason;
    console.log('strict', shared.cpus, typeof refused, typeof openCpu, typeof containerBytes);
  },
);
