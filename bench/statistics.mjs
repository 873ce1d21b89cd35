// What the benches make of their samples.

/** The value below which that part of them lies, 0 to 1; NaN of none. */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

export const median = (values) => quantile(values, 0.5);
export const sum = (values) => values.reduce((one, other) => one + other, 0);
export const mean = (values) => sum(values) / values.length;
