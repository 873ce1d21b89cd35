/**
 * Paging rules 31 to 44: which access a page allows, and what the error code says of one that it does not.
 * Source: SDM 3A, "Determination of Access Rights", "Page-Fault Exceptions".
 */
import { describe, expect, it } from 'vitest';
import { CACHES, CR0, CR4, hi, lo, setup } from '../support/tables.ts';

const VA = '0x12345678000';
const VA32 = '0x45678000';
const RWU = 'P RW US';
/** A and D of an entry. */
const A_AND_D = 0x60n;

describe.each(CACHES)('write protection, %s', (_, caches) => {
  it('31: with WP = 0 and SMAP = 0 the supervisor writes to a read-only user page, and D is set', () => {
    const { map, entry, access } = setup('4-level', { caches, cr0: 0 });
    map(VA, 1, 0x300, 'P US');
    expect(access('supervisor write', VA)).toBe('ok');
    expect(entry(VA, 1)).toBe(0x300065n);
  });

  it('31: with WP = 1 the same write faults (03) and leaves A and D alone', () => {
    const { map, entry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P US');
    expect(access('supervisor write', VA)).toBe('#PF 03');
    expect(entry(VA, 1) & A_AND_D).toBe(0n);
  });

  it('32: with WP = 0, SMAP = 1 and AC = 0 that write faults (03), and so does a read (01)', () => {
    const { map, access } = setup('4-level', { caches, cr0: 0, cr4: CR4.SMAP });
    map(VA, 1, 0x300, 'P US');
    expect(access('supervisor write', VA)).toBe('#PF 03');
    expect(access('supervisor read', VA)).toBe('#PF 01');
  });

  it('32: with AC = 1 that write is allowed', () => {
    const { cpu, map, access } = setup('4-level', { caches, cr0: 0, cr4: CR4.SMAP });
    map(VA, 1, 0x300, 'P US');
    cpu.setAc(1);
    expect(access('supervisor write', VA)).toBe('ok');
  });

  it.each(['P', 'P US'])(
    '33: setting WP counts for the next write to a cached read-only page (%s), with no flush (03)',
    (flags) => {
      const { cpu, map, access } = setup('4-level', { caches, cr0: 0 });
      map(VA, 1, 0x300, flags);
      // Twice: the hit path takes stores only to memory that is dirty already.
      for (let time = 0; time < 2; time++) expect(access('supervisor write', VA)).toBe('ok');
      cpu.setCr0(cpu.registers.cr0 | CR0.WP);
      expect(access('supervisor write', VA)).toBe('#PF 03');
      cpu.setCr0(cpu.registers.cr0 & ~CR0.WP);
      expect(access('supervisor write', VA)).toBe('ok');
    },
  );
});

describe.each(CACHES)('SMAP and SMEP, %s', (_, caches) => {
  it.each(['supervisor', 'user'] as const)(
    '34: under SMAP AC = 1 does not help an implicit access to a user page at %s CPL (01, 03)',
    (who) => {
      const { cpu, map, access } = setup('4-level', { caches, cr4: CR4.SMAP });
      map(VA, 1, 0x300, RWU);
      cpu.setAc(1);
      expect(access(`${who} read`, VA)).toBe('ok');
      expect(access(`${who} implicit read`, VA)).toBe('#PF 01');
      expect(access(`${who} implicit write`, VA)).toBe('#PF 03');
    },
  );

  it('34: an implicit access at CPL 3 reaches a supervisor page', () => {
    const { map, access } = setup('4-level', { caches, cr4: CR4.SMAP });
    map(VA, 1, 0x300, 'P RW');
    expect(access('user implicit read', VA)).toBe('ok');
    expect(access('user read', VA)).toBe('#PF 05');
  });

  it('35: SMAP without SMEP lets the supervisor fetch from a user page', () => {
    const { map, access } = setup('4-level', { caches, cr4: CR4.SMAP });
    map(VA, 1, 0x300, RWU);
    expect(access('supervisor fetch', VA)).toBe('ok');
    expect(access('supervisor read', VA)).toBe('#PF 01');
  });

  it('36: with NXE = 0 a supervisor fetch that SMEP forbids reports I/D (11)', () => {
    const { map, access } = setup('4-level', { caches, cr4: CR4.SMEP, efer: 0 });
    map(VA, 1, 0x300, RWU);
    expect(access('supervisor fetch', VA)).toBe('#PF 11');
  });

  it('37: with SMEP = 0 and NXE = 0 a fetch from an absent page does not report I/D (00, 04)', () => {
    const { access } = setup('4-level', { caches, efer: 0 });
    expect(access('supervisor fetch', VA)).toBe('#PF 00');
    expect(access('user fetch', VA)).toBe('#PF 04');
  });

  it.each([
    ['SMEP = 1', { cr4: CR4.SMEP, efer: 0 }],
    ['NXE = 1', {}],
  ])('37: with %s a fetch from an absent page reports I/D (10, 14)', (_name, controls) => {
    const { access } = setup('4-level', { caches, ...controls });
    expect(access('supervisor fetch', VA)).toBe('#PF 10');
    expect(access('user fetch', VA)).toBe('#PF 14');
  });

  it('38: in 32-bit paging NXE = 1 does not make a fetch report I/D (00, 04, 05)', () => {
    const { map, access } = setup('32-bit', { caches });
    expect(access('supervisor fetch', VA32)).toBe('#PF 00');
    expect(access('user fetch', VA32)).toBe('#PF 04');
    map(VA32, 1, 0x300, 'P RW');
    expect(access('user fetch', VA32)).toBe('#PF 05');
  });

  it('38: in 32-bit paging SMEP = 1 makes a fetch report I/D (11, 15)', () => {
    const { map, access } = setup('32-bit', { caches, cr4: CR4.SMEP });
    map(VA32, 1, 0x300, RWU);
    expect(access('supervisor fetch', VA32)).toBe('#PF 11');
    map(VA32, 1, 0x300, 'P RW');
    expect(access('user fetch', VA32)).toBe('#PF 15');
  });

  it.each([1, 2, 3, 4, 5])(
    '39: XD in the entry of level %i alone forbids fetches (11, 15) and nothing else',
    (level) => {
      const { map, upper, access } = setup('5-level', { caches });
      map(VA, 1, 0x300, RWU);
      upper(VA, level, `${RWU} XD`);
      for (const size of [1, 2, 4, 8] as const) {
        // Reads and writes first, so that a fetch finds what they left in the caches.
        for (const kind of ['write', 'read'] as const) expect(access(`user ${kind}`, VA, size)).toBe('ok');
        expect(access('user fetch', VA, size)).toBe('#PF 15');
        expect(access('supervisor read', VA, size)).toBe('ok');
        expect(access('supervisor fetch', VA, size)).toBe('#PF 11');
      }
    },
  );

  it.each([1, 2, 3, 4, 5])('40: U/S = 0 in the entry of level %i alone makes a supervisor page', (level) => {
    const { map, upper, access } = setup('5-level', { caches, cr4: CR4.SMEP | CR4.SMAP });
    map(VA, 1, 0x300, RWU);
    upper(VA, level, 'P RW');
    for (const kind of ['read', 'write', 'fetch'] as const) expect(access(`supervisor ${kind}`, VA)).toBe('ok');
    expect(access('user read', VA)).toBe('#PF 05');
    expect(access('user write', VA)).toBe('#PF 07');
    expect(access('user fetch', VA)).toBe('#PF 15');
  });

  it.each([
    [1, 0x300],
    [2, 0x200],
    [3, 0],
  ])(
    '41: a page of level %i that the user has touched stays forbidden to the supervisor (01, 03, 11)',
    (level, frame) => {
      const { map, access } = setup('4-level', { caches, cr4: CR4.SMEP | CR4.SMAP });
      const va = '0x12340300000'; // 0x300000 by each of the three
      map(va, level, frame, RWU);
      for (const [kind, outcome] of [
        ['read', '#PF 01'],
        ['write', '#PF 03'],
        ['fetch', '#PF 11'],
      ] as const) {
        for (const touch of ['read', 'write', 'fetch'] as const) expect(access(`user ${touch}`, va)).toBe('ok');
        expect(access(`supervisor ${kind}`, va)).toBe(outcome);
      }
    },
  );

  it.each([1, 2, 3, 4])('42: WP = 0 does not let the user write where R/W = 0 at level %i (07)', (level) => {
    const { map, upper, access } = setup('4-level', { caches, cr0: 0 });
    map(VA, 1, 0x300, RWU);
    upper(VA, level, 'P US');
    expect(access('supervisor write', VA)).toBe('ok');
    expect(access('user write', VA)).toBe('#PF 07');
  });
});

describe.each(CACHES)('read-modify-writes and CLFLUSH, %s', (_, caches) => {
  it.each([
    ['supervisor', 0, '#PF 03'],
    ['user', 3, '#PF 07'],
  ] as const)(
    '43: a %s CMPXCHG that would store nothing faults as a write on a read-only page',
    (_who, cpl, outcome) => {
      const made = setup('4-level', { caches, cpl });
      const [l, h] = [lo(VA), hi(VA)];
      made.map(VA, 1, 0x300, 'P US');
      made.cpu.compareExchange8(l, h, 1, 2);
      expect(made.outcome()).toBe(outcome);
      made.cpu.compareExchange16(l, h, 1, 2);
      expect(made.outcome()).toBe(outcome);
      made.cpu.compareExchange32(l, h, 1, 2);
      expect(made.outcome()).toBe(outcome);
      made.cpu.compareExchange64(l, h, 1, 0, 2, 0);
      expect(made.outcome()).toBe(outcome);
      expect(made.entry(VA, 1) & A_AND_D).toBe(0n);
    },
  );

  it('43: a CMPXCHG that stores nothing sets D of a writable page', () => {
    const { cpu, map, entry, outcome } = setup('4-level', { caches });
    map(VA, 1, 0x300, RWU);
    expect(cpu.compareExchange32(lo(VA), hi(VA), 1, 2)).toBe(0);
    expect(outcome()).toBe('ok');
    expect(cpu.read32(lo(VA), hi(VA))).toBe(0);
    expect(entry(VA, 1) & A_AND_D).toBe(A_AND_D);
  });

  it('43: the read of a read-modify-write faults as a write (03, 07) where the page is read-only', () => {
    const { map, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P US');
    expect(access('supervisor read', VA)).toBe('ok');
    expect(access('supervisor rmw', VA)).toBe('#PF 03');
    expect(access('user rmw', VA)).toBe('#PF 07');
  });

  it('43: a read-modify-write of an absent page reports W (02, 06)', () => {
    const { cpu, access, outcome } = setup('4-level', { caches });
    expect(access('supervisor rmw', VA)).toBe('#PF 02');
    expect(access('user rmw', VA)).toBe('#PF 06');
    cpu.exchange32(lo(VA), hi(VA), 1);
    expect(outcome()).toBe('#PF 06');
  });

  it('44: CLFLUSH, a read of one byte, may touch a read-only user page and leaves D alone', () => {
    const { map, entry, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P US');
    expect(access('user read', VA, 1)).toBe('ok');
    expect(entry(VA, 1)).toBe(0x300025n);
  });

  it('44: CLFLUSH of an absent page faults as a read (00, 04)', () => {
    const { access } = setup('4-level', { caches });
    expect(access('supervisor read', VA, 1)).toBe('#PF 00');
    expect(access('user read', VA, 1)).toBe('#PF 04');
  });

  it('44: CLFLUSH of the last byte of a page does not touch the next one', () => {
    const { map, access } = setup('4-level', { caches });
    map(VA, 1, 0x300, 'P US');
    expect(access('user read', '0x12345678fff', 1)).toBe('ok');
    expect(access('user read', '0x12345679000', 1)).toBe('#PF 04');
  });
});
