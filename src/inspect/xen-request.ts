/** A mapping operation as the command line spells it. */
import * as named from '../hypervisor/flags.ts';
import { INVALID_MFN, pagesOf } from '../hypervisor/flags.ts';
import { pageOf } from '../hypervisor/layout.ts';
import { mapPages } from '../hypervisor/map-pages.ts';
import type { XenMm } from '../hypervisor/mm.ts';
import { modifyPages } from '../hypervisor/modify-mappings.ts';
import { toHalves } from '../mmu/address.ts';
import { isPresent, NX } from '../mmu/entry.ts';
import { hexNumber, isCanonical, OFFSET_MASK } from '../mmu/halves.ts';
import { parseAddress } from './number-text.ts';
import { UsageError } from './usage-error.ts';
import { linearText } from './xen-text.ts';

const OPERANDS: Readonly<Record<string, readonly string[]>> = {
  map: ['VIRT', 'MFN', 'NR', 'FLAGS'],
  modify: ['START', 'END', 'FLAGS'],
  destroy: ['START', 'END'],
};

export interface XenRequest {
  /** The call, as Xen writes it. */
  readonly call: string;
  /** First linear page number, sign bits kept, and how many. */
  readonly page: number;
  readonly pages: number;
  /** New tables it can take at most. */
  readonly tablesNeeded: number;
  apply(mm: XenMm): number;
}

/** UsageError where it is none. */
export function parseRequest(operation: string, operands: readonly string[]): XenRequest {
  const expected = Object.hasOwn(OPERANDS, operation) ? OPERANDS[operation]! : undefined;
  if (expected === undefined)
    throw new UsageError(
      `an operation is one of ${Object.keys(OPERANDS).join(', ')}, not ${JSON.stringify(operation)}`,
    );
  if (operands.length !== expected.length)
    throw new UsageError(`${operation} takes ${expected.join(' ')}, not ${operands.length} operands`);
  return operation === 'map' ? mapRequest(operands) : modifyRequest(operands);
}

function mapRequest([virt = '', mfnText = '', nr = '', flagsText = '']: readonly string[]): XenRequest {
  const page = parsePage(virt);
  const mfn = mfnText === 'INVALID_MFN' ? INVALID_MFN : parseNumber(mfnText, 16, 'MFN', 2 ** 40 - 1);
  const pages = parseNumber(nr, /^0x/i.test(nr) ? 16 : 10, 'NR', 2 ** 36);
  const flags = parseFlags(flagsText);
  checkEnd(page, pages);
  if (isPresent(flags) && mfn + pages > 2 ** 40)
    throw new UsageError(`${pages} frames from ${hexNumber(mfn)}: entries reach up to frame ${hexNumber(2 ** 40 - 1)}`);
  const mfnName = mfn === INVALID_MFN ? 'INVALID_MFN' : hexNumber(mfn);
  return {
    call: `map_pages_to_xen(0x${linearText(page)}, ${mfnName}, ${pages}, ${flagsName(flags)})`,
    page,
    pages,
    tablesNeeded: [1, 2, 3].reduce((sum, level) => sum + Math.floor(pages / pagesOf(level + 1)) + 2, 0),
    apply: (mm) => mapPages(mm, page, mfn, pages, flags),
  };
}

/** With flags, or to destroy. */
function modifyRequest([start = '', end = '', flagsText]: readonly string[]): XenRequest {
  const first = parsePage(start);
  const last = parsePage(end);
  if (last < first) throw new UsageError(`the range ends before it begins: ${start} to ${end}`);
  const pages = last - first;
  checkEnd(first, pages);
  const flags = flagsText === undefined ? 0 : parseFlags(flagsText);
  const range = `0x${linearText(first)}, 0x${linearText(last)}`;
  return {
    call:
      flagsText === undefined ? `destroy_xen_mappings(${range})` : `modify_xen_mappings(${range}, ${flagsName(flags)})`,
    page: first,
    pages,
    tablesNeeded: 4 + Math.ceil(pages / pagesOf(4)) + 1, // splits at both ends; L3 tables where holes get them
    apply: (mm) => modifyPages(mm, first, last, flags),
  };
}

function parsePage(text: string): number {
  const address = toHalves(parseAddress(text));
  if (!isCanonical(address.high, 48)) throw new UsageError(`not a canonical address: ${text}`);
  if ((address.low & OFFSET_MASK) !== 0) throw new UsageError(`not the address of a page: ${text}`);
  return pageOf(address);
}

/** A range lies in one half of the address space. */
function checkEnd(page: number, pages: number): void {
  const end = page < 2 ** 35 ? 2 ** 35 : 2 ** 52;
  if (page + pages > end) throw new UsageError(`${pages} pages from 0x${linearText(page)} pass the end of addresses`);
}

function parseNumber(text: string, radix: 10 | 16, what: string, most: number): number {
  const digits = radix === 16 ? text.replace(/^0x/i, '') : text;
  const isNumber = (radix === 16 ? /^[0-9a-f]{1,16}$/i : /^[0-9]{1,16}$/).test(digits);
  const value = Number.parseInt(digits, radix);
  if (!isNumber || value > most) {
    const limit = radix === 16 ? `hex, at most ${hexNumber(most)}` : `a number, at most ${most}`;
    throw new UsageError(`${what} is ${limit}, not ${JSON.stringify(text)}`);
  }
  return value;
}

/** Named sets of flags, with their values; Xen's spellings. */
const FLAG_SETS: ReadonlyMap<string, number> = new Map(
  Object.entries(named).filter((entry): entry is [string, number] =>
    /^(PAGE_HYPERVISOR|PAGE_PAT$|MAP_SMALL_PAGES$)/.test(entry[0]),
  ),
);

/** Xen's 24 bits in hex, or names, joined by `|`. */
function parseFlags(text: string): number {
  if (/^(0x)?[0-9a-f]+$/i.test(text)) return parseNumber(text, 16, 'FLAGS', 2 * NX - 1);
  return text.split('|').reduce((flags, name) => {
    const value = FLAG_SETS.get(name);
    if (value === undefined)
      throw new UsageError(
        `FLAGS are hex, or of ${[...FLAG_SETS.keys()].join(', ')} with | between; not ${JSON.stringify(text)}`,
      );
    return flags | value;
  }, 0);
}

/** Hex, and the name of the set where it has one. */
function flagsName(flags: number): string {
  const [name] = [...FLAG_SETS].find(([, value]) => value === flags) ?? [];
  return name === undefined ? hexNumber(flags) : `${hexNumber(flags)} ${name}`;
}
