import { openGpu } from '@graftjs/webgpu';
import { configLabel, matmulConfigs, matmulKernel } from './index.ts';
import { bufferOf, type Case, makeCase, prepare } from './testing.ts';

/**
 * Every configuration of every product of a small Llama's step, timed in turns: GFLOP/s, the median of the
 * rounds (the best in parentheses). From the repository's root:
 *
 *   npx tsx --conditions=@graftjs/source packages/engine/compiler/src/matmul/compare-configs.node.ts \
 *     [part of a product's name] [part of a configuration's] [rounds]
 */
const [product = '', wanted = '', rounds = '5'] = process.argv.slice(2);

const heads = { batch: [4, 8], interleaved: true } as const;
const products: readonly [string, Case][] = [
  ['query', makeCase('NT', [512, 256, 256])],
  ['feed-forward up', makeCase('NT', [512, 256, 688])],
  ['feed-forward down', makeCase('NT', [512, 688, 256])],
  ['vocabulary', makeCase('NT', [512, 256, 2048])],
  ['gradient of x', makeCase('NN', [512, 256, 256])],
  ['gradient of x from the vocabulary', makeCase('NN', [512, 2048, 256])],
  ['gradient of a weight', makeCase('TN', [256, 512, 256])],
  ['gradient of the embedding', makeCase('TN', [2048, 512, 256])],
  ['attention scores', makeCase('NT', [128, 32, 128], heads)],
  ['attention values', makeCase('NN', [128, 128, 32], { batch: [4, 8] })],
  ['gradient of attention values', makeCase('TN', [128, 128, 32], { batch: [4, 8] })],
  ['LoRA down', makeCase('NT', [512, 256, 8])],
  ['LoRA up', makeCase('NT', [512, 8, 256])],
  ['LoRA down, gradient of x', makeCase('NN', [512, 8, 256])],
  ['LoRA up, gradient of h', makeCase('NN', [512, 256, 8])],
  ['LoRA down, gradient of A', makeCase('TN', [8, 512, 256])],
  ['LoRA up, gradient of B', makeCase('TN', [256, 512, 8])],
  ['one token', makeCase('NT', [1, 256, 2048])],
  ['512', makeCase('NN', [512, 512, 512])],
];

const gpu = await openGpu();
console.log(gpu.traits.description);
const median = (values: readonly number[]): number => [...values].sort((x, y) => x - y)[values.length >> 1]!;
for (const [name, made] of products.filter(([name, made]) => `${name} ${made.name}`.includes(product))) {
  const { m, n, batch } = made.problem;
  const operands = [bufferOf(gpu, made.a), bufferOf(gpu, made.b)];
  const c = gpu.buffers.create(4 * batch[0] * batch[1] * m * n, 'c');
  const candidates = [];
  for (const config of matmulConfigs(made.problem, gpu.traits)) {
    const label = configLabel(config) + (config.parts > 1 ? `/${config.parts}` : '');
    if (!label.includes(wanted)) continue;
    const kernel = matmulKernel(made.problem, gpu.traits, { config });
    const prepared = await prepare(gpu, kernel, operands, c);
    const time = async (times: number): Promise<number> => {
      const start = performance.now();
      await prepared.run(times).done;
      return (performance.now() - start) / times;
    };
    const first = await time(1);
    const times = Math.min(100, Math.max(1, Math.round(30 / (await time(1)))));
    candidates.push({ label, kernel, time, times, first, measured: [] as number[], prepared });
  }
  for (let round = 0; round < Number(rounds); round++)
    for (const x of candidates) x.measured.push(await x.time(x.times));
  console.log(`${name}: ${made.name}`);
  for (const { label, kernel, measured, first, prepared } of candidates) {
    const rate = (milliseconds: number) => (kernel.flops / milliseconds / 1e6).toFixed(1).padStart(6);
    const figures = `${rate(median(measured))} (${rate(Math.min(...measured)).trim()})`;
    console.log(
      `  ${label.padEnd(30)} ${figures}  ${median(measured).toFixed(2)} ms, first ${first.toFixed(0)} ms`,
    );
    prepared.release();
  }
  for (const buffer of [...operands, c]) gpu.buffers.release(buffer);
}
