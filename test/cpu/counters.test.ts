import { describe, expect, it } from 'vitest';
import type { Counters } from '../../src/index.ts';
import { ALL, Guest, P } from '../support/guest.ts';

const counts = ({ hits, misses, walks, faults, invalidations }: Counters): number[] => [
  hits,
  misses,
  walks,
  faults,
  invalidations,
];

describe('counters', () => {
  it('count every hit with hit views off', () => {
    const { cpu } = new Guest({ caches: { hitViews: 'off' } }).map(0n, ALL);
    cpu.counters.reset();
    for (let time = 0; time < 10; time++) cpu.read32(0, 0);
    expect(counts(cpu.counters)).toEqual([9, 1, 1, 0, 0]);
    cpu.write32(0, 0, 1); // found, but D is not set yet: a walk
    cpu.write32(0, 0, 1);
    cpu.fetch8(0, 0);
    expect(counts(cpu.counters)).toEqual([12, 2, 2, 0, 0]);
  });

  it('leave out what a hit view answers', () => {
    const { cpu } = new Guest().map(0n, ALL);
    for (let time = 0; time < 10; time++) cpu.read32(0, 0);
    expect(counts(cpu.counters).slice(0, 3)).toEqual([0, 1, 1]);
  });

  it('count faults of every vector', () => {
    const { cpu } = new Guest({ cr0: 1 << 18 }).map(0n, ALL).map(0x1000n, P);
    cpu.counters.reset();
    cpu.read8(0x2000, 0); // #PF
    cpu.write8(0x1000, 0, 1); // #PF
    cpu.read8(0, 0x8000); // #GP
    cpu.setCr4(-1); // #GP
    cpu.setCpl(3);
    cpu.setAc(1);
    cpu.read16(1, 0); // #AC
    expect(cpu.counters.faults).toBe(5);
  });

  it('count operations that drop translations', () => {
    const { cpu } = new Guest({ cr4: 0x2_0000 }).map(0n, ALL);
    cpu.counters.reset();
    cpu.invlpg(0, 0);
    cpu.setCr3(0x10_0000, 0);
    cpu.setCr3(0x10_0000, -0x8000_0000); // keeps everything
    cpu.setCr4(0x2_00a0);
    cpu.setCr4(0x2_00a0); // changes nothing
    for (const type of [0, 1, 2, 3]) cpu.invpcid(type, 0, 0, 0, 0);
    cpu.setPkru(1);
    expect(cpu.counters.invalidations).toBe(7);
  });

  it('are zero after a reset, and go on from there', () => {
    const { cpu } = new Guest().map(0n, ALL);
    cpu.read8(0, 0);
    cpu.read8(0x2000, 0);
    cpu.invlpg(0, 0);
    cpu.counters.reset();
    expect(counts(cpu.counters)).toEqual([0, 0, 0, 0, 0]);
    cpu.read8(0, 0);
    expect(counts(cpu.counters)).toEqual([0, 1, 1, 0, 0]);
  });
});
