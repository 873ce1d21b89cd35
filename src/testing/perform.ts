/** One access of a `Cpu`, done as an emulator would, with its outcome as recorders and comparisons take it. */
import type { Cpu } from '../cpu/cpu.ts';
import { GP, NONE, PF } from '../cpu/fault.ts';
import { FETCH, IMPLICIT, READ, WRITE } from '../mmu/access.ts';
import type { AccessKind } from './access-vector.ts';
import { type AccessOutcome, type AccessRequest, bytesInFirst } from './recorded-access.ts';
import { high, joined, low, wide } from './wide.ts';

/** As the CPU's methods take them. */
export const ACCESS_KINDS: Readonly<Record<AccessKind, number>> = {
  read: READ,
  write: WRITE,
  fetch: FETCH,
  implicit: READ | IMPLICIT,
};

/**
 * Sets CPL and EFLAGS.AC, and does the access: caches, A and D, CR2 and memory change as by any other. A fetch is one of
 * its first byte. RangeError for what is neither done nor #PF nor #GP, as #AC.
 */
export function performAccess(cpu: Cpu, request: AccessRequest): AccessOutcome {
  const { kind, size, cpl, ac = 0, value } = request;
  const linear = wide(request.address);
  cpu.setCpl(cpl);
  cpu.setAc(ac);
  const read = issueAccess(cpu, kind, linear, size, wide(value ?? 0));
  if (cpu.faulted !== NONE) return faultOf(cpu);
  const physical = placeOf(cpu, linear, kind);
  const inFirst = bytesInFirst(linear, size);
  const second = kind !== 'fetch' && inFirst < size ? { second: placeOf(cpu, linear + BigInt(inFirst), kind) } : {};
  return { physical, ...second, ...(kind === 'write' ? {} : { value: read }) };
}

/**
 * Through the fast methods of the CPU, by which hit views are asked.
 * @param value  of a write, what is stored
 * @returns what was read, or what was to be written
 */
export function issueAccess(cpu: Cpu, kind: AccessKind, linear: bigint, size: number, value: bigint): bigint {
  const [lo, hi] = [low(linear), high(linear)];
  if (kind === 'implicit') return BigInt(cpu.load(ACCESS_KINDS.implicit, lo, hi, size));
  if (kind === 'fetch') return BigInt(cpu.fetch8(lo, hi));
  if (kind === 'write') {
    if (size === 8) cpu.write64(lo, hi, low(value), high(value));
    else if (size === 4) cpu.write32(lo, hi, low(value));
    else if (size === 2) cpu.write16(lo, hi, low(value));
    else cpu.write8(lo, hi, low(value));
    return value;
  }
  if (size === 8) return joined(cpu.read64(lo, hi), cpu.valueHi);
  if (size === 4) return BigInt(cpu.read32(lo, hi) >>> 0);
  return BigInt(size === 2 ? cpu.read16(lo, hi) : cpu.read8(lo, hi));
}

function faultOf(cpu: Cpu): AccessOutcome {
  if (cpu.faulted === GP) return { vector: 13 };
  if (cpu.faulted !== PF) throw new RangeError(`an access ends in #PF, #GP or no fault; not in vector ${cpu.faulted}`);
  return { vector: 14, errorCode: cpu.fault.errorCode, cr2: joined(cpu.cr2Lo, cpu.cr2Hi) };
}

/** Asked anew: the access has set A and D already. */
function placeOf(cpu: Cpu, linear: bigint, kind: AccessKind): bigint {
  cpu.translate(low(linear), high(linear), ACCESS_KINDS[kind]);
  return joined(cpu.physicalLo, cpu.physicalHi);
}
