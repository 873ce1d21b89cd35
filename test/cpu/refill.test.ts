import { describe, expect, it, vi } from 'vitest';
import { A, ALL, D, G, Guest, type GuestOptions, P, PS, ROOT, RW, US, XD } from '../support/guest.ts';

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

  it.each([
    ['in the TLB', true],
    ['in no cache', false],
  ])('leaves a store to a page without D to the slow path, which sets it: %s', (_where, isCached) => {
    const guest = used([[0x1000n, 0x1000n | ALL | A]]);
    const { cpu, machine } = guest;
    machine.host.write64(0x1000, 1n); // dirty to the host: a store needs no second look for that
    if (isCached) cpu.read8(0x1000, 0);
    const at = guest.entryAddress(0x1000n, 1);
    expect(guest.entryAt(at) & D).toBe(0n);
    cpu.write8(0x1000, 0, 1);
    expect(guest.entryAt(at) & D).toBe(D);
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

  describe.each([
    [2, 0x20_0000],
    [3, 0x4000_0000],
  ] as const)('of a large page of level %i', (level, size) => {
    const MEMORY = { memory: { size: 8 << 20 } };
    const BEYOND = 0x1234; // within what the page maps
    /** A large page at `size`, over RAM from 0 on, which was used once; empty caches. */
    function usedLarge(leaf: bigint, options: GuestOptions = {}): Guest {
      const guest = new Guest({ ...MEMORY, cr4: PGE, ...options });
      guest.map(BigInt(size), leaf | PS, level);
      guest.cpu.read8(size, 0);
      guest.cpu.invpcid(2, 0, 0, 0, 0);
      guest.cpu.counters.reset();
      return guest;
    }

    it('walks once, and hits from then on, in all its pieces of 2 MiB', () => {
      const { cpu, machine } = usedLarge(USED);
      machine.host.write32(BEYOND, 0x5678);
      for (let time = 0; time < 5; time++) expect(cpu.read32(size + BEYOND, 0)).toBe(0x5678);
      for (let page = 0; page < 512; page++) cpu.read8(size + page * 4096, 0);
      expect([cpu.counters.walks, cpu.counters.hits]).toEqual([1, 0]);
      cpu.fetch32(size + BEYOND, 0); // another view, from the TLB
      for (let page = 0; page < 512; page++) cpu.fetch8(size + page * 4096, 0);
      expect([cpu.counters.walks, cpu.counters.hits]).toEqual([1, 1]);
    });

    it('keeps a global page over MOV CR3, and no other', () => {
      for (const [leaf, walks] of [
        [USED | G, 0],
        [USED, 1],
      ] as const) {
        const { cpu } = usedLarge(leaf);
        cpu.read8(size, 0);
        cpu.setCr3(ROOT * 4096, 0);
        cpu.counters.reset();
        cpu.read8(size + BEYOND, 0);
        expect(cpu.counters.walks).toBe(walks);
      }
    });

    it('finds the tables above again where the structure caches have them', () => {
      const guest = usedLarge(USED);
      const { cpu } = guest;
      cpu.read8(size, 0);
      // The entry above the leaf is gone; hardware may go on from what it has cached.
      guest.machine.host.write64(guest.entryAddress(BigInt(size), level + 1), 0n);
      cpu.translator.tlb.flushAll();
      cpu.translator.views.dropAll();
      cpu.read8(size, 0);
      expect(cpu.faulted).toBe(0);
      cpu.invlpg(size, 0);
      cpu.read8(size, 0);
      expect(cpu.faulted).toBe(14);
    });

    it.each([
      ['A of the leaf', () => ALL | D],
      ['A of an entry above', () => USED],
      ['D, for a store', () => ALL | A],
    ] as const)('leaves to the slow path what must be marked: %s', (what, leaf) => {
      const guest = usedLarge(leaf());
      const { cpu, machine } = guest;
      const at = guest.entryAddress(BigInt(size), what.includes('above') ? level + 1 : level);
      machine.host.write64(at, guest.entryAt(at) & ~(what.startsWith('D') ? D : A));
      if (what.startsWith('D')) cpu.write8(size + BEYOND, 0, 1);
      else cpu.read8(size + BEYOND, 0);
      expect(cpu.faulted).toBe(0);
      expect(guest.entryAt(at) & (what.startsWith('D') ? D : A)).not.toBe(0n);
    });

    it.each([level, level + 1])('leaves it to the slow path to mark what loses A meanwhile: level %i', (of) => {
      const guest = usedLarge(USED);
      const { cpu, machine } = guest;
      const { port } = cpu.translator;
      const at = guest.entryAddress(BigInt(size), of);
      const load = port.load.bind(port);
      vi.spyOn(port, 'load').mockImplementationOnce((table, index, bytes) => {
        machine.host.write64(at, guest.entryAt(at) & ~A); // another CPU, after the first look
        load(table, index, bytes);
      });
      cpu.read8(size + BEYOND, 0);
      expect(port.load).toHaveBeenCalled();
      expect([cpu.faulted, guest.entryAt(at) & A]).toEqual([0, A]);
    });

    it.each([
      ['R/W', USED & ~RW, 'a write'],
      ['U/S', USED & ~US, 'a read'],
      ['XD', USED | XD, 'a fetch'],
      ['a reserved bit', USED | 0x2000n, 'a read'],
    ] as const)('leaves faults to the slow path: %s', (_bit, leaf, what) => {
      const { cpu } = usedLarge(leaf);
      for (const isCached of [false, true]) {
        if (isCached) cpu.setCpl(0);
        if (isCached) cpu.read8(size, 0);
        cpu.setCpl(3);
        if (what === 'a write') cpu.write8(size + BEYOND, 0, 1);
        else if (what === 'a read') cpu.read8(size + BEYOND, 0);
        else cpu.fetch8(size + BEYOND, 0);
        expect([what, isCached, cpu.faulted]).toEqual([what, isCached, 14]);
      }
    });

    it('joins the rights of the entries above that are cached with its own', () => {
      const guest = usedLarge(USED);
      guest.map(BigInt(2 * size), USED | PS, level);
      const at = guest.entryAddress(BigInt(size), level + 1);
      guest.machine.host.write64(at, (guest.entryAt(at) | A) & ~US);
      const { cpu } = guest;
      cpu.read8(size, 0); // the structure caches know the way
      cpu.setCpl(3);
      cpu.read8(2 * size, 0);
      expect(cpu.faulted).toBe(14);
    });

    it('is not kept where the TLB keeps none of its size', () => {
      const guest = usedLarge(USED, { caches: level === 2 ? { tlbLarge: 0 } : { tlbHuge: 0 } });
      const { cpu } = guest;
      cpu.read8(size, 0);
      guest.machine.host.write64(guest.entryAddress(BigInt(size), level), 0n);
      cpu.read8(size, 0);
      expect(cpu.faulted).toBe(14);
    });

    it('takes all its views with it when it is evicted', () => {
      const guest = new Guest({ ...MEMORY, caches: level === 2 ? { tlbLarge: 4 } : { tlbHuge: 4 } });
      const { cpu } = guest;
      for (let page = 0; page < 5; page++) guest.map(BigInt(page * size) + (1n << 40n), USED | PS, level);
      const touch = (): void => {
        for (let page = 0; page < 5; page++) {
          const address = BigInt(page * size) + (1n << 40n);
          cpu.read8(Number(BigInt.asIntN(32, address)), Number(address >> 32n));
        }
      };
      for (let time = 0; time < 3; time++) touch();
      cpu.counters.reset();
      touch();
      expect(cpu.counters.walks).toBeGreaterThan(0);
    });
  });
});
