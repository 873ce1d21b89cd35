// Measuring at the scale of nanoseconds: windows of about a millisecond, the variants of a case taking turns, so that what
// slows the machine down for a while slows down all of them. The minimum is what the code costs; the ratio is the median
// over the rounds of ratios taken within one round, of those rounds in which nobody else used the core (host.mjs) where there were
// some: half a core is not half as fast for all code.
import { isWhole, pace } from './host.mjs';
import { median, quantile } from './statistics.mjs';

const WINDOW_NS = 1e6;
/** Undisturbed rounds after which no more than were asked for are made; and how many times as many at most. */
const ENOUGH = 30;
const PATIENCE = 2;

const now = () => Number(process.hrtime.bigint());

function timed(run, repeats) {
  const start = now();
  const sum = run(repeats);
  return { ns: now() - start, sum };
}

/** Runs variants that take some microseconds, each so long in all. */
export function warmUp(variants, ms) {
  for (const { run } of variants) for (const end = now() + ms * 1e6; now() < end; ) run(1);
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

/**
 * Measures variants `{ name, run, operations }`: `run(repeats)` does `repeats * operations` operations and returns a sum
 * that depends on each of them. The first variant is what the others are compared with.
 */
export function compare(variants, { rounds, warmUpMs }) {
  const repeats = variants.map((variant) => calibrate(variant, warmUpMs));
  const all = [];
  let sink = 0;
  let least = pace();
  const undisturbed = () => all.filter(({ slowest }) => isWhole(slowest, least));
  for (let round = 0; round < rounds || (round < PATIENCE * rounds && undisturbed().length < ENOUGH); round++) {
    const before = pace();
    const samples = variants.map(({ run, operations }, at) => {
      const { ns, sum } = timed(run, repeats[at]);
      sink = (sink + sum) | 0;
      return ns / (repeats[at] * operations);
    });
    const after = pace();
    least = Math.min(least, before, after);
    all.push({ samples, slowest: Math.max(before, after) });
  }
  const isByAll = undisturbed().length < ENOUGH; // others used the core nearly always
  const chosen = isByAll ? all : undisturbed();
  return variants.map(({ name }, at) => {
    const values = chosen.map(({ samples }) => samples[at]);
    const ratios = chosen.map(({ samples }) => samples[at] / samples[0]);
    return {
      name,
      ns: Math.min(...values),
      median: median(values),
      p90: quantile(values, 0.9),
      ratio: median(ratios),
      isByAll,
      sink,
    };
  });
}
