/**
 * The `.ptpages` container: a JSON header and the page-table pages of a captured machine. Format: docs/formats.md.
 */
import Long from 'long';
import { PAGE_SIZE } from '../mmu/halves.ts';
import { PAGING_MODES, type PagingModeName } from '../mmu/paging-mode.ts';
import { acOf, type Image, type ImageCpu, type RamExtent, withSameAs } from './image.ts';
import { ImageError, require } from './image-error.ts';

const MAGIC = 'MMUPTP1\n';
const RECORD = 8 + PAGE_SIZE;
const MAX_HEADER = 1 << 24;
const MAX_PHYSICAL = new Long(0, 1 << 20, true); // 2^52

type Json = Record<string, unknown>;

export const isContainer = (start: Uint8Array): boolean =>
  new TextDecoder('latin1').decode(start.subarray(0, 8)) === MAGIC;

/** Parses an inflated container, whose bytes the image then reads from. ImageError where it is malformed. */
export function parseContainer(bytes: Uint8Array): Image {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  require(bytes.length >= 12, () => 'the container ends inside its first 12 bytes');
  const length = view.getUint32(8, true);
  require(length <= MAX_HEADER && 12 + length <= bytes.length, () => `the container's header claims ${length} bytes`);
  const header = parseHeader(bytes.subarray(12, 12 + length));
  const pages = indexPages(view, 12 + length, count(header, 'pages'));
  return {
    kind: 'ptpages',
    name: text(header, 'name'),
    description: descriptionOf(header),
    features: featuresOf(header),
    ram: list(header, 'ram').map(ramExtent),
    cpus: withSameAs(imageCpus(header)),
    frames: pages.size,
    frameNumbers: [...pages.keys()],
    header,
    readFrame(frame, target) {
      const at = pages.get(frame);
      if (at === undefined) return false;
      target.set(bytes.subarray(at, at + PAGE_SIZE));
      return true;
    },
  };
}

function parseHeader(bytes: Uint8Array): Json {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ImageError("the container's header is not JSON");
  }
  require(isObject(header), () => "the container's header is not a JSON object");
  require(header['format'] === 'mmu-ptpages', () =>
    `the container's format is ${shown(header['format'])}, not "mmu-ptpages"`);
  require(header['version'] === 1, () =>
    `the container has version ${shown(header['version'])}; this package reads version 1`);
  return header;
}

/** Byte position of each frame's record. */
function indexPages(view: DataView, start: number, pages: number): Map<number, number> {
  const rest = view.byteLength - start;
  require(rest === pages * RECORD, () =>
    `the header promises ${pages} pages, but ${rest} bytes follow it (${RECORD} a page)`);
  const positions = new Map<number, number>();
  let previous = -1;
  for (let at = start; at < view.byteLength; at += RECORD) {
    const high = view.getUint32(at + 4, true);
    const address = high * 0x1_0000_0000 + view.getUint32(at, true);
    require(high < 1 << 20 && address % PAGE_SIZE === 0, () =>
      `page ${positions.size} has address 0x${address.toString(16)}`);
    require(address > previous, () => `page 0x${address.toString(16)} is out of order`);
    positions.set(address / PAGE_SIZE, at + 8);
    previous = address;
  }
  return positions;
}

/** The two optional texts that say where the capture comes from. */
function descriptionOf(header: Json): string {
  const source = header['source'] ?? {};
  require(isObject(source), () => 'source is not an object');
  const texts = [optionalText(header, 'note'), optionalText(source, 'package')];
  return texts.filter((given) => given !== '').join('; ');
}

function featuresOf(header: Json): Image['features'] {
  const maxPhyAddr = count(header, 'maxphyaddr');
  require(maxPhyAddr >= 32 && maxPhyAddr <= 52, () => `maxphyaddr is ${maxPhyAddr}, not 32 to 52`);
  const given = header['cpu_features'] ?? {};
  require(isObject(given), () => 'cpu_features is not an object');
  const has = (name: string): boolean => {
    const value = given[name] ?? true;
    require(typeof value === 'boolean', () => `cpu_features.${name} is ${shown(value)}, not true or false`);
    return value;
  };
  return {
    maxPhyAddr,
    page1gb: has('pdpe1gb'),
    nx: has('nx'),
    la57: has('la57'),
    smep: has('smep'),
    smap: has('smap'),
    pku: has('pku'),
    pks: has('pks'),
    pse: has('pse'),
    pse36: has('pse36'),
    pge: has('pge'),
    pat: has('pat'),
    pcid: has('pcid'),
  };
}

function ramExtent(given: Json): RamExtent {
  const extent = { start: bytePosition(given, 'start'), end: bytePosition(given, 'end') };
  require(extent.start <= extent.end, () => `RAM from ${shown(given['start'])} to ${shown(given['end'])}`);
  return extent;
}

function imageCpus(header: Json): ImageCpu[] {
  const cpus = list(header, 'cpus').map((cpu, position) => imageCpu(cpu, position));
  const seen = new Set<number>();
  for (const { index } of cpus) {
    require(!seen.has(index), () => `two CPUs have index ${index}`);
    seen.add(index);
  }
  return cpus;
}

function imageCpu(cpu: Json, position: number): ImageCpu {
  const index = cpu['index'] === undefined ? position : count(cpu, 'index');
  const paging = cpu['paging'];
  require(typeof paging === 'string' && Object.hasOwn(PAGING_MODES, paging), () =>
    `CPU ${index}: paging is ${shown(paging)}`);
  const optional = (name: string): Long | undefined => (cpu[name] === undefined ? undefined : register(cpu, name));
  const rflags = optional('rflags');
  const cpl = cpu['cpl'] === undefined ? 0 : count(cpu, 'cpl');
  require(cpl <= 3, () => `CPU ${index}: cpl is ${cpl}`);
  const values = { cr0: register(cpu, 'cr0'), cr3: register(cpu, 'cr3'), cr4: register(cpu, 'cr4') };
  return {
    ...values,
    index,
    cr2: optional('cr2') ?? Long.UZERO,
    efer: register(cpu, 'efer'),
    rflags,
    rip: optional('rip'),
    cpl,
    ac: acOf(rflags),
    paging: paging as PagingModeName,
  };
}

function register(from: Json, name: string): Long {
  const value = from[name];
  require(typeof value === 'string' && /^0x[0-9a-f]{1,16}$/i.test(value), () =>
    `${name} is ${shown(value)}, not a hex number`);
  return Long.fromString(value.slice(2), true, 16);
}

function bytePosition(from: Json, name: string): number {
  const value = register(from, name);
  require(value.lessThanOrEqual(MAX_PHYSICAL), () => `${name} is ${shown(from[name])}, past 2^52`);
  return value.toNumber();
}

function count(from: Json, name: string): number {
  const value = from[name];
  require(Number.isSafeInteger(value) && (value as number) >= 0, () => `${name} is ${shown(value)}, not a count`);
  return value as number;
}

function text(from: Json, name: string): string {
  const value = from[name];
  require(typeof value === 'string', () => `${name} is ${shown(value)}, not a text`);
  return value;
}

const optionalText = (from: Json, name: string): string => (from[name] === undefined ? '' : text(from, name));

function list(from: Json, name: string): Json[] {
  const value = from[name];
  require(Array.isArray(value) && value.every(isObject), () => `${name} is not a list of objects`);
  require(name !== 'cpus' || value.length > 0, () => 'the container names no CPU');
  return value as Json[];
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const shown = (value: unknown): string => (value === undefined ? 'missing' : JSON.stringify(value).slice(0, 60));
