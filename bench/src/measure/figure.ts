/** Many runs as one figure: a quantile of them, and how far they spread. */

export interface Figure {
  value: number;
  min: number;
  max: number;
  runs: number;
}

/** The median of the runs, or another quantile: 0.99 is the p99. */
export function figure(values: readonly number[], q = 0.5): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  return { value: quantile(sorted, q), min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN, runs: sorted.length };
}

/** Linear between the two nearest ranks; NaN of nothing. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (low === undefined || high === undefined) return NaN;
  return low + (high - low) * (at - Math.floor(at));
}
