import { describe, expect, it } from 'vitest';
import { takeCensus } from '../../src/image/census.ts';
import { ALL, Guest, P, PS, ROOT } from '../support/guest.ts';

describe('a census', () => {
  it('counts tables and leaves by level', () => {
    const guest = new Guest()
      .map(0x1000n, P)
      .map(0x2000n, P)
      .map(0x20_0000n, P | PS, 2)
      .map(0x40_0000n, P)
      .map(0x4000_0000n, P | PS, 3)
      .map(0xffff_8000_0000_0000n, P);
    expect(takeCensus(guest.cpu)).toEqual({
      tables: 8,
      missing: 0,
      tablesByLevel: [0, 3, 2, 2, 1, 0],
      leavesByLevel: [0, 4, 1, 1, 0, 0],
    });
  });

  it('counts a shared table and its leaves once, a self-mapped one at each of its levels', () => {
    const shared = new Guest().map(0x1000n, P);
    shared.map(0x20_0000n, shared.entryAt(shared.entryAddress(0n, 2)), 2);
    expect(takeCensus(shared.cpu)).toMatchObject({ tables: 4, leavesByLevel: [0, 1, 0, 0, 0, 0] });

    const own = new Guest().map(0x1000n, P);
    own.machine.host.write64(ROOT * 4096 + 8 * 258, BigInt(ROOT * 4096) | ALL);
    // The root is used at levels 4 to 1, the table below it at 3 to 1, and so on.
    expect(takeCensus(own.cpu)).toMatchObject({ tables: 4, tablesByLevel: [0, 4, 3, 2, 1, 0] });
  });

  it('leaves out entries with reserved bits set, and what is below them', () => {
    const guest = new Guest({ features: { page1gb: false } })
      .map(0x1000n, P)
      .map(0x2000n, (1n << 51n) | P)
      .map(0x4000_0000n, P | PS, 3)
      .map(0x80_0000_0000n, P);
    const at = guest.entryAddress(0x80_0000_0000n, 4);
    guest.machine.host.write64(at, guest.entryAt(at) | PS);
    expect(takeCensus(guest.cpu)).toMatchObject({ tables: 4, leavesByLevel: [0, 1, 0, 0, 0, 0] });
  });

  it('counts the PDPT of PAE paging, which the processor knows as registers', () => {
    const guest = new Guest({ mode: 'pae' }).map(0x1000n, P).map(0xc000_0000n, P | PS, 2);
    expect(takeCensus(guest.cpu)).toEqual({
      tables: 4,
      missing: 0,
      tablesByLevel: [0, 1, 2, 1, 0, 0],
      leavesByLevel: [0, 1, 1, 0, 0, 0],
    });
  });

  it('of 32-bit and 5-level tables has their levels, and none without paging', () => {
    const old = new Guest({ mode: '32-bit' }).map(0x1000n, P).map(0x40_0000n, P | PS, 2);
    expect(takeCensus(old.cpu)).toMatchObject({ tablesByLevel: [0, 1, 1, 0, 0, 0], leavesByLevel: [0, 1, 1, 0, 0, 0] });
    const wide = new Guest({ mode: '5-level' }).map(0x1000n, P);
    expect(takeCensus(wide.cpu).tablesByLevel).toEqual([0, 1, 1, 1, 1, 1]);
    const none = takeCensus(new Guest({ mode: 'none' }).cpu);
    expect(none).toEqual({
      tables: 0,
      missing: 0,
      tablesByLevel: [0, 0, 0, 0, 0, 0],
      leavesByLevel: [0, 0, 0, 0, 0, 0],
    });
  });

  it('asks before each table, once for each level it is used at', () => {
    const guest = new Guest().map(0x1000n, P).map(0x20_0000n, P);
    const asked: number[] = [];
    const { tablesByLevel } = takeCensus(guest.cpu, undefined, (_, level) => {
      asked.push(level);
      return level > 1;
    });
    expect(asked).toEqual([4, 3, 2, 1, 1]);
    expect(tablesByLevel).toEqual([0, 0, 1, 1, 1, 0]);
  });
});
