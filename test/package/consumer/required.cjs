// A user's JavaScript, as CommonJS.
const { Machine } = require('pagewalk');
const { SCENARIOS } = require('pagewalk/explorer');

const { cpus } = new Machine({ memory: { size: 1 << 20 } });
cpus[0].write32(0x1234, 0, 42);
console.log('required', cpus[0].read32(0x1234, 0), SCENARIOS.length > 0);
