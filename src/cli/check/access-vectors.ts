/**
 * Replays access vectors (format mmu-oracle-1): accesses with the outcome that the manuals call for, recorded on QEMU and
 * Bochs. Format: docs/corpora.md.
 */
import type { CacheOptions } from '../../cpu/cache-options.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { GP, NONE, PF } from '../../cpu/fault.ts';
import type { AccessOp, Case, OtherOp, Variant } from '../../testing/access-vector.ts';
import { ACCESS_KINDS, issueAccess } from '../../testing/perform.ts';
import { hexText, high, joined, low } from '../../testing/wide.ts';
import { UsageError } from '../failure.ts';
import { endProgress, progress } from '../output.ts';
import { parseVectorLine } from './access-format.ts';
import { AccessMachine } from './access-machine.ts';
import type { CheckReport } from './report.ts';

/** Counts accesses that were replayed beside the cases of the report. */
export interface AccessCounts {
  accesses: number;
  accessesPassed: number;
}

const big = (value: unknown): bigint => BigInt(value as string | number);
/** Replays every case of a file's lines; UsageError where a line is not of the format. */
export function checkAccessVectors(lines: readonly string[], caches: CacheOptions, report: CheckReport): AccessCounts {
  const counts = { accesses: 0, accessesPassed: 0 };
  let variant: Variant | undefined;
  let machine: AccessMachine | undefined;
  lines.forEach((line, at) => {
    if (at === 0 || line === '') return;
    const record = parseVectorLine(line, at + 1);
    if (!('id' in record)) {
      variant = record;
      machine = new AccessMachine(variant, caches);
      return;
    }
    if (machine === undefined || variant === undefined)
      throw new UsageError(`line ${at + 1}: a case before any variant`);
    const mismatch = replay(record, machine, counts);
    const name = `${variant.variant} ${record.cls}`;
    report.count(name, mismatch === undefined ? undefined : () => `case ${record.id}: ${mismatch}`);
    progress(() => `${report.total} cases`);
  });
  endProgress();
  return counts;
}

/** What differs first, or undefined. */
function replay(vector: Case, machine: AccessMachine, counts: AccessCounts): string | undefined {
  machine.begin(entriesOf(vector));
  let mismatch: string | undefined;
  vector.ops.forEach((op, at) => {
    const differs = op.op === 'access' ? access(op, machine) : step(op, machine);
    if (op.op === 'access') {
      counts.accesses += 1;
      if (differs === undefined) counts.accessesPassed += 1;
    }
    if (differs !== undefined) mismatch ??= `op ${at} ${JSON.stringify(op)}: ${differs}`;
  });
  return mismatch;
}

function entriesOf(vector: Case): number[] {
  const addresses = vector.ops.flatMap((op) => {
    if (op.op === 'write') return [op['pa']];
    return op.op === 'mem' ? (op['e'] as unknown[][]).map(([at]) => at) : [];
  });
  return addresses.map((address) => Number(big(address)));
}

/** Everything but an access. Returns what differs. */
function step(op: OtherOp, machine: AccessMachine): string | undefined {
  const { cpu } = machine;
  cpu.setCpl(0);
  const value = op['v'] === undefined ? 0n : big(op['v']);
  switch (op.op) {
    case 'write':
      machine.writeEntry(Number(big(op['pa'])), value, op['n'] as number);
      return undefined;
    case 'config':
      return configure(op, cpu);
    case 'cr0':
      return refused(cpu.setCr0(low(value), high(value)));
    case 'cr3':
      return refused(cpu.setCr3(low(value), high(value)));
    case 'cr4':
      return refused(cpu.setCr4(low(value), high(value)));
    case 'pkru':
      cpu.setPkru(low(value));
      return undefined;
    case 'invlpg':
      cpu.invlpg(low(big(op['va'])), high(big(op['va'])));
      return undefined;
    case 'invpcid': {
      const [pcid, address] = [big(op['pcid']), big(op['va'])];
      return refused(cpu.invpcid(op['type'] as number, low(pcid), high(pcid), low(address), high(address)));
    }
    case 'mem':
      return compareEntries(op['e'] as [string, string, string?][], machine);
  }
}

const refused = (vector: number): string | undefined => (vector === NONE ? undefined : `refused with vector ${vector}`);

function configure(op: OtherOp, cpu: Cpu): string | undefined {
  const entered = cpu.enter({
    cr0: big(op['cr0']),
    cr3: big(op['cr3']),
    cr4: big(op['cr4']),
    efer: big(op['efer']),
    pkru: low(big(op['pkru'])),
    pkrs: low(big(op['pkrs'] ?? 0)),
  });
  const expected = op['gp'] === true ? GP : NONE;
  return entered === expected ? undefined : `MOV CR3 gave vector ${entered}, expected ${expected}`;
}

function compareEntries(entries: readonly [string, string, string?][], machine: AccessMachine): string | undefined {
  for (const [address, value, dontCare] of entries) {
    const got = machine.readEntry(Number(big(address)));
    if (((got ^ big(value)) & ~big(dontCare ?? 0)) !== 0n)
      return `entry ${address} is ${hexText(got)}, expected ${value}`;
  }
  return undefined;
}

function access(op: AccessOp, machine: AccessMachine): string | undefined {
  const { cpu } = machine;
  const [lo, hi] = [low(big(op.va)), high(big(op.va))];
  cpu.setCpl(op.cpl);
  cpu.setAc(op.ac);
  const value = issueAccess(cpu, op.kind, big(op.va), op.size, big(op.w ?? 0));
  const expected = op.gp !== undefined ? GP : op.pf !== undefined ? PF : NONE;
  if (cpu.faulted !== expected) return `vector ${cpu.faulted}, expected ${expected}`;
  if (op.pf !== undefined) {
    const cr2 = joined(cpu.cr2Lo, cpu.cr2Hi);
    if (cpu.fault.errorCode !== op.pf.err) return `error code ${cpu.fault.errorCode}, expected ${op.pf.err}`;
    return cr2 === big(op.pf.cr2) ? undefined : `CR2 ${hexText(cr2)}, expected ${op.pf.cr2}`;
  }
  if (op.pa === undefined) return undefined;
  // Before the place is asked anew, which could set A or D in what was stored.
  const stored = op.kind === 'write' ? storedDiffers(op, machine, lo) : undefined;
  return placesDiffer(op, machine, lo, hi) ?? stored ?? valueDiffers(op, value);
}

/** Where the bytes lay, asked anew: the access has set A and D already. Stores to data are undone. */
function placesDiffer(
  { kind, pa, pa2, size }: AccessOp,
  machine: AccessMachine,
  lo: number,
  hi: number,
): string | undefined {
  const { cpu } = machine;
  const inFirst = bytesInFirst(size, lo);
  cpu.translate(lo, hi, ACCESS_KINDS[kind]);
  const first = joined(cpu.physicalLo, cpu.physicalHi);
  if (first !== big(pa)) return `physical address ${hexText(first)}, expected ${pa}`;
  if (kind === 'write') machine.undoStore(Number(first), inFirst);
  if (pa2 === undefined) return undefined;
  const next = joined(lo, hi) + BigInt(inFirst);
  cpu.translate(low(next), high(next), ACCESS_KINDS[kind]);
  const second = joined(cpu.physicalLo, cpu.physicalHi);
  if (kind === 'write') machine.undoStore(Number(second), size - inFirst);
  return second === big(pa2) ? undefined : `second physical address ${hexText(second)}, expected ${pa2}`;
}

/** Bytes of an access up to the end of its first page. */
const bytesInFirst = (size: number, lo: number): number => Math.min(size, 4096 - (lo & 0xfff));

function storedDiffers({ pa, pa2, size, w }: AccessOp, machine: AccessMachine, lo: number): string | undefined {
  const inFirst = bytesInFirst(size, lo);
  const first = machine.readBytes(Number(big(pa)), inFirst);
  const second = pa2 === undefined ? 0n : machine.readBytes(Number(big(pa2)), size - inFirst);
  const stored = first | (second << BigInt(8 * inFirst));
  return stored === BigInt.asUintN(8 * size, big(w)) ? undefined : `stored ${hexText(stored)}, expected ${w}`;
}

function valueDiffers({ kind, val, vdc }: AccessOp, value: bigint): string | undefined {
  if (kind !== 'read' || val === undefined) return undefined;
  return ((value ^ big(val)) & ~big(vdc ?? 0)) === 0n ? undefined : `value ${hexText(value)}, expected ${val}`;
}
