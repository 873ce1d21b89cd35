// What accesses are compared with: the same data moved by physical offset, by loops of the same form (access-loops.mjs).
const scratchQuad = new BigInt64Array(1);
const scratch = new Int32Array(scratchQuad.buffer);

export const raw = {
  read8({ machine }, at, repeats) {
    const { bytes } = machine.memory;
    let sum = 0;
    for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) sum = (sum + bytes[at[k]]) | 0;
    return sum;
  },
  read32({ machine }, at, repeats) {
    const { words } = machine.memory;
    let sum = 0;
    for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) sum = (sum + words[at[k] >>> 2]) | 0;
    return sum;
  },
  // One 64-bit move, as a quadword that must not tear.
  read64({ machine }, at, repeats) {
    const { quads } = machine.memory;
    let sum = 0;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < at.length; k++) {
        scratchQuad[0] = quads[at[k] >>> 3];
        sum = (sum + scratch[0] + scratch[1]) | 0;
      }
    }
    return sum;
  },
  write8({ machine }, at, repeats) {
    const { bytes } = machine.memory;
    for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) bytes[at[k]] = k;
    return repeats;
  },
  write32({ machine }, at, repeats) {
    const { words } = machine.memory;
    for (let n = 0; n < repeats; n++) for (let k = 0; k < at.length; k++) words[at[k] >>> 2] = k;
    return repeats;
  },
  write64({ machine }, at, repeats) {
    const { quads } = machine.memory;
    for (let n = 0; n < repeats; n++) {
      for (let k = 0; k < at.length; k++) {
        scratch[0] = k;
        scratch[1] = n;
        quads[at[k] >>> 3] = scratchQuad[0];
      }
    }
    return repeats;
  },
};
