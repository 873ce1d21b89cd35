/**
 * The oracle: an MMU written from the manual's prose, in BigInt, which walks the tables at every access and has no cache.
 * It shares nothing with src.
 *
 * Where the manual leaves A and D bits open after a fault, `free` names the bits that may have either value.
 * Source: SDM 3A, chapter "Paging"; AMD64 APM 2, "Page-Translation" for the vendor's differences.
 */
import type { Access, CpuModel, MmuDriver, Outcome, State } from './driver.ts';

const bit = (n: number): bigint => 1n << BigInt(n);
/** Bits `high` to `low`, inclusive; none where high < low. */
const bits = (high: number, low: number): bigint => (high < low ? 0n : (bit(high - low + 1) - 1n) << BigInt(low));
const has = (value: bigint, n: number): boolean => (value & bit(n)) !== 0n;

interface UsedEntry {
  readonly pa: bigint;
  readonly bytes: 4 | 8;
  readonly value: bigint;
  readonly leaf: boolean;
}

type Translation =
  | { readonly pa: bigint; readonly used: readonly UsedEntry[] }
  | { readonly code: number; readonly used: readonly UsedEntry[] };

interface Request {
  readonly write: boolean;
  readonly fetch: boolean;
  readonly user: boolean;
  readonly implicit: boolean;
  readonly ac: boolean;
}

const isMapped = (result: Translation): result is Translation & { pa: bigint } => 'pa' in result;

export class Oracle implements MmuDriver {
  /** Bits of entries that may differ after the last access: entry address to mask. */
  readonly free: Map<bigint, bigint> = new Map();
  /** Entries that the last access changed, and how: for counting. */
  changedAccessed = 0;
  changedDirty = 0;

  #memory = new Map<bigint, bigint>();
  #model!: CpuModel;
  #cr0 = 0n;
  #cr3 = 0n;
  #cr4 = 0n;
  #efer = 0n;
  #pkru = 0;
  #pkrs = 0;
  #pdptes: bigint[] = [0n, 0n, 0n, 0n];

  configure(model: CpuModel, state: State): boolean {
    this.#model = model;
    this.#cr0 = state.cr0;
    this.#cr3 = state.cr3;
    this.#cr4 = state.cr4;
    this.#efer = state.efer;
    this.#pkru = state.pkru;
    this.#pkrs = state.pkrs;
    return this.#mode() !== 'pae' || this.#loadPdptes(state.cr3);
  }

  clear(): void {
    this.#memory = new Map();
  }

  poke(pa: bigint, value: bigint, bytes: 4 | 8): void {
    this.#store(pa, value, bytes);
  }

  peek(pa: bigint, bytes: 4 | 8): bigint {
    return this.#load(pa, bytes);
  }

  /** Quadwords that were ever written and are not zero. */
  contents(): Map<bigint, bigint> {
    return this.#memory;
  }

  access(access: Access): Outcome {
    this.free.clear();
    this.changedAccessed = 0;
    this.changedDirty = 0;
    const implicit = access.kind.startsWith('implicit');
    const request: Request = {
      write: access.kind === 'write' || access.kind === 'rmw' || access.kind === 'implicit-write',
      fetch: access.kind === 'fetch',
      implicit,
      user: access.cpl === 3 && !implicit,
      ac: access.ac === 1,
    };
    const size = BigInt(access.size);
    const width = this.#isLong() ? 64 : 32;
    const at = (offset: bigint): bigint => BigInt.asUintN(width, access.va + offset);
    if (width === 64 && !(this.#isCanonical(at(0n)) && this.#isCanonical(at(size - 1n))))
      return { ok: false, vector: access.stack ? '#SS' : '#GP', code: 0, cr2: undefined };
    const aligned = at(0n) % size === 0n;
    if (has(this.#cr0, 18) && request.ac && request.user && !request.fetch && !aligned)
      return { ok: false, vector: '#AC', code: 0, cr2: undefined };

    const first = this.#translate(at(0n), request);
    if (!isMapped(first)) return this.#fault(first, at(0n));
    const within = 4096n - (at(0n) % 4096n);
    if (size <= within) {
      this.#mark(first.used, request.write);
      return this.#perform(access, request, [[first.pa, size]], undefined);
    }
    const secondAt = at(within);
    // A and D of the first page's entries are set before the second page is walked, which may use the same entries.
    const before = first.used.map(({ pa, bytes }) => this.#load(pa, bytes));
    this.#mark(first.used, request.write);
    const second = this.#translate(secondAt, request);
    if (!isMapped(second)) {
      first.used.forEach(({ pa, bytes }, index) => {
        this.free.set(pa, before[index]! ^ this.#load(pa, bytes));
      });
      return this.#fault(second, secondAt);
    }
    this.#mark(second.used, request.write);
    return this.#perform(
      access,
      request,
      [
        [first.pa, within],
        [second.pa, size - within],
      ],
      second.pa,
    );
  }

  movCr0(value: bigint): boolean {
    const [pe, pg, nw, cd] = [has(value, 0), has(value, 31), has(value, 29), has(value, 30)];
    if (value >> 32n !== 0n || (pg && !pe) || (nw && !cd)) return false;
    if (!pg && has(this.#cr0, 31) && (has(this.#cr4, 17) || this.#isLong())) return false;
    const reload = ((value ^ this.#cr0) & (bit(31) | bit(30) | bit(29))) !== 0n;
    const before = this.#cr0;
    this.#cr0 = value;
    if (reload && this.#mode() === 'pae' && !this.#loadPdptes(this.#cr3)) {
      this.#cr0 = before;
      return false;
    }
    return true;
  }

  movCr3(value: bigint): boolean {
    let address = value;
    if (!this.#isLong()) address &= bits(31, 0);
    else if (has(this.#cr4, 17)) address &= ~bit(63);
    if ((address & bits(63, this.#model.maxPhyAddr)) !== 0n) return false;
    if (this.#mode() === 'pae' && !this.#loadPdptes(address)) return false;
    this.#cr3 = address;
    return true;
  }

  movCr4(value: bigint): boolean {
    const changed = value ^ this.#cr4;
    if (this.#isLong() && (!has(value, 5) || has(changed, 12))) return false;
    if (has(value, 17) && has(changed, 17) && (!this.#isLong() || (this.#cr3 & 0xfffn) !== 0n)) return false;
    const before = this.#cr4;
    this.#cr4 = value;
    const reload = (changed & (bit(4) | bit(5) | bit(7) | bit(20))) !== 0n;
    if (reload && this.#mode() === 'pae' && !this.#loadPdptes(this.#cr3)) {
      this.#cr4 = before;
      return false;
    }
    return true;
  }

  invpcid(type: number, pcid: bigint, va: bigint): boolean {
    if (type > 3 || pcid >> 12n !== 0n) return false;
    if (type < 2 && !has(this.#cr4, 17) && pcid !== 0n) return false;
    const width = this.#model.la57 ? 57 : 48;
    return type !== 0 || BigInt.asIntN(width, va) === BigInt.asIntN(64, va);
  }

  wrpkru(value: number): void {
    this.#pkru = value;
  }

  wrpkrs(value: number): void {
    this.#pkrs = value;
  }

  invlpg(): void {}

  #isLong(): boolean {
    return has(this.#cr0, 31) && has(this.#efer, 8);
  }

  #mode(): 'none' | '32-bit' | 'pae' | '4-level' | '5-level' {
    if (!has(this.#cr0, 31)) return 'none';
    if (has(this.#efer, 8)) return has(this.#cr4, 12) ? '5-level' : '4-level';
    return has(this.#cr4, 5) ? 'pae' : '32-bit';
  }

  #isCanonical(va: bigint): boolean {
    const width = this.#mode() === '5-level' ? 57 : 48;
    return BigInt.asIntN(width, va) === BigInt.asIntN(64, va);
  }

  /** "PDPTE Registers": all four are checked before any is loaded. */
  #loadPdptes(cr3: bigint): boolean {
    const table = cr3 & bits(31, 5);
    const loaded = [0n, 1n, 2n, 3n].map((index) => this.#load(table + 8n * index, 8));
    const reserved = bits(2, 1) | bits(8, 5) | bits(63, this.#model.maxPhyAddr);
    if (loaded.some((entry) => has(entry, 0) && (entry & reserved) !== 0n)) return false;
    this.#pdptes = loaded;
    return true;
  }

  #translate(va: bigint, request: Request): Translation {
    const mode = this.#mode();
    if (mode === 'none') return { pa: va, used: [] };
    const used: UsedEntry[] = [];
    let base: bigint;
    let level: number;
    if (mode === '32-bit') {
      base = this.#cr3 & bits(31, 12);
      level = 2;
    } else if (mode === 'pae') {
      const pdpte = this.#pdptes[Number(va >> 30n)]!;
      if (!has(pdpte, 0)) return { code: this.#code(0, request), used };
      base = pdpte & bits(51, 12);
      level = 2;
    } else {
      base = this.#cr3 & bits(51, 12);
      level = mode === '5-level' ? 5 : 4;
    }
    const bytes = mode === '32-bit' ? 4 : 8;
    const indexBits = mode === '32-bit' ? 10 : 9;
    let [us, rw, xd] = [true, true, false];
    for (; ; level--) {
      const shift = BigInt(12 + indexBits * (level - 1));
      const index = (va >> shift) & (bit(indexBits) - 1n);
      const pa = base + index * BigInt(bytes);
      const value = this.#load(pa, bytes);
      if (!has(value, 0)) return { code: this.#code(0, request), used };
      const leaf = this.#isLeaf(mode, level, value);
      if ((value & this.#reserved(mode, level, leaf)) !== 0n) return { code: this.#code(0b1001, request), used };
      used.push({ pa, bytes, value, leaf });
      us &&= has(value, 2);
      rw &&= has(value, 1);
      xd ||= bytes === 8 && has(value, 63);
      if (!leaf) {
        base = value & bits(bytes === 4 ? 31 : 51, 12);
        continue;
      }
      const denial = this.#denial(us, rw, xd, Number((value >> 59n) & 15n), request);
      if (denial !== 0) return { code: this.#code(denial, request), used };
      const size = bit(Number(shift));
      let frame = value & bits(51, Number(shift));
      if (bytes === 4) {
        frame = value & bits(31, Number(shift));
        if (level === 2) frame |= ((value >> 13n) & 0xffn) << 32n;
      }
      return { pa: frame | (va & (size - 1n)), used };
    }
  }

  #isLeaf(mode: string, level: number, value: bigint): boolean {
    if (level === 1) return true;
    if (!has(value, 7)) return false;
    if (level === 2) return mode !== '32-bit' || has(this.#cr4, 4);
    return level === 3 && this.#model.page1gb;
  }

  /** The reserved bits of a present entry: tables "Format of a ... Entry". */
  #reserved(mode: string, level: number, leaf: boolean): bigint {
    const { maxPhyAddr, pse36, page1gb, vendor } = this.#model;
    if (mode === '32-bit') {
      if (level === 1 || !leaf) return 0n;
      return pse36 ? bits(21, Math.min(maxPhyAddr, 40) - 19) : bits(21, 13);
    }
    let mask = bits(51, maxPhyAddr);
    if (!has(this.#efer, 11)) mask |= bit(63);
    if (mode === 'pae') mask |= bits(62, 52);
    if (level >= 4) mask |= bit(7) | (vendor === 'amd' ? bit(8) : 0n);
    if (level === 3 && !page1gb) mask |= bit(7);
    if (leaf && level === 3) mask |= bits(29, 13);
    if (leaf && level === 2) mask |= bits(20, 13);
    return mask;
  }

  /** "Determination of Access Rights", "Protection Keys". Returns error-code bits P and PK, or 0. */
  #denial(us: boolean, rw: boolean, xd: boolean, key: number, request: Request): number {
    const { write, fetch, user, implicit, ac } = request;
    const [wp, smep, smap] = [has(this.#cr0, 16), has(this.#cr4, 20), has(this.#cr4, 21)];
    const nx = xd && has(this.#efer, 11) && has(this.#cr4, 5);
    let allowed: boolean;
    if (user) allowed = us && (fetch ? !nx : !write || rw);
    else if (fetch) allowed = !nx && !(us && smep);
    else {
      const smapDenies = us && smap && !(ac && !implicit);
      allowed = !smapDenies && (!write || rw || !wp);
    }
    const keysOn = this.#isLong() && (us ? has(this.#cr4, 22) : has(this.#cr4, 24));
    let keyDenies = false;
    if (keysOn && !fetch) {
      const rights = ((us ? this.#pkru : this.#pkrs) >>> (2 * key)) & 3;
      const [accessDisable, writeDisable] = [(rights & 1) !== 0, (rights & 2) !== 0];
      keyDenies = accessDisable || (writeDisable && write && ((us && user) || wp));
    }
    if (keyDenies) return 0b10_0001;
    return allowed ? 0 : 1;
  }

  #code(cause: number, { write, fetch, user }: Request): number {
    const reportsFetch = has(this.#cr4, 20) || (has(this.#cr4, 5) && has(this.#efer, 11));
    return cause | (write ? 2 : 0) | (user ? 4 : 0) | (fetch && reportsFetch ? 16 : 0);
  }

  #mark(used: readonly UsedEntry[], write: boolean): void {
    for (const { pa, bytes, leaf } of used) {
      const value = this.#load(pa, bytes);
      const marked = value | bit(5) | (leaf && write ? bit(6) : 0n);
      if (has(value ^ marked, 5)) this.changedAccessed += 1;
      if (has(value ^ marked, 6)) this.changedDirty += 1;
      if (marked !== value) this.#store(pa, marked, bytes);
    }
  }

  /** A flags of entries above the one that faults are model specific; a leaf's are not touched. */
  #fault(result: Translation & { code?: number }, va: bigint): Outcome {
    for (const { pa, bytes, leaf } of result.used)
      if (!leaf && !has(this.#load(pa, bytes), 5)) this.free.set(pa, (this.free.get(pa) ?? 0n) | bit(5));
    return { ok: false, vector: '#PF', code: result.code!, cr2: va };
  }

  #perform(access: Access, { write }: Request, pieces: [bigint, bigint][], pa2: bigint | undefined): Outcome {
    let value = 0n;
    let shift = 0n;
    for (const [pa, count] of pieces) {
      for (let k = 0n; k < count; k++, shift += 8n) {
        if (write && access.kind !== 'rmw') this.#storeByte(pa + k, (access.value >> shift) & 0xffn);
        else value |= this.#loadByte(pa + k) << shift;
      }
    }
    return { ok: true, pa: pieces[0]![0], pa2, value };
  }

  #load(pa: bigint, bytes: 4 | 8): bigint {
    const quad = this.#memory.get(pa >> 3n) ?? 0n;
    return bytes === 8 ? quad : (quad >> ((pa & 4n) * 8n)) & 0xffff_ffffn;
  }

  #store(pa: bigint, value: bigint, bytes: 4 | 8): void {
    if (bytes === 8) this.#memory.set(pa >> 3n, BigInt.asUintN(64, value));
    else for (let k = 0n; k < 4n; k++) this.#storeByte(pa + k, (value >> (8n * k)) & 0xffn);
  }

  #loadByte(pa: bigint): bigint {
    return ((this.#memory.get(pa >> 3n) ?? 0n) >> ((pa & 7n) * 8n)) & 0xffn;
  }

  #storeByte(pa: bigint, value: bigint): void {
    const shift = (pa & 7n) * 8n;
    const quad = this.#memory.get(pa >> 3n) ?? 0n;
    this.#memory.set(pa >> 3n, (quad & ~(0xffn << shift)) | (value << shift));
  }
}
