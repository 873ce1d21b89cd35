// The pagewalk peer; see README.md for the protocol. The machine is the Unicorn guest's: same RAM, same page tables, CPL 0.
// An iteration is a loop over its eight accesses, so that each loop has one call site, as an emulator has.
import { readFileSync } from 'node:fs';
import { Machine } from '../../dist/index.js';
import { image64 } from './image.mjs';
import { dataWords, LAYOUT, LOOPS, PAGE, ROOTS, STEP, STORE_AT, UNROLL } from './patterns.mjs';
import { cpuTimeNs, serve } from './protocol.mjs';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const { RAM, DATA, DATA_BYTES, WINDOW } = LAYOUT;
const HI = 0;
// An imported binding is loaded anew in each turn of a loop: 0.5 ns an access.
const EACH = STEP;
const [AT_ONCE, ITERATION, ITERATION_PAGES] = [UNROLL, UNROLL * STEP, UNROLL * PAGE];

const { bytes, roots } = image64();
const machine = new Machine({ memory: { size: RAM } });
machine.memory.bytes.set(bytes);
machine.memory.words.set(dataWords(), DATA / 4);
const [processor] = machine.cpus;
processor.enter({ cr0: 0x8001_0001, cr3: roots.small, cr4: 0x20, efer: 0x500, cpl: 0 });

function fail(cpu) {
  throw new Error(`vector ${cpu.faulted}, error code ${cpu.fault.errorCode}, at ${cpu.fault.lo >>> 0}`);
}

/**
 * Each does `passes` passes over `pages` pages from the linear address `start` on; returns the sum of what it read. A local
 * name for the one CPU is a constant to V8: as a parameter it costs 0.6 ns an access, as a variable outside 0.3. What goes
 * round is an int32 to V8 (`| 0`), as it is in an emulator, whose registers are an Int32Array (0.2 ns).
 */
const loops = {
  baseline(operand, _start, pages, passes) {
    let sum = 0;
    for (let pass = 0; pass < passes; pass++)
      for (let left = pages; left !== 0; left -= AT_ONCE)
        for (let at = 0; at < ITERATION; at += EACH) sum = (sum + operand) | 0;
    return sum;
  },
  load(_operand, start, pages, passes) {
    const cpu = processor;
    let sum = 0;
    for (let pass = 0; pass < passes; pass++) {
      for (
        let left = pages | 0, lo = start | 0;
        left !== 0;
        left = (left - AT_ONCE) | 0, lo = (lo + ITERATION_PAGES) | 0
      ) {
        for (let at = 0; at < ITERATION; at += EACH) {
          const value = cpu.read32((lo + at) | 0, HI);
          if (cpu.faulted) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
    }
    return sum;
  },
  store(operand, start, pages, passes) {
    const cpu = processor;
    for (let pass = 0; pass < passes; pass++)
      for (
        let left = pages | 0, lo = (start + STORE_AT) | 0;
        left !== 0;
        left = (left - AT_ONCE) | 0, lo = (lo + ITERATION_PAGES) | 0
      )
        for (let at = 0; at < ITERATION; at += EACH) if (cpu.write32((lo + at) | 0, HI, operand) !== 0) fail(cpu);
    return 0;
  },
  reload(operand, start, pages, passes) {
    const cpu = processor;
    let sum = 0;
    for (let pass = 0; pass < passes; pass++) {
      for (
        let left = pages | 0, lo = start | 0;
        left !== 0;
        left = (left - AT_ONCE) | 0, lo = (lo + ITERATION_PAGES) | 0
      ) {
        for (let at = 0; at < ITERATION; at += EACH) {
          const value = cpu.read32((lo + at) | 0, HI);
          if (cpu.faulted) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      if (cpu.setCr3(operand, 0) !== 0) fail(cpu);
    }
    return sum;
  },
};

/** What stores left behind the pages of the window, found by physical address. */
function stored(first, pages) {
  let sum = 0;
  for (let page = first; page < first + pages; page++) {
    const frame = DATA + ((page * PAGE) % DATA_BYTES);
    sum = (sum + machine.memory.words[(frame + (page % UNROLL) * (STEP - PAGE) + STORE_AT) / 4]) | 0;
  }
  return sum;
}

let root = roots.small;

function chunk({ loop, root: kind, operand, first, pages, passes }) {
  const wanted = roots[ROOTS[kind]];
  if (wanted !== root && processor.setCr3(wanted, 0) !== 0) fail(processor);
  root = wanted;
  const run = loops[LOOPS[loop]];
  // Numbers that were read from text may be doubles to V8, with which the loops take up to four times as long.
  const [value, linear, count, times] = [operand | 0, (WINDOW + first * PAGE) | 0, pages | 0, passes | 0];
  const start = cpuTimeNs();
  const sum = run(value, linear, count, times);
  const ns = cpuTimeNs() - start;
  return { ns, sum: LOOPS[loop] === 'store' ? stored(first, pages) : sum };
}

serve(version, (requests) => requests.map(chunk));
