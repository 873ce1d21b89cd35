// What others do on the host: a piece of work whose time shows it. A shared core is given to somebody else for tenths of a second at
// a time, and everything takes twice as long meanwhile; minima of rounds that all fell into such a time are not what the code costs.

const words = Int32Array.from({ length: 1024 }, (_, at) => at);

/** As much in parallel as a core can do: half a core shows, where a chain of steps would wait as before. */
function work() {
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let n = 0; n < 200; n++) {
    for (let at = 0; at < 1024; at += 4) {
      a = (a + words[at]) | 0;
      b = (b ^ words[at + 1]) | 0;
      c = (c + words[at + 2]) | 0;
      d = (d ^ words[at + 3]) | 0;
    }
  }
  return a ^ b ^ c ^ d;
}

/** How long the work takes now, in ns. */
export function pace() {
  const start = process.hrtime.bigint();
  if (work() === 1) throw new Error('the work came out as it cannot'); // its result must matter, or V8 leaves it out
  return Number(process.hrtime.bigint() - start);
}
for (let n = 0; n < 60; n++) pace(); // until it is compiled

/** Whether a pace is that of a core which nobody else used, `least` being the quickest that was seen. */
export const isWhole = (ns, least) => ns <= 1.15 * least;
