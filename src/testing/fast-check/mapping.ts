/** Arbitrary sequences of calls of Xen's mapping functions, on a region small enough that they meet one another. */
import { type Arbitrary, array, constantFrom, nat, oneof, record } from 'fast-check';
import { INVALID_MFN, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO, PAGE_HYPERVISOR_RWX } from '../../hypervisor/flags.ts';
import { DIRECTMAP } from '../../hypervisor/layout.ts';
import { mapPages } from '../../hypervisor/map-pages.ts';
import type { XenMm } from '../../hypervisor/mm.ts';
import { modifyPages } from '../../hypervisor/modify-mappings.ts';

/** Pages are linear page numbers; `flags` has Xen's 24 bits. */
export type MappingOperation =
  | {
      /** `mapPages`. */
      readonly op: 'map';
      /** First linear page. */
      readonly page: number;
      /** First frame. */
      readonly mfn: number;
      /** Number of pages, 1 or more. */
      readonly pages: number;
      /** Xen's 24 bits. */
      readonly flags: number;
    }
  | {
      /** `modifyPages` with no flags. */
      readonly op: 'unmap';
      /** First linear page. */
      readonly page: number;
      /** Number of pages, 1 or more. */
      readonly pages: number;
    }
  | {
      /** `modifyPages`. */
      readonly op: 'modify';
      /** First linear page. */
      readonly page: number;
      /** Number of pages, 1 or more. */
      readonly pages: number;
      /** Xen's 24 bits. */
      readonly flags: number;
    };

/** Which operations are made. */
export interface MappingOptions {
  /** First page of the region, a multiple of 512; default the directmap's start. */
  readonly firstPage?: number;
  /** Pages of the region, a multiple of 512; default 2048, four superpages of 2 MiB. */
  readonly pages?: number;
  /** Most operations, 1 or more; default 12. */
  readonly maxOperations?: number;
}

/** Of 20 operations, how many are of each kind. */
export const OPERATION_MIX: Readonly<Record<MappingOperation['op'], number>> = { map: 13, modify: 4, unmap: 3 };

const SUPERPAGE = 512;
const FLAGS = [PAGE_HYPERVISOR, PAGE_HYPERVISOR, PAGE_HYPERVISOR_RO, PAGE_HYPERVISOR_RWX];

/**
 * Sequences of operations. Half of the ranges are whole superpages, and half of the maps continue where the region maps
 * to by one offset, so that splits and coalesces both come up. With the defaults a third to two thirds of the region is
 * mapped when a sequence ends, and an access there is done as often; a test measures it.
 */
export function mappingArbitrary(options: MappingOptions = {}): Arbitrary<MappingOperation[]> {
  const { firstPage = DIRECTMAP.start, pages = 4 * SUPERPAGE, maxOperations = 12 } = options;
  if (firstPage % SUPERPAGE !== 0 || pages % SUPERPAGE !== 0 || pages <= 0)
    throw new RangeError(`a region is made of whole superpages, not ${pages} pages from ${firstPage}`);
  const range = rangeArbitrary(firstPage, pages);
  const flags = constantFrom(...FLAGS);
  const map = record({ range, flags, moved: nat(3), frame: nat(2 * pages) }).map(
    ({ range: [page, count], flags: bits, moved, frame }): MappingOperation => ({
      op: 'map',
      page,
      mfn: moved === 0 ? frame : page - firstPage,
      pages: count,
      flags: bits,
    }),
  );
  const modify = record({ range, flags }).map(
    ({ range: [page, count], flags: bits }): MappingOperation => ({ op: 'modify', page, pages: count, flags: bits }),
  );
  const unmap = range.map(([page, count]): MappingOperation => ({ op: 'unmap', page, pages: count }));
  const operation = oneof(
    { weight: OPERATION_MIX.map, arbitrary: map },
    { weight: OPERATION_MIX.modify, arbitrary: modify },
    { weight: OPERATION_MIX.unmap, arbitrary: unmap },
  );
  return array(operation, { minLength: 1, maxLength: maxOperations, size: 'max' });
}

/** First page and number of pages. */
function rangeArbitrary(firstPage: number, pages: number): Arbitrary<[number, number]> {
  const superpages = pages / SUPERPAGE;
  const whole = record({ first: nat(superpages - 1), count: nat(superpages - 1) }).map(
    ({ first, count }): [number, number] => [
      firstPage + first * SUPERPAGE,
      (1 + (count % (superpages - first))) * SUPERPAGE,
    ],
  );
  const small = record({ first: nat(pages - 1), count: nat(7) }).map(({ first, count }): [number, number] => [
    firstPage + first,
    1 + (count % (pages - first)),
  ]);
  return oneof(whole, small);
}

/**
 * Does one operation.
 * @returns 0 or -ENOMEM, as Xen's functions do
 */
export function applyMapping(mm: XenMm, operation: MappingOperation): number {
  const { page, pages } = operation;
  switch (operation.op) {
    case 'map':
      return mapPages(mm, page, operation.mfn, pages, operation.flags);
    case 'unmap':
      return mapPages(mm, page, INVALID_MFN, pages, 0);
    case 'modify':
      return modifyPages(mm, page, page + pages, operation.flags);
  }
}
