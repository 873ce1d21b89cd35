/**
 * What x86 says of the levels above: tables that are unlinked, superpages that are split or put together, walks that are on
 * their way meanwhile, and other address spaces. E1 to E5, E9, E13 and E15 of the list (see litmus-extended.test.ts).
 */
import { describe, expect, it } from 'vitest';
import { read } from '../../src/explorer/scenario.ts';
import { hiOfPage, loOfPage, World } from '../../src/explorer/world.ts';
import { FLUSH_ORDER, FLUSH_TLB } from '../../src/hypervisor/flags.ts';
import type { XenMm } from '../../src/hypervisor/index.ts';
import { WRITE } from '../../src/mmu/access.ts';
import { P, PWT, RW } from '../../src/mmu/entry.ts';
import { outcomesOf, violationsOf } from '../support/litmus.ts';
import {
  access,
  BASE,
  FAULT,
  freeAfter,
  invlpg,
  isAccessed,
  LEAF,
  noFlush,
  operation,
  pieces,
  promote,
  results,
  scenario,
  seesUnlinked,
  shootdown,
  sizes,
  split,
  unlink,
  whole,
  X,
  X1,
  Y,
} from '../support/litmus-structures.ts';

describe('E1: a table is unlinked, without INVLPG, and another CPU goes there', () => {
  const cpus = [[unlink], [seesUnlinked, access(X)]];

  it('permits the translation by the TLB', () => {
    expect(results(scenario(pieces(), cpus, [[], [X]]))).toContain('1 1');
  });

  it('permits a walk from the table, by the structure caches', () => {
    expect(results(scenario(pieces(), cpus, [[], [X1]]))).toContain('1 9');
  });

  it('faults where nothing is cached', () => {
    expect(results(scenario(pieces(), cpus)).filter((one) => one.startsWith('1'))).toEqual([`1 ${FAULT}`]);
  });
});

describe('E2: the same with INVLPG of any address', () => {
  it('forbids the walk from the table', () => {
    expect(results(scenario(pieces(), [[unlink, invlpg(Y), access(X)]], [[X1]]))).toEqual([`0 0 ${FAULT}`]);
  });

  it('permits it without', () => {
    expect(results(scenario(pieces(), [[unlink, access(X)]], [[X1]]))).toEqual(['0 9']);
  });

  it('permits what the TLB holds of another page', () => {
    expect(results(scenario(pieces(), [[unlink, invlpg(Y), access(X)]], [[X]]))).toEqual(['0 0 1']);
  });
});

describe('E3: the same with structure caches of another PCID', () => {
  /** Bit 63 of CR3. */
  const KEEP = -0x8000_0000;
  const machine = { frames: 16, pool: 0, pcids: true };
  const enter = (mm: XenMm, pcid: number, hi: number): void => void mm.cpu.setCr3(mm.root * 4096 + pcid, hi);
  /** X's table is known in PCID 1; PCID 0 runs. */
  const prepare = (mm: XenMm): void => {
    pieces()(mm);
    enter(mm, 1, KEEP);
    mm.cpu.translate(loOfPage(X1), hiOfPage(X1));
    enter(mm, 0, KEEP);
  };

  // MOV to CR3 is no operation that can be taken back; but one CPU alone has one schedule.
  it.each([
    ['permits the walk from the table after INVLPG and MOV to CR3 without flush', KEEP, 0, 0],
    ['forbids it after MOV to CR3 with flush', 0, 0, 14],
    ['forbids it after INVPCID of the other PCID', KEEP, 1, 14],
  ])('%s', (_, hi, pcid, vector) => {
    const mm = new World(scenario(prepare, [[]], [], { machine })).hands[0]!;
    unlink.run(mm);
    mm.cpu.invlpg(loOfPage(X), hiOfPage(X));
    if (pcid !== 0) mm.cpu.invpcid(1, pcid, 0, 0, 0);
    enter(mm, 1, hi);
    expect(mm.cpu.translate(loOfPage(X), hiOfPage(X))).toBe(vector);
  });

  it('is found where the table is freed after INVLPG', () => {
    const program = freeAfter(({ cpu }) => cpu.invlpg(loOfPage(X), hiOfPage(X)));
    const violations = violationsOf(scenario(prepare, [[program]], [], { machine }));
    expect(violations.map(({ rule }) => rule)).toEqual(['cached-table']);
  });

  it('is clean after a flush of all that Xen uses', () => {
    const program = freeAfter(({ flush }) => void flush.local(X, FLUSH_TLB | FLUSH_ORDER(0)));
    expect(violationsOf(scenario(prepare, [[program]], [], { machine }))).toEqual([]);
  });
});

describe('E4: small pages become one superpage of the same frames, without a flush', () => {
  const evicts = { hardware: { evictions: 2 } };

  it('permits both, the old one by the TLB and the new one by a walk', () => {
    const outcomes = outcomesOf(scenario(pieces(), [[promote(), access(X), access(X1)]], [[X]], evicts), sizes);
    expect(outcomes).toContainEqual({ results: [[0, 1, 10]], last: [1, 2] });
    expect(outcomes).toContainEqual({ results: [[0, 1, 9]], last: [1, 1] });
    expect(outcomes).toContainEqual({ results: [[0, 10, 2]], last: [2] });
  });

  it('is found where the frames are others', () => {
    const violations = violationsOf(scenario(pieces(), [[promote(2 * BASE), access(X1)]], [[X]], evicts));
    expect(violations.map(({ rule }) => rule)).toEqual(['one-size']);
  });
});

describe('E5: the same, and INVLPG of one address', () => {
  it('permits the old page at another address', () => {
    expect(results(scenario(pieces(), [[promote(), invlpg(X1), access(X)]], [[X]]))).toEqual(['0 0 1']);
  });

  it('forbids it at that one', () => {
    expect(results(scenario(pieces(), [[promote(), invlpg(X), access(X)]], [[X]]))).toEqual(['0 0 10']);
  });
});

describe('E9: a table is freed while another CPU walks', () => {
  const walks = [[], [read(X)]];

  it('is found before the shootdown: the walker reads a free table', () => {
    const violations = violationsOf(scenario(pieces(), [[freeAfter(noFlush)]], [], { walks }));
    expect(violations.map(({ rule, by }) => `${rule} by ${by}`).sort()).toEqual([
      'cached-table by cpu',
      'free-table by hardware',
    ]);
  });

  it('is clean after it', () => {
    expect(violationsOf(scenario(pieces(), [[freeAfter(shootdown)]], [], { walks }))).toEqual([]);
  });
});

describe('E13: a walk sets A in a table that was unlinked meanwhile', () => {
  const unused = pieces(P | RW);
  const walks = [[], [read(X)]];

  it('permits A there', () => {
    const looks = operation('look for A', isAccessed);
    const outcomes = outcomesOf(scenario(unused, [[unlink, looks]], [], { walks }), (mm) => [isAccessed(mm)]);
    expect(outcomes).toContainEqual({ results: [[0, 0], []], last: [1] });
  });

  it('is found where the table is free: hardware writes to it', () => {
    const violations = violationsOf(scenario(unused, [[freeAfter(noFlush)]], [], { walks }));
    expect(violations.map(({ what }) => what)).toContainEqual(
      expect.stringContaining('writes to a table that is free'),
    );
  });

  it('is clean after the shootdown', () => {
    expect(violationsOf(scenario(unused, [[freeAfter(shootdown)]], [], { walks }))).toEqual([]);
  });
});

describe('E15: a superpage is split, without a flush', () => {
  // A store needs D, and walks for it though the superpage is cached.
  const program = [split, access(X, WRITE)];

  it('permits both sizes in the TLB, with one translation', () => {
    const outcomes = outcomesOf(scenario(whole(), [program], [[X]]), sizes);
    expect(outcomes).toContainEqual({ results: [[0, 9]], last: [1, 2] });
  });

  it('is found where their attributes differ', () => {
    const violations = violationsOf(scenario(whole(LEAF | PWT), [program], [[X]]));
    expect(violations.map(({ rule }) => rule)).toEqual(['one-size']);
  });

  it('is clean after INVLPG, though attributes differ', () => {
    const [store] = program.slice(-1);
    expect(violationsOf(scenario(whole(LEAF | PWT), [[split, invlpg(X), store!]], [[X]]))).toEqual([]);
  });
});
