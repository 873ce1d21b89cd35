/**
 * A guest may put any bits into any entry: nothing throws, nothing hangs, and no byte outside its RAM is touched.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CacheOptions, type Cpu, FETCH, Machine, READ, READ_MODIFY_WRITE, WRITE } from '../../src/index.ts';

const RUNS = process.env['PAGEWALK_LONG'] === '1' ? 10_000 : 300;
const PAGES = 24;
const GUARD = 4096;

const MODES = [
  ['32-bit', { cr0: 0x80010001, cr4: 0x10, efer: 0 }],
  ['pae', { cr0: 0x80010001, cr4: 0x20, efer: 0x800 }],
  ['4-level', { cr0: 0x80010001, cr4: 0x3200a0, efer: 0x900 }],
  ['5-level', { cr0: 0x80010001, cr4: 0x6210a0, efer: 0x900 }],
] as const;

const CACHES: readonly CacheOptions[] = [
  {},
  { tlb: 'everything', structures: 'everything' },
  { tlb: 4, tlbLarge: 4, tlbHuge: 4, structures: 4, replacement: 'random' },
  { tlb: 'off', structures: 'off' },
];

/** An entry: mostly present, mostly to one of the frames that are tables, else to a device, a hole, or anywhere. */
const frame = fc.oneof(
  { weight: 12, arbitrary: fc.nat(PAGES - 1) },
  { weight: 1, arbitrary: fc.constantFrom(0xfee00, 0x7fffff, 0x3fffffff, 0x100) },
);
const flags = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(7, 0x67, 0x23, 0x87, 0xe7, 0x1e7) },
  { weight: 1, arbitrary: fc.nat(0xfff) },
);
const entry = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(frame, flags).map(([to, bits]) => (BigInt(to) << 12n) | BigInt(bits)) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
);
const table = fc.array(fc.tuple(fc.oneof(fc.nat(7), fc.nat(511)), entry), { minLength: 4, maxLength: 16 });

const half = fc.oneof(
  fc.constantFrom(0, -1, 0x1000, 0x7fffffff, -0x80000000),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
);
const operation = fc.tuple(
  fc.constantFrom(
    'read',
    'write',
    'fetch',
    'split',
    'translate',
    'probe',
    'explain',
    'invlpg',
    'cr3',
    'swap',
    'bytes',
    'cpl',
    'cr4',
  ),
  fc.oneof(half, fc.nat(0xffff)),
  fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: half }),
);

function perform(cpu: Cpu, [what, lo, hi]: readonly [string, number, number]): void {
  if (what === 'read') cpu.read32(lo, hi);
  else if (what === 'write') cpu.write64(lo, hi, -1, lo);
  else if (what === 'fetch') cpu.fetch8(lo, hi);
  else if (what === 'split') cpu.load(READ_MODIFY_WRITE, lo | 0xfff, hi, 8);
  else if (what === 'translate') cpu.translate(lo, hi, lo & 1 ? WRITE : FETCH);
  else if (what === 'probe') cpu.probe(lo, hi, READ);
  else if (what === 'explain') cpu.explain(lo, hi);
  else if (what === 'invlpg') cpu.invlpg(lo, hi);
  else if (what === 'cr3') cpu.setCr3(lo & 0x1fe0, 0);
  else if (what === 'swap') cpu.compareExchange64(lo, hi, 0, 0, -1, -1);
  else if (what === 'bytes') cpu.writeBytes(lo, hi, new Uint8Array(64).fill(0xff));
  else if (what === 'cpl') cpu.setCpl(lo & 3);
  else cpu.setCr4(cpu.registers.cr4 ^ (lo & 1 ? 0x80 : 0x100000));
}

describe.each(MODES)('any table contents, %s paging', (_, state) => {
  it('make nothing throw or hang, and touch nothing outside RAM', { timeout: 3_600_000 }, () => {
    let mapped = 0;
    let asked = 0;
    fc.assert(
      fc.property(
        fc.array(table, { minLength: 6, maxLength: 10 }),
        fc.array(operation, { minLength: 20, maxLength: 40 }),
        fc.constantFrom(...CACHES),
        (tables, operations, caches) => {
          const buffer = new ArrayBuffer((PAGES + 2) * 4096);
          new Uint8Array(buffer).fill(0xa5, 0, GUARD).fill(0xa5, (PAGES + 1) * 4096);
          const machine = new Machine({
            memory: { buffer, ranges: [{ start: 0, size: PAGES * 4096, offset: GUARD }] },
            caches,
          });
          machine.memory.addDevice(0xfee00000, 4096, { read: () => 0x12345678, write: () => {} });
          machine.memory.protectRom((PAGES - 1) * 4096, 4096);
          tables.forEach((entries, at) => {
            for (const [index, value] of entries) machine.host.write64(at * 4096 + 8 * index, value);
          });
          const cpu = machine.cpus[0]!;
          cpu.enter({ ...state, cr3: 0, pdptes: [1, 0, 0x1001, 0, 0x2001, 0, 0, 0] });
          for (const step of operations) {
            perform(cpu, step);
            asked += 1;
            if (cpu.faulted === 0) mapped += 1;
          }
          let runs = 0;
          for (const _run of cpu.runs()) if (++runs === 200) break;
          const bytes = new Uint8Array(buffer);
          expect(bytes.subarray(0, GUARD).every((byte) => byte === 0xa5)).toBe(true);
          expect(bytes.subarray((PAGES + 1) * 4096).every((byte) => byte === 0xa5)).toBe(true);
        },
      ),
      { numRuns: RUNS },
    );
    // Tables that map nothing test nothing.
    expect(mapped).toBeGreaterThan(0.1 * asked);
  });
});
