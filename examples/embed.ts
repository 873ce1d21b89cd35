/**
 * An emulator around pagewalk, as small as it can be: an interpreter whose guest runs behind page tables, a page-fault
 * handler that maps on demand, a console in MMIO space, and a list of the frames the guest wrote.
 *
 * After `npm run build`, with Node 22.18 or later, and with older ones:
 *
 *   node examples/embed.ts
 *   npx esbuild examples/embed.ts --bundle --platform=node --format=esm | node --input-type=module -
 */
import { type Cpu, type Fault, FaultError, Machine, PF, PF_P } from 'pagewalk';

const P = 1;
const RW = 2;
const US = 4;

// This guest lives in one 4 GiB piece of its address space: the high half of all its addresses is the same.
const HI = 0x7fff;
const CODE = 0x0040_0000;
const HEAP = 0x0050_0000;
const CONSOLE = 0x005f_f000;
const CONSOLE_PHYSICAL = 0xfe00_0000;

// Three-byte instructions: an opcode and two operands.
const LOAD = 1; //  a = [b]
const STORE = 2; // [b] = a
const ADD = 3; //   a = a + b
const JUMP = 4; //  where a is not 0, by b instructions

const TEXT = 'hello from the guest\n';
const program = [
  ...[STORE, 1, 0, LOAD, 2, 0, ADD, 0, 3, ADD, 1, 4, JUMP, 1, -4], // stores r1 = 4, 3, 2, 1 in four pages
  ...[LOAD, 2, 5, STORE, 2, 7, ADD, 5, 8, ADD, 6, 4, JUMP, 6, -4], // sends the text, one character at a time
  ...[STORE, 2, 9], //                                                 a mistake: code is read-only
  ...new TextEncoder().encode(TEXT),
];
const textAt = CODE + program.length - TEXT.length;
// r0 heap, r1 pages left and value, r2 scratch, r3 and r4 steps, r5 and r6 text and its length, r7 console, r8 step, r9 code
const registers = Int32Array.of(HEAP, 4, 0, 4096, -1, textAt, TEXT.length, CONSOLE, 1, CODE);

const machine = new Machine({ memory: { size: 1 << 20 } });
const { memory, host } = machine;
const cpu: Cpu = machine.cpus[0]!;

let printed = '';
memory.addDevice(CONSOLE_PHYSICAL, 4096, {
  read: () => 0,
  write: (_offset, _size, value) => {
    printed += String.fromCharCode(value & 0xff);
  },
});

// Page tables in guest memory: PML4, PDPT and PD in frames 1 to 3, the page table in frame 4. Code and console are mapped.
const PAGE_TABLE = 0x4000;
const FIRST_FREE_FRAME = 0x20;
const entryAt = (lo: number): number => PAGE_TABLE + 8 * ((lo >>> 12) & 511);
host.write64(0x1000 + 8 * 255, 0x2000 | P | RW | US);
host.write64(0x2000 + 8 * 508, 0x3000 | P | RW | US);
host.write64(0x3000 + 8 * 2, PAGE_TABLE | P | RW | US);
host.write64(entryAt(CODE), 0x10_000 | P | US);
host.write64(entryAt(CONSOLE), CONSOLE_PHYSICAL + (P | RW | US));
host.write(0x10_000, Uint8Array.from(program));
memory.clearDirty();

// 64-bit mode, CPL 3, CR0.WP on. A guest that boots would come here by setCr3, setCr4, setEfer and setCr0.
cpu.enter({ cr0: 0x8001_0001, cr3: 0x1000, cr4: 1 << 5, efer: (1 << 8) | (1 << 11), cpl: 3 });

let nextFrame = FIRST_FREE_FRAME;
let mapped = 0;

/** Stands for the guest's own handler. True where the instruction is to run again. */
function handlePageFault({ vector, errorCode, lo, hi }: Fault): boolean {
  const isHeap = hi === HI && lo >= HEAP && lo < CONSOLE;
  if (vector !== PF || (errorCode & PF_P) !== 0 || !isHeap) return false;
  host.write64(entryAt(lo), nextFrame++ * 4096 + (P | RW | US)); // not present before: nothing to invalidate
  mapped += 1;
  return true;
}

let ip = CODE;

/** One instruction. It is done as a whole, or it faults and changes nothing: then `cpu.faulted` is not 0. */
function step(): void {
  const opcode = cpu.fetch8(ip, HI);
  if (cpu.faulted) return;
  const a = cpu.fetch8(ip + 1, HI);
  if (cpu.faulted) return;
  const b = cpu.fetch8(ip + 2, HI);
  if (cpu.faulted) return;
  let next = ip + 3;
  if (opcode === LOAD) {
    const value = cpu.read32(registers[b]!, HI);
    if (cpu.faulted) return;
    registers[a] = value;
  } else if (opcode === STORE) {
    if (cpu.write32(registers[b]!, HI, registers[a]!)) return;
  } else if (opcode === ADD) {
    registers[a]! += registers[b]!;
  } else if (opcode === JUMP && registers[a] !== 0) {
    next = ip + 3 * ((b << 24) >> 24);
  }
  ip = next;
}

let instructions = 0;
for (;;) {
  step();
  if (!cpu.faulted) instructions += 1;
  else if (!handlePageFault(cpu.fault)) break;
  cpu.poll(); // an instruction boundary: what other threads changed about pages counts from here
}

const written: string[] = [];
memory.forEachDirty((frame) => written.push(`0x${frame.toString(16)}`));
console.log(`console: ${printed.trimEnd()}`);
console.log(`ran ${instructions} instructions, ${mapped} pages mapped on demand, ${cpu.counters.walks} walks`);
console.log(`stopped by ${new FaultError(cpu.fault).message}: a store to read-only code`);
console.log(`frames written: ${written.join(' ')} (0x1 to 0x4 are the tables: the walks set A and D there)`);
