/**
 * Records what an emulator's accesses come to, as access vectors that `pagewalk check` replays. The recorder reads the
 * emulator's memory: it finds the page-table entries that an access may use, tells of each change of them that software
 * made, and afterwards of A and D. Format: docs/corpora.md, "Access vectors".
 */
import { CR0_PG, CR4_PSE, EFER_LMA, EFER_LME, EFER_NXE, modeOf } from '../cpu/control-bits.ts';
import { type Features, INTEL } from '../cpu/features.ts';
import type { Address } from '../mmu/address.ts';
import { A, D } from '../mmu/entry.ts';
import { PAGING_MODES, PagingFormat } from '../mmu/paging-mode.ts';
import { dataByte, type Op, type OtherOp, VECTOR_FEATURES, VECTOR_MODES } from './access-vector.ts';
import { type EntryAt, entryPath, pdpteAddresses } from './entry-path.ts';
import {
  type AccessOutcome,
  type AccessRequest,
  accessOp,
  bytesInFirst,
  type Done,
  leaveValueOut,
  type MutableAccess,
  type RecordedState,
  recordFault,
} from './recorded-access.ts';
import { RecordedEntries, type Unsure } from './recorded-entries.ts';
import { hexText, low, wide } from './wide.ts';

export interface RecorderOptions {
  /** Takes each line of the corpus, without its end. */
  readonly emit: (line: string) => void;
  /** 1 to 8 bytes of the emulator's physical memory, little endian; of any address a table may be at. */
  readonly read: (physical: number, bytes: number) => Address;
  /** What the emulated processor can do; default `INTEL`, as of a `Machine`. */
  readonly features?: Partial<Features>;
}

type Place = { readonly from: number; readonly bytes: number };

export class AccessRecorder {
  readonly #options: RecorderOptions;
  readonly #features: Features;
  #cases = 0;
  #variant = '';

  // The case under way.
  #cls = '';
  #ops: Op[] = [];
  #state = { cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n };
  #format: PagingFormat = new PagingFormat(PAGING_MODES.none, { ...INTEL, nxe: false, pse: false });
  /** PDPTE registers, in PAE paging. */
  #pdptes: readonly bigint[] = [];
  #entries: RecordedEntries = new RecordedEntries(() => 0n, 8);
  /** Reads whose value is compared: where they read. */
  #compared: ({ readonly op: MutableAccess } & Place)[] = [];

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#features = { ...INTEL, ...options.features };
  }

  /**
   * Begins a case, and ends the one before. Replayed, it begins with empty caches: those of the emulator may hold what the
   * tables say, and nothing else. RangeError without paging.
   * @param cls  class that reports count it under
   */
  begin(state: RecordedState, cls = 'recorded'): void {
    this.end();
    this.#cls = cls;
    const { cr0, cr3, cr4, efer, pkru = 0, pkrs = 0 } = state;
    this.#state = { cr0: wide(cr0), cr3: wide(cr3), cr4: wide(cr4), efer: wide(efer) };
    this.#format = this.#formatNow();
    const { entryBytes } = this.#format;
    this.#entries = new RecordedEntries((at) => this.#read(at, entryBytes), entryBytes);
    this.#loadPdptes();
    const values = Object.entries(this.#state).map(([name, value]) => [name, hexText(value)]);
    this.#ops.push({ op: 'config', ...Object.fromEntries(values), pkru: hexWord(pkru), pkrs: hexWord(pkrs) });
  }

  /** Ends the case under way. One without an access compares nothing and is left out. */
  end(): void {
    if (this.#ops.some(({ op }) => op === 'access')) {
      this.#describeVariant();
      this.#options.emit(JSON.stringify({ id: this.#cases, cls: this.#cls, src: 'recorded', ops: this.#ops }));
      this.#cases += 1;
    }
    this.#ops = [];
    this.#compared = [];
  }

  /** MOV to CR0, after the emulator has done it. RangeError, here and below, where the paging mode changes: `begin` anew. */
  cr0(value: Address): void {
    this.#control('cr0', value);
  }

  /** MOV to CR3; bit 63 is "no flush" where CR4.PCIDE = 1. */
  cr3(value: Address): void {
    this.#control('cr3', value);
  }

  /** MOV to CR4. */
  cr4(value: Address): void {
    this.#control('cr4', value);
  }

  /** WRPKRU. */
  pkru(value: number): void {
    this.#push({ op: 'pkru', v: hexWord(value) });
  }

  /** INVLPG. */
  invlpg(address: Address): void {
    this.#push({ op: 'invlpg', va: hexText(wide(address)) });
  }

  /** INVPCID that was not refused. */
  invpcid(type: 0 | 1 | 2 | 3, pcid: Address, address: Address): void {
    this.#push({ op: 'invpcid', type, pcid: hexText(wide(pcid)), va: hexText(wide(address)) });
  }

  /**
   * Records one access, which `perform` does in the emulator.
   * @returns what `perform` returns; RangeError where request or outcome are none of the format
   */
  access(request: AccessRequest, perform: () => AccessOutcome): AccessOutcome {
    const op = accessOp(request);
    const linear = wide(request.address);
    const inFirst = op.kind === 'fetch' ? op.size : bytesInFirst(linear, op.size);
    const crosses = inFirst < op.size;
    this.#sync();
    const first = this.#pathOf(linear);
    const second = crosses ? this.#pathOf(linear + BigInt(inFirst)) : [];

    const outcome = perform();

    if ('vector' in outcome) recordFault(op, outcome);
    else this.#recordPlace(op, outcome, inFirst);
    this.#ops.push(op);
    const left = this.#entries.compare([...first, ...second], unsureAfter(op, outcome, first));
    if ((left['e'] as unknown[]).length > 0) this.#ops.push(left);
    return outcome;
  }

  #recordPlace(op: MutableAccess, { physical, second, value }: Done, inFirst: number): void {
    const crosses = inFirst < op.size;
    if (crosses !== (second !== undefined))
      throw new RangeError('an access has a second physical address where it crosses into a second page');
    op.pa = hexText(wide(physical));
    if (second !== undefined) op.pa2 = hexText(wide(second));
    if (op.kind !== 'read') return;
    const places: Place[] = [{ from: Number(wide(physical)), bytes: inFirst }];
    if (second !== undefined) places.push({ from: Number(wide(second)), bytes: op.size - inFirst });
    if (value !== undefined && places.every((place) => this.#isFill(place))) {
      op.val = hexText(BigInt.asUintN(8 * op.size, wide(value)));
      this.#compared.push(...places.map((place) => ({ op, ...place })));
    } else leaveValueOut(op);
  }

  /** Whether a replay's memory holds the same there. */
  #isFill({ from, bytes }: Place): boolean {
    if (this.#entries.overlap(from, bytes)) return false;
    for (let at = from; at < from + bytes; at++) if (this.#read(at, 1) !== BigInt(dataByte(at))) return false;
    return true;
  }

  #read(physical: number, bytes: number): bigint {
    return BigInt.asUintN(8 * bytes, wide(this.#options.read(physical, bytes)));
  }

  #push(op: OtherOp): void {
    this.#sync();
    this.#ops.push(op);
  }

  /** What software has stored to known entries comes before whatever is recorded next: an invalidation may be meant for it. */
  #sync(): void {
    if (this.#ops.length === 0) throw new RangeError('a recorder begins a case before it records');
    this.#ops.push(...this.#entries.changes());
  }

  /** The entries that an access may use; the case names them from now on. */
  #pathOf(linear: bigint): EntryAt[] {
    const root = this.#format.mode.rootBits === 0 ? this.#state.cr3 : this.#pdptes;
    const path = entryPath(this.#format, root, linear, (at, bytes) => this.#read(at, bytes));
    this.#discover(path.map(({ at }) => at));
    return path;
  }

  #discover(addresses: readonly number[]): void {
    this.#ops.push(...this.#entries.discover(addresses));
    // An entry that is named is zero from the start of a replay, also for those that have read it as data.
    for (const { op, from, bytes } of this.#compared) if (this.#entries.overlap(from, bytes)) leaveValueOut(op);
  }

  #control(name: 'cr0' | 'cr3' | 'cr4', value: Address): void {
    this.#sync();
    const before = this.#format.mode.name;
    this.#state = { ...this.#state, [name]: wide(value) };
    this.#format = this.#formatNow();
    if (this.#format.mode.name !== before) throw new RangeError('the paging mode changed: a new case has to begin');
    this.#loadPdptes();
    this.#ops.push({ op: name, v: hexText(wide(value)) });
  }

  #formatNow(): PagingFormat {
    const { cr0, cr4, efer } = this.#state;
    const isLong = (low(cr0) & CR0_PG) !== 0 && (low(efer) & EFER_LME) !== 0;
    const name = modeOf(low(cr0), low(cr4), isLong ? EFER_LMA : 0);
    if (name === 'none') throw new RangeError('access vectors are of accesses with paging on');
    const [nxe, pse] = [(low(efer) & EFER_NXE) !== 0, (low(cr4) & CR4_PSE) !== 0];
    return new PagingFormat(PAGING_MODES[name], { ...this.#features, nxe, pse });
  }

  /** Those of CR3 as it is now; elsewhere than in PAE paging there are none. */
  #loadPdptes(): void {
    if (this.#format.mode.rootBits === 0) return;
    const addresses = pdpteAddresses(this.#state.cr3);
    this.#discover(addresses);
    this.#pdptes = addresses.map((at) => this.#read(at, 8));
  }

  /** Once for the corpus and once for each paging mode in turn. */
  #describeVariant(): void {
    const { emit } = this.#options;
    const { name } = this.#format.mode;
    if (this.#variant === '') emit(JSON.stringify({ format: 'mmu-oracle-1' }));
    if (name === this.#variant) return;
    this.#variant = name;
    const { maxPhyAddr, vendor } = this.#features;
    const features = Object.entries(VECTOR_FEATURES).flatMap(([feature, key]) =>
      this.#features[key] ? [feature] : [],
    );
    const mode = VECTOR_MODES[name as keyof typeof VECTOR_MODES];
    emit(JSON.stringify({ variant: name, mode, maxphyaddr: maxPhyAddr, vendor, features }));
  }
}

const hexWord = (value: number): string => hexText(BigInt(value >>> 0));

/** Flags that an access leaves set or not, as the processor likes. One that is done sets A, and D where it writes. */
function unsureAfter(op: MutableAccess, outcome: AccessOutcome, first: readonly EntryAt[]): Unsure {
  if (!('vector' in outcome)) return (_, before) => (op.kind === 'write' ? 0n : before & BigInt(D));
  // Of a write whose second page faults, the first may be marked as written.
  const isSecond = 'cr2' in outcome && (wide(outcome.cr2) ^ BigInt(op.va)) >> 12n !== 0n;
  const flags = (entry: EntryAt): number => (op.kind === 'write' && isSecond && first.includes(entry) ? A | D : A);
  return (entry, before) => before | (entry.settable & BigInt(flags(entry)));
}
