/** Whether an address translates, or faults, as expected: by the tables alone, or by an access of the CPU. */
import type { Cpu } from '../cpu/cpu.ts';
import { type ExplainedWalk, rightsText } from '../cpu/explain.ts';
import { NONE, PF, vectorName } from '../cpu/fault.ts';
import { walkLines } from '../cpu/walk-text.ts';
import {
  FETCH,
  IMPLICIT,
  PF_ID,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_US,
  PF_WR,
  READ,
  READ_MODIFY_WRITE,
  STACK,
  WRITE,
} from '../mmu/access.ts';
import { type Address, toHalves } from '../mmu/address.ts';
import { hex64 } from '../mmu/halves.ts';
import type { Verdict } from './verdict.ts';

/** Which access is asked about, and whom. */
export interface AccessOptions {
  /** READ, WRITE, FETCH and modifiers; default READ. CPL, EFLAGS.AC and keys are the CPU's. */
  readonly access?: number;
  /**
   * Who is asked. `tables` (default): a walk from the root, which changes nothing. `cpu`: a one-byte access, with TLB and
   * structure caches, and with its effects: A and D, `fault`, CR2. Where the two differ, the message says so.
   */
  readonly by?: 'tables' | 'cpu';
}

/** What a translation must be besides allowed. */
export interface TranslationOptions extends AccessOptions {
  /** Bytes of the page: 4096, 2 MiB, 4 MiB or 1 GiB; compared where given. */
  readonly pageSize?: number;
  /** `urwx`, with `-` for what some level forbids; compared where given. */
  readonly rights?: string;
}

/** What a fault must be; what is left out may be anything. */
export interface ExpectedFault {
  /** Default PF, 14. */
  readonly vector?: number;
  /** Of a page fault: PF_P and its kin; compared where given. */
  readonly errorCode?: number;
}

/** What an access came to; `physical` where it was done. */
interface Found {
  readonly vector: number;
  readonly errorCode: number;
  readonly physical: string | undefined;
  readonly pageSize: number;
  readonly rights: string;
  readonly walk: ExplainedWalk;
}

/** @param physical  where the address leads; undefined: anywhere */
export function judgeTranslation(
  cpu: Cpu,
  address: Address,
  physical: Address | undefined,
  options: TranslationOptions = {},
): Verdict {
  const found = find(cpu, address, options);
  const wanted = [
    physical === undefined ? 'any page' : hexOfAddress(physical),
    ...(options.pageSize === undefined ? [] : [`${options.pageSize} bytes`]),
    ...(options.rights === undefined ? [] : [options.rights]),
  ].join(', ');
  const pass =
    found.physical !== undefined &&
    (physical === undefined || found.physical === hexOfAddress(physical)) &&
    (options.pageSize === undefined || found.pageSize === options.pageSize) &&
    (options.rights === undefined || found.rights === options.rights);
  const actual =
    found.physical === undefined
      ? faultText(found)
      : [
          found.physical,
          ...(options.pageSize === undefined ? [] : [`${found.pageSize} bytes`]),
          ...(options.rights === undefined ? [] : [found.rights]),
        ].join(', ');
  return verdict(pass, address, options, `a translation to ${wanted}`, actual, wanted, found);
}

export function judgeFault(
  cpu: Cpu,
  address: Address,
  fault: ExpectedFault = {},
  options: AccessOptions = {},
): Verdict {
  const found = find(cpu, address, options);
  const { vector = PF, errorCode } = fault;
  const pass = found.vector === vector && (errorCode === undefined || found.errorCode === errorCode);
  const wanted = faultText({ vector, errorCode });
  const actual = found.physical ?? faultText(errorCode === undefined ? { vector: found.vector, errorCode } : found);
  return verdict(pass, address, options, wanted, actual, wanted, found);
}

function verdict(
  pass: boolean,
  address: Address,
  { access = READ, by = 'tables' }: AccessOptions,
  what: string,
  actual: string,
  expected: string,
  found: Found,
): Verdict {
  const message = (): string =>
    [
      `${accessText(access)} of ${hexOfAddress(address)}: expected ${pass ? 'anything but ' : ''}${what}, found ${actual}`,
      ...(by === 'cpu' && isCachedOnly(found)
        ? ['The CPU used what it had cached; its tables give something else:']
        : ['']),
      ...walkLines(found.walk),
    ].join('\n');
  return { pass, message, actual, expected };
}

function find(cpu: Cpu, address: Address, { access = READ, by = 'tables' }: AccessOptions): Found {
  const { low, high } = toHalves(address);
  const walk = cpu.explain(low, high, access);
  if (by === 'tables') {
    const { vector, errorCode, pageSize, rights } = walk;
    const physical = walk.physical === undefined ? undefined : hex64(walk.physical.low, walk.physical.high);
    return { vector, errorCode, physical, pageSize, rights, walk };
  }
  const vector = cpu.translate(low, high, access);
  if (vector !== NONE)
    return { vector, errorCode: cpu.fault.errorCode, physical: undefined, pageSize: 0, rights: '----', walk };
  const { level, rights, registers } = cpu.translator;
  const isPaged = level > 0;
  return {
    vector,
    errorCode: 0,
    physical: hex64(cpu.physicalLo, cpu.physicalHi),
    pageSize: isPaged ? registers.format.pageFrames(level) * 4096 : 0,
    rights: isPaged ? rightsText(rights) : 'urwx',
    walk,
  };
}

/** Whether the walk, made before the access, came to something else. */
const isCachedOnly = ({ walk, vector, errorCode, physical }: Found): boolean =>
  walk.vector !== vector ||
  walk.errorCode !== errorCode ||
  (walk.physical !== undefined && hex64(walk.physical.low, walk.physical.high) !== physical);

const hexOfAddress = (address: Address): string => {
  const { low, high } = toHalves(address);
  return hex64(low, high);
};

const CODES: readonly [number, string][] = [
  [PF_P, 'P'],
  [PF_WR, 'W'],
  [PF_US, 'U'],
  [PF_RSVD, 'RSVD'],
  [PF_ID, 'I'],
  [PF_PK, 'PK'],
];

/** `#PF(0d: P U RSVD)`; without its code where that does not count. */
function faultText({ vector, errorCode }: { readonly vector: number; readonly errorCode: number | undefined }): string {
  const name = vectorName(vector);
  if (vector !== PF || errorCode === undefined) return name;
  const names = CODES.filter(([bit]) => (errorCode & bit) !== 0).map(([, text]) => text);
  return `${name}(${[`${errorCode.toString(16).padStart(2, '0')}:`, ...names].join(' ').replace(/:$/, '')})`;
}

/** `a write`, `an implicit read`. */
function accessText(access: number): string {
  const kinds = access & (READ_MODIFY_WRITE | FETCH);
  const kind =
    kinds === READ_MODIFY_WRITE
      ? 'read-modify-write'
      : ((
          [
            [READ, 'read'],
            [WRITE, 'write'],
            [FETCH, 'fetch'],
          ] as const
        ).find(([bit]) => kinds === bit)?.[1] ?? 'look');
  const how = (access & IMPLICIT) !== 0 ? 'implicit ' : (access & STACK) !== 0 ? 'stack ' : '';
  return `${how}${kind}`;
}
