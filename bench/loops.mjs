// The loops that are measured, each written out: one that took the operation as an argument would measure a call. `raw`
// loops move the same data by physical offset; `cpu` loops go through the CPU. Both return the sum of what they read.
import { BASE_LO, HI } from './guest.mjs';

const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

function fail(cpu) {
  throw new Error(`vector ${cpu.faulted}, error code ${cpu.fault.errorCode}, at ${cpu.fault.lo >>> 0}`);
}

export const raw = {
  read8: ({ machine }, at) => {
    const { bytes } = machine.memory;
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) sum = (sum + bytes[at[k]]) | 0;
      return sum;
    };
  },
  read32: ({ machine }, at) => {
    const { words } = machine.memory;
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) sum = (sum + words[at[k] >>> 2]) | 0;
      return sum;
    };
  },
  // One 64-bit move, as a quadword that must not tear.
  read64: ({ machine }, at) => {
    const { quads } = machine.memory;
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < at.length; k++) {
          scratchQuad[0] = quads[at[k] >>> 3];
          sum = (sum + scratch[0] + scratch[1]) | 0;
        }
      }
      return sum;
    };
  },
  write32: ({ machine }, at) => {
    const { words } = machine.memory;
    return (repeats) => {
      for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) words[at[k] >>> 2] = k;
      return repeats;
    };
  },
};

export const cpu = {
  read8:
    ({ cpu }, stream) =>
    (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          const value = cpu.read8((BASE_LO + stream[k]) | 0, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    },
  read32:
    ({ cpu }, stream) =>
    (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          const value = cpu.read32((BASE_LO + stream[k]) | 0, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    },
  read64:
    ({ cpu }, stream) =>
    (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          const value = cpu.read64((BASE_LO + stream[k]) | 0, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value + cpu.valueHi) | 0;
        }
      }
      return sum;
    },
  write32:
    ({ cpu }, stream) =>
    (repeats) => {
      for (let n = 0; n < repeats; n++)
        for (let k = 0; k < stream.length; k++) if (cpu.write32((BASE_LO + stream[k]) | 0, HI, k) !== 0) fail(cpu);
      return repeats;
    },
  /** User and supervisor code in turn, eight loads each. */
  read32InTurn:
    ({ cpu }, stream) =>
    (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          if ((k & 7) === 0) cpu.setCpl((k & 8) !== 0 ? 3 : 0);
          const value = cpu.read32((BASE_LO + stream[k]) | 0, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    },
  /** The form for people: a number in, faults thrown. */
  longRead32:
    ({ cpu }, stream) =>
    (repeats) => {
      const base = HI * 2 ** 32 + BASE_LO;
      let sum = 0;
      for (let n = 0; n < repeats; n++)
        for (let k = 0; k < stream.length; k++) sum = (sum + cpu.long.read32(base + stream[k])) | 0;
      return sum;
    },
  invlpg:
    ({ cpu }, stream) =>
    (repeats) => {
      for (let n = 0; n < repeats; n++)
        for (let k = 0; k < stream.length; k++) cpu.invlpg((BASE_LO + stream[k]) | 0, HI);
      return repeats;
    },
  invlpgAndRead32:
    ({ cpu }, stream) =>
    (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          const lo = (BASE_LO + stream[k]) | 0;
          cpu.invlpg(lo, HI);
          const value = cpu.read32(lo, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    },
  /** MOV CR3 between two address spaces; `tags` are what the second one adds to the value. */
  movCr3: (guest, stream, [pcid, noFlush] = [0, 0]) => {
    const { cpu, root } = guest;
    const other = guest.secondRoot() | pcid;
    return (repeats) => {
      for (let n = 0; n < repeats; n++)
        for (let k = 0; k < stream.length; k++) if (cpu.setCr3((k & 1) !== 0 ? root : other, noFlush) !== 0) fail(cpu);
      return repeats;
    };
  },
  /** A change of address space, then a load from each of 16 pages. */
  movCr3AndRead32: (guest, stream, [pcid, noFlush] = [0, 0]) => {
    const { cpu, root } = guest;
    const other = guest.secondRoot() | pcid;
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          if ((k & 15) === 0 && cpu.setCr3((k & 16) !== 0 ? root : other, noFlush) !== 0) fail(cpu);
          const value = cpu.read32((BASE_LO + stream[k]) | 0, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    };
  },
  /** A load faults, the handler maps the page, the load runs again; then the page is unmapped for the next round. */
  demandPaging: (guest, stream) => {
    const { cpu, machine } = guest;
    const { host } = machine;
    const table = guest.entryOf(0);
    return (repeats) => {
      let sum = 0;
      for (let n = 0; n < repeats; n++) {
        for (let k = 0; k < stream.length; k++) {
          const lo = (BASE_LO + stream[k]) | 0;
          const entry = table + 8 * (stream[k] >>> 12);
          host.write64(entry, 0);
          cpu.invlpg(lo, HI);
          cpu.read32(lo, HI);
          if (cpu.faulted !== 14) fail(cpu);
          host.write64(entry, (stream[k] & ~0xfff) | 7);
          const value = cpu.read32(lo, HI);
          if (cpu.faulted !== 0) fail(cpu);
          sum = (sum + value) | 0;
        }
      }
      return sum;
    };
  },
};
