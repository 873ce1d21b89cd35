/** Arbitrary accesses to planned tables, with changes of entries and the invalidations that make them count. */
import { type Arbitrary, array, bigInt, constant, constantFrom, nat, oneof, record } from 'fast-check';
import type { Cpu } from '../../cpu/cpu.ts';
import { PAGING_MODES } from '../../mmu/paging-mode.ts';
import type { AccessKind } from '../access-vector.ts';
import type { PageTables } from '../page-tables.ts';
import { performAccess } from '../perform.ts';
import type { AccessOutcome, AccessRequest } from '../recorded-access.ts';
import { high, low } from '../wide.ts';
import { type TablesOptions, type TablesPlan, tablesArbitrary } from './tables.ts';

/** One step of a guest: an access, or software that changes something and invalidates what was cached of it. */
export type GuestStep =
  | ({
      /** One access. */
      readonly do: 'access';
    } & AccessRequest)
  | {
      /** Flips flags of the leaf of a planned page, then INVLPG. */
      readonly do: 'change';
      /** Linear address of the page. */
      readonly page: bigint;
      /** Level of its leaf. */
      readonly level: number;
      /** Bits of the entry that change. */
      readonly flip: bigint;
    }
  | {
      /** MOV CR3 of the same value, which drops all but global translations. */
      readonly do: 'reload';
    };

/** A guest: its tables, and what it does. */
export interface GuestPlan {
  /** To build with `buildTables`. */
  readonly tables: TablesPlan;
  /** In their order. */
  readonly steps: readonly GuestStep[];
}

/** Which guests are made. */
export interface GuestOptions extends TablesOptions {
  /** Most steps, 1 or more; default 24. */
  readonly maxSteps?: number;
}

/** Of 24 steps, how many are of each kind. */
export const STEP_MIX: Readonly<Record<GuestStep['do'], number>> = { access: 20, change: 3, reload: 1 };

/** Of 20 addresses, how many lie in a planned page; the others are any, of which 9 of 10 are canonical. */
export const PLANNED_ADDRESSES: number = 18;

/**
 * Guests. With the defaults about half of the accesses are done and half fault: at least 35 of 100 each, which a test
 * measures. RAM, from 0, is `ramBytes`; the tables of `buildTables` lie behind it by default, where no access leads but
 * through superpages.
 */
export function guestArbitrary(options: GuestOptions = {}): Arbitrary<GuestPlan> {
  const { maxSteps = 24 } = options;
  const steps = array(STEP, { minLength: 1, maxLength: maxSteps, size: 'max' });
  return record({ tables: tablesArbitrary(options), steps }).map(({ tables, steps: chosen }) => ({
    tables,
    steps: chosen.map((step) => step(tables)),
  }));
}

/** One access to planned tables. */
export function accessArbitrary(tables: TablesPlan): Arbitrary<AccessRequest> {
  return ACCESS.map((access) => access(tables));
}

// What is chosen here is resolved for tables that are chosen apart: a failing guest then shrinks in both at once.
type For<Result> = (tables: TablesPlan) => Result;

const WORD = bigInt({ min: 0n, max: 2n ** 64n - 1n });

const PLANNED: Arbitrary<For<bigint>> = record({
  nth: nat(0xff),
  piece: nat(3),
  offset: oneof(constantFrom(0, 8, 0xff8, 0xffc, 0xfff), nat(0xfff)),
}).map(({ nth, piece, offset }) => ({ pages }) => {
  const page = pages[nth % pages.length]!;
  return page.linear + BigInt((piece * 4096) % page.pageSize) + BigInt(offset);
});

const ANY: Arbitrary<For<bigint>> = record({ bits: WORD, which: nat(9) }).map(({ bits, which }) => ({ mode }) => {
  const { linearBits } = PAGING_MODES[mode];
  if (linearBits === 32) return BigInt.asUintN(32, bits);
  return which === 0 ? bits : BigInt.asUintN(64, BigInt.asIntN(linearBits, bits));
});

const ADDRESS: Arbitrary<For<bigint>> = oneof(
  { weight: PLANNED_ADDRESSES, arbitrary: PLANNED },
  { weight: 20 - PLANNED_ADDRESSES, arbitrary: ANY },
);

const ACCESS: Arbitrary<For<AccessRequest>> = record({
  address: ADDRESS,
  kind: constantFrom<AccessKind>('read', 'read', 'read', 'write', 'write', 'fetch', 'implicit'),
  size: constantFrom(1, 2, 4, 8),
  cpl: constantFrom<0 | 3>(0, 0, 3),
  ac: constantFrom<0 | 1>(0, 1),
  value: WORD,
}).map(({ address, kind, size, cpl, ac, value }) => (tables) => {
  // An implicit access has 8 bytes, all in one page.
  const isImplicit = kind === 'implicit';
  return {
    address: isImplicit ? address(tables) & ~7n : address(tables),
    kind,
    size: isImplicit ? 8 : size,
    cpl,
    ac,
    ...(kind === 'write' ? { value } : {}),
  };
});

const CHANGE: Arbitrary<For<GuestStep>> = record({
  nth: nat(0xff),
  flip: constantFrom(1n, 2n, 4n, 0x20n, 0x40n),
}).map(({ nth, flip }) => ({ mode, pages }) => {
  const { linear, pageSize } = pages[nth % pages.length]!;
  const level = 1 + Math.log2(pageSize / 4096) / PAGING_MODES[mode].indexBits;
  return { do: 'change', page: linear, level, flip };
});

const RELOAD: For<GuestStep> = () => ({ do: 'reload' });

const STEP: Arbitrary<For<GuestStep>> = oneof(
  {
    weight: STEP_MIX.access,
    arbitrary: ACCESS.map(
      (access): For<GuestStep> =>
        (tables) => ({ do: 'access', ...access(tables) }),
    ),
  },
  { weight: STEP_MIX.change, arbitrary: CHANGE },
  { weight: STEP_MIX.reload, arbitrary: constant(RELOAD) },
);

/**
 * Does one step on a CPU that walks these tables.
 * @returns of an access its outcome, else undefined
 */
export function performStep(cpu: Cpu, tables: PageTables, step: GuestStep): AccessOutcome | undefined {
  if (step.do === 'access') return performAccess(cpu, step);
  if (step.do === 'reload') cpu.setCr3(tables.root, 0);
  else {
    tables.set(step.page, step.level, tables.entry(step.page, step.level) ^ step.flip);
    cpu.invlpg(low(step.page), high(step.page));
  }
  return undefined;
}
