import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type CacheOptions, FETCH, IMPLICIT, READ, READ_MODIFY_WRITE, STACK, WRITE } from '../../src/index.ts';
import { VIEW_PAGES } from '../../src/mmu/hit-view.ts';
import { A, ALL, G, Guest, high, low, P, PS, ROOT, RW, US, XD } from '../support/guest.ts';

const PAGES = 0x120;
const SECOND_ROOT = ROOT + 0x1f;
const key = (number: bigint): bigint => number << 59n;

/** Leaves by address: RAM of every kind of rights, aliases, ROM, a device, a hole, and nothing. */
const LEAVES: readonly (readonly [bigint, bigint, number?])[] = [
  [0x1000n, 0x1000n | ALL],
  [0x2000n, 0x9000n | ALL],
  [0x3000n, 0x3000n | P | US],
  [0x4000n, 0x4000n | P | RW],
  [0x5000n, 0x5000n | ALL | XD],
  [0x6000n, 0x6000n | ALL | key(3n)],
  [0x7000n, 0x7000n | P | RW | key(3n)],
  [0x8000n, 0x1000n | P | US], // an alias of the first
  [0x9000n, 0xfee0_0000n | ALL],
  [0xa000n, 0x20_0000n | ALL], // a hole
  [0xb000n, 0xb000n | ALL], // ROM
  [0x20_0000n, 0n | ALL | PS, 2], // partly over the pages above, partly beyond RAM
  [0x4000_0000n, 0n | ALL | PS, 3],
  [0xffff_8000_0000_0000n, 0xc000n | ALL],
  [0xffff_8000_0000_1000n, 0xe000n | ALL | G],
  [0xffff_ffff_ffff_f000n, 0xd000n | P | RW | G],
];
const BASES = [
  ...LEAVES.map(([address]) => address),
  0xc000n,
  0x2e_f000n,
  0x4000_2000n,
  0x8000_0000_0000n,
  0x7fff_ffff_f000n,
];

function machine(caches: CacheOptions): { guest: Guest; codeWrites: number[][] } {
  const guest = new Guest({ memory: { size: PAGES * 4096 }, caches, cr4: 0x2_0080 });
  for (const [address, leaf, level = 1] of LEAVES) guest.map(address, leaf, level);
  const { memory, host } = guest.machine;
  // Another address space: the same, but for its first PDPT. A is set: whether a walk for a global page passes here is up
  // to the caches.
  for (let at = 1; at < 512; at++) {
    const entry = guest.entryAt(ROOT * 4096 + 8 * at);
    if (entry === 0n) continue;
    host.write64(ROOT * 4096 + 8 * at, entry | A);
    host.write64(SECOND_ROOT * 4096 + 8 * at, entry | A);
  }
  host.write64(SECOND_ROOT * 4096, BigInt((SECOND_ROOT - 1) * 4096) | ALL);
  host.write64((SECOND_ROOT - 1) * 4096, 0n | ALL | PS);
  memory.protectRom(0xb000, 0x1000);
  memory.addDevice(0xfee0_0000, 0x1000, { read: (offset, size) => offset * size, write: () => {} });
  const codeWrites: number[][] = [];
  memory.onCodeWrite = (...about) => codeWrites.push(about);
  return { guest, codeWrites };
}

type Step = readonly [what: string, lo: number, hi: number, ...numbers: number[]];

const place = fc
  .tuple(
    fc.constantFrom(...BASES),
    fc.oneof(
      fc.nat(511).map((at) => at * 8),
      fc.nat(4095),
      fc.nat(15).map((at) => 4080 + at),
    ),
  )
  .map(([base, offset]) => BigInt.asUintN(64, base + BigInt(offset)));
const size = fc.constantFrom(1, 2, 4, 8);
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const at = (what: string, ...more: fc.Arbitrary<number>[]): fc.Arbitrary<Step> =>
  fc.tuple(place, ...more).map(([address, ...rest]) => [what, low(address), high(address), ...rest] as const);
const set = (what: string, ...more: fc.Arbitrary<number>[]): fc.Arbitrary<Step> =>
  fc.tuple(...more).map((rest) => [what, 0, 0, ...rest] as const);
const step = fc.oneof(
  { weight: 12, arbitrary: at('read', size, fc.constantFrom(0, 0, 0, STACK)) },
  { weight: 8, arbitrary: at('write', size, word, word) },
  { weight: 6, arbitrary: at('fetch', size) },
  { weight: 3, arbitrary: at('bytes', fc.constantFrom(READ, WRITE, FETCH), fc.constantFrom(3, 16, 64)) },
  {
    weight: 3,
    arbitrary: at('load', size, fc.constantFrom(READ_MODIFY_WRITE, READ | IMPLICIT, READ_MODIFY_WRITE | IMPLICIT)),
  },
  { weight: 3, arbitrary: at('exchange', size, word) },
  { weight: 2, arbitrary: at('translate', fc.constantFrom(READ, WRITE, FETCH)) },
  { weight: 2, arbitrary: at('invlpg') },
  { weight: 1, arbitrary: at('invpcid', fc.nat(3), fc.nat(1)) },
  { weight: 3, arbitrary: set('cpl', fc.constantFrom(0, 3)) },
  { weight: 2, arbitrary: set('ac', fc.nat(1)) },
  { weight: 1, arbitrary: set('pkru', fc.constantFrom(0, 0x40, 0x80, -1)) },
  { weight: 1, arbitrary: set('pkrs', fc.constantFrom(0, 0x40, 0x80, -1)) },
  { weight: 1, arbitrary: set('cr0', fc.constantFrom(0, 1 << 16), fc.constantFrom(0, 1 << 18)) },
  {
    weight: 2,
    arbitrary: set('cr3', fc.constantFrom(ROOT * 4096, SECOND_ROOT * 4096 + 1), fc.constantFrom(0, -0x8000_0000)),
  },
  {
    weight: 1,
    arbitrary: set(
      'cr4',
      fc
        .subarray([1 << 7, 1 << 17, 1 << 20, 1 << 21, 1 << 22, 1 << 24])
        .map((bits) => bits.reduce((sum, bit) => sum | bit, 0x20)),
    ),
  },
  { weight: 1, arbitrary: set('a20', fc.nat(1)) },
  { weight: 1, arbitrary: set('clean') },
  { weight: 1, arbitrary: set('code', fc.constantFrom(1, 9, 0xc), fc.nat(1)) },
);

/** What a step returned and left in the CPU; all of it numbers. */
function perform({ cpu, machine: { memory } }: Guest, [what, lo, hi, a = 0, b = 0, c = 0]: Step): number[] {
  let result: number[] = [];
  const read = { 1: cpu.read8, 2: cpu.read16, 4: cpu.read32, 8: cpu.read64 } as const;
  const fetch = { 1: cpu.fetch8, 2: cpu.fetch16, 4: cpu.fetch32, 8: cpu.fetch64 } as const;
  const bytes = Uint8Array.from({ length: what === 'bytes' ? b : 0 }, (_, index) => index + 1);
  if (what === 'read') result = [read[a as 1].call(cpu, lo, hi, b)];
  else if (what === 'fetch') result = [fetch[a as 1].call(cpu, lo, hi)];
  else if (what === 'load') result = [cpu.load(b, lo, hi, a)];
  else if (what === 'translate') result = cpu.translate(lo, hi, a) === 0 ? [cpu.physicalLo, cpu.physicalHi] : [];
  else if (what === 'bytes' && a === WRITE) result = [cpu.writeBytes(lo, hi, bytes)];
  else if (what === 'bytes')
    result = [a === READ ? cpu.readBytes(lo, hi, bytes) : cpu.fetchBytes(lo, hi, bytes), ...bytes];
  else if (what === 'write' && a === 1) result = [cpu.write8(lo, hi, b)];
  else if (what === 'write' && a === 2) result = [cpu.write16(lo, hi, b)];
  else if (what === 'write' && a === 4) result = [cpu.write32(lo, hi, b)];
  else if (what === 'write') result = [cpu.write64(lo, hi, b, c)];
  else if (what === 'exchange' && a === 1) result = [cpu.exchange8(lo, hi, b)];
  else if (what === 'exchange' && a === 2) result = [cpu.exchange16(lo, hi, b)];
  else if (what === 'exchange' && a === 4) result = [cpu.exchange32(lo, hi, b)];
  else if (what === 'exchange') result = [cpu.exchange64(lo, hi, b, b)];
  else if (what === 'invlpg') cpu.invlpg(lo, hi);
  else if (what === 'invpcid') result = [cpu.invpcid(a, b, 0, lo, hi)];
  else if (what === 'cpl') cpu.setCpl(a);
  else if (what === 'ac') cpu.setAc(a);
  else if (what === 'pkru') cpu.setPkru(a);
  else if (what === 'pkrs') cpu.setPkrs(a);
  else if (what === 'cr0') result = [cpu.setCr0(0x8000_0001 | a | b)];
  else if (what === 'cr3') result = [cpu.setCr3(a, b)];
  else if (what === 'cr4') result = [cpu.setCr4(a)];
  else if (what === 'a20') cpu.setA20Mask(a);
  else if (what === 'clean') memory.clearDirty();
  else if (what === 'code') b === 0 ? memory.markCode(a) : memory.unmarkCode(a);
  const { vector, errorCode, level, entryLo, entryHi, access } = cpu.fault;
  const fault =
    cpu.faulted === 0 ? [] : [vector, errorCode, cpu.fault.lo, cpu.fault.hi, access, level, entryLo, entryHi];
  return [...result, cpu.faulted, cpu.valueHi, cpu.cr2Lo, cpu.cr2Hi, ...fault];
}

describe('the hit path', () => {
  it('answers as the slow path does, and as an MMU without any cache', () => {
    let accesses = 0;
    let faults = 0;
    let answered = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 100, maxLength: 300, size: 'max' }), (steps) => {
        const all = [
          machine({ hitViews: 'off' }),
          machine({}),
          machine({ tlb: 'off', structures: 'off' }),
          machine({ tlb: 'everything', structures: 'everything' }),
          machine({ tlb: 4, tlbLarge: 1, tlbHuge: 1, structures: 1, replacement: 'random' }),
        ];
        const [plain, ...others] = all as [(typeof all)[0], ...typeof all];
        for (const one of steps) {
          // Three times: a clean page becomes dirty, then hot, then the hit path answers.
          const times = ['read', 'write', 'fetch'].includes(one[0]) ? [1, 2, 3] : [1];
          const expected = times.map(() => perform(plain.guest, one));
          for (const other of others)
            expect(
              times.map(() => perform(other.guest, one)),
              one.join(' '),
            ).toEqual(expected);
          if (one[1] !== 0 || one[2] !== 0) accesses += 1;
          if (plain.guest.cpu.faulted !== 0) faults += 1;
        }
        for (const { guest, codeWrites } of others) {
          expect(codeWrites).toEqual(plain.codeWrites);
          expect(Buffer.compare(guest.machine.memory.bytes, plain.guest.machine.memory.bytes)).toBe(0);
          expect(guest.machine.memory.pages.bytes).toEqual(plain.guest.machine.memory.pages.bytes);
        }
        answered += plain.guest.cpu.counters.hits - others[0]!.guest.cpu.counters.hits;
      }),
      { numRuns: process.env['PAGEWALK_LONG'] === '1' ? 1000 : 60 },
    );
    // A run of faults, or one that never meets a hit view, tests nothing.
    expect(accesses - faults).toBeGreaterThan(accesses * 0.3);
    expect(faults).toBeGreaterThan(accesses * 0.1);
    expect(answered).toBeGreaterThan(accesses * 0.05);
  });
});

const GIB = 2 ** 30;

/** Whether typed arrays of this host reach past 4 GiB: those of Node 22 do, those of Node 20 do not. */
function reachesPast4GiB(): boolean {
  try {
    return new Uint8Array(new ArrayBuffer(5 * GIB)).length > 0;
  } catch {
    return false;
  }
}

describe('RAM past 4 GiB of the buffer', () => {
  it.each([
    ['answered for the last page before it', VIEW_PAGES - 1, 0],
    ['never answered', VIEW_PAGES, 10],
  ])('is %s by the hit path', (_what, page, searches) => {
    const { cpu, machine } = new Guest({ mode: 'none' });
    const pageOf = vi.spyOn(machine.memory, 'pageOf').mockReturnValue(page);
    cpu.read32(0x1000, 0);
    cpu.fetch32(0x1000, 0);
    pageOf.mockClear();
    for (let time = 0; time < 5; time++) cpu.read32(0x1000, 0) + cpu.fetch32(0x1000, 0);
    expect(Math.min(pageOf.mock.calls.length, 10)).toBe(searches);
  });

  it.each([
    ['answered for the last 2 MiB before it', VIEW_PAGES - 512, 0],
    ['not answered for 2 MiB of which a page lies there', VIEW_PAGES - 511, 10],
  ])('is %s by views of large pages', (_what, firstPage, searches) => {
    const { cpu, machine } = new Guest().map(0x20_0000n, 0x20_0000n | ALL | A | PS, 2);
    const { memory } = machine;
    const real = memory.pageOf.bind(memory);
    const pageOf = vi
      .spyOn(memory, 'pageOf')
      .mockImplementation((frame) => (frame < 512 ? real(frame) : firstPage + frame - 512));
    cpu.read32(0x20_0000, 0);
    cpu.fetch32(0x20_0000, 0);
    pageOf.mockClear();
    for (let page = 1; page <= 5; page++)
      cpu.read32(0x20_0000 + page * 4096, 0) + cpu.fetch32(0x20_0000 + page * 4096, 0);
    expect([cpu.faulted, Math.min(pageOf.mock.calls.length, 10)]).toEqual([0, searches]);
  });

  // The buffer costs address space only: few of its pages are touched.
  it.skipIf(!reachesPast4GiB()).each([
    ['past 4 GiB', 5 * GIB],
    ['past 8 GiB', 9 * GIB],
    ['around 4 GiB, in one large page', 4 * GIB - (1 << 20)],
  ])('is read and written in its place: %s', (_what, offset) => {
    const guest = new Guest({ memory: { ranges: [{ start: 0, size: 4 << 20, offset }] } })
      .map(0x1000n, 0x9000n | ALL)
      .map(0x2000n, 0xb000n | ALL)
      .map(0x4000_0000n, ALL | PS, 2);
    const { cpu, machine } = guest;
    const places = [
      [0x1100, 0x9100],
      [0x1103, 0x9103],
      [0x1ffd, 0x9ffd],
      [0x400f_f008, 0xf_f008],
      [0x4018_0008, 0x18_0008],
    ] as const;
    for (const [lo, physical] of places)
      for (const _ of [1, 2, 3]) {
        const bytes = machine.memory.bytes.subarray(offset + physical, offset + physical + 3);
        cpu.long.write64(lo, '0x8877665544332211');
        expect([...bytes]).toEqual([0x11, 0x22, 0x33]);
        expect([cpu.read8(lo, 0), cpu.read16(lo, 0), cpu.read32(lo, 0)]).toEqual([0x11, 0x2211, 0x4433_2211]);
        expect([cpu.fetch8(lo, 0), cpu.fetch16(lo, 0), cpu.fetch32(lo, 0)]).toEqual([0x11, 0x2211, 0x4433_2211]);
        expect([cpu.read64(lo, 0), cpu.valueHi]).toEqual([0x4433_2211, 0x8877_6655 | 0]);
        expect(cpu.long.exchange16(lo, 0xaaaa)).toBe(0x2211);
        expect(cpu.long.compareExchange64(lo, '0x887766554433aaaa', 1).toString(16)).toBe('887766554433aaaa');
        expect([cpu.write8(lo, 0, 2), ...bytes]).toEqual([0, 2, 0, 0]);
        expect([cpu.write16(lo, 0, 0x403), ...bytes]).toEqual([0, 3, 4, 0]);
        expect([cpu.write32(lo, 0, 0x7_0605), ...bytes]).toEqual([0, 5, 6, 7]);
      }
  });
});
