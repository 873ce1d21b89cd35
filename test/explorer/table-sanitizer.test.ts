/** The oracle on tables that an embedder writes through the host's side of memory, unseen. */
import { describe, expect, it } from 'vitest';
import { type SanitizerError, type SanitizerReport, TableSanitizer } from '../../src/explorer/index.ts';
import { Machine, READ } from '../../src/index.ts';
import { CR0, CR4, EFER } from '../support/control-bits.ts';

const P = 1;
const RW = 2;
const PAGE = 0x5000;
const [PML4, PDPT, PD, PT] = [1, 2, 3, 4] as const;
const UNUSED = 9;

/** Two CPUs on tables in frames 1 to 4, which map pages 0x5000 and 0x6000 to frames 0x10 and 0x11. */
function watched(pcids = 0) {
  const machine = new Machine({ memory: { size: 1 << 20 }, cpus: 2 });
  const { host, cpus } = machine;
  const point = (table: number, index: number, entry: number): void => host.write64(table * 4096 + 8 * index, entry);
  point(PML4, 0, PDPT * 4096 + P + RW);
  point(PDPT, 0, PD * 4096 + P + RW);
  point(PD, 0, PT * 4096 + P + RW);
  point(PT, 5, 0x10_000 + P + RW);
  point(PT, 6, 0x11_000 + P + RW);
  for (const cpu of cpus)
    cpu.enter({ cr0: CR0.PE + CR0.PG + CR0.WP, cr3: PML4 * 4096, cr4: CR4.PAE | pcids, efer: EFER.LME });
  const use = (cpu: number, address = PAGE): number => cpus[cpu]!.translator.translate(address, 0, READ);
  use(0);
  use(1);
  const found: SanitizerReport[] = [];
  const sanitizer = new TableSanitizer({ onViolation: (report) => found.push(report) });
  const stop = machine.observe(sanitizer);
  const rules = (): string[] => found.splice(0).map(({ rule, cpu }) => `${rule}, CPU ${cpu}`);
  return { machine, cpus, point, use, sanitizer, stop, rules, found };
}

describe('check', () => {
  it('finds nothing where what was changed is flushed on every CPU', () => {
    const { sanitizer, point, cpus, use, rules } = watched();
    point(PT, 5, 0x12_000 + P + RW);
    for (const cpu of cpus) cpu.invlpg(PAGE, 0);
    sanitizer.check();
    use(0);
    use(1);
    sanitizer.check();
    expect(rules()).toEqual([]);
  });

  it('reports each CPU that still translates what was replaced, and what it still has', () => {
    const { sanitizer, point, found } = watched();
    point(PT, 5, 0x12_000 + P + RW);
    sanitizer.check(1);
    expect(found.map(({ what, cpu }) => [what, cpu])).toEqual(
      [0, 1].map((cpu) => [
        `CPU ${cpu} still translates page 0x5 (4K) to frame 0x10, and the tables do not`,
        1, // whose operation it was
      ]),
    );
  });

  it.each([
    ['unmapped', 0],
    ['read-only', 0x10_000 + P],
  ])('reports what is %s', (_what, entry) => {
    const { sanitizer, point, cpus, rules } = watched();
    point(PT, 5, entry);
    cpus[1]!.invlpg(PAGE, 0);
    sanitizer.check();
    expect(rules()).toEqual(['no-stale, CPU 0']);
    cpus[0]!.invlpg(PAGE, 0);
    sanitizer.check();
    expect(rules()).toEqual([]);
  });

  it('knows what a TLB has lost in the meantime', () => {
    const { sanitizer, point, cpus, rules } = watched();
    for (const { translator } of cpus) translator.tlb.flushAll();
    point(PT, 5, 0);
    sanitizer.check();
    expect(rules()).toHaveLength(2);
  });

  it('knows what INVPCID and MOV to CR3 drop, and for which PCID', () => {
    const { sanitizer, point, cpus, use, rules } = watched(CR4.PCIDE);
    const NO_FLUSH = 0x8000_0000 | 0;
    cpus[1]!.invlpg(PAGE, 0);
    const [cpu] = cpus;
    cpu!.setCr3(PML4 * 4096 + 1, 0);
    use(0); // as PCID 1, and PCID 0 has it too
    point(PT, 5, 0);
    cpu!.invlpg(PAGE, 0); // of PCID 1
    sanitizer.check();
    expect(rules()).toHaveLength(1);
    cpu!.invpcid(0, 0, 0, PAGE, 0);
    sanitizer.check();
    expect(rules()).toEqual([]);
    use(0, 0x6000);
    point(PT, 6, 0);
    cpu!.setCr3(PML4 * 4096 + 1, NO_FLUSH);
    sanitizer.check();
    expect(rules()).toHaveLength(1);
    cpu!.setCr3(PML4 * 4096 + 1, 0);
    sanitizer.check();
    expect(rules()).toEqual([]);
  });

  it('keeps global pages where only others are dropped', () => {
    const { sanitizer, point, cpus, use, rules } = watched(CR4.PGE);
    point(PT, 6, 0x11_000 + P + RW + 0x100);
    use(0, 0x6000);
    point(PT, 6, 0);
    cpus[0]!.setCr3(PML4 * 4096, 0);
    sanitizer.check();
    expect(rules()).toEqual(['no-stale, CPU 0']);
    cpus[0]!.setCr4(CR4.PAE);
    sanitizer.check();
    expect(rules()).toEqual([]);
  });
});

describe('freed', () => {
  it('is fine after the table is unlinked and every CPU has dropped what leads there', () => {
    const { sanitizer, point, cpus, rules, use } = watched();
    point(PD, 0, 0);
    for (const cpu of cpus) cpu.invlpg(PAGE, 0);
    sanitizer.freed(PT);
    sanitizer.check();
    use(0); // a page fault
    sanitizer.table(PT);
    point(PD, 0, PT * 4096 + P + RW);
    use(0);
    expect(rules()).toEqual([]);
  });

  it('reports CPUs whose structure caches lead to the table', () => {
    const { sanitizer, point, cpus, rules } = watched();
    point(PD, 0, 0);
    cpus[0]!.invlpg(PAGE, 0);
    sanitizer.freed(PT);
    expect(rules()).toEqual(['cached-table, CPU 0']);
  });

  it('reports a table that is linked, or the root of a CPU', () => {
    const { sanitizer, cpus, rules } = watched();
    for (const cpu of cpus) cpu.invlpg(PAGE, 0);
    sanitizer.freed(PT, 1);
    sanitizer.freed(PML4);
    expect(rules()).toEqual(['linked-table, CPU 1', 'linked-table, CPU 0']);
  });

  it('reports a table that is free already, and what was never RAM', () => {
    const { sanitizer, rules } = watched();
    sanitizer.freed(UNUSED);
    sanitizer.freed(UNUSED);
    expect(rules()).toEqual(['freed-once, CPU 0']);
    expect(() => sanitizer.freed(0x1000)).toThrow('frame 0x1000 is no RAM');
  });

  it('reports walkers that read the table, at the load', () => {
    const { machine, point, cpus, stop, use } = watched();
    stop();
    const sanitizer = new TableSanitizer();
    machine.observe(sanitizer);
    point(PD, 0, 0);
    for (const cpu of cpus) cpu.invlpg(PAGE, 0);
    sanitizer.freed(PT);
    point(PD, 0, PT * 4096 + P + RW);
    const error = ((): SanitizerError => {
      try {
        use(1);
      } catch (thrown) {
        return thrown as SanitizerError;
      }
      throw new Error('nothing was reported');
    })();
    expect([error.name, error.kind, error.cpu, error.report.frame]).toEqual(['SanitizerError', 'UseAfterFree', 1, PT]);
    expect(use(1)).toBe(0); // nobody watches any more
  });
});

it('does not judge paging modes other than 4-level', () => {
  const { machine, stop, cpus } = watched();
  stop();
  const found: SanitizerReport[] = [];
  const sanitizer = new TableSanitizer({ onViolation: (report) => found.push(report) });
  // 32-bit paging: a page directory in frame 32, whose entry 0 leads to a page table in frame 33.
  machine.memory.words[32 * 1024] = 33 * 4096 + P + RW;
  machine.memory.words[33 * 1024 + 5] = 0x10_000 + P + RW;
  cpus[0]!.enter({ cr0: CR0.PE + CR0.PG, cr3: 32 * 4096, cr4: 0, efer: 0 });
  machine.observe(sanitizer);
  sanitizer.freed(66); // as an entry number of 32-bit paging, 33 * 1024 + 5 would lie in there
  cpus[0]!.translator.translate(PAGE, 0, READ);
  machine.memory.words[33 * 1024 + 5] = 0;
  sanitizer.check();
  expect(found).toEqual([]);
});
