/** A power law `y = c x^exponent` through points, by least squares of the logarithms. */
export interface PowerFit {
  readonly exponent: number;
  readonly factor: number;
  /** The largest factor between a point and the law, at least 1. */
  readonly residual: number;
}

export function powerFit(points: readonly (readonly [x: number, y: number])[]): PowerFit {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const { slope, intercept } = lineFit(logs);
  const apart = logs.map(([x, y]) => Math.abs(y - intercept - slope * x));
  return { exponent: slope, factor: Math.exp(intercept), residual: Math.exp(Math.max(...apart)) };
}

/** The line through points by least squares. */
export function lineFit(points: readonly (readonly [x: number, y: number])[]): {
  readonly slope: number;
  readonly intercept: number;
} {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const across = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const slope = across / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return { slope, intercept: meanY - slope * meanX };
}
