/**
 * What a CPU delivers instead of completing an access. A value: faults are normal operation, and each CPU has one
 * preallocated `Fault`. `FaultError` is for the accessors of people, which throw.
 */
import Long from 'long';
import { hex64 } from '../mmu/halves.ts';

/** No fault. */
export const NONE: number = 0;
/** Undefined opcode: INVPCID on a processor without it. */
export const UD: number = 6;
/** Invalid TSS: a task switch met bad PDPTEs. */
export const TS: number = 10;
/** Stack-segment fault: a non-canonical address through SS. */
export const SS: number = 12;
/** General protection. */
export const GP: number = 13;
/** Page fault. */
export const PF: number = 14;
/** Alignment check. */
export const AC: number = 17;

const NAMES: Readonly<Record<number, string>> = {
  [UD]: '#UD',
  [TS]: '#TS',
  [SS]: '#SS',
  [GP]: '#GP',
  [PF]: '#PF',
  [AC]: '#AC',
};

/** `#PF` and its kin; `vector 3` for one that has no name here. */
export const vectorName = (vector: number): string => NAMES[vector] ?? `vector ${vector}`;

/** Why the last access was not done: one object a CPU, filled in anew by each fault. Copy what has to last. */
export class Fault {
  /** NONE, or the vector. */
  vector: number = NONE;
  /** Of #PF as in the SDM, "Page-Fault Exceptions"; 0 for the others. */
  errorCode = 0;
  /** Linear address of the access, or of its first byte on the second page where that one faults: CR2 of a #PF. */
  lo = 0;
  /** High half of that address, int32. */
  hi = 0;
  /** READ, WRITE, FETCH and modifiers, as asked for. */
  access = 0;
  /** Level of the entry that stopped the walk, 3 of a PDPTE register; 0 where none did. */
  level = 0;
  /** That entry. */
  entryLo = 0;
  /** Its high half; 0 of a 4-byte entry. */
  entryHi = 0;

  /** Fills it in, with no entry. Returns the vector. @internal */
  set(vector: number, errorCode: number, lo: number, hi: number, access: number): number {
    this.vector = vector;
    this.errorCode = errorCode;
    this.lo = lo;
    this.hi = hi;
    this.access = access;
    this.level = 0;
    this.entryLo = 0;
    this.entryHi = 0;
    return vector;
  }
}

/** A fault, thrown. */
export class FaultError extends Error {
  /** Always `FaultError`. */
  override readonly name: string = 'FaultError';
  /** 14 for #PF, 13 #GP, 12 #SS, 17 #AC, 10 #TS. */
  readonly vector: number;
  /** Bits PF_* of a #PF; 0 for the others. */
  readonly errorCode: number;
  /** Linear address, unsigned. */
  readonly address: Long;

  constructor(fault: Fault) {
    const { vector, errorCode, lo, hi } = fault;
    super(`${vectorName(vector)}(${errorCode.toString(16)}) at ${hex64(lo, hi)}`);
    this.vector = vector;
    this.errorCode = errorCode;
    this.address = new Long(lo, hi, true);
  }
}
