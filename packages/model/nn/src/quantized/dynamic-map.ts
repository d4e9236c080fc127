/**
 * The 256 numbers of bitsandbytes' signed dynamic 8-bit type (Dettmers, 2015, arXiv:1511.04561): seven decades, each
 * with twice the steps of the one below it. `create_dynamic_map` of bitsandbytes computes them so in float32.
 */
export function dynamicMap(): Float32Array<ArrayBuffer> {
  const values: number[] = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const steps = 2 ** decade;
    const bounds = linspace(steps + 1);
    const factor = Math.fround(10 ** (decade - 6));
    for (let i = 0; i < steps; i++) {
      const mean = Math.fround(Math.fround(bounds[i]! + bounds[i + 1]!) / 2);
      const value = Math.fround(factor * mean);
      values.push(value, -value);
    }
  }
  return Float32Array.from(values.sort((a, b) => a - b));
}

/** `torch.linspace(0.1, 1, count)`: the second half is counted from the end, product and sum are rounded once. */
function linspace(count: number): number[] {
  const start = Math.fround(0.1);
  const step = Math.fround(Math.fround(1 - start) / (count - 1));
  return Array.from({ length: count }, (_, i) =>
    i < count / 2 ? Math.fround(start + step * i) : Math.fround(1 - step * (count - 1 - i)),
  );
}
