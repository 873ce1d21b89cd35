/**
 * The checks of an access in the manual's order, in words, for a walk that was explained: canonical address, then at each
 * entry present and reserved bits, then the rights of the whole walk. SDM 3A, "Determination of Access Rights".
 */

import { CR0_WP, CR4_PKE, CR4_PKS, CR4_SMAP, CR4_SMEP } from '../cpu/control-bits.ts';
import type { Cpu } from '../cpu/cpu.ts';
import type { ExplainedWalk } from '../cpu/explain.ts';
import { GP, SS } from '../cpu/fault.ts';
import {
  ALL_RIGHTS,
  FETCH,
  IMPLICIT,
  NO_EXECUTE,
  narrow,
  PF_ID,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_US,
  PF_WR,
  READ,
  USER,
  WRITABLE,
  WRITE,
} from '../mmu/access.ts';
import { keyOf } from '../mmu/entry.ts';

export interface Check {
  readonly passed: boolean;
  /** What was asked, and the answer. */
  readonly text: string;
}

/** Up to the first one that fails. */
export function checksOf(cpu: Cpu, walk: ExplainedWalk, access: number): Check[] {
  const { format } = cpu.registers;
  const { linearBits } = format.mode;
  const checks: Check[] = [];
  if (cpu.registers.is64Bit) {
    const isCanonical = walk.vector !== GP && walk.vector !== SS;
    checks.push({
      passed: isCanonical,
      text: `canonical: bits 63 to ${linearBits - 1} of the address are ${isCanonical ? 'all equal' : 'not all equal'}`,
    });
    if (!isCanonical) return checks;
  }
  let rights = ALL_RIGHTS;
  for (const { name, outcome, entry, level } of walk.steps) {
    const isPresent = outcome !== 'not present';
    checks.push({ passed: isPresent, text: `${name}: P = ${isPresent ? 1 : 0}` });
    if (!isPresent) return checks;
    const isWellFormed = outcome !== 'reserved bit set';
    checks.push({ passed: isWellFormed, text: `${name}: reserved bits ${isWellFormed ? 'clear' : 'set'}` });
    if (!isWellFormed) return checks;
    // PDPTE registers have no rights.
    if (format.mode.rootBits === 0 || level < 3) rights = narrow(rights, entry.low, entry.high);
  }
  const leaf = walk.steps.at(-1);
  if (leaf === undefined) return checks;
  for (const check of rightsChecks(cpu, rights, keyOf(leaf.entry.high), access)) {
    checks.push(check);
    if (!check.passed) break;
  }
  return checks;
}

const KINDS = [
  [READ, 'read'],
  [WRITE, 'write'],
  [FETCH, 'fetch'],
] as const;

/** The rights of the whole walk against the access; a key that denies comes before other rights, as error codes tell. */
function rightsChecks(cpu: Cpu, rights: number, key: number, access: number): Check[] {
  const { cr0, cr4, cpl, ac, pkru, pkrs, isLongMode } = cpu.registers;
  const isUserMode = cpl === 3 && (access & IMPLICIT) === 0;
  const isUserPage = (rights & USER) !== 0;
  const isWritable = (rights & WRITABLE) !== 0;
  const isExecutable = (rights & NO_EXECUTE) === 0;
  const wp = (cr0 & CR0_WP) !== 0;
  const checks: Check[] = [];
  const check = (passed: boolean, text: string): void => {
    checks.push({ passed, text });
  };
  const isData = (access & (READ | WRITE)) !== 0;
  const keysOn = isLongMode && (cr4 & (isUserPage ? CR4_PKE : CR4_PKS)) !== 0;
  if (keysOn && isData) {
    const denied = ((isUserPage ? pkru : pkrs) >>> (2 * key)) & 3;
    const writeDenied = (access & WRITE) !== 0 && (denied & 2) !== 0 && (isUserMode || wp);
    check((denied & 1) === 0 && !writeDenied, `protection key ${key}: AD = ${denied & 1}, WD = ${denied >>> 1}`);
  }
  if (isUserMode) check(isUserPage, `user mode: U/S = ${isUserPage ? 1 : 0} over the whole walk`);
  for (const [kind, name] of KINDS) {
    if ((access & kind) === 0) continue;
    if (kind === FETCH) {
      check(isExecutable, `${name}: XD = ${isExecutable ? 0 : 1} over the whole walk`);
      if (!isUserMode && (cr4 & CR4_SMEP) !== 0)
        check(!isUserPage, `${name}: SMEP allows no user page, U/S = ${isUserPage ? 1 : 0}`);
      continue;
    }
    if (!isUserMode && (cr4 & CR4_SMAP) !== 0) {
      const lifted = ac !== 0 && (access & IMPLICIT) === 0;
      check(
        !isUserPage || lifted,
        `${name}: SMAP allows no user page unless EFLAGS.AC = 1; U/S = ${isUserPage ? 1 : 0}, AC = ${ac}`,
      );
    }
    if (kind === READ) check(true, 'read: every page that may be reached may be read');
    else if (isUserMode || wp) check(isWritable, `write: R/W = ${isWritable ? 1 : 0} over the whole walk`);
    else check(true, `write: CR0.WP = 0, so that the supervisor may write (R/W = ${isWritable ? 1 : 0})`);
  }
  return checks;
}

/** The bits of a page fault's error code, in words. */
export function errorCodeLines(code: number): string[] {
  const line = (bit: number, name: string, set: string, clear: string): string =>
    `${name} = ${(code & bit) === 0 ? 0 : 1}: ${(code & bit) === 0 ? clear : set}`;
  return [
    line(PF_P, 'P', 'the page is there; the access was refused', 'an entry was not present'),
    line(PF_WR, 'W/R', 'the access was a write', 'the access was a read or fetch'),
    line(PF_US, 'U/S', 'a user-mode access', 'a supervisor-mode access'),
    line(PF_RSVD, 'RSVD', 'an entry had a reserved bit set', 'no reserved bit was set'),
    line(PF_ID, 'I/D', 'an instruction fetch', 'no fetch, or fetches are not reported'),
    line(PF_PK, 'PK', 'a protection key denied it', 'no protection key denied it'),
  ];
}
