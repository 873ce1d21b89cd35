/**
 * Paging rules 45 to 51: protection keys of user pages (PKRU) and supervisor pages (IA32_PKRS).
 * Source: SDM 3A, "Protection Keys".
 */
import { describe, expect, it } from 'vitest';
import { CACHES, CR0, CR4, setup } from '../support/tables.ts';

const VA = '0x12345678000';
const VA32 = '0x45678000';
const KEY = 5;
/** Access-disable and write-disable of that key. */
const AD = 1 << (2 * KEY);
const WD = 2 << (2 * KEY);

describe.each(CACHES)('PKRU, %s', (_, caches) => {
  const user = (pkru: number, flags = 'P RW US', cr0: number = CR0.WP): ReturnType<typeof setup> => {
    const made = setup('4-level', { caches, cr0, cr4: CR4.PKE, pkru });
    made.map(VA, 1, 0x300, flags, { key: KEY });
    return made;
  };

  it('45: AD denies the kernel a read of a user page (21), but not a fetch from it', () => {
    const { access } = user(AD);
    expect(access('supervisor read', VA)).toBe('#PF 21');
    expect(access('supervisor fetch', VA)).toBe('ok');
    expect(access('user fetch', VA)).toBe('ok');
  });

  it('45: WD lets the kernel write with WP = 0, and not with WP = 1 (23)', () => {
    expect(user(WD, 'P RW US', 0).access('supervisor write', VA)).toBe('ok');
    expect(user(WD).access('supervisor write', VA)).toBe('#PF 23');
    expect(user(WD, 'P RW US', 0).access('user write', VA)).toBe('#PF 27');
    expect(user(WD).access('user read', VA)).toBe('ok');
  });

  it('45: a supervisor page of the same key is not affected', () => {
    const { access } = user(AD | WD, 'P RW');
    expect(access('supervisor read', VA)).toBe('ok');
    expect(access('supervisor write', VA)).toBe('ok');
  });

  it('46: a user write that rights and key deny reports both (27)', () => {
    expect(user(WD, 'P US').access('user write', VA)).toBe('#PF 27');
  });

  it('47: a key says nothing of a page that is not present (04) or malformed (0D)', () => {
    expect(user(AD, 'RW US').access('user read', VA)).toBe('#PF 04');
    expect(user(AD, 'P RW US bit51').access('user read', VA)).toBe('#PF 0D');
  });

  it.each(['32-bit', 'pae'] as const)('48: keys do not exist in %s paging, whatever CR4.PKE', (mode) => {
    const { map, access } = setup(mode, { caches, cr4: CR4.PKE, pkru: -1 });
    map(VA32, 1, 0x300, 'P RW US');
    expect(access('user write', VA32)).toBe('ok');
  });

  it('49: WRPKRU counts for the next access, without a flush', () => {
    const { cpu, access } = user(0);
    for (const _time of [1, 2]) expect(access('user write', VA)).toBe('ok');
    cpu.setPkru(WD);
    expect(access('user write', VA)).toBe('#PF 27');
    cpu.setPkru(0);
    expect(access('user write', VA)).toBe('ok');
  });

  it('49: toggling CR4.PKE does too', () => {
    const { cpu, access } = user(AD);
    expect(access('user read', VA)).toBe('#PF 25');
    cpu.setCr4(cpu.registers.cr4 & ~CR4.PKE);
    for (const _time of [1, 2]) expect(access('user read', VA)).toBe('ok');
    cpu.setCr4(cpu.registers.cr4 | CR4.PKE);
    expect(access('user read', VA)).toBe('#PF 25');
  });

  it('51: PKRU does not apply to a supervisor leaf under user entries', () => {
    const { access } = user(AD | WD, 'P RW');
    expect(access('supervisor write', VA)).toBe('ok');
    expect(access('user read', VA)).toBe('#PF 05');
  });
});

describe.each(CACHES)('PKRS, %s', (_, caches) => {
  const supervisor = (pkrs: number, flags = 'P RW', cr0: number = CR0.WP): ReturnType<typeof setup> => {
    const made = setup('4-level', { caches, cr0, cr4: CR4.PKS, pkrs });
    made.map(VA, 1, 0x300, flags, { key: KEY });
    return made;
  };

  it('50: a user page is not affected', () => {
    expect(supervisor(AD, 'P RW US').access('supervisor read', VA)).toBe('ok');
    expect(supervisor(AD, 'P RW US').access('user write', VA)).toBe('ok');
  });

  it('50: AD denies reads (21); WD denies writes with WP = 1 (23) and not with WP = 0', () => {
    expect(supervisor(AD).access('read', VA)).toBe('#PF 21');
    expect(supervisor(WD).access('write', VA)).toBe('#PF 23');
    expect(supervisor(WD).access('read', VA)).toBe('ok');
    expect(supervisor(WD, 'P RW', 0).access('write', VA)).toBe('ok');
    expect(supervisor(AD).access('fetch', VA)).toBe('ok');
  });
});

describe('shadow stacks', () => {
  it.skip('52 to 55: need CET, which this MMU does not have', () => {});
});
