/**
 * One logical processor, for an emulator to embed. Accesses and instructions in their (lo, hi) form come from the layers
 * below; here is what people and tools ask of a CPU: `long`, explained walks, mapped runs, states to enter and to keep.
 */
import Long from 'long';
import { NO_EXECUTE, READ, USER, WRITABLE } from '../mmu/access.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { physicalHi, physicalLo } from '../mmu/halves.ts';
import { addressOf, type Leaf, leaves, pageAfter, pageAt, rootsOf, runsOf } from '../mmu/leaves.ts';
import type { PhysicalMemory } from '../mmu/physical-memory.ts';
import { EFER_LME } from './control-bits.ts';
import type { CpuOptions } from './cpu-options.ts';
import { type CpuSnapshot, restoreCpu, snapshotCpu } from './cpu-snapshot.ts';
import { type ExplainedWalk, explainWalk, rightsText } from './explain.ts';
import { GP, NONE } from './fault.ts';
import { HitPath } from './hit-path.ts';
import { LongAccess } from './long-access.ts';
import { Mailboxes } from './mailboxes.ts';

/** Registers as a debugger or an image gives them; those left out are 0. */
export interface CpuState {
  /** CR0: PG and PE decide whether there is paging. */
  readonly cr0: Address;
  /** CR3, with PCID or PWT and PCD. */
  readonly cr3: Address;
  /** CR4. */
  readonly cr4: Address;
  /** IA32_EFER. */
  readonly efer: Address;
  /** Current privilege level, 0 to 3. */
  readonly cpl?: number;
  /** EFLAGS.AC, 0 or 1. */
  readonly ac?: number;
  /** Default: 1 where EFER.LME = 1. */
  readonly csL?: number;
  /** PKRU, 32 bits. */
  readonly pkru?: number;
  /** IA32_PKRS, 32 bits. */
  readonly pkrs?: number;
  /** The PDPTE registers as (lo, hi) pairs, where they are known; else PAE paging loads them from memory. */
  readonly pdptes?: readonly number[];
}

/** Mapped bytes whose linear and physical addresses continue and whose rights are the same. */
export interface MappedRun {
  /** First linear and physical byte, unsigned. */
  readonly linear: Long;
  /** First physical byte, unsigned. */
  readonly physical: Long;
  /** A multiple of 4096. */
  readonly sizeBytes: number;
  /** `urwx`, with `-` for what some level forbids. */
  readonly rights: string;
}

const RUN_RIGHTS = WRITABLE | USER | NO_EXECUTE;

/**
 * One logical processor: accesses, control registers and invalidations in their (lo, hi) form, `long` for people, and what
 * tables say.
 */
export class Cpu extends HitPath {
  /** Its number in the machine. */
  readonly index: number;
  readonly #mailboxes: Mailboxes;
  /** Called at the end of each `poll`: what a hypervisor does at an instruction boundary. */
  onPoll: (() => void) | undefined = undefined;
  /** The same accesses and instructions for people: `Address` in, `Long` out, faults thrown. */
  readonly long: LongAccess = new LongAccess(this);

  constructor(memory: PhysicalMemory, options: CpuOptions = {}, index = 0, mailboxes: Mailboxes = new Mailboxes(1)) {
    super(memory, options);
    this.index = index;
    this.#mailboxes = mailboxes;
    // Until somebody knows better what requests mean, each drops everything: more than enough.
    mailboxes.adopt(index, () => this.translator.dropAll());
  }

  /**
   * At instruction boundaries: serves other CPUs' requests to drop translations, and takes note of what other threads
   * changed about pages (dirty, code, ROM).
   */
  poll(): void {
    this.#mailboxes.serve(this.index);
    this.noticePageFlags();
    this.onPoll?.();
  }

  /** Before this thread does something else for a while: no CPU waits for this one until `unpark`. */
  park(): void {
    this.#mailboxes.park(this.index);
  }

  /** Before the next access after `park`: drops what was to be dropped meanwhile. */
  unpark(): void {
    this.#mailboxes.unpark(this.index);
    this.noticePageFlags();
  }

  /**
   * Takes over a state at once, all caches empty; no MOV's rules apply. EFER.LMA follows from CR0.PG and EFER.LME.
   * @returns 0, or 13 (#GP) and nothing changed where PAE paging would load a malformed PDPTE
   */
  enter(state: CpuState): number {
    const efer = toHalves(state.efer).low;
    const cr3 = toHalves(state.cr3);
    const entered = this.translator.enter({
      cr0: toHalves(state.cr0).low,
      cr3Lo: cr3.low,
      cr3Hi: cr3.high,
      cr4: toHalves(state.cr4).low,
      efer,
      cpl: state.cpl ?? 0,
      ac: state.ac ?? 0,
      csL: state.csL ?? ((efer & EFER_LME) !== 0 ? 1 : 0),
      pkru: state.pkru ?? 0,
      pkrs: state.pkrs ?? 0,
      ...(state.pdptes === undefined ? {} : { pdptes: state.pdptes }),
    });
    return this.settle(entered ? NONE : this.translator.raise(GP, 0, 0, 0));
  }

  /** The walk of an access, step by step; changes nothing. */
  explain(lo: number, hi: number, access: number = READ): ExplainedWalk {
    return explainWalk(this.translator, lo, hi, access);
  }

  /** Every leaf the tables map, ascending, from the page of `from` to the page of `to` inclusive; both as unsigned 64-bit addresses. */
  leaves(from: Address = 0, to: Address = '0xffffffffffffffff'): Generator<Leaf> {
    const { registers, port } = this.translator;
    const { format } = registers;
    if (format.levels === 0) return leaves(port, format, []);
    const { linearBits } = format.mode;
    const first = toHalves(from);
    const last = toHalves(to);
    const pdptes = format.mode.rootBits === 0 ? [] : registers.pdptes.values;
    return leaves(
      port,
      format,
      rootsOf(registers.root, pdptes),
      pageAt(first.low, first.high, linearBits),
      pageAfter(last.low, last.high, linearBits),
    );
  }

  /** Coalesced mapped runs between two addresses, absent subtrees skipped. A lazy walk over the tables as they are. */
  *runs(from: Address = 0, to: Address = '0xffffffffffffffff'): Generator<MappedRun> {
    const { linearBits } = this.translator.registers.format.mode;
    for (const { page, pages, frame, rights } of runsOf(this.leaves(from, to), linearBits, RUN_RIGHTS)) {
      const { lo, hi } = addressOf(page, linearBits);
      yield {
        linear: new Long(lo, hi, true),
        physical: new Long(physicalLo(frame, 0), physicalHi(frame), true),
        sizeBytes: pages * 4096,
        rights: rightsText(rights),
      };
    }
  }

  /** Registers, caches and counters as plain data. */
  snapshot(): CpuSnapshot {
    return snapshotCpu(this.translator);
  }

  /** RangeError, and nothing changed, for a snapshot of an unknown version or with values that this CPU cannot have. */
  restore(snapshot: CpuSnapshot): void {
    restoreCpu(this.translator, snapshot);
    this.settle(NONE);
  }
}
