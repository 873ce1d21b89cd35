import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALL_RIGHTS,
  decideAccess,
  EXAMINE,
  FETCH,
  IMPLICIT,
  narrow,
  PF_P,
  PF_PK,
  PF_WR,
  patBit,
  READ,
  READ_MODIFY_WRITE,
  Regime,
  type RegimeOptions,
  STACK,
  WRITE,
  withLeaf,
} from '../../src/mmu/access.ts';

// Rights bits, typed anew.
const WRITABLE = 1;
const USER = 2;
const NO_EXECUTE = 4;

const OFF: RegimeOptions = {
  userMode: false,
  wp: false,
  smep: false,
  smap: false,
  nxe: false,
  pkru: 0,
  pkrs: 0,
  reportsFetch: false,
};

function regime(options: Partial<RegimeOptions>): Regime {
  const made = new Regime();
  made.set({ ...OFF, ...options });
  return made;
}

/**
 * SDM 3A, "Determination of Access Rights", one line of the manual a row: who, doing what, to which address, where.
 * Conditions left out do not matter; what no row allows is denied.
 */
type Row = readonly [mode: 'supervisor' | 'user', kind: number, address: 'supervisor' | 'user', where: Partial<Case>];
interface Case {
  readonly writable: boolean;
  readonly executable: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
}
const ALLOWED: readonly Row[] = [
  ['supervisor', READ, 'supervisor', {}],
  ['supervisor', READ, 'user', { smap: false }],
  ['supervisor', WRITE, 'supervisor', { wp: false }],
  ['supervisor', WRITE, 'supervisor', { wp: true, writable: true }],
  ['supervisor', WRITE, 'user', { wp: false, smap: false }],
  ['supervisor', WRITE, 'user', { wp: true, smap: false, writable: true }],
  ['supervisor', FETCH, 'supervisor', { executable: true }],
  ['supervisor', FETCH, 'user', { smep: false, executable: true }],
  ['user', READ, 'user', {}],
  ['user', WRITE, 'user', { writable: true }],
  ['user', FETCH, 'user', { executable: true }],
];

const flags = [false, true];
const combinations = flags.flatMap((userMode) =>
  flags.flatMap((wp) =>
    flags.flatMap((smep) =>
      flags.flatMap((smap) =>
        flags.flatMap((nxe) => [0, 1, 2, 3, 4, 5, 6, 7].map((rights) => ({ userMode, wp, smep, smap, nxe, rights }))),
      ),
    ),
  ),
);

function isAllowed({ userMode, wp, smep, smap, nxe, rights }: (typeof combinations)[number], kind: number): boolean {
  const about: Case = {
    writable: (rights & WRITABLE) !== 0,
    executable: !nxe || (rights & NO_EXECUTE) === 0,
    wp,
    smep,
    smap,
  };
  const address = (rights & USER) !== 0 ? 'user' : 'supervisor';
  return ALLOWED.some(
    ([mode, rowKind, rowAddress, where]) =>
      mode === (userMode ? 'user' : 'supervisor') &&
      rowKind === kind &&
      rowAddress === address &&
      Object.entries(where).every(([name, value]) => about[name as keyof Case] === value),
  );
}

describe('access rights', () => {
  it('decide all 256 cases of each kind as the table of the manual', () => {
    expect(combinations).toHaveLength(256);
    for (const about of combinations) {
      const judge = regime(about);
      for (const kind of [READ, WRITE, FETCH]) {
        const expected = isAllowed(about, kind) ? 0 : PF_P;
        expect(judge.denial(about.rights, kind), `${JSON.stringify(about)} kind ${kind}`).toBe(expected);
        expect(judge.denial(about.rights, kind | STACK | IMPLICIT)).toBe(expected);
        expect(judge.allows(about.rights, kind | STACK | IMPLICIT)).toBe(expected === 0);
      }
      const both = isAllowed(about, READ) && isAllowed(about, WRITE);
      expect(judge.denial(about.rights, READ_MODIFY_WRITE)).toBe(both ? 0 : PF_P);
      expect(judge.denial(about.rights, EXAMINE)).toBe(0);
    }
  });

  it('are the same decision that the table is generated from', () => {
    for (const about of combinations) {
      const { userMode, wp, smep, smap, nxe, rights } = about;
      const key =
        rights |
        (Number(userMode) << 3) |
        (Number(wp) << 4) |
        (Number(smep) << 5) |
        (Number(smap) << 6) |
        (Number(nxe) << 7);
      for (const kind of [READ, WRITE, FETCH]) expect(decideAccess(key, kind)).toBe(isAllowed(about, kind));
    }
  });

  it('narrow: R/W and U/S need every level, XD needs one', () => {
    expect(narrow(ALL_RIGHTS, 0x7, 0)).toBe(WRITABLE | USER);
    expect(narrow(ALL_RIGHTS, 0x5, 0)).toBe(USER);
    expect(narrow(ALL_RIGHTS, 0x3, 0)).toBe(WRITABLE);
    expect(narrow(USER, 0x7, -0x8000_0000)).toBe(USER | NO_EXECUTE);
    expect(narrow(USER | NO_EXECUTE, 0x1, 0)).toBe(NO_EXECUTE);
  });

  it('take D, G, key and PAT index from the leaf', () => {
    expect(withLeaf(0, 0x40, 0, patBit(1))).toBe(1 << 3);
    expect(withLeaf(0, 0x100, 0, patBit(1))).toBe(1 << 4);
    expect(withLeaf(3, 0, 0x5800_0000, patBit(1))).toBe(3 | (11 << 5));
    expect(withLeaf(0, 0x98, 0, patBit(1)) >>> 9).toBe(7);
    expect(withLeaf(0, 0x98, 0, patBit(2)) >>> 9).toBe(3);
    expect(withLeaf(0, 0x1008, 0, patBit(3)) >>> 9).toBe(5);
  });
});

describe('protection keys', () => {
  // SDM 3A, "Protection Keys": AD is bit 2k, WD bit 2k + 1; data accesses only; WD binds the supervisor with WP only.
  it('deny what the manual says, for user pages by PKRU and for supervisor pages by PKRS', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(
        word,
        word,
        fc.nat(15),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (pkru, pkrs, key, user, userMode, wp) => {
          if (userMode && !user) return; // denied whatever the keys
          const judge = regime({ userMode, wp, pkru, pkrs });
          const rights = WRITABLE | (user ? USER : 0) | (key << 5);
          const pair = ((user ? pkru : pkrs) >>> (2 * key)) & 3;
          const noRead = (pair & 1) !== 0;
          const noWrite = noRead || ((pair & 2) !== 0 && (userMode || wp));
          expect(judge.denial(rights, READ)).toBe(noRead ? PF_P | PF_PK : 0);
          expect(judge.allows(rights, READ)).toBe(!noRead);
          expect(judge.denial(rights, WRITE)).toBe(noWrite ? PF_P | PF_PK : 0);
          expect(judge.denial(rights, READ_MODIFY_WRITE)).toBe(noWrite ? PF_P | PF_PK : 0);
          expect(judge.denial(rights, FETCH)).toBe(0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('are reported even where another right denies too', () => {
    const judge = regime({ userMode: true, pkru: 1 });
    expect(judge.denial(USER, WRITE)).toBe(PF_P | PF_PK);
  });
});

describe('an error code', () => {
  it.each<[string, Partial<RegimeOptions>, number, number]>([
    ['supervisor read', {}, READ, 0],
    ['supervisor write', {}, WRITE, 2],
    ['user read-modify-write', { userMode: true }, READ_MODIFY_WRITE, 6],
    ['user fetch, not reported', { userMode: true }, FETCH, 4],
    ['user fetch, reported', { userMode: true, reportsFetch: true }, FETCH, 0x14],
    ['a read where fetches are reported', { reportsFetch: true }, READ, 0],
  ])('tells what the access was: %s', (_what, options, access, code) => {
    expect(regime(options).errorCode(0, access)).toBe(code);
    expect(regime(options).errorCode(9, access | STACK)).toBe(code | 9);
    expect(PF_WR).toBe(2);
  });
});
