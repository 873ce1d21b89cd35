// A user's page: bundled for browsers, and run without anything that only Node has.
import { Machine } from 'pagewalk';
import { explore, map } from 'pagewalk/explorer';
import { mapPagesToXen, PAGE_HYPERVISOR, Xen } from 'pagewalk/hypervisor';
import { ImageError, openImage } from 'pagewalk/image';

const machine = new Machine({ memory: { size: 8 << 20 } });
const mm = new Xen(machine, { heap: { start: 4 << 20, size: 2 << 20 } }).on(0);
const code = mapPagesToXen(mm, '0xffff830000000000', 0, 512, PAGE_HYPERVISOR);
const { failures } = explore({ name: 'mine', about: 'two CPUs', cpus: [[map(0, 7)], [map(1, 9)]] });
const reason = await openImage({ size: 4, read: () => 0 }).catch((thrown) => thrown);
globalThis.result = `browser ${code} ${failures.length} ${reason instanceof ImageError}`;
