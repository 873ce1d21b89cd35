/**
 * Page tables built by address, in any paging mode: pages of every size, rights at each level, and entries that are
 * malformed on purpose. What is built is bytes in guest memory: nothing is cached here, and no CPU is told.
 */
import { CR0_PE, CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PSE, EFER_LME, EFER_NXE } from '../cpu/control-bits.ts';
import { type Features, INTEL } from '../cpu/features.ts';
import type { Address } from '../mmu/address.ts';
import { isPresent } from '../mmu/entry.ts';
import type { HostMemory } from '../mmu/host-memory.ts';
import { maskIndex, PAGING_MODES, PagingFormat, type PagingModeName } from '../mmu/paging-mode.ts';
import { bitsOfFlags, type Flags } from './entry-flags.ts';
import { hexText, high, joined, low, wide } from './wide.ts';

/** Paging modes that have tables. */
export type TableMode = Exclude<PagingModeName, 'none'>;

/** What tables are built for, and where. */
export interface PageTablesOptions {
  /** Default `4-level`. */
  readonly mode?: TableMode;
  /** Physical address of the root table, a multiple of 4096; the other tables follow it, frame by frame. Default 1 MiB. */
  readonly root?: number;
  /** Of the processor that walks: what is reserved, and which page sizes there are. Default `INTEL`. */
  readonly features?: Partial<Features>;
}

/** How a range is mapped. */
export interface MapOptions {
  /** Bytes of each page, one that the mode has: 4096, 2 or 4 MiB, 1 GiB. Default 4096. */
  readonly pageSize?: number;
  /** Bytes to map, a multiple of `pageSize`. Default one page. */
  readonly sizeBytes?: number;
  /** Flags of the leaf; PS is added where the size asks for it. Default `P RW US`. */
  readonly flags?: Flags;
}

/** Control registers as numbers, to be changed by whoever enters them. */
export interface TablesState {
  /** PG and PE set. */
  readonly cr0: number;
  /** Physical address of the root. */
  readonly cr3: number;
  /** PAE, PSE, LA57 as the mode takes them. */
  readonly cr4: number;
  /** LME, NXE as the mode takes them. */
  readonly efer: number;
}

const PS = 1n << 7n;
const POINTER = 0xf_ffff_ffff_f000n;
/** In PAE paging CR3 leads to four entries, which are level 3 here and nowhere in a format. */
const PDPTE_LEVEL = 3;

/** Builds page tables in a machine's memory; see `map`, `spoil` and `state`. */
export class PageTables {
  /** The mode that the tables are for. */
  readonly mode: TableMode;
  /** Physical address. */
  readonly root: number;
  readonly #host: HostMemory;
  readonly #format: PagingFormat;
  readonly #levels: number;
  #lastTable: number;

  /** @param host  `machine.host`: the memory that the tables lie in */
  constructor(host: HostMemory, options: PageTablesOptions = {}) {
    const { mode = '4-level', root = 0x10_0000, features } = options;
    if (!Number.isSafeInteger(root) || root < 0 || root % 4096 !== 0)
      throw new RangeError(`a root table lies at a multiple of 4096, not at ${root}`);
    this.mode = mode;
    this.root = root;
    this.#host = host;
    const shape = PAGING_MODES[mode];
    this.#format = new PagingFormat(shape, { ...INTEL, ...features, nxe: true, pse: true });
    this.#levels = shape.levels + (mode === 'pae' ? 1 : 0);
    this.#lastTable = root;
    host.write(root, new Uint8Array(4096));
    // A processor loads the PDPTEs with CR3 and does not look again, so all of them lead to tables from the start.
    if (mode === 'pae') for (const gib of [0n, 1n, 2n, 3n]) this.#addressOf(gib << 30n, 2);
  }

  /** Of a CPU that walks these tables: paging on, WP, and execute-disable where the mode has it. For `cpu.enter`. */
  state(): TablesState {
    const isLong = this.#format.levels > 3;
    const is64 = this.#format.entryBytes === 8;
    const cr4 = (is64 ? CR4_PAE : CR4_PSE) | (this.mode === '5-level' ? CR4_LA57 : 0);
    const efer = (isLong ? EFER_LME : 0) | (is64 ? EFER_NXE : 0);
    return { cr0: (CR0_PE | CR0_WP | CR0_PG) >>> 0, cr3: this.root, cr4, efer };
  }

  /**
   * Maps pages, with the tables above them. RangeError where an address is not aligned to the page size, where the mode
   * has no such size, or where a larger page is in the way.
   */
  map(linear: Address, physical: Address, options: MapOptions = {}): this {
    const { pageSize = 4096, sizeBytes = pageSize, flags = 'P RW US' } = options;
    const level = this.#levelOf(pageSize);
    const [from, to, size] = [wide(linear), wide(physical), BigInt(pageSize)];
    if (from % size !== 0n || to % size !== 0n)
      throw new RangeError(`${hexText(from)} and ${hexText(to)} are not both multiples of the page size, ${pageSize}`);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % pageSize !== 0)
      throw new RangeError(`${sizeBytes} bytes are no whole number of pages of ${pageSize}`);
    const bits = bitsOfFlags(flags, level) | (level > 1 ? PS : 0n);
    for (let at = 0n; at < BigInt(sizeBytes); at += size)
      this.set(from + at, level, this.#pointerTo(to + at, level) | bits);
    return this;
  }

  /** The entry that an address selects at a level, 1 to 5; in PAE paging 3 is the PDPTE in memory. */
  entry(linear: Address, level: number): bigint {
    return this.#load(this.entryAddress(linear, level));
  }

  /** Its physical address. Tables on the way are added where they are missing. */
  entryAddress(linear: Address, level: number): number {
    if (!Number.isInteger(level) || level < 1 || level > this.#levels)
      throw new RangeError(`${this.mode} paging has levels 1 to ${this.#levels}, not ${level}`);
    return this.#addressOf(wide(linear), level);
  }

  /** Stores an entry, well-formed or not: 64 bits, or 32 with 32-bit paging. */
  set(linear: Address, level: number, value: bigint): this {
    this.#store(this.entryAddress(linear, level), value);
    return this;
  }

  /** Changes the flags of an entry: adds some and takes some away; it points where it did. */
  change(linear: Address, level: number, { add = '', remove = '' }: { add?: Flags; remove?: Flags }): this {
    const value = this.entry(linear, level) | bitsOfFlags(add, level);
    return this.set(linear, level, value & ~bitsOfFlags(remove, level));
  }

  /**
   * Makes an entry malformed.
   * @param how  `absent`: P is 0, the rest stays; `reserved`: P is 1 and one reserved bit is set, the highest there is
   * RangeError where no bit of such an entry is reserved.
   */
  spoil(linear: Address, level: number, how: 'absent' | 'reserved'): this {
    if (how === 'absent') return this.change(linear, level, { remove: 'P' });
    const value = this.entry(linear, level) | 1n;
    return this.set(linear, level, value | this.reservedBit(level, value));
  }

  /** Whether some bit of such an entry is reserved. */
  hasReservedBit(level: number, value: bigint): boolean {
    return this.#reservedIn(level, value) !== 0n;
  }

  /** The highest bit that is reserved in such an entry. RangeError where none is. */
  reservedBit(level: number, value: bigint): bigint {
    const mask = this.#reservedIn(level, value);
    if (mask === 0n) throw new RangeError(`no bit is reserved in this entry of level ${level}, ${this.mode} paging`);
    return 1n << BigInt(mask.toString(2).length - 1);
  }

  #reservedIn(level: number, value: bigint): bigint {
    if (this.#isPdpte(level)) return 1n << 8n;
    const at = maskIndex(level, this.#format.isLeaf(level, low(value)));
    return joined(this.#format.reservedLo[at]!, this.#format.reservedHi[at]!);
  }

  #levelOf(pageSize: number): number {
    for (let level = 1; level <= this.#format.levels; level++) {
      const exists = level === 1 || (this.#format.pageSizeLevels & (1 << level)) !== 0;
      if (exists && this.#format.pageFrames(level) * 4096 === pageSize) return level;
    }
    throw new RangeError(`no page of ${this.mode} paging has ${pageSize} bytes`);
  }

  #pointerTo(physical: bigint, level: number): bigint {
    const most = this.#format.entryBytes === 8 ? POINTER : level === 1 ? 0xffff_f000n : 0xff_ffff_f000n;
    if ((physical & ~most) !== 0n)
      throw new RangeError(`no entry of ${this.mode} paging leads to ${hexText(physical)}`);
    // PSE-36: bits 39:32 of the address of a 4 MiB page stand in bits 20:13.
    return this.#format.entryBytes === 4 ? (physical & 0xffff_f000n) | ((physical >> 32n) << 13n) : physical;
  }

  #addressOf(linear: bigint, level: number): number {
    let table = this.root;
    for (let above = this.#levels; above > level; above--) {
      const at = table + this.#offset(linear, above);
      let entry = this.#load(at);
      if (isPresent(low(entry)) && !this.#isPdpte(above) && this.#format.isLeaf(above, low(entry)))
        throw new RangeError(`${hexText(linear)} lies in a page that is mapped at level ${above}`);
      if (entry === 0n) {
        this.#lastTable += 4096;
        this.#host.write(this.#lastTable, new Uint8Array(4096));
        entry =
          this.#pointerTo(BigInt(this.#lastTable), 1) | bitsOfFlags(this.#isPdpte(above) ? 'P' : 'P RW US', above);
        this.#store(at, entry);
      }
      table = this.#format.tableFrame(low(entry), high(entry)) * 4096;
    }
    return table + this.#offset(linear, level);
  }

  #offset(linear: bigint, level: number): number {
    const index = this.#isPdpte(level)
      ? low(linear) >>> 30
      : this.#format.index(level, low(linear), this.#format.levels > 3 ? high(linear) : 0);
    return index * this.#format.entryBytes;
  }

  #isPdpte(level: number): boolean {
    return this.mode === 'pae' && level === PDPTE_LEVEL;
  }

  #load(at: number): bigint {
    return this.#format.entryBytes === 8 ? this.#host.read64(at).toBigInt() : BigInt(this.#host.read32(at));
  }

  #store(at: number, value: bigint): void {
    if (this.#format.entryBytes === 8) this.#host.write64(at, BigInt.asUintN(64, value));
    else this.#host.write32(at, Number(BigInt.asUintN(32, value)));
  }
}
