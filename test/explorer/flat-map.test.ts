import { describe, expect, it } from 'vitest';
import { FlatMap, mappingText, sameMapping } from '../../src/explorer/flat-map.ts';
import { INVALID_MFN, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO } from '../../src/hypervisor/index.ts';
import { A, D, P, PS, RW } from '../../src/mmu/entry.ts';

const RO = PAGE_HYPERVISOR_RO;

describe('FlatMap', () => {
  it('maps ascending frames, of the pages that it was asked for', () => {
    const map = new FlatMap([10, 12, 99]);
    map.map(8, 100, 8, RO);
    expect([10, 11, 12, 99].map((page) => map.at(page)?.mfn)).toEqual([102, undefined, 104, undefined]);
  });

  it.each<[string, number, number]>([
    ['flags 0', INVALID_MFN, 0],
    ['flags 0, whatever the frame', 7, 0],
    ['no frame', INVALID_MFN, PAGE_HYPERVISOR],
  ])('unmaps with %s', (_name, mfn, flags) => {
    const map = new FlatMap([1, 2]);
    map.map(1, 7, 2, RO);
    map.map(2, mfn, 1, flags);
    expect([map.at(1)?.mfn, map.at(2)]).toEqual([7, undefined]);
  });

  it('modifies what is mapped, and no frame; without P it unmaps', () => {
    const map = new FlatMap([1, 2, 3]);
    map.map(1, 7, 1, RO);
    map.modify(1, 3, PAGE_HYPERVISOR);
    expect(map.at(1)!.mfn).toBe(7);
    expect(map.at(1)!.flags & RW).toBe(RW);
    expect(map.at(2)).toBeUndefined();
    map.modify(1, 2, 0);
    expect(map.at(1)).toBeUndefined();
  });

  it('is copied whole', () => {
    const map = new FlatMap([1]);
    map.map(1, 7, 1, RO);
    const copy = map.copy();
    copy.map(1, 8, 1, RO);
    expect([map.at(1)!.mfn, copy.at(1)!.mfn]).toEqual([7, 8]);
  });
});

describe('sameMapping', () => {
  const mapping = { mfn: 7, flags: P | RW };
  it('leaves out A, D and the size, and nothing else', () => {
    expect(sameMapping(mapping, { mfn: 7, flags: P | RW | A | D | PS })).toBe(true);
    expect(sameMapping(mapping, { mfn: 7, flags: P })).toBe(false);
    expect(sameMapping(mapping, { mfn: 8, flags: P | RW })).toBe(false);
    expect(sameMapping(mapping, undefined)).toBe(false);
    expect(sameMapping(undefined, undefined)).toBe(true);
    expect([mappingText(undefined), mappingText(mapping)]).toEqual(['nothing', 'frame 0x7 (flags 0x3)']);
  });
});
