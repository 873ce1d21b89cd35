// Measuring at the scale of nanoseconds: windows of about a millisecond, the variants of a case taking turns, so that what
// slows the machine down for a while slows down all of them. The minimum is what the code costs; the ratio is the median
// over the rounds of ratios taken within one round.

const WINDOW_NS = 1e6;

const now = () => Number(process.hrtime.bigint());

function timed(run, repeats) {
  const start = now();
  const sum = run(repeats);
  return { ns: now() - start, sum };
}

/** Warms a variant up, and finds how many repeats fill a window. */
function calibrate({ run }, warmUpMs) {
  const end = now() + warmUpMs * 1e6;
  let repeats = 1;
  let best = Infinity;
  while (now() < end || best === Infinity) {
    const { ns } = timed(run, repeats);
    best = Math.min(best, ns / repeats);
    if (ns < WINDOW_NS / 2) repeats *= 2;
  }
  return Math.max(1, Math.round(WINDOW_NS / best));
}

const quantile = (sorted, at) => sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))];

/**
 * Measures variants `{ name, run, operations }`: `run(repeats)` does `repeats * operations` operations and returns a sum
 * that depends on each of them. The first variant is what the others are compared with.
 */
export function compare(variants, { rounds, warmUpMs }) {
  const repeats = variants.map((variant) => calibrate(variant, warmUpMs));
  const samples = variants.map(() => []);
  let sink = 0;
  for (let round = 0; round < rounds; round++) {
    variants.forEach(({ run, operations }, at) => {
      const { ns, sum } = timed(run, repeats[at]);
      sink = (sink + sum) | 0;
      samples[at].push(ns / (repeats[at] * operations));
    });
  }
  return variants.map(({ name }, at) => {
    const sorted = [...samples[at]].sort((a, b) => a - b);
    const ratios = samples[at].map((ns, round) => ns / samples[0][round]).sort((a, b) => a - b);
    const { 0: ns } = sorted;
    return { name, ns, median: quantile(sorted, 0.5), p90: quantile(sorted, 0.9), ratio: quantile(ratios, 0.5), sink };
  });
}
