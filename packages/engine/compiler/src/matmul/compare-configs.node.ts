import { openGpu } from '@graftjs/webgpu';
import { choiceLabel, matmulConfigs } from './index.ts';
import { type Case, makeCase } from './testing.ts';
import { timeConfigs } from './time-configs.ts';

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
for (const [name, { problem, ...made }] of products.filter(([name, made]) =>
  `${name} ${made.name}`.includes(product),
)) {
  console.log(`${name}: ${made.name}`);
  const configs = matmulConfigs(problem, gpu.traits).filter((config) => choiceLabel(config).includes(wanted));
  for (const t of await timeConfigs(gpu, problem, { rounds: Number(rounds), configs })) {
    const best = (t.gflops * t.milliseconds) / t.leastMilliseconds;
    console.log(
      `  ${t.label.padEnd(30)} ${t.gflops.toFixed(1).padStart(6)} (${best.toFixed(1)})  ${t.milliseconds.toFixed(2)} ms, first ${t.firstMilliseconds.toFixed(0)} ms`,
    );
  }
}
