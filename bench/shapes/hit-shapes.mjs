// Which shape the hit path takes; docs/decisions/0002-hit-path.md has the figures and the choice.
//   node bench/shapes/hit-shapes.mjs [VARIANT]    one, or each in a process of its own
// All check the page, the alignment, the rights (a view for each kind of access), the PCID and the generation.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as loops from '../access-loops.mjs';
import { BASE_LO, HI, physical, randomStream, sequentialStream } from '../guest.mjs';
import { compare, warmUp } from '../measure.mjs';

const SLOTS = 4096;
const MASK = SLOTS - 1;
const KEY = 0x2a5000; // regime and generation: permutes the slots
const TAG32 = -4096 | 3;

const view = () => ({
  key: KEY,
  tagLo: new Int32Array(SLOTS).fill(-1),
  tagHi: new Int32Array(SLOTS),
  word: new Int32Array(SLOTS),
});

/** Three arrays of a view; the caller resets `faulted`. */
class Split {
  faulted = 0;
  reads = view();
  constructor(words) {
    this.words = words;
  }
  fill(lo, hi, word) {
    const slot = ((lo ^ KEY) >>> 12) & MASK;
    const { tagLo, tagHi, word: words } = this.reads;
    [tagLo[slot], tagHi[slot], words[slot]] = [lo & -4096, hi, word];
  }
  read32(lo, hi) {
    const { reads } = this;
    const slot = ((lo ^ reads.key) >>> 12) & MASK;
    if (reads.tagLo[slot] !== (lo & TAG32) || reads.tagHi[slot] !== hi) return this.slow(lo, hi);
    return this.words[reads.word[slot] | ((lo >>> 2) & 0x3ff)];
  }
  slow(lo, hi) {
    this.faulted = 14;
    return lo ^ hi;
  }
}

/** The same, and a hit stores faulted = 0. */
class SplitStore extends Split {
  read32(lo, hi) {
    const { reads } = this;
    const slot = ((lo ^ reads.key) >>> 12) & MASK;
    if (reads.tagLo[slot] !== (lo & TAG32) || reads.tagHi[slot] !== hi) return this.slow(lo, hi);
    this.faulted = 0;
    return this.words[reads.word[slot] | ((lo >>> 2) & 0x3ff)];
  }
}

/** The arrays are fields of the CPU. */
class Flat extends Split {
  constructor(words) {
    super(words);
    Object.assign(this, this.reads);
  }
  read32(lo, hi) {
    const slot = ((lo ^ this.key) >>> 12) & MASK;
    if (this.tagLo[slot] !== (lo & TAG32) || this.tagHi[slot] !== hi) return this.slow(lo, hi);
    this.faulted = 0;
    return this.words[this.word[slot] | ((lo >>> 2) & 0x3ff)];
  }
}

/** One array of four-word slots. */
class Interleaved extends Split {
  key = KEY;
  slots = new Int32Array(4 * SLOTS).fill(-1);
  fill(lo, hi, word) {
    this.slots.set([lo & -4096, hi, word], (((lo ^ KEY) >>> 12) & MASK) << 2);
  }
  read32(lo, hi) {
    const { slots } = this;
    const at = ((lo ^ this.key) >>> 10) & (MASK << 2);
    if (slots[at] !== (lo & TAG32) || slots[at + 1] !== hi) return this.slow(lo, hi);
    this.faulted = 0;
    return this.words[slots[at + 2] | ((lo >>> 2) & 0x3ff)];
  }
}

/** The same, a hit stores nothing, and what the slot holds turns `lo` into a position. */
class Positions extends Interleaved {
  fill(lo, hi, word) {
    this.slots.set([lo & -4096, hi, (word << 2) - (lo & -4096)], (((lo ^ KEY) >>> 12) & MASK) << 2);
  }
  read32(lo, hi) {
    const { slots } = this;
    const at = ((lo ^ this.key) >>> 10) & (MASK << 2);
    if (slots[at] !== (lo & TAG32) || slots[at + 1] !== hi) return this.slow(lo, hi) | 0;
    return this.words[(slots[at + 2] + lo) >>> 2];
  }
}

const TAGS = new Int32Array(1 << 20).fill(-1);
const HIGHS = new Int32Array(1 << 20);
const PLACES = new Int32Array(1 << 20);

/** The same with three arrays, which are constants of the program: what the library does. */
class Shipped extends Positions {
  key = KEY >>> 12;
  fill(lo, hi, word) {
    const at = (lo >>> 12) ^ this.key;
    TAGS[at] = lo & -4096;
    HIGHS[at] = hi;
    PLACES[at] = (word << 2) - (lo & -4096);
  }
  read32(lo, hi) {
    const at = (lo >>> 12) ^ this.key;
    if (HIGHS[at] !== hi || TAGS[at] !== (lo & TAG32)) return this.slow(lo, hi) | 0;
    return this.words[(PLACES[at] + lo) >>> 2];
  }
}

/** The generation is a fourth word, which is compared. */
class Generation extends Split {
  generation = 7;
  generations = new Int32Array(SLOTS).fill(this.generation);
  read32(lo, hi) {
    const { reads } = this;
    const slot = ((lo ^ reads.key) >>> 12) & MASK;
    if (reads.tagLo[slot] !== (lo & TAG32) || reads.tagHi[slot] !== hi || this.generations[slot] !== this.generation)
      return this.slow(lo, hi);
    this.faulted = 0;
    return this.words[reads.word[slot] | ((lo >>> 2) & 0x3ff)];
  }
}

/** The page and the alignment bits as one double. */
class DoubleExact extends Split {
  tags = new Float64Array(SLOTS).fill(NaN);
  fill(lo, hi, word) {
    super.fill(lo, hi, word);
    this.tags[((lo ^ KEY) >>> 12) & MASK] = hi * 0x1_0000_0000 + (lo & -4096);
  }
  read32(lo, hi) {
    const { reads } = this;
    const slot = ((lo ^ reads.key) >>> 12) & MASK;
    if (this.tags[slot] !== hi * 0x1_0000_0000 + (lo & TAG32)) return this.slow(lo, hi);
    this.faulted = 0;
    return this.words[reads.word[slot] | ((lo >>> 2) & 0x3ff)];
  }
}

const VARIANTS = {
  raw: undefined,
  split: Split,
  'split + faulted=0': SplitStore,
  flat: Flat,
  interleaved: Interleaved,
  positions: Positions,
  shipped: Shipped,
  generation: Generation,
  'double exact': DoubleExact,
};

function measure(name) {
  const words = Int32Array.from({ length: 200 * 1024 }, (_, at) => at);
  const Variant = VARIANTS[name];
  const cpu = Variant && new Variant(words);
  for (let page = 0; page < 200; page++) cpu?.fill(BASE_LO + page * 4096, HI, page * 1024);
  const run = (stream) => {
    const at = stream.map(physical);
    return cpu
      ? (repeats) => loops.cpu.read32({ cpu }, stream, repeats)
      : (repeats) => loops.raw.read32({ machine: { memory: { words } } }, at, repeats);
  };
  const streams = [randomStream(4, 200), sequentialStream(4)];
  warmUp(
    streams.map((stream) => ({ run: run(stream.subarray(0, 256)) })),
    100,
  );
  const variants = streams.map((stream) => ({ run: run(stream), operations: stream.length }));
  return compare(variants, { rounds: 1000, warmUpMs: 200 }).map(({ ns }) => ns.toFixed(2));
}

const [, , only] = process.argv;
if (only) console.log(measure(only).join(' '));
else {
  console.log('ns per 32-bit load     random  sequential');
  for (const name of Object.keys(VARIANTS)) {
    const output = execFileSync(process.execPath, [fileURLToPath(import.meta.url), name], { encoding: 'utf8' });
    const [random, sequential] = output.trim().split(' ');
    console.log(name.padEnd(20) + random.padStart(9) + sequential.padStart(12));
  }
}
