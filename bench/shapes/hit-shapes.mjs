// Which shape the hit path takes: one variant per process (a call site that has seen two classes is five times slower).
//   node bench/shapes/hit-shapes.mjs            runs every variant in a process of its own
//   node bench/shapes/hit-shapes.mjs VARIANT    runs one
// Every variant checks tag, rights (separate read view), generation and PCID (both inside the key or the tag).
import { execFileSync } from 'node:child_process';

const SLOTS = 4096;
const MASK = SLOTS - 1;

class Split {
  // three arrays; the regime's generation permutes the index, so no word of the entry carries it
  constructor(words) {
    this.words = words;
    this.faulted = 0;
    this.reads = {
      key: 0x2a5000,
      tagLo: new Int32Array(SLOTS).fill(-1),
      tagHi: new Int32Array(SLOTS),
      base: new Int32Array(SLOTS),
    };
  }
  fill(lo, hi, base) {
    const v = this.reads,
      i = ((lo ^ v.key) >>> 12) & MASK;
    v.tagLo[i] = lo & ~0xfff;
    v.tagHi[i] = hi;
    v.base[i] = base;
  }
  read32(lo, hi) {
    const v = this.reads;
    const i = ((lo ^ v.key) >>> 12) & MASK;
    if (v.tagLo[i] === (lo & 0xfffff003) && v.tagHi[i] === hi) return this.words[v.base[i] | ((lo >>> 2) & 0x3ff)];
    return this.slow(lo, hi);
  }
  slow(lo, hi) {
    this.faulted = 14;
    return lo ^ hi;
  }
}
class SplitStore extends Split {
  // the same, and a hit also stores faulted = 0, so that callers need not reset it
  read32(lo, hi) {
    const v = this.reads;
    const i = ((lo ^ v.key) >>> 12) & MASK;
    if (v.tagLo[i] === (lo & 0xfffff003) && v.tagHi[i] === hi) {
      this.faulted = 0;
      return this.words[v.base[i] | ((lo >>> 2) & 0x3ff)];
    }
    return this.slow(lo, hi);
  }
}
class Flat extends Split {
  // arrays are fields of the CPU itself
  constructor(words) {
    super(words);
    this.key = this.reads.key;
    this.tagLo = this.reads.tagLo;
    this.tagHi = this.reads.tagHi;
    this.base = this.reads.base;
  }
  read32(lo, hi) {
    const i = ((lo ^ this.key) >>> 12) & MASK;
    if (this.tagLo[i] === (lo & 0xfffff003) && this.tagHi[i] === hi) {
      this.faulted = 0;
      return this.words[this.base[i] | ((lo >>> 2) & 0x3ff)];
    }
    return this.slow(lo, hi);
  }
}
class Interleaved extends Split {
  // one array of four-word slots
  constructor(words) {
    super(words);
    this.key = 0x2a5000;
    this.slots = new Int32Array(4 * SLOTS).fill(-1);
  }
  fill(lo, hi, base) {
    const i = (((lo ^ this.key) >>> 12) & MASK) << 2,
      s = this.slots;
    s[i] = lo & ~0xfff;
    s[i + 1] = hi;
    s[i + 2] = base;
  }
  read32(lo, hi) {
    const s = this.slots;
    const i = ((lo ^ this.key) >>> 10) & (MASK << 2);
    if (s[i] === (lo & 0xfffff003) && s[i + 1] === hi) {
      this.faulted = 0;
      return this.words[s[i + 2] | ((lo >>> 2) & 0x3ff)];
    }
    return this.slow(lo, hi);
  }
}
class Generation extends Split {
  // the generation as a fourth word, compared
  constructor(words) {
    super(words);
    this.generation = 7;
    this.gens = new Int32Array(SLOTS);
  }
  fill(lo, hi, base) {
    super.fill(lo, hi, base);
    this.gens[((lo ^ this.reads.key) >>> 12) & MASK] = this.generation;
  }
  read32(lo, hi) {
    const v = this.reads;
    const i = ((lo ^ v.key) >>> 12) & MASK;
    if (v.tagLo[i] === (lo & 0xfffff003) && v.tagHi[i] === hi && this.gens[i] === this.generation) {
      this.faulted = 0;
      return this.words[v.base[i] | ((lo >>> 2) & 0x3ff)];
    }
    return this.slow(lo, hi);
  }
}
class DoubleExact extends Split {
  // page number and alignment in one double: the address itself with the offset's alignment bits kept
  constructor(words) {
    super(words);
    this.tags = new Float64Array(SLOTS).fill(NaN);
    this.key = 0x2a5000;
    this.base = new Int32Array(SLOTS);
  }
  fill(lo, hi, base) {
    const i = ((lo ^ this.key) >>> 12) & MASK;
    this.tags[i] = hi * 4294967296 + (lo & ~0xfff);
    this.base[i] = base;
  }
  read32(lo, hi) {
    const i = ((lo ^ this.key) >>> 12) & MASK;
    if (this.tags[i] === hi * 4294967296 + (lo & 0xfffff003)) {
      this.faulted = 0;
      return this.words[this.base[i] | ((lo >>> 2) & 0x3ff)];
    }
    return this.slow(lo, hi);
  }
}
const variants = {
  raw: null,
  split: Split,
  'split + faulted=0': SplitStore,
  flat: Flat,
  interleaved: Interleaved,
  generation: Generation,
  'double tag': DoubleExact,
};

function streams() {
  const n = 4096,
    random = new Int32Array(n),
    sequential = new Int32Array(n);
  let x = 12345;
  for (let k = 0; k < n; k++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    random[k] = ((x >>> 8) % 200) * 4096 + (((x >>> 4) & 0x3ff) << 2);
    sequential[k] = k * 4;
  }
  return { random, sequential };
}
function measure(name) {
  const buffer = new SharedArrayBuffer(16 << 20),
    words = new Int32Array(buffer);
  for (let i = 0; i < words.length; i++) words[i] = i;
  const all = streams(),
    BASE = 0x40000000,
    HI = 0x7f12,
    result = {};
  const V = variants[name],
    cpu = V && new V(words);
  if (cpu) for (let p = 0; p < 200; p++) cpu.fill(BASE + p * 4096, HI, p * 1024);
  const raw = (s, rounds) => {
    let sum = 0;
    for (let r = 0; r < rounds; r++) for (let k = 0; k < 4096; k++) sum = (sum + words[s[k] >>> 2]) | 0;
    return sum;
  };
  const through = (s, rounds) => {
    let sum = 0;
    for (let r = 0; r < rounds; r++)
      for (let k = 0; k < 4096; k++) {
        const v = cpu.read32((BASE + s[k]) | 0, HI);
        if (cpu.faulted !== 0) throw new Error('fault');
        sum = (sum + v) | 0;
      }
    return sum;
  };
  for (const kind of ['random', 'sequential']) {
    let best = Infinity,
      sink = 0;
    for (let round = 0; round < 60; round++) {
      const t = process.hrtime.bigint();
      sink ^= (cpu ? through : raw)(all[kind], 244);
      const ns = Number(process.hrtime.bigint() - t) / (244 * 4096);
      if (round > 5 && ns < best) best = ns;
    }
    result[kind] = +best.toFixed(2);
    result.sink = sink;
  }
  return result;
}
const only = process.argv[2];
if (only) console.log(JSON.stringify(measure(only)));
else
  for (const name of Object.keys(variants)) {
    const { random, sequential } = JSON.parse(
      execFileSync(process.execPath, [process.argv[1], name], { encoding: 'utf8' }),
    );
    console.log(
      `${name.padEnd(20)} random ${random.toFixed(2).padStart(6)} ns   sequential ${sequential.toFixed(2).padStart(6)} ns`,
    );
  }
