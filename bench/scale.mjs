// npm run bench:scale [-- --json] [-- --svg FOLDER]
// What a load costs as there are more mapped pages, more address spaces, more CPUs, by powers of ten; and a raw load with the same
// stream beside it. With --svg, a plot of each.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as loops from './access-loops.mjs';
import { Guest, HI, physical, randomStream, widePhysical, wideStream } from './guest.mjs';
import { compare } from './measure.mjs';
import { plot } from './plot.mjs';

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, svg: { type: 'string' }, case: { type: 'string' } },
});

const fail = (cpu) => {
  throw new Error(`vector ${cpu.faulted}`);
};

const rawLoads = (guest, at) => (repeats) => loops.raw.read32(guest, at, repeats);

/** Loads over so many pages in random order, and the raw ones. */
function pages(Machine, count) {
  const guest = new Guest(Machine).mapSmall(Math.min(count, 2 ** 18)).repeatGiB(Math.ceil(count / 2 ** 18));
  const stream = wideStream(count);
  const at = stream.map(widePhysical);
  return { stream, run: (repeats) => loops.cpu.read32Wide(guest, stream, repeats), raw: rawLoads(guest, at) };
}

/** So many address spaces under PCIDs, changed every 16 loads, each with the same 16 pages. */
function spaces(Machine, count) {
  const guest = new Guest(Machine, { pcid: true }).mapSmall(16).mapped();
  const stream = randomStream(4, 16);
  const at = stream.map(physical);
  const { cpu } = guest;
  const turns = stream.length >> 4;
  const run = (repeats) => {
    const hi = HI | 0;
    let sum = 0;
    let space = 0;
    for (let n = 0; n < repeats; n++) {
      for (let turn = 0; turn < turns; turn++) {
        space = space + 1 < count ? space + 1 : 0;
        if (cpu.setCr3(guest.root | space, 1 << 31) !== 0) fail(cpu);
        for (let k = 16 * turn; k < 16 * turn + 16; k++) {
          const value = cpu.read32(stream[k], hi);
          if (cpu.faulted) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
    }
    return sum;
  };
  return { stream, run, raw: rawLoads(guest, at) };
}

/** So many CPUs over one memory, 64 loads each in turn, 200 pages. */
function cpus(Machine, count) {
  const guest = new Guest(Machine, { cpus: count }).mapSmall(200);
  const stream = randomStream(4, 200);
  const at = stream.map(physical);
  const all = guest.enterAll();
  const run = (repeats) => {
    const hi = HI | 0;
    let sum = 0;
    let turn = 0;
    for (let n = 0; n < repeats; n++) {
      for (let first = 0; first < stream.length; first += 64) {
        const cpu = all[turn];
        turn = turn + 1 < count ? turn + 1 : 0;
        for (let k = first; k < first + 64; k++) {
          const value = cpu.read32(stream[k], hi);
          if (cpu.faulted) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
    }
    return sum;
  };
  return { stream, run, raw: rawLoads(guest, at) };
}

const SERIES = {
  pages: {
    make: pages,
    what: 'mapped pages of 4 KiB, random loads',
    counts: [10, 100, 1000, 10_000, 100_000, 1_000_000],
  },
  spaces: { make: spaces, what: 'address spaces (PCIDs), changed every 16 loads', counts: [1, 10, 100, 1000] },
  cpus: { make: cpus, what: 'CPUs, 64 loads in turn', counts: [1, 10, 32] },
};

async function measure(name, count) {
  const { Machine } = await import('../dist/index.js');
  const { stream, run, raw } = SERIES[name].make(Machine, count);
  if (run(1) !== raw(1)) throw new Error(`${name} ${count}: the loops do not read the same`);
  const [base, cpu] = compare(
    [
      { name: 'raw', run: raw, operations: stream.length },
      { name: 'cpu', run, operations: stream.length },
    ],
    { rounds: 60, warmUpMs: 100 },
  );
  return { count, rawNs: base.ns, ns: cpu.ns };
}

function main() {
  const own = fileURLToPath(import.meta.url);
  const series = Object.entries(SERIES).map(([name, { what, counts }]) => ({
    name,
    what,
    points: counts.map((count) =>
      JSON.parse(execFileSync(process.execPath, [own, '--case', `${name},${count}`], { encoding: 'utf8' })),
    ),
  }));
  if (options.svg !== undefined) {
    mkdirSync(options.svg, { recursive: true });
    for (const { name, what, points } of series)
      writeFileSync(join(options.svg, `scale-${name}.svg`), plot(what, points));
  }
  if (options.json) return console.log(JSON.stringify(series));
  for (const { what, points } of series) {
    console.log(what);
    for (const { count, rawNs, ns } of points)
      console.log(`${String(count).padStart(10)}${ns.toFixed(2).padStart(10)} ns, raw ${rawNs.toFixed(2)}`);
  }
}

if (options.case === undefined) main();
else {
  const [name, count] = options.case.split(',');
  console.log(JSON.stringify(await measure(name, Number(count))));
}
