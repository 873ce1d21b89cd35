// What is measured. A case names two loops over one stream of offsets, and what the CPU must have done per operation, so
// that it measures what it says.
import { pageStream, randomStream, sequentialStream } from './guest.mjs';

const WITHOUT_CACHES = { tlb: 'off', structures: 'off' };

const hits = (name, loop, stream, options = {}) => ({ name, loop, stream, pages: 200, walks: 0, ...options });
const size = { read8: 1, read32: 4, read64: 8, write32: 4 };
const random = (loop) => randomStream(size[loop], 200);

export const CASES = [
  ...[false, true].flatMap((shared) => {
    const buffer = shared ? 'SharedArrayBuffer' : 'ArrayBuffer';
    return [
      hits(`32-bit load, random, ${buffer}`, 'read32', random('read32'), { shared }),
      hits(`32-bit load, sequential, ${buffer}`, 'read32', sequentialStream(4), { shared }),
      hits(`32-bit store, dirty tracking, ${buffer}`, 'write32', random('write32'), { shared }),
    ];
  }),
  hits('8-bit load, random', 'read8', random('read8')),
  hits('64-bit load, random', 'read64', random('read64')),
  hits('32-bit load, user and supervisor in turn', 'read32InTurn', random('read32'), { raw: 'read32' }),
  hits('32-bit load, 1 GiB in 2 MiB pages', 'read32', randomStream(4, 1 << 18), { large: 512 }),
  hits('32-bit load through cpu.long', 'longRead32', random('read32'), { raw: 'read32' }),
  hits('TLB hit, no hit view', 'read32', random('read32'), { caches: { hitViews: 'off' }, tlbHits: 1 }),

  hits('TLB miss, structure caches warm', 'read32', pageStream(1 << 14), { pages: 1 << 14, walks: 1 }),
  hits('walk of 4 levels', 'read32', random('read32'), { caches: WITHOUT_CACHES, walks: 1 }),
  hits('walk of 5 levels', 'read32', random('read32'), { caches: WITHOUT_CACHES, walks: 1, levels: 5 }),

  hits('MOV CR3', 'movCr3', random('read32'), { raw: 'read32' }),
  hits('MOV CR3, PCID, flush', 'movCr3', random('read32'), { raw: 'read32', pcid: true, argument: [1, 0] }),
  hits('MOV CR3, PCID, no flush', 'movCr3', random('read32'), { raw: 'read32', pcid: true, argument: [1, 1 << 31] }),
  hits('load after MOV CR3 (16 pages each)', 'movCr3AndRead32', pageStream(16 * 12), { raw: 'read32', walks: 1 }),
  hits('the same, PCID, no flush', 'movCr3AndRead32', pageStream(16 * 12), {
    raw: 'read32',
    pcid: true,
    argument: [1, 1 << 31],
    tlbHits: 1,
  }),
  hits('INVLPG', 'invlpg', random('read32'), { raw: 'read32' }),
  hits('INVLPG and a load', 'invlpgAndRead32', random('read32'), { raw: 'read32', walks: 1 }),
  hits('page fault, mapped, load again, unmapped', 'demandPaging', pageStream(200), { raw: 'read32', walks: 2 }),
];
