/**
 * Paging rules 65 to 73: when A and D are set, and what a split access does.
 * Source: SDM 3A, "Accessed and Dirty Flags".
 */
import { describe, expect, it } from 'vitest';
import { watching } from '../support/observe.ts';
import { CACHES, CR0, hi, lo, setup } from '../support/tables.ts';

const VA = '0x12345678000';
const A = 0x20n;
const D = 0x40n;
const flagsOf = (entry: bigint): string => `${entry & A ? 'A' : '-'}${entry & D ? 'D' : '-'}`;

describe.each(CACHES)('A and D, %s', (_, caches) => {
  it('65: a read sets A in every entry used; a write then D in the leaf alone; G and PS stay', () => {
    const { map, entry, access } = setup('5-level', { caches });
    map(VA, 2, 0x400, 'P RW US G');
    const flags = (): string[] => [5, 4, 3, 2].map((level) => flagsOf(entry(VA, level)));
    expect(access('read', VA)).toBe('ok');
    expect(flags()).toEqual(['A-', 'A-', 'A-', 'A-']);
    expect(access('write', VA)).toBe('ok');
    expect(flags()).toEqual(['A-', 'A-', 'A-', 'AD']);
    expect(entry(VA, 2) & 0x180n).toBe(0x180n);
  });

  it('66: a write after a read that filled the TLB sets D', () => {
    const { map, entry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW');
    for (const _time of [1, 2, 3]) expect(access('read', VA)).toBe('ok');
    expect(flagsOf(entry(VA, 1))).toBe('A-');
    expect(access('write', VA)).toBe('ok');
    expect(flagsOf(entry(VA, 1))).toBe('AD');
  });

  it('67: a fault on the leaf leaves its A and D; the upper entries follow the policy', () => {
    for (const [accessedOnFault, upper] of [
      ['none', '--'],
      ['upper', 'A-'],
    ] as const) {
      const { map, entry, access } = setup('4-level', { caches, policy: { accessedOnFault } });
      map(VA, 1, 0x300, 'P RW');
      expect(access('user write', VA)).toBe('#PF 07');
      expect([4, 3, 2, 1].map((level) => flagsOf(entry(VA, level)))).toEqual([upper, upper, upper, '--']);
    }
  });

  it('68: a write that WP forbids leaves D 0', () => {
    const { map, entry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P US');
    expect(access('supervisor read', VA)).toBe('ok');
    expect(access('supervisor write', VA)).toBe('#PF 03');
    expect(flagsOf(entry(VA, 1))).toBe('A-');
  });

  it('69: an entry that changes between check and update is walked again, and nothing old comes back', () => {
    const { machine, cpu, map, entry, setEntry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW');
    machine.host.write32(0x400000, 7);
    let changes = 0;
    cpu.translator.port.observer = watching((operation) => {
      // Another CPU maps another frame just before the leaf is marked.
      if (operation !== 'compareExchange' || (entry(VA, 1) & A) !== 0n || changes > 0) return;
      if ([4, 3, 2].some((level) => (entry(VA, level) & A) === 0n)) return;
      changes += 1;
      setEntry(VA, 1, 0x400003n);
    });
    expect(cpu.read32(lo(VA), hi(VA))).toBe(7);
    expect([changes, entry(VA, 1)]).toEqual([1, 0x400023n]);
    cpu.translator.port.observer = null;
    expect(access('write', VA)).toBe('ok');
    expect(entry(VA, 1)).toBe(0x400063n);
  });

  it('69: an entry that is taken away in between faults, and stays away', () => {
    const { cpu, map, entry, setEntry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW');
    cpu.translator.port.observer = watching((operation) => {
      if (operation === 'compareExchange') setEntry(VA, 1, 0x300002n);
    });
    expect(access('write', VA)).toBe('#PF 02');
    expect(entry(VA, 1)).toBe(0x300002n);
  });

  it('70: nothing is written where A and D are set: tables in ROM work, and are not even tried', () => {
    const { machine, cpu, map, entry, setEntry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW A D');
    for (const level of [4, 3, 2]) setEntry(VA, level, entry(VA, level) | A);
    machine.memory.protectRom(0x100000, 0x4000);
    let writes = 0;
    cpu.translator.port.observer = watching((operation) => {
      if (operation !== 'load') writes += 1;
    });
    expect(access('write', VA)).toBe('ok');
    expect(writes).toBe(0);
  });

  it('70: A and D of a table in ROM are dropped, and the access is done', () => {
    const { machine, map, entry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW');
    machine.memory.protectRom(0x100000, 0x4000);
    expect(access('write', VA)).toBe('ok');
    expect(flagsOf(entry(VA, 1))).toBe('--');
  });

  it('71: an entry used at two levels ends with both A and D', () => {
    const { setEntry, entry, access } = setup('4-level', { caches });
    // The last entry of the root points to the root: four times the same entry.
    const self = '0xfffffffffffff000';
    setEntry(self, 4, 0x100003n);
    expect(access('read', '0xfffffffffffff008')).toBe('ok');
    expect(flagsOf(entry(self, 4))).toBe('A-');
    expect(access('write', '0xfffffffffffff008')).toBe('ok');
    expect(flagsOf(entry(self, 4))).toBe('AD');
  });

  it('71: the same in a single write', () => {
    const { setEntry, entry, access } = setup('4-level', { caches });
    const self = '0xfffffffffffff000';
    setEntry(self, 4, 0x100003n);
    expect(access('write', '0xfffffffffffff010')).toBe('ok');
    expect(entry(self, 4)).toBe(0x100063n);
  });

  it('72: a split write whose second page faults writes nothing; CR2 is the start of the second page', () => {
    const { machine, cpu, map, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW');
    machine.host.write32(0x300ffc, 0x11223344);
    cpu.write64(lo('0x12345678ffc'), hi(VA), -1, -1);
    expect([cpu.faulted, cpu.fault.errorCode, cpu.cr2Lo, cpu.cr2Hi]).toEqual([14, 2, lo('0x12345679000'), hi(VA)]);
    expect(machine.host.read32(0x300ffc)).toBe(0x11223344);
    expect(access('write', '0x12345678ffd', 8)).toBe('#PF 02');
    expect(cpu.writeBytes(lo('0x12345678ff0'), hi(VA), new Uint8Array(64).fill(9))).toBe(14);
    expect(machine.host.read32(0x300ff0)).toBe(0);
  });

  it('72: a split write over two pages lands on both', () => {
    const { machine, cpu, map } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P RW');
    map('0x12345679000', 1, 0x310, 'P RW');
    expect(cpu.write64(lo('0x12345678ffd'), hi(VA), 0x04030201, 0x08070605)).toBe(0);
    expect([machine.host.read32(0x300ffc) >>> 8, machine.host.read32(0x310000)]).toEqual([0x030201, 0x07060504]);
    expect([cpu.read64(lo('0x12345678ffd'), hi(VA)), cpu.valueHi]).toEqual([0x04030201, 0x08070605]);
  });

  it('73: where both pages fault, CR2 is the address in the first', () => {
    const { cpu, access } = setup('4-level', { caches, cr0: CR0.WP });
    expect(access('write', '0x12345678ffe')).toBe('#PF 02');
    expect([cpu.cr2Lo, cpu.cr2Hi]).toEqual([lo('0x12345678ffe'), hi(VA)]);
  });
});
