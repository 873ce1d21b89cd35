/**
 * Paging rules 74 to 88: what may be stale, and what drops it.
 * Source: SDM 3A, "Operations that Invalidate TLBs and Paging-Structure Caches", "Optional Invalidation".
 */
import { describe, expect, it } from 'vitest';
import { CR0, CR4, hi, lo, type Setup, type SetupOptions, setup } from '../support/tables.ts';

const VA = '0x12345678000';
const NX = 1n << 63n;
/** Nothing leaves a cache but by invalidation. */
const keeping = (options: SetupOptions = {}): Setup =>
  setup('4-level', { caches: { tlb: 'everything', structures: 'everything' }, ...options });

describe('stale translations', () => {
  it('74: a changed frame may be stale until INVLPG, and not after', () => {
    const { cpu, map, translate } = keeping();
    map(VA, 1, 0x300, 'P RW');
    expect(translate(VA)).toBe('0x300000');
    map(VA, 1, 0x310, 'P RW');
    expect(translate(VA)).toBe('0x300000');
    cpu.invlpg(lo(VA), hi(VA));
    expect(translate(VA)).toBe('0x310000');
  });

  it.each([1, 2, 3, 4])('75: an entry of level %i that becomes present works at once', (level) => {
    const { map, entry, setEntry, translate } = keeping();
    map(VA, 1, 0x300, 'P RW');
    setEntry(VA, level, entry(VA, level) & ~1n);
    expect(translate(VA)).toBe('#PF 00');
    setEntry(VA, level, entry(VA, level) | 1n);
    expect(translate(VA)).toBe('0x300000');
  });

  it('76: a PDE taken away may be used through its cache, until INVLPG of any address', () => {
    const other = '0x12345679000';
    const { cpu, map, entry, setEntry, translate } = keeping();
    map(VA, 1, 0x300, 'P RW');
    map(other, 1, 0x310, 'P RW');
    expect(translate(VA)).toBe('0x300000');
    setEntry(VA, 2, entry(VA, 2) & ~1n);
    expect(translate(other)).toBe('0x310000');
    cpu.invlpg(0, 0);
    expect(translate('0x1234567a000')).toBe('#PF 00');
  });

  it.each([2, 3])('77: INVLPG of one address in a page of level %i removes all its pieces', (level) => {
    const va = '0x12340000000';
    const { cpu, map, entry, access, translate } = keeping();
    map(va, level, 0x40000, 'P RW');
    const places = ['0x12340000000', '0x12340001000', '0x123401ff000'];
    // Hot in every view, so that each piece could be left behind.
    for (const place of places) for (const kind of ['read', 'read', 'fetch'] as const) access(kind, place);
    expect(places.map(translate)).toEqual(['0x40000000', '0x40001000', '0x401ff000']);
    expect(entry(va, level) & 0x20n).toBe(0x20n);
    map(va, level, 0x80000, 'P RW');
    expect(translate(places[1]!)).toBe('0x40001000');
    cpu.invlpg(lo('0x12340123000'), hi(va));
    expect(places.map(translate)).toEqual(['0x80000000', '0x80001000', '0x801ff000']);
  });
});

describe('PCIDs and global pages', () => {
  const ROOT = 0x100000;
  const cr3 = (cpu: Setup['cpu'], pcid: number, noFlush = 0): number => cpu.setCr3(ROOT | pcid, noFlush << 31);

  it('78: INVLPG under PCID 5 removes a global entry made under PCID 3, and no other entry of PCID 3', () => {
    const { cpu, map, translate } = keeping({ cr4: CR4.PGE | CR4.PCIDE });
    const own = '0x5000';
    map(VA, 1, 0x300, 'P RW G');
    map(own, 1, 0x301, 'P RW');
    cr3(cpu, 3);
    expect([translate(VA), translate(own)]).toEqual(['0x300000', '0x301000']);
    map(VA, 1, 0x310, 'P RW G');
    map(own, 1, 0x311, 'P RW');
    cr3(cpu, 5);
    expect(translate(VA)).toBe('0x300000');
    cpu.invlpg(lo(VA), hi(VA));
    cpu.invlpg(lo(own), hi(own));
    expect(translate(VA)).toBe('0x310000');
    cr3(cpu, 3, 1);
    expect(translate(own)).toBe('0x301000');
  });

  it('79: MOV CR3 to PCID 7 flushes PCID 7 alone', () => {
    const { cpu, map, translate } = keeping({ cr4: CR4.PCIDE });
    map(VA, 1, 0x300, 'P RW');
    for (const pcid of [5, 7]) {
      cr3(cpu, pcid);
      expect(translate(VA)).toBe('0x300000');
    }
    map(VA, 1, 0x310, 'P RW');
    cr3(cpu, 5, 1);
    expect(translate(VA)).toBe('0x300000');
    cr3(cpu, 7);
    expect(translate(VA)).toBe('0x310000');
    cr3(cpu, 5, 1);
    expect(translate(VA)).toBe('0x300000');
  });

  it('80: with PCIDE = 0, bit 63 of CR3 is #GP, and nothing changes', () => {
    const { cpu } = keeping();
    expect(cr3(cpu, 0, 1)).toBe(13);
    expect([cpu.registers.cr3Lo, cpu.registers.cr3Hi]).toEqual([ROOT, 0]);
  });

  it('80: with PCIDE = 0 everything is of PCID 0, whatever PCD and PWT of CR3', () => {
    const { cpu, map, translate } = keeping();
    map(VA, 1, 0x300, 'P RW');
    cr3(cpu, 0x18);
    expect(translate(VA)).toBe('0x300000');
    map(VA, 1, 0x310, 'P RW');
    expect(cpu.invpcid(1, 0, 0, 0, 0)).toBe(0);
    expect(translate(VA)).toBe('0x310000');
  });

  it('80: what was cached with PCIDE = 0 is not met under any PCID later', () => {
    const { cpu, map, translate } = keeping();
    map(VA, 1, 0x300, 'P RW');
    cr3(cpu, 0x18);
    expect(translate(VA)).toBe('0x300000');
    map(VA, 1, 0x310, 'P RW');
    cr3(cpu, 0);
    expect(cpu.setCr4(cpu.registers.cr4 | CR4.PCIDE)).toBe(0);
    for (const pcid of [0x18, 0]) {
      cr3(cpu, pcid, 1);
      expect(translate(VA)).toBe('0x310000');
    }
  });

  it('81: toggling CR4.PGE drops every PCID and global entries', () => {
    const { cpu, map, translate } = keeping({ cr4: CR4.PGE | CR4.PCIDE });
    map(VA, 1, 0x300, 'P RW G');
    cr3(cpu, 3);
    translate(VA);
    cr3(cpu, 5);
    map(VA, 1, 0x310, 'P RW G');
    expect(translate(VA)).toBe('0x300000');
    cpu.setCr4(cpu.registers.cr4 & ~CR4.PGE);
    expect(translate(VA)).toBe('0x310000');
  });

  it('81: setting SMEP drops the current PCID only', () => {
    const { cpu, map, translate } = keeping({ cr4: CR4.PCIDE });
    map(VA, 1, 0x300, 'P RW');
    for (const pcid of [3, 5]) {
      cr3(cpu, pcid);
      translate(VA);
    }
    map(VA, 1, 0x310, 'P RW');
    cpu.setCr4(cpu.registers.cr4 | CR4.SMEP);
    expect(translate(VA)).toBe('0x310000');
    cr3(cpu, 3, 1);
    expect(translate(VA)).toBe('0x300000');
  });

  it('82: INVPCID type 3 with set bits 63:12 is #GP, although it ignores the PCID', () => {
    const { cpu } = keeping({ cr4: CR4.PCIDE });
    expect(cpu.invpcid(3, 0x1000, 0, 0, 0)).toBe(13);
    expect(cpu.invpcid(3, 5, 1, 0, 0)).toBe(13);
    expect(cpu.invpcid(3, 0xfff, 0, 0, 0)).toBe(0);
  });

  it('85: G means nothing with PGE = 0: MOV CR3 drops the entry', () => {
    const { cpu, map, translate } = keeping();
    map(VA, 1, 0x300, 'P RW G');
    translate(VA);
    map(VA, 1, 0x310, 'P RW G');
    cr3(cpu, 0);
    expect(translate(VA)).toBe('0x310000');
  });
});

describe('spurious faults', () => {
  const RETRIES = [2, 3, 4].flatMap((level) =>
    (['walk', 'fault'] as const).map((deniedHit) => [level, deniedHit] as const),
  );

  it.each(RETRIES)(
    '83: after a fault on stale rights of level %i, the retry sees memory; policy "%s"',
    (level, deniedHit) => {
      const { map, upper, access } = keeping({ policy: { deniedHit } });
      map(VA, 1, 0x300, 'P RW US');
      upper(VA, level, 'P RW');
      expect(access('supervisor read', VA)).toBe('ok');
      upper(VA, level, 'P RW US');
      expect(['ok', '#PF 05']).toContain(access('user read', VA));
      expect(access('user read', VA)).toBe('ok');
    },
  );

  it.each([2, 3, 4])(
    '83: after a fault below a stale entry of level %i, the retry goes through the new tables',
    (level) => {
      const neighbour = '0x12345679000';
      // Mapped by tables of its own from `level` down, at the same places in them.
      const elsewhere = `0x${(BigInt(neighbour) + (1n << BigInt(9 * level + 3))).toString(16)}`;
      const { map, entry, setEntry, translate } = keeping();
      map(VA, 1, 0x300, 'P RW');
      map(elsewhere, 1, 0x310, 'P RW');
      expect(translate(VA)).toBe('0x300000');
      setEntry(VA, level, entry(elsewhere, level));
      expect(['#PF 00', '0x310000']).toContain(translate(neighbour));
      expect(translate(neighbour)).toBe('0x310000');
    },
  );

  it.each([
    ['walk', ['ok']],
    ['fault', ['#PF 07', 'ok']],
  ] as const)('84: a cached read-only page that became writable: policy "%s" gives %j', (deniedHit, outcomes) => {
    const { map, entry, setEntry, access } = keeping({ policy: { deniedHit } });
    map(VA, 1, 0x300, 'P US');
    expect(access('user read', VA)).toBe('ok');
    setEntry(VA, 1, entry(VA, 1) | 2n);
    expect(outcomes.map(() => access('user write', VA))).toEqual(outcomes);
  });

  it.each([
    ['R/W 0 to 1', 'P US', 2n, 0n, 'user write'],
    ['U/S 0 to 1', 'P RW', 4n, 0n, 'user read'],
    ['XD 1 to 0', 'P RW US XD', 0n, NX, 'user fetch'],
  ] as const)('84: %s needs no flush: at most one fault', (_, flags, set, clear, kind) => {
    for (const deniedHit of ['walk', 'fault'] as const) {
      const { map, entry, setEntry, access } = keeping({ policy: { deniedHit } });
      map(VA, 1, 0x300, flags);
      expect(access('supervisor read', VA)).toBe('ok');
      setEntry(VA, 1, (entry(VA, 1) | set) & ~clear);
      access(kind, VA);
      expect(access(kind, VA)).toBe('ok');
    }
  });

  it('86: U/S 0 to 1 with SMEP = 1 may be stale for a supervisor fetch until it is flushed', () => {
    const { cpu, map, entry, setEntry, access } = keeping({ cr4: CR4.SMEP });
    map(VA, 1, 0x300, 'P RW');
    expect(access('supervisor fetch', VA)).toBe('ok');
    setEntry(VA, 1, entry(VA, 1) | 4n);
    expect(access('supervisor fetch', VA)).toBe('ok');
    cpu.invlpg(lo(VA), hi(VA));
    expect(access('supervisor fetch', VA)).toBe('#PF 11');
  });
});

describe('code', () => {
  it('87: an instruction across two pages is fetched anew after its second page was remapped', () => {
    const { machine, cpu, map } = keeping();
    map(VA, 1, 0x300, 'P RW');
    map('0x12345679000', 1, 0x301, 'P RW');
    machine.host.write(0x300ffe, Uint8Array.of(1, 2));
    machine.host.write(0x301000, Uint8Array.of(3, 4));
    machine.host.write(0x310000, Uint8Array.of(5, 6));
    const fetch = (): number[] => {
      const bytes = new Uint8Array(4);
      return [cpu.fetchBytes(lo('0x12345678ffe'), hi(VA), bytes), ...bytes];
    };
    expect(fetch()).toEqual([0, 1, 2, 3, 4]);
    map('0x12345679000', 1, 0x310, 'P RW');
    cpu.invlpg(lo('0x12345679000'), hi(VA));
    expect(fetch()).toEqual([0, 1, 2, 5, 6]);
    map('0x12345679000', 1, 0x310, 'RW');
    cpu.invlpg(lo('0x12345679000'), hi(VA));
    expect(fetch()).toEqual([14, 0, 0, 0, 0]);
    expect(cpu.cr2Lo).toBe(lo('0x12345679000'));
  });

  it.each([
    ['silent', []],
    ['reported', [[0x103, 0x3c0, 8]]],
  ] as const)(
    '88: A and D stores into a page of code are %s, as the policy says; others are reported',
    (policy, seen) => {
      const { machine, map, access } = keeping({ policy: { accessedDirtyStores: policy }, cr0: CR0.WP });
      const at = map(VA, 1, 0x300, 'P RW');
      const reports: number[][] = [];
      machine.memory.onCodeWrite = (...about) => reports.push(about);
      machine.memory.markCode(Math.floor(at / 4096));
      machine.memory.markCode(0x300);
      expect(access('read', VA)).toBe('ok');
      expect(reports).toEqual(seen);
      expect(access('write', VA)).toBe('ok');
      expect(reports.at(-1)).toEqual([0x300, 0, 4]);
      machine.host.write32(0x300004, 1);
      expect(reports.at(-1)).toEqual([0x300, 4, 4]);
    },
  );
});
