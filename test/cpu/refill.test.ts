import { describe, expect, it } from 'vitest';
import { A, ALL, D, G, Guest, P, ROOT, RW, US, XD } from '../support/guest.ts';

const PGE = 0x80;
const USED = ALL | A | D;

/** A guest whose entries were all used once, so that nothing needs marking, with empty caches. */
function used(leaves: readonly (readonly [bigint, bigint])[]): Guest {
  const guest = new Guest({ cr4: PGE });
  for (const [address, leaf] of leaves) guest.map(address, leaf);
  for (const [address] of leaves) guest.cpu.read8(Number(address), 0);
  guest.cpu.invpcid(2, 0, 0, 0, 0);
  guest.cpu.counters.reset();
  return guest;
}

describe('the short way of a miss', () => {
  it('walks once, and hits from then on', () => {
    const { cpu } = used([[0x1000n, 0x1000n | USED]]);
    for (let time = 0; time < 5; time++) cpu.read32(0x1000, 0);
    expect([cpu.counters.walks, cpu.counters.misses, cpu.counters.hits]).toEqual([1, 1, 0]);
    cpu.fetch32(0x1000, 0); // another view, from the TLB
    cpu.write32(0x1000, 0, 1);
    expect([cpu.counters.walks, cpu.counters.misses, cpu.counters.hits]).toEqual([1, 1, 2]);
  });

  it('keeps a global page over MOV CR3, and no other', () => {
    const { cpu } = used([
      [0x1000n, 0x1000n | USED],
      [0x2000n, 0x2000n | USED | G],
    ]);
    cpu.read8(0x1000, 0);
    cpu.read8(0x2000, 0);
    cpu.setCr3(ROOT * 4096, 0);
    cpu.counters.reset();
    cpu.read8(0x2000, 0);
    expect(cpu.counters.walks).toBe(0);
    cpu.read8(0x1000, 0);
    expect(cpu.counters.walks).toBe(1);
  });

  it.each([
    ['R/W', P | US, 'a write'],
    ['U/S', P | RW, 'a read'],
    ['XD', ALL | XD, 'a fetch'],
  ] as const)('joins %s of the entries above with those of the page, cached or not', (_bit, upper, what) => {
    for (const level of [2, 3, 4]) {
      const guest = new Guest({ cr4: PGE });
      guest.machine.host.write64(0x2000, 1n); // dirty: a store needs no second look
      for (const page of [0x1000n, 0x2000n]) guest.map(page, page | USED);
      const at = guest.entryAddress(0x1000n, level);
      guest.machine.host.write64(at, (guest.entryAt(at) & ~0xfffn & ~XD) | upper | A);
      const { cpu } = guest;
      cpu.setCpl(0);
      cpu.read8(0x1000, 0); // the structure caches know the way
      cpu.setCpl(3);
      if (what === 'a write') cpu.write8(0x2000, 0, 1);
      else if (what === 'a read') cpu.read8(0x2000, 0);
      else cpu.fetch8(0x2000, 0);
      expect([level, what, cpu.faulted]).toEqual([level, what, 14]);
    }
  });

  it('takes the view of an evicted entry with it, of each kind', () => {
    const guest = new Guest({ caches: { tlb: 4 } }); // one set
    for (let page = 0; page < 5; page++) guest.map(BigInt(page * 4096), BigInt(page * 4096) | USED);
    const { cpu } = guest;
    const touch = [
      (lo: number) => cpu.read8(lo, 0),
      (lo: number) => cpu.write8(lo, 0, 1),
      (lo: number) => cpu.fetch8(lo, 0),
    ];
    for (const access of touch) {
      for (let time = 0; time < 3; time++) for (let page = 0; page < 5; page++) access(page * 4096);
      // Five pages compete for four places: whatever order they go in, no kind of access has five of them without a walk.
      cpu.counters.reset();
      for (let page = 0; page < 5; page++) access(page * 4096);
      expect(cpu.counters.walks).toBeGreaterThan(0);
    }
  });

  // Entries tell the generation that they are of by its low 12 bits first.
  it.each([1, 2] as const)('finds nothing of before a flush, however many there were since: level %i', (level) => {
    const guest = new Guest({ cr4: PGE });
    const { cpu } = guest;
    const { host } = guest.machine;
    guest.map(0x1000n, 0x1000n | USED);
    guest.map(0x20_1000n, 0x2000n | USED);
    host.write32(0x1000, 0x1111);
    host.write32(0x2000, 0x2222);
    const at = guest.entryAddress(0x1000n, level);
    const [entry, other] = [guest.entryAt(at) | A, guest.entryAt(guest.entryAddress(0x20_1000n, level)) | A];
    for (let flushes = 4090; flushes < 4100; flushes++) {
      host.write64(at, entry);
      cpu.setCr3(ROOT * 4096, 0);
      expect(cpu.read32(0x1000, 0)).toBe(0x1111);
      host.write64(at, other);
      for (let time = 0; time < flushes; time++) cpu.setCr3(ROOT * 4096, 0);
      expect(cpu.read32(0x1000, 0)).toBe(0x2222);
    }
  });
});
