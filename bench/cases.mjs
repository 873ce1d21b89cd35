// What is measured. A case names two loops over one stream of offsets, what the guest is, and what the CPU must have done per
// operation, so that it measures what it says.
import { pageStream, physical, randomStream, sequentialStream, widePhysical, wideStream } from './guest.mjs';

const size = { read8: 1, read32: 4, read64: 8, write8: 1, write32: 4, write64: 8 };
const random = (loop, pages = 200) => randomStream(size[loop], pages);
const sequential = (loop) => sequentialStream(size[loop]);

/** `map` makes the tables; `raw` is the loop to compare with; `walks`, `tlbHits`: per operation. */
const hits = (name, loop, stream, options = {}) => ({
  name,
  loop,
  stream,
  raw: loop in size ? loop : 'read32',
  map: (guest) => guest.mapSmall(200).mapped(),
  physical,
  walks: 0,
  tlbHits: 0,
  ...options,
});
const pages = (count) => ({ map: (guest) => guest.mapSmall(count).mapped() });
const wide = (name, map, count, options = {}) =>
  hits(name, 'read32Wide', wideStream(count, options), {
    map,
    physical: widePhysical,
    walks: undefined,
    tlbHits: undefined,
  });
const NO_FLUSH = 1 << 31;

export const CASES = [
  ...[false, true].flatMap((shared) => {
    const buffer = shared ? 'shared' : 'ArrayBuffer';
    return [
      hits(`32-bit load, random, ${buffer}`, 'read32', random('read32'), { shared }),
      hits(`32-bit load, sequential, ${buffer}`, 'read32', sequential('read32'), { shared }),
      hits(`32-bit store, random, ${buffer}`, 'write32', random('write32'), { shared }),
      hits(`32-bit store, sequential, ${buffer}`, 'write32', sequential('write32'), { shared }),
    ];
  }),
  ...['read8', 'read64', 'write8', 'write64'].flatMap((loop) => {
    const what = `${8 * size[loop]}-bit ${loop.startsWith('read') ? 'load' : 'store'}`;
    return [hits(`${what}, random`, loop, random(loop)), hits(`${what}, sequential`, loop, sequential(loop))];
  }),
  hits('32-bit load, one CPU that V8 knows', 'read32Known', random('read32'), { raw: 'read32Known' }),
  hits('32-bit load, user and supervisor in turn', 'read32InTurn', random('read32')),
  hits('32-bit load through cpu.long', 'longRead32', random('read32')),
  hits('TLB hit, no hit view', 'read32', random('read32'), { caches: { hitViews: 'off' }, tlbHits: 1 }),
  hits('translate', 'translate', random('read32'), { tlbHits: 1 }),
  hits('explained walk', 'explain', random('read32'), { walks: undefined, tlbHits: undefined }),

  hits('miss, structure caches warm, 200 pages', 'read32', pageStream(200), { caches: { tlb: 64 }, walks: 0.8 }),
  hits('miss, structure caches warm, 64 MiB', 'read32', pageStream(1 << 14), {
    ...pages(1 << 14),
    caches: { tlb: 4096 },
    walks: 1,
  }),
  hits('walk of 4 levels, and fill', 'read32', pageStream(200), {
    caches: { tlb: 64, structures: 'off' },
    walks: 0.8,
  }),
  hits('walk of 5 levels, and fill', 'read32', pageStream(200), {
    caches: { tlb: 64, structures: 'off' },
    walks: 0.8,
    levels: 5,
  }),
  wide('load, 64 MiB in 4 KiB pages', (guest) => guest.mapSmall(2 ** 14), 2 ** 14),
  wide('load, 64 MiB in 2 MiB pages', (guest) => guest.mapLarge(2 ** 5), 2 ** 14),
  wide('load, 1 GiB in 4 KiB pages', (guest) => guest.mapSmall(2 ** 18), 2 ** 18),
  wide('load, 1 GiB in 2 MiB pages', (guest) => guest.mapLarge(2 ** 9), 2 ** 18),
  wide('load, 1 GiB in a 1 GiB page', (guest) => guest.mapHuge(1), 2 ** 18, { firstOfGiB: true }),
  wide('load, 16 GiB in 4 KiB pages', (guest) => guest.mapSmall(2 ** 18).repeatGiB(16), 2 ** 22),
  wide('load, 16 GiB in 2 MiB pages', (guest) => guest.mapLarge(2 ** 9).repeatGiB(16), 2 ** 22),
  wide('load, 16 GiB in 1 GiB pages', (guest) => guest.mapHuge(16), 2 ** 22, { firstOfGiB: true }),

  hits('MOV CR3', 'movCr3', random('read32')),
  hits('MOV CR3, PCID, flush', 'movCr3', random('read32'), { pcid: true, argument: [1, 0] }),
  hits('MOV CR3, PCID, no flush', 'movCr3', random('read32'), { pcid: true, argument: [1, NO_FLUSH] }),
  hits('MOV CR3, 4096 pages in the TLB', 'movCr3', random('read32'), { ...pages(4096), touched: 4096 }),
  hits('INVPCID, all', 'invpcidAll', random('read32'), { ...pages(4096), touched: 4096, cpl: 0 }),
  hits('load, MOV CR3 every 16', 'movCr3AndRead32', pageStream(16 * 12), { walks: 1 }),
  hits('load, MOV CR3 every 16, PCID, no flush', 'movCr3AndRead32', pageStream(16 * 12), {
    pcid: true,
    argument: [1, NO_FLUSH],
    tlbHits: 1,
  }),
  hits('load, MOV CR3 every 1024', 'movCr3AndRead32', random('read32'), {
    argument: [0, 0, 1024],
    walks: undefined,
  }),
  hits('INVLPG', 'invlpg', random('read32')),
  hits('INVLPG and a load', 'invlpgAndRead32', random('read32'), { walks: 1 }),
  hits('INVLPG in a 1 GiB page of which 4096 pieces are in use', 'invlpg', randomStream(4, 4096), {
    map: (guest) => guest.mapHuge(1).mapped(),
    touched: 4096,
  }),
  hits('page fault to the handler and back', 'fault', pageStream(200), { map: (guest) => guest.mapped(), walks: 1 }),
  hits('page fault, mapped, load again, unmapped', 'demandPaging', pageStream(200), { walks: 2 }),
  hits('32-bit store, dirty pages harvested every 4096', 'harvest', random('write32'), {
    raw: 'write32',
    walks: 0,
    tlbHits: undefined,
  }),
];
