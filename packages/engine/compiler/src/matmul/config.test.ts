import type { KernelTraits } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { configLabel, type MatmulProblem, matmulConfigs, matmulKernel } from './index.ts';
import { makeCase } from './testing.ts';

const cpu: KernelTraits = {
  isCpu: true,
  subgroupSize: 8,
  hasF16: false,
  maxBindingSize: 2 ** 27,
  maxStorageBuffers: 8,
  maxInvocations: 256,
  maxWorkgroupStorage: 16384,
  maxWorkgroupsPerDimension: 65535,
};
const gpu: KernelTraits = { ...cpu, isCpu: false, subgroupSize: 32 };

const problem = (...of: Parameters<typeof makeCase>): MatmulProblem => makeCase(...of).problem;
const choice = (of: MatmulProblem, traits: KernelTraits): string => {
  const config = matmulConfigs(of, traits)[0]!;
  return `${configLabel(config)}${config.parts > 1 ? ` in ${config.parts} parts` : ''}`;
};

describe('the default', () => {
  test('on a CPU adapter is the subgroup family, the short side broadcast', () => {
    expect(choice(problem('NN', [512, 688, 256]), cpu)).toBe('subgroup8.columns32');
    expect(choice(problem('NT', [512, 256, 688]), cpu)).toBe('subgroup8.rows32');
    expect(choice(problem('NT', [512, 256, 8]), cpu)).toBe('subgroup8.rows8x4');
    expect(choice(problem('TN', [8, 512, 256]), cpu)).toBe('subgroup8.columns8');
    expect(choice(problem('NT', [1, 256, 2048]), cpu)).toBe('subgroup8.columns8x4');
  });

  test('on a CPU adapter keeps the columns of a short inner axis', () => {
    expect(choice(problem('NT', [512, 6, 256]), cpu)).toBe('thin8.8');
    expect(choice(problem('NN', [512, 32, 256]), cpu)).toBe('thin8.32');
    expect(choice(problem('NT', [512, 36, 256]), cpu)).toBe('subgroup8.rows32');
    expect(choice(problem('NT', [512, 8, 8]), cpu)).toBe('subgroup8.rows8x4');
  });

  test('on a CPU adapter without subgroups is plain', () => {
    expect(choice(problem('NT', [512, 256, 688]), { ...cpu, subgroupSize: 0 })).toBe('plain');
  });

  test('on a GPU is a tile that fills it, with the inner axis split where rows and columns are few', () => {
    expect(choice(problem('NT', [1024, 768, 3072]), gpu)).toBe('tile64x64x16.8x8');
    expect(choice(problem('NT', [256, 64, 512]), gpu)).toBe('tile32x32x16.4x4');
    expect(choice(problem('TN', [768, 4096, 8]), gpu)).toBe('tile128x8x16.4x4 in 22 parts');
  });

  test('without room for a tile is plain', () => {
    expect(choice(problem('NT', [64, 64, 64]), { ...gpu, maxWorkgroupStorage: 1024 })).toBe('plain');
  });
});

test('tiles stay within the least limits that WebGPU guarantees', () => {
  for (const traits of [cpu, gpu])
    expect(matmulConfigs(problem('NN', [512, 64, 512]), traits).map(configLabel)).toContain(
      'tile64x64x32.4x4',
    );
});

/** tokens 512, hidden 256, intermediate 688, vocabulary 2048, 8 heads of 32 over 4 rows of 128 tokens. */
function trainingStep(): MatmulProblem[] {
  const linears = [
    [256, 256],
    [256, 688],
    [688, 256],
    [256, 2048],
  ] as const;
  const heads = { batch: [4, 8], interleaved: true } as const;
  return [
    ...linears.flatMap(([inner, outer]) => [
      problem('NT', [512, inner, outer]),
      problem('NN', [512, outer, inner]),
      problem('TN', [outer, 512, inner]),
    ]),
    problem('NT', [128, 32, 128], heads),
    problem('NN', [128, 128, 32], heads),
    problem('TN', [128, 128, 32], heads),
  ];
}

/** Rank 8: down, up, and the gradients of both. */
const adapter = (): MatmulProblem[] => [
  problem('NT', [512, 256, 8]),
  problem('NT', [512, 8, 256]),
  problem('NN', [512, 256, 8]),
  problem('NN', [512, 8, 256]),
  problem('TN', [256, 512, 8]),
  problem('TN', [8, 512, 256]),
];

const texts = (problems: readonly MatmulProblem[]): number =>
  new Set(problems.map((p) => matmulKernel(p, cpu).wgsl)).size;

// Each text costs up to 0.7 seconds at its first dispatch on a CPU adapter.
test('a training step needs four texts, adapters six more', () => {
  expect(texts(trainingStep())).toBe(4);
  expect(texts([...trainingStep(), ...adapter()])).toBe(10);
});

test('operations are counted', () => {
  expect(matmulKernel(problem('NN', [3, 5, 7], { batch: [2, 2] }), cpu).flops).toBe(2 * 4 * 3 * 5 * 7);
});
