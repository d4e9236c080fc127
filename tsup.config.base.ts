import { defineConfig, type Options } from 'tsup';

/** One build for every package: ESM, declarations and source maps. */
export const library = (options: Options = {}): ReturnType<typeof defineConfig> =>
  defineConfig({
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'es2022',
    platform: 'neutral',
    dts: { compilerOptions: { ignoreDeprecations: '6.0', customConditions: [] } },
    external: ['webgpu'],
    sourcemap: true,
    clean: true,
    treeshake: true,
    tsconfig: 'tsconfig.json',
    ...options,
  });
