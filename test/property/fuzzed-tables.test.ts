import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CacheOptions,
  type Cpu,
  EXAMINE,
  FETCH,
  IMPLICIT,
  Machine,
  READ,
  READ_MODIFY_WRITE,
  WRITE,
} from '../../src/index.ts';
import { type GuestMode, high, low } from '../support/guest.ts';

/** The guest's RAM: frames 0 to 47, and 16 more far above. Canaries lie around and between them in the buffer. */
const CANARY = 0xca;
const PAGES = 48;
const RANGES = [
  { start: 0, size: PAGES * 4096, offset: 0x3000 },
  { start: 0x2_0000_0000, size: 16 * 4096, offset: 0x3000 + (PAGES + 2) * 4096 },
];
const BUFFER_BYTES = 0x3000 + (PAGES + 2 + 16 + 3) * 4096;
const TABLES = [4, 5, 6, 7, 8, 9];
const ROM_FRAME = 20;
const DEVICE_FRAME = 21; // in front of RAM

const frame = fc.oneof(
  { weight: 100, arbitrary: fc.constantFrom(...TABLES) },
  { weight: 8, arbitrary: fc.nat(PAGES - 1) },
  { weight: 2, arbitrary: fc.nat(15).map((at) => 0x20_0000 + at) },
  { weight: 1, arbitrary: fc.constantFrom(ROM_FRAME, DEVICE_FRAME) },
  { weight: 1, arbitrary: fc.constantFrom(PAGES, 0x1f_ffff, 0x20_0010, 0xf_ffff, 2 ** 40 - 1) },
  { weight: 1, arbitrary: fc.maxSafeNat().map((at) => at % 2 ** 40) },
);
const entry = fc.oneof(
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  {
    weight: 19,
    arbitrary: fc
      .tuple(frame, fc.nat(0xfff), fc.constantFrom(...Array<bigint>(12).fill(7n), 3n, 1n, 0n), fc.nat(9), fc.nat(0xfff))
      .map(([at, flags, allowed, which, upper]) => {
        const others = BigInt(flags & (which < 5 ? 0x178 : which < 8 ? 0xf78 : 0xff8));
        return (BigInt(at) << 12n) | others | allowed | (which === 9 ? BigInt(upper) << 52n : 0n);
      }),
  },
);

/** Entries and addresses of a mode. The indexes are few, so that most walks meet an entry that was written. */
function arbitrariesOf(mode: GuestMode) {
  const { levels, indexBits, linearBits } = SHAPES[mode];
  const last = 2 ** indexBits - 1;
  const index = fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(0, 1, last) },
    { weight: 1, arbitrary: fc.nat(last) },
  );
  const slot = fc
    .tuple(fc.constantFrom(...TABLES), index)
    .map(([table, at]) => table * 4096 + at * (indexBits === 10 ? 4 : 8));
  // One in twenty is of another width: not canonical, or with bits that a mode does not look at.
  const address = fc
    .tuple(
      fc.array(index, { minLength: levels, maxLength: levels }),
      fc.oneof(fc.constantFrom(0, 8, 4088, 4090, 4095), fc.nat(4095)),
      fc.nat(19),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    )
    .map(([indexes, offset, kind, any]) => {
      if (kind === 0) return any;
      const page = indexes.reduce((sum, at) => (sum << BigInt(indexBits)) | BigInt(at), 0n);
      return BigInt.asUintN(64, BigInt.asIntN(linearBits, page << 12n)) | BigInt(offset);
    });
  return { address, poke: fc.tuple(slot, entry) };
}

const SHAPES: Readonly<Record<GuestMode, { levels: number; indexBits: number; linearBits: number }>> = {
  none: { levels: 2, indexBits: 10, linearBits: 64 },
  '32-bit': { levels: 2, indexBits: 10, linearBits: 64 },
  pae: { levels: 3, indexBits: 9, linearBits: 64 },
  '4-level': { levels: 4, indexBits: 9, linearBits: 48 },
  '5-level': { levels: 5, indexBits: 9, linearBits: 57 },
};

const OPERATIONS = [
  ...['read', 'read', 'read', 'write', 'write', 'fetch', 'bytes', 'implicit', 'translate', 'probe', 'explain'],
  ...['runs', 'invlpg', 'invpcid', 'cr3', 'cpl', 'compareExchange', 'compareExchange', 'exchange', 'poke', 'snapshot'],
] as const;
type Step = readonly [(typeof OPERATIONS)[number], bigint, number, readonly [number, bigint]];

const CACHES: readonly CacheOptions[] = [
  {},
  { tlb: 'everything', structures: 'everything' },
  { tlb: 'off', structures: 'off' },
  { tlb: 4, tlbLarge: 1, tlbHuge: 1, structures: 1, hitViews: 'off' },
  { tlb: 16, structures: 16, replacement: 'random' },
];
const STATES: Readonly<Record<GuestMode, { cr0: number; cr4: number; efer: number }>> = {
  none: { cr0: 1, cr4: 0, efer: 0 },
  '32-bit': { cr0: 0x8001_0001, cr4: 0x90, efer: 0 },
  pae: { cr0: 0x8001_0001, cr4: 0xa0, efer: 0x800 },
  '4-level': { cr0: 0x8001_0001, cr4: 0x2_00a0, efer: 0x900 },
  '5-level': { cr0: 0x8000_0001, cr4: 0x13_10a0, efer: 0x900 },
};

interface World {
  readonly machine: Machine;
  readonly bytes: Uint8Array;
}

function world(
  mode: GuestMode,
  caches: CacheOptions,
  maxPhyAddr: number,
  pokes: readonly (readonly [number, bigint])[],
): World {
  const buffer = new ArrayBuffer(BUFFER_BYTES);
  const bytes = new Uint8Array(buffer).fill(CANARY);
  for (const { offset, size } of RANGES) bytes.fill(0, offset, offset + size);
  const machine = new Machine({ memory: { buffer, ranges: RANGES }, caches, features: { maxPhyAddr } });
  const { memory, host, cpus } = machine;
  memory.protectRom(ROM_FRAME * 4096, 4096);
  memory.addDevice(DEVICE_FRAME * 4096, 4096, { read: (offset, size) => offset * 0x0101_0101 + size, write: () => {} });
  memory.markCode(12);
  for (const [at, value] of pokes) host.write64(at, value);
  const state = { ...STATES[mode], cr3: TABLES[0]! * 4096 };
  // PDPTEs that MOV CR3 would refuse: the same without their reserved bits.
  if (cpus[0]!.enter(state) !== 0) {
    const pdptes = [0, 8, 16, 24].flatMap((at) => {
      const { low: lo, high: hi } = host.read64(state.cr3 + at);
      return [lo & ~0x1e6, hi & 0xf];
    });
    cpus[0]!.enter({ ...state, pdptes });
  }
  return { machine, bytes };
}

const counts = { done: 0, faults: 0, runs: 0 };
const ACCESSES: ReadonlySet<string> = new Set(['read', 'write', 'fetch', 'bytes', 'implicit', 'translate']);

function take(cpu: Cpu, from: bigint): void {
  let seen = 0;
  for (const { sizeBytes } of cpu.runs(from)) {
    expect(sizeBytes % 4096).toBe(0);
    counts.runs += 1;
    if (++seen === 1000) break;
  }
}

function perform({ machine }: World, [what, linear, number, [at, value]]: Step): void {
  const cpu = machine.cpus[0]!;
  const lo = low(linear);
  const hi = high(linear);
  const size = ([1, 2, 4, 8] as const)[number & 3]!;
  const read = { 1: cpu.read8, 2: cpu.read16, 4: cpu.read32, 8: cpu.read64 } as const;
  const fetch = { 1: cpu.fetch8, 2: cpu.fetch16, 4: cpu.fetch32, 8: cpu.fetch64 } as const;
  cpu.faulted = 0;
  if (what === 'read') read[size].call(cpu, lo, hi);
  else if (what === 'fetch') fetch[size].call(cpu, lo, hi);
  else if (what === 'write')
    cpu.store(WRITE, lo, hi, size, low(value), high(value)); // any page, tables too
  else if (what === 'bytes')
    number & 1 ? cpu.writeBytes(lo, hi, new Uint8Array(3 * number + 1)) : cpu.readBytes(lo, hi, new Uint8Array(64));
  else if (what === 'implicit') cpu.load(READ | IMPLICIT, lo, hi, size);
  else if (what === 'translate') cpu.translate(lo, hi, [READ, WRITE, FETCH, READ_MODIFY_WRITE][number & 3]!);
  else if (what === 'probe') cpu.probe(lo, hi, [READ, WRITE, FETCH, EXAMINE][number & 3]!);
  else if (what === 'explain') expect(cpu.explain(lo, hi, number & 1 ? WRITE : READ).steps.length).toBeLessThan(6);
  else if (what === 'runs') take(cpu, number & 1 ? 0n : linear);
  else if (what === 'invlpg') cpu.invlpg(lo, hi);
  else if (what === 'invpcid') cpu.invpcid(number & 3, number >> 2, 0, lo, hi);
  else if (what === 'cr3') cpu.setCr3(TABLES[number % TABLES.length]! * 4096 + (number & 16), 0);
  else if (what === 'cpl') cpu.setCpl(number & 1 ? 3 : 0);
  else if (what === 'compareExchange') cpu.compareExchange64(lo, hi, 0, 0, low(value), high(value));
  else if (what === 'exchange')
    number & 1 ? cpu.exchange16(lo, hi, number) : cpu.exchange64(lo, hi, low(value), high(value));
  else if (what === 'poke') machine.host.write64(at, value);
  else cpu.restore(JSON.parse(JSON.stringify(cpu.snapshot())));
  if (!ACCESSES.has(what)) return;
  if (cpu.faulted !== 0) counts.faults += 1;
  else counts.done += 1;
}

/** Whether anything outside the guest's RAM, its ROM or the page behind its device was written. */
function touchedOutside({ machine, bytes }: World): boolean {
  const inside = ({ offset, size }: (typeof RANGES)[0], at: number): boolean => at >= offset && at < offset + size;
  const zero = [ROM_FRAME, DEVICE_FRAME].map((at) => RANGES[0]!.offset + at * 4096);
  expect(machine.memory.bytes.buffer).toBe(bytes.buffer);
  for (let page = 0; page < BUFFER_BYTES; page += 4096) {
    const expected = RANGES.some((range) => inside(range, page)) ? (zero.includes(page) ? 0 : -1) : CANARY;
    if (expected >= 0 && bytes.subarray(page, page + 4096).some((byte) => byte !== expected)) return true;
  }
  return false;
}

describe('whatever tables hold', () => {
  it.each<GuestMode>(['none', '32-bit', 'pae', '4-level', '5-level'])(
    'no access throws, hangs or leaves the RAM of the guest: %s',
    (mode) => {
      counts.done = counts.faults = counts.runs = 0;
      const { address, poke } = arbitrariesOf(mode);
      const step = fc.tuple(fc.constantFrom(...OPERATIONS), address, fc.nat(31), poke);
      const runs = process.env['PAGEWALK_LONG'] === '1' ? 10_000 : 300;
      fc.assert(
        fc.property(
          fc.array(poke, { minLength: 40, maxLength: 120, size: 'max' }),
          fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }),
          fc.nat(CACHES.length - 1),
          fc.constantFrom(36, 46, 52),
          (pokes, steps, caches, maxPhyAddr) => {
            const made = world(mode, CACHES[caches]!, maxPhyAddr, pokes);
            for (const one of steps) perform(made, one);
            expect(touchedOutside(made)).toBe(false);
          },
        ),
        { numRuns: mode === 'none' ? Math.ceil(runs / 10) : runs },
      );
      // Tables in which every walk fails, or none, test nothing.
      const accesses = counts.done + counts.faults;
      expect(counts.done).toBeGreaterThan(accesses * 0.1);
      if (mode === 'none') return;
      expect(counts.faults).toBeGreaterThan(accesses * 0.1);
      expect(counts.runs).toBeGreaterThan(runs);
    },
  );
});
