import type { KernelTraits } from '@graftjs/tensor';
import { configExtents, configForm, configLabel, type MatmulConfig, matmulConfigs } from './config.ts';
import { type Form, formLabel, gridOf, packParams, partExtent } from './frame.ts';
import { plainWgsl } from './plain.ts';
import { batchSize, type MatmulEpilogue, type MatmulKernel, type MatmulProblem } from './problem.ts';
import { reduceDispatch } from './split-k.ts';
import { subgroupWgsl } from './subgroup.ts';
import { thinWgsl } from './thin.ts';
import { tileWgsl } from './tile.ts';

export interface MatmulOptions {
  readonly epilogue?: MatmulEpilogue;
  /** One of `matmulConfigs(problem, traits)`; the first of them where it is left out. */
  readonly config?: MatmulConfig;
}

/**
 * The kernel of a matrix product, with sums in f32. Every dispatch of one form, configuration and epilogue has
 * the same text, whatever its shapes.
 *
 * @throws RangeError where the result needs more workgroups than the device allows.
 */
export function matmulKernel(
  problem: MatmulProblem,
  traits: KernelTraits,
  options: MatmulOptions = {},
): MatmulKernel {
  const config = options.config ?? matmulConfigs(problem, traits)[0]!;
  const { epilogue } = options;
  // Rounding a part up to whole vec4s may leave fewer parts than were asked for.
  const parts = config.parts === 1 ? 1 : Math.ceil(problem.k / partExtent(problem.k, config.parts));
  const form = configForm(problem, config);
  const extents = configExtents(config);
  const limit = traits.maxWorkgroupsPerDimension;
  const results = batchSize(problem) * problem.m * problem.n;
  const kernel: MatmulKernel = {
    label: `matmul.${configLabel(config)}.${formLabel(form)}`,
    wgsl: configWgsl(form, config, parts === 1 ? epilogue : undefined),
    params: packParams(problem, form, extents, parts),
    workgroups: gridOf(problem, extents, parts, limit),
    flops: 2 * results * problem.k,
  };
  if (parts === 1) return kernel;
  const reduce = reduceDispatch(problem, parts, limit, epilogue);
  return { ...kernel, splitK: { parts, scratch: results * parts, reduce } };
}

function configWgsl(form: Form, config: MatmulConfig, epilogue: MatmulEpilogue | undefined): string {
  switch (config.family) {
    case 'subgroup':
      return subgroupWgsl(form, config, config.size, epilogue);
    case 'thin':
      return thinWgsl(form, config, config.size, epilogue);
    case 'tile':
      return tileWgsl(form, config, epilogue);
    case 'plain':
      return plainWgsl(form, epilogue);
    default:
      return config satisfies never;
  }
}
