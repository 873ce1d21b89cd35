// The v86 peer; see README.md for the protocol. A 32-bit guest with paging on, started from a ROM of our own: the package
// has no BIOS, and none is needed. The guest asks for work by a byte to its serial port, which the host sees at once.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { codeRange, image32, imm32 } from './image.mjs';
import { dataWords, LAYOUT, LOOPS, PAGE, STEP, STORE_AT, UNROLL } from './patterns.mjs';
import { cpuTimeNs, serve } from './protocol.mjs';

const { RAM, CODE, DATA, DATA_BYTES, WINDOW } = LAYOUT;

// v86 drops the compiled code of a page that is written: neither the stack nor the mailbox shares a page with code.
const STACK_TOP = CODE + 0x1_1000;
const MAILBOX = CODE + 0x2_0000;
const SUM = MAILBOX + 20;
const SERIAL_PORT = 0x3f8;
// v86 looks at its clock, and whether to stop, every 100,003 instructions; a byte to the port costs microseconds.
const IDLE = 100_000;

/** Flat segments, then the 32-bit code at CODE: all of a BIOS that is needed. It ends at 1 MiB, with the reset vector. */
function bootRom() {
  const rom = new Uint8Array(0x1_0000);
  const [gdt, gdtr, start, reset] = [0xff00, 0xff18, 0xff20, 0xfff0];
  rom.set([0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0], gdt + 8); // code, 4 GiB
  rom.set([0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0], gdt + 16); // data, 4 GiB
  rom.set([23, 0, ...imm32(0xf_0000 + gdt)], gdtr);
  rom.set(
    [
      0xfa, // cli
      ...[0x2e, 0x66, 0x0f, 0x01, 0x16, gdtr & 0xff, gdtr >> 8], // lgdt cs:[gdtr]
      ...[0x0f, 0x20, 0xc0], // mov eax, cr0
      ...[0x0c, 0x01], // or al, 1
      ...[0x0f, 0x22, 0xc0], // mov cr0, eax
      ...[0x66, 0xea, ...imm32(CODE), 0x08, 0x00], // jmp 8:CODE
    ],
    start,
  );
  const back = start - (reset + 3);
  rom.set([0xe9, back & 0xff, (back >> 8) & 0xff], reset); // jmp start
  return rom;
}

/** Paging on; then for ever: registers from the mailbox, a call, the sum into the mailbox, a byte to the serial port. */
function kernel(root) {
  const begin = [
    ...[0x66, 0xb8, 0x10, 0x00], // mov ax, 0x10
    ...[0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0], // mov ds, ax; mov es, ax; mov ss, ax
    ...[0xbc, ...imm32(STACK_TOP)], // mov esp, STACK_TOP
    ...[0xb8, ...imm32(root)], // mov eax, root
    ...[0x0f, 0x22, 0xd8], // mov cr3, eax
    ...[0x0f, 0x20, 0xc0], // mov eax, cr0
    ...[0x0d, ...imm32(0x8001_0000)], // or eax, CR0.PG | CR0.WP
    ...[0x0f, 0x22, 0xc0], // mov cr0, eax
  ];
  const work = [
    ...[0xa1, ...imm32(MAILBOX)], // mov eax, [operand]
    ...[0x8b, 0x2d, ...imm32(MAILBOX + 4)], // mov ebp, [address]
    ...[0x8b, 0x15, ...imm32(MAILBOX + 8)], // mov edx, [iterations]
    ...[0x8b, 0x0d, ...imm32(MAILBOX + 12)], // mov ecx, [passes]
    ...[0x31, 0xdb], // xor ebx, ebx
    ...[0xff, 0x15, ...imm32(MAILBOX + 16)], // call [code]
    ...[0x89, 0x1d, ...imm32(SUM)], // mov [SUM], ebx
    ...[0xb0, 0x0a], // mov al, '\n'
    ...[0xba, ...imm32(SERIAL_PORT)], // mov edx, SERIAL_PORT
    0xee, // out dx, al
  ];
  const code = [...begin, ...work, 0xe9, ...imm32(-(work.length + 5))]; // jmp work
  const nothing = [
    ...[0xb9, ...imm32(IDLE)], // mov ecx, IDLE
    ...[0xff, 0xc9], // dec ecx
    ...[0x75, 0xfc], // jnz the dec
    0xc3, // ret
  ];
  return { code: [...code, ...nothing], nothing: CODE + code.length };
}

const words = (...values) => new Uint8Array(Int32Array.from(values).buffer);

async function start() {
  const { V86 } = await import('v86');
  const emulator = new V86({
    wasm_path: fileURLToPath(new URL('v86.wasm', import.meta.resolve('v86'))),
    memory_size: RAM,
    bios: { buffer: bootRom().buffer },
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    autostart: false,
  });
  await new Promise((resolve) => emulator.add_listener('emulator-ready', resolve));
  return emulator;
}

const emulator = await start();
const image = image32();
const { code, nothing } = kernel(image.roots.small);
image.bytes.set(code, CODE);
emulator.write_memory(image.bytes.subarray(CODE), CODE);
emulator.write_memory(new Uint8Array(dataWords().buffer), DATA);

const word = (at) => new DataView(emulator.read_memory(at, 4).slice().buffer).getInt32(0, true);

/** What stores left behind the pages of the window, found by physical address. */
function stored(first, pages) {
  let sum = 0;
  for (let page = first; page < first + pages; page++)
    sum = (sum + word(DATA + ((page * PAGE) % DATA_BYTES) + (page % UNROLL) * (STEP - PAGE) + STORE_AT)) | 0;
  return sum;
}

let requests = [];
let answers = [];
let begun; // CPU time when the current request was given to the guest; undefined: it has none

const mailbox = (...values) => emulator.write_memory(words(...values), MAILBOX);
mailbox(0, 0, 0, 0, nothing);

emulator.add_listener('serial0-output-byte', () => {
  const now = cpuTimeNs();
  if (begun !== undefined) {
    const { loop, first, pages } = requests[answers.length];
    answers.push({ ns: now - begun, sum: LOOPS[loop] === 'store' ? stored(first, pages) : word(SUM) });
  }
  if (answers.length === requests.length) {
    // The guest goes on doing nothing until v86 looks whether to stop.
    if (begun !== undefined) mailbox(0, 0, 0, 0, nothing);
    begun = undefined;
    emulator.stop();
    return;
  }
  const { loop, operand, first, pages, passes } = requests[answers.length];
  mailbox(operand, WINDOW + first * PAGE, pages / UNROLL, passes, codeRange(LOOPS[loop]).begin);
  begun = cpuTimeNs();
});

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.resolve('v86')), 'utf8'));
serve(version.replace(/\+.*/, ''), async (turn) => {
  requests = turn;
  answers = [];
  const stopped = new Promise((resolve) => {
    const listener = () => {
      emulator.remove_listener('emulator-stopped', listener);
      resolve();
    };
    emulator.add_listener('emulator-stopped', listener);
  });
  await emulator.run();
  await stopped;
  return answers;
});
