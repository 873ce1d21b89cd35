// The loops that are measured, each written out: one that took the operation as an argument would measure a call. `raw`
// loops move the same data by physical offset; `cpu` loops go through the CPU. Both return the sum of what they read. What
// they work on is passed, as to any function of an emulator: a CPU and a buffer that V8 knows as constants are faster, both.
// Halves of addresses are int32 to V8 too, as they are in an emulator, whose registers are an Int32Array: streams are of low halves.
import { BASE_LO, HI, physical } from './guest.mjs';

export { raw } from './raw-loops.mjs';

function fail(cpu) {
  throw new Error(`vector ${cpu.faulted}, error code ${cpu.fault.errorCode}, at ${cpu.fault.lo >>> 0}`);
}

export const cpu = {
  read8({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        const value = cpu.read8(stream[k], hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
  read32({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        const value = cpu.read32(stream[k], hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
  read64({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        const value = cpu.read64(stream[k], hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value + cpu.valueHi) | 0;
      }
    }
    return sum;
  },
  write32({ cpu }, stream, repeats) {
    const hi = HI | 0;
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) if (cpu.write32(stream[k], hi, k) !== 0) fail(cpu);
    return repeats;
  },
  write8({ cpu }, stream, repeats) {
    const hi = HI | 0;
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) if (cpu.write8(stream[k], hi, k) !== 0) fail(cpu);
    return repeats;
  },
  write64({ cpu }, stream, repeats) {
    const hi = HI | 0;
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) if (cpu.write64(stream[k], hi, k, n) !== 0) fail(cpu);
    return repeats;
  },
  /** Over more than 4 GiB: an element is a page and a word in it (guest.mjs). */
  read32Wide({ cpu }, stream, repeats) {
    const base = BASE_LO | 0;
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        const page = (base >>> 12) + (stream[k] >>> 10);
        const value = cpu.read32((page << 12) | ((stream[k] & 0x3ff) << 2), hi + (page >>> 20));
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
  /** Where bytes lie, without moving them. */
  translate({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        if (cpu.translate(stream[k], hi) !== 0) fail(cpu);
        sum = (sum + cpu.physicalLo) | 0;
      }
    }
    return sum;
  },
  /** Each entry of a walk, in words' worth of data. */
  explain({ cpu }, stream, repeats) {
    const base = HI * 2 ** 32;
    let sum = 0;
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) sum += cpu.long.explain(base + (stream[k] >>> 0)).steps.length;
    return sum;
  },
  /** A fault, the handler (which maps nothing), and back. */
  fault({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        cpu.read32(stream[k], hi);
        if (cpu.faulted !== 14) fail(cpu);
        sum = (sum + cpu.fault.errorCode + cpu.cr2Lo) | 0;
      }
    }
    return sum;
  },
  /** Dirty tracking at work: pages are written, and asked and cleared again. */
  harvest({ cpu, machine }, stream, repeats) {
    const hi = HI | 0;
    const { memory } = machine;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) if (cpu.write32(stream[k], hi, k) !== 0) fail(cpu);
      sum += memory.isDirty(physical(stream[0]) >>> 12) ? 1 : 0;
      memory.clearDirty();
    }
    return sum;
  },
  /** User and supervisor code in turn, eight loads each. */
  read32InTurn({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        if ((k & 7) === 0) cpu.setCpl((k & 8) !== 0 ? 3 : 0);
        const value = cpu.read32(stream[k], hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
  /** The form for people: a number in, faults thrown. */
  longRead32({ cpu }, stream, repeats) {
    const base = HI * 2 ** 32;
    let sum = 0;
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) sum = (sum + cpu.long.read32(base + (stream[k] >>> 0))) | 0;
    return sum;
  },
  invpcidAll({ cpu }, stream, repeats) {
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) if (cpu.invpcid(2, 0, 0, 0, 0) !== 0) fail(cpu);
    return repeats;
  },
  invlpg({ cpu }, stream, repeats) {
    const hi = HI | 0;
    for (let n = 0; n < repeats; n++) for (let k = 0; k < stream.length; k++) cpu.invlpg(stream[k], hi);
    return repeats;
  },
  invlpgAndRead32({ cpu }, stream, repeats) {
    const hi = HI | 0;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        const lo = stream[k];
        cpu.invlpg(lo, hi);
        const value = cpu.read32(lo, hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
  /** MOV CR3 between two address spaces; `tags` are what the second one adds to the value. */
  movCr3({ cpu, root, otherRoot }, stream, repeats, [pcid, noFlush] = [0, 0]) {
    const other = otherRoot | pcid;
    for (let n = 0; n < repeats; n++)
      for (let k = 0; k < stream.length; k++) if (cpu.setCr3((k & 1) !== 0 ? root : other, noFlush) !== 0) fail(cpu);
    return repeats;
  },
  /** A change of address space every so many loads, a power of two. */
  movCr3AndRead32({ cpu, root, otherRoot }, stream, repeats, [pcid, noFlush, every = 16] = [0, 0]) {
    const hi = HI | 0;
    const other = otherRoot | pcid;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        if ((k & (every - 1)) === 0 && cpu.setCr3((k & every) !== 0 ? root : other, noFlush) !== 0) fail(cpu);
        const value = cpu.read32(stream[k], hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
  /** A load faults, the handler maps the page, the load runs again; then the page is unmapped for the next round. */
  demandPaging(guest, stream, repeats) {
    const { cpu, machine } = guest;
    const hi = HI | 0;
    const { host } = machine;
    const table = guest.entryOf(0);
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < stream.length; k++) {
        const lo = stream[k];
        const data = physical(lo);
        const entry = table + 8 * (data >>> 12);
        host.write64(entry, 0);
        cpu.invlpg(lo, hi);
        cpu.read32(lo, hi);
        if (cpu.faulted !== 14) fail(cpu);
        host.write64(entry, (data & ~0xfff) | 7);
        const value = cpu.read32(lo, hi);
        if (cpu.faulted) fail(cpu);
        sum = (sum + value) | 0;
      }
    }
    return sum;
  },
};

/** The same loads where V8 knows the CPU and the buffer as constants: a program with one of each. */
export const known = {
  raw: ({ machine }, at) => {
    const { words } = machine.memory;
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) sum = (sum + words[at[k] >>> 2]) | 0;
      return sum;
    };
  },
  cpu: ({ cpu }, stream) => {
    const hi = HI | 0;
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          const value = cpu.read32(stream[k], hi);
          if (cpu.faulted) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    };
  },
};
