/** One access as a recorder is told of it, and as its line says it. */
import type { Address } from '../mmu/address.ts';
import { PAGE_SIZE } from '../mmu/halves.ts';
import type { AccessKind, AccessOp } from './access-vector.ts';
import { hexText, wide } from './wide.ts';

/** Control state as in `CpuState`, in 64-bit mode where EFER.LME = 1. */
export interface RecordedState {
  /** CR0, with PG and WP. */
  readonly cr0: Address;
  /** CR3: physical address of the root, PCID or caching bits. */
  readonly cr3: Address;
  /** CR4. */
  readonly cr4: Address;
  /** IA32_EFER. */
  readonly efer: Address;
  /** PKRU, 32 bits; default 0. */
  readonly pkru?: number;
  /** IA32_PKRS, 32 bits; default 0. */
  readonly pkrs?: number;
}

/** An access, before anybody has tried it. */
export interface AccessRequest {
  /** Linear address of the first byte. */
  readonly address: Address;
  /** `implicit`: a read of a descriptor table, 8 bytes that do not cross a page. */
  readonly kind: AccessKind;
  /** 1, 2, 4 or 8 bytes. A fetch counts as one of its first byte. */
  readonly size: number;
  /** Privilege level: supervisor (0) or user (3). */
  readonly cpl: 0 | 3;
  /** EFLAGS.AC; default 0. */
  readonly ac?: 0 | 1;
  /** Of a write, what is stored. */
  readonly value?: Address;
}

/** An access that was done. */
export interface Done {
  /** Physical address of the first byte. */
  readonly physical: Address;
  /** Of the first byte in the second page, where there is one. */
  readonly second?: Address;
  /** What a read gave; compared where the memory there holds what `fillData` fills it with, as that of a replay does. */
  readonly value?: Address;
}

/** A page fault, or #GP(0) for an address that is not canonical. */
export type Faulted =
  | {
      /** #PF. */
      readonly vector: 14;
      /** As the processor pushes it. */
      readonly errorCode: number;
      /** The linear address that faulted. */
      readonly cr2: Address;
    }
  | {
      /** #GP. */
      readonly vector: 13;
    };

/** What an access came to. */
export type AccessOutcome = Done | Faulted;

/** A line's access while it is made. */
export type MutableAccess = { -readonly [Field in keyof AccessOp]: AccessOp[Field] };

/** An access before it is done. RangeError where the format has none such. */
export function accessOp({ address, kind, size, cpl, ac = 0, value }: AccessRequest): MutableAccess {
  if (![1, 2, 4, 8].includes(size)) throw new RangeError(`an access has 1, 2, 4 or 8 bytes, not ${size}`);
  const linear = wide(address);
  if (kind === 'implicit' && (size !== 8 || bytesInFirst(linear, size) < size))
    throw new RangeError('an implicit access has 8 bytes, all in one page');
  if ((kind === 'write') !== (value !== undefined)) throw new RangeError('a write has a value, no other access does');
  const op: MutableAccess = { op: 'access', va: hexText(linear), kind, cpl, size, ac };
  if (value !== undefined) op.w = hexText(BigInt.asUintN(8 * size, wide(value)));
  return op;
}

/** Bytes of an access up to the end of its first page. */
export const bytesInFirst = (linear: bigint, size: number): number =>
  Math.min(size, PAGE_SIZE - Number(linear & 0xfffn));

export function recordFault(op: MutableAccess, outcome: Faulted): void {
  if ('cr2' in outcome) op.pf = { err: outcome.errorCode, cr2: hexText(wide(outcome.cr2)) };
  else op.gp = 0;
}

/** A read of something that a replay's memory does not hold: all bits are "do not compare". */
export function leaveValueOut(op: MutableAccess): void {
  op.val = '0x0';
  op.vdc = hexText(BigInt.asUintN(8 * op.size, -1n));
}
