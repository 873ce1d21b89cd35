/** Arbitrary page tables as plain data, so that a failing one is small, can be read, and can be built anywhere. */
import { type Arbitrary, array, constant, constantFrom, nat, oneof, record, subarray, tuple } from 'fast-check';
import { type Features, INTEL } from '../../cpu/features.ts';
import type { HostMemory } from '../../mmu/host-memory.ts';
import { PAGING_MODES } from '../../mmu/paging-mode.ts';
import { PageTables, type TableMode } from '../page-tables.ts';

/** One page of a plan. */
export interface PlannedPage {
  /** First linear byte. */
  readonly linear: bigint;
  /** First physical byte. */
  readonly physical: bigint;
  /** Bytes: 4096, 2 or 4 MiB, 1 GiB. */
  readonly pageSize: number;
  /** Flags of its leaf, as `PageTables` takes them. */
  readonly flags: string;
  /** One entry on its path that is changed, or none. */
  readonly spoiled:
    | {
        /** Level of the entry, 1 at the leaf of a 4 KiB page. */
        readonly level: number;
        /** What is done to it. */
        readonly how: Spoiling;
      }
    | undefined;
}

/** `reserved` has no effect on entries without reserved bits. */
export type Spoiling = 'absent' | 'reserved' | 'read-only' | 'supervisor' | 'no-execute';

/** Tables to build with `buildTables`. */
export interface TablesPlan {
  /** Of the tables. */
  readonly mode: TableMode;
  /** Of the processor that walks them. */
  readonly features: Partial<Features>;
  /** None overlaps another. */
  readonly pages: readonly PlannedPage[];
}

/** Which tables are planned. */
export interface TablesOptions {
  /** Default: any of the four. */
  readonly mode?: TableMode;
  /** Of the processor that walks; default `INTEL`. */
  readonly features?: Partial<Features>;
  /** Most pages, 1 or more; default 8. */
  readonly maxPages?: number;
  /** Bytes of RAM, a multiple of 4096, that 4 KiB pages lead to, from 0; larger pages may lead beyond. Default 1 MiB. */
  readonly ramBytes?: number;
}

/** Of 4 pages, how many have no entry changed. */
export const UNSPOILED: number = 2;

const SPOILINGS: readonly Spoiling[] = ['absent', 'reserved', 'read-only', 'supervisor', 'no-execute'];

/** Few indexes in each table, so that pages share tables. */
const INDEXES = [0, 1, 2, 255, 256, 511];

/** Tables with 1 to `maxPages` pages. At most one entry on the way to a page is changed, and of 4 pages 2 have none. */
export function tablesArbitrary(options: TablesOptions = {}): Arbitrary<TablesPlan> {
  const { mode, features = {}, maxPages = 8, ramBytes = 1 << 20 } = options;
  const modes = mode === undefined ? (Object.keys(PAGING_MODES) as (TableMode | 'none')[]) : [mode];
  const ofMode = modes.flatMap((name) => (name === 'none' ? [] : [planOf(name, features, maxPages, ramBytes)]));
  return oneof(...ofMode);
}

function planOf(
  mode: TableMode,
  features: Partial<Features>,
  maxPages: number,
  ramBytes: number,
): Arbitrary<TablesPlan> {
  const pages = array(pageArbitrary(mode, features, ramBytes), { minLength: 1, maxLength: maxPages, size: 'max' });
  return pages.map((chosen) => ({ mode, features, pages: withoutOverlaps(chosen) }));
}

function pageArbitrary(mode: TableMode, features: Partial<Features>, ramBytes: number): Arbitrary<PlannedPage> {
  const { levels, indexBits, linearBits } = PAGING_MODES[mode];
  const tables = mode === 'pae' ? levels + 1 : levels;
  const isHuge = levels > 3 && (features.page1gb ?? INTEL.page1gb);
  const leafLevels = [1, 1, 1, 2, ...(isHuge ? [3] : [])];
  return record({
    leaf: constantFrom(...leafLevels),
    indexes: array(constantFrom(...INDEXES), { minLength: tables, maxLength: tables }),
    frame: nat(ramBytes / 4096 - 1),
    marks: subarray(['A', 'D', 'G', 'bit9']),
    spoiled: oneof(
      { withCrossShrink: true },
      { weight: UNSPOILED, arbitrary: constant(undefined) },
      { weight: 4 - UNSPOILED, arbitrary: tuple(nat(tables - 1), constantFrom(...SPOILINGS)) },
    ),
  }).map(({ leaf, indexes, frame, marks, spoiled }) => {
    const pages = 2 ** (indexBits * (leaf - 1));
    const number = indexes.reduce((sum, index) => (sum << BigInt(indexBits)) | BigInt(index), 0n);
    const width = BigInt(linearBits);
    const address = BigInt.asUintN(Number(width), (number / BigInt(pages)) * BigInt(pages) * 4096n);
    // Levels from the leaf's up; in PAE paging the top one, a PDPTE, has no rights and is loaded with CR3.
    const most = mode === 'pae' ? levels : tables;
    const level = spoiled === undefined ? 0 : leaf + (spoiled[0] % (most - leaf + 1));
    return {
      linear: width > 32n ? BigInt.asUintN(64, BigInt.asIntN(Number(width), address)) : address,
      physical: BigInt(leaf === 1 ? frame : (frame % 4) * pages) * 4096n,
      pageSize: pages * 4096,
      flags: ['P RW US', ...marks].join(' '),
      spoiled: spoiled === undefined ? undefined : { level, how: spoiled[1] },
    };
  });
}

/** The first of those that share bytes stays. */
function withoutOverlaps(pages: readonly PlannedPage[]): PlannedPage[] {
  const kept: PlannedPage[] = [];
  const end = ({ linear, pageSize }: PlannedPage): bigint => linear + BigInt(pageSize);
  for (const page of pages)
    if (kept.every((other) => end(other) <= page.linear || end(page) <= other.linear)) kept.push(page);
  return kept;
}

/**
 * Builds a plan in guest memory.
 * @param root  physical address of the root table; the others follow it, at most 5 for each page. Default 1 MiB
 */
export function buildTables(host: HostMemory, plan: TablesPlan, root?: number): PageTables {
  const { mode, features, pages } = plan;
  const tables = new PageTables(host, { mode, features, ...(root === undefined ? {} : { root }) });
  for (const { linear, physical, pageSize, flags } of pages) tables.map(linear, physical, { pageSize, flags });
  for (const { linear, spoiled } of pages) if (spoiled !== undefined) spoil(tables, linear, spoiled.level, spoiled.how);
  return tables;
}

function spoil(tables: PageTables, linear: bigint, level: number, how: Spoiling): void {
  if (how === 'read-only') tables.change(linear, level, { remove: 'RW' });
  else if (how === 'supervisor') tables.change(linear, level, { remove: 'US' });
  else if (how === 'absent') tables.change(linear, level, { remove: 'P' });
  else if (how === 'no-execute') {
    if (tables.mode !== '32-bit') tables.change(linear, level, { add: 'XD' });
  } else if (tables.hasReservedBit(level, tables.entry(linear, level))) tables.spoil(linear, level, 'reserved');
}
