/**
 * A TLB of one's own, checked against pagewalk: random guests run on both, and whatever differs is shrunk to the shortest
 * guest that shows it. The first version forgets something that TLBs are often written to forget; the second does not.
 *
 * After `npm run build`, with Node 22.18 or later, and with older ones:
 *
 *   node examples/my-own-tlb.ts
 *   npx esbuild examples/my-own-tlb.ts --bundle --platform=node --format=esm | node --input-type=module -
 */
import fc from 'fast-check';
import { type Cpu, Machine } from 'pagewalk';
import { buildTables, type GuestPlan, guestArbitrary, performStep } from 'pagewalk/testing/fast-check';

type Version = 'forgetful' | 'mended';

// ---- the TLB: frames by page number, in pieces of 4 KiB, whatever the size of the page ----

class MyTlb {
  readonly #walker: Cpu;
  readonly #version: Version;
  readonly #frames = new Map<bigint, { frame: bigint; firstPage: bigint; pages: bigint }>();

  constructor(walker: Cpu, version: Version) {
    this.#walker = walker;
    this.#version = version;
  }

  /** Where a read by the supervisor leads, or undefined where it faults. */
  translate(address: bigint): bigint | undefined {
    const page = address >> 12n;
    let found = this.#frames.get(page);
    if (found === undefined) {
      const walk = this.#walker.long.explain(address); // your own walk, if you have one
      if (walk.physical === undefined) return undefined;
      const pages = BigInt(walk.pageSize / 4096);
      found = { frame: walk.physical.toBigInt() >> 12n, firstPage: page - (page % pages), pages };
      this.#frames.set(page, found);
    }
    return (found.frame << 12n) | (address & 0xfffn);
  }

  invlpg(address: bigint): void {
    const page = address >> 12n;
    if (this.#version === 'forgetful') this.#frames.delete(page);
    else
      for (const [piece, { firstPage, pages }] of this.#frames)
        if (page >= firstPage && page < firstPage + pages) this.#frames.delete(piece);
  }

  flush(): void {
    this.#frames.clear();
  }
}

// ---- the comparison ----

const counts = { reads: 0, faults: 0 };

/** Runs a guest on both, until they differ; says how, and at which step. */
function difference({ tables: plan, steps }: GuestPlan, version: Version): { what: string; step: number } | undefined {
  const { host, cpus } = new Machine({ memory: { sparse: {} } });
  const cpu = cpus[0]!;
  const tables = buildTables(host, plan);
  cpu.enter(tables.state());
  const mine = new MyTlb(cpu, version);
  for (const [nth, step] of steps.entries()) {
    if (step.do === 'change') mine.invlpg(step.page);
    if (step.do === 'reload') mine.flush();
    if (step.do !== 'access') performStep(cpu, tables, step);
    else {
      const address = BigInt(step.address as bigint);
      const outcome = performStep(cpu, tables, { do: 'access', address, kind: 'read', size: 1, cpl: 0 })!;
      const expected = 'physical' in outcome ? BigInt(outcome.physical as bigint) : undefined;
      const found = mine.translate(address);
      counts.reads += 1;
      if (expected === undefined) counts.faults += 1;
      if (found === expected) continue;
      return {
        what: `a read of ${hex(address)} leads to ${hex(found)}, and should lead to ${hex(expected)}`,
        step: nth,
      };
    }
  }
  return undefined;
}

const hex = (value: bigint | undefined): string => (value === undefined ? 'a fault' : `0x${value.toString(16)}`);

for (const version of ['forgetful', 'mended'] as const) {
  counts.reads = counts.faults = 0;
  const property = fc.property(
    guestArbitrary({ mode: '4-level' }),
    (guest) => difference(guest, version) === undefined,
  );
  const { failed, counterexample, numRuns } = fc.check(property, { numRuns: 500, seed: 1 });
  if (!failed)
    console.log(
      `${version}: no difference in ${numRuns} guests: ${counts.reads} reads, ${counts.faults} of them faults`,
    );
  else {
    const [guest] = counterexample!;
    const { what, step: last } = difference(guest, version)!;
    console.log(`${version}: ${what}`);
    for (const { linear, physical, pageSize, flags } of guest.tables.pages)
      console.log(`  ${hex(linear)} is mapped to ${hex(physical)}: a page of ${pageSize / 1024} KiB, ${flags}`);
    for (const step of guest.steps.slice(0, last + 1))
      if (step.do === 'access') console.log(`  a read of ${hex(BigInt(step.address as bigint))}`);
      else if (step.do === 'reload') console.log('  MOV CR3');
      else
        console.log(
          `  bits ${hex(step.flip)} of the entry of ${hex(step.page)} are changed, then INVLPG of ${hex(step.page)}`,
        );
  }
}
