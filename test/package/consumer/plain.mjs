// A user's JavaScript, as an ES module.
import { Machine } from 'pagewalk';
import * as explorer from 'pagewalk/explorer';
import * as hypervisor from 'pagewalk/hypervisor';
import * as image from 'pagewalk/image';

const { cpus } = new Machine({ memory: { buffer: new ArrayBuffer(1 << 20) } });
cpus[0].write32(0x1234, 0, 42);
console.log(
  'plain',
  cpus[0].read32(0x1234, 0),
  [explorer, hypervisor, image].every((entry) => Object.keys(entry).length > 0),
);
