// What lies in a guest's RAM below its data: the loops as machine code, and page tables. The loops are encoded so that the
// same bytes mean the same to a 32-bit guest and to a 64-bit one (whose addresses here are below 4 GiB).
import { LAYOUT, LOOPS, PAGE, STEP, STORE_AT, UNROLL } from './patterns.mjs';

const P_RW = 3;
const A = 1 << 5;
const D = 1 << 6;
const PS = 1 << 7;
const LEAF = P_RW | A | D;
const TABLE = P_RW | A;

const { CODE, DATA, DATA_BYTES, TABLES, WINDOW, WINDOW_BYTES } = LAYOUT;

export const imm32 = (value) => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
const backTo = (from, opcodeBytes) => imm32(-(from.length + opcodeBytes + 4));

const ACCESS = {
  baseline: () => [0x01, 0xc3], // add ebx, eax
  load: (at) => [0x03, 0x9e, ...imm32(at * STEP)], // add ebx, [esi + at * STEP]
  store: (at) => [0x89, 0x86, ...imm32(at * STEP + STORE_AT)], // mov [esi + at * STEP + STORE_AT], eax
};
ACCESS.reload = ACCESS.load;

/** ecx passes, each of edx iterations from the address ebp on; eax is what is added, stored, or reloaded into CR3. */
function loopCode(loop) {
  const iteration = [
    ...Array.from({ length: UNROLL }, (_, at) => ACCESS[loop](at)).flat(),
    ...[0x81, 0xc6, ...imm32(UNROLL * PAGE)], // add esi, UNROLL * PAGE
    ...[0xff, 0xcf], // dec edi
  ];
  const pass = [
    ...[0x89, 0xee], // mov esi, ebp
    ...[0x89, 0xd7], // mov edi, edx
    ...iteration,
    ...[0x0f, 0x85, ...backTo(iteration, 2)], // jnz iteration
    ...(loop === 'reload' ? [0x0f, 0x22, 0xd8] : []), // mov cr3, eax
    ...[0xff, 0xc9], // dec ecx
  ];
  return [...pass, 0x0f, 0x85, ...backTo(pass, 2), 0xc3]; // jnz pass; ret
}

/** Where the code of a loop begins, and where its `ret` is. Each loop has a page to itself. */
export function codeRange(loop) {
  const begin = CODE + (1 + LOOPS.indexOf(loop)) * PAGE;
  return { begin, end: begin + loopCode(loop).length - 1 };
}

/** RAM from 0 up to the data, with the loops in it. */
function imageWithLoops() {
  const bytes = new Uint8Array(DATA);
  for (const loop of LOOPS) bytes.set(loopCode(loop), codeRange(loop).begin);
  let nextTable = TABLES;
  const newTable = () => {
    const table = nextTable;
    nextTable += PAGE;
    if (nextTable > DATA) throw new Error('no room for page tables');
    return table;
  };
  return { bytes, words: new Int32Array(bytes.buffer), newTable };
}

/** What a root maps, as pairs of linear and physical addresses: RAM below the data at its own address, and the window. */
function* mappings(pageBytes) {
  for (let at = 0; at < DATA; at += pageBytes) yield [at, at];
  for (let at = 0; at < WINDOW_BYTES; at += pageBytes) yield [WINDOW + at, DATA + (at % DATA_BYTES)];
}

/** Tables of `levels` levels with entries of `entryBytes`; returns the physical address of the root. */
function addTables({ words, newTable }, { levels, entryBytes, leafLevel }) {
  const indexBits = entryBytes === 8 ? 9 : 10;
  const entries = 2 ** indexBits;
  const root = newTable();
  for (const [linear, physical] of mappings(PAGE * entries ** (leafLevel - 1))) {
    const page = linear / PAGE;
    let table = root;
    for (let level = levels; ; level--) {
      const slot = (table + entryBytes * (Math.floor(page / entries ** (level - 1)) % entries)) / 4;
      if (level === leafLevel) {
        words[slot] = physical | LEAF | (leafLevel > 1 ? PS : 0);
        break;
      }
      if (words[slot] === 0) words[slot] = newTable() | TABLE;
      table = words[slot] & ~(PAGE - 1);
    }
  }
  return root;
}

/** 4-level paging: the window in 4 KiB pages (`small`) and in 2 MiB pages (`large`). */
export function image64() {
  const image = imageWithLoops();
  const small = addTables(image, { levels: 4, entryBytes: 8, leafLevel: 1 });
  const large = addTables(image, { levels: 4, entryBytes: 8, leafLevel: 2 });
  return { bytes: image.bytes, roots: { small, large } };
}

/** 32-bit paging: the window in 4 KiB pages. */
export function image32() {
  const image = imageWithLoops();
  const small = addTables(image, { levels: 2, entryBytes: 4, leafLevel: 1 });
  return { bytes: image.bytes, roots: { small } };
}
