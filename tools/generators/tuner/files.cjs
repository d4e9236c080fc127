/** The files of a new tuner package, by path. */

const capital = (word) => word[0].toUpperCase() + word.slice(1);

/**
 * @param {string} name such as `my-method`
 * @returns {Record<string, string>}
 */
exports.files = (name) => {
  const words = name.split('-');
  const camel = words[0] + words.slice(1).map(capital).join('');
  const pascal = words.map(capital).join('');
  const snake = words.join('_');
  const type = snake.toUpperCase();
  const manifest = {
    name: `@graftjs/${name}`,
    version: '0.0.0',
    description: `${pascal}: a learnt scale for each output of linear layers.`,
    license: 'Apache-2.0',
    type: 'module',
    sideEffects: false,
    files: ['dist', 'src'],
    exports: {
      '.': { '@graftjs/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' },
      './package.json': './package.json',
    },
    scripts: {
      build: 'tsup',
      typecheck: 'tsc -p tsconfig.json',
      lint: 'biome check .',
      test: `vitest run --root ../../.. --project node packages/tuners/${name}/`,
      'check-package': 'publint --strict && attw --pack . --profile esm-only',
    },
    dependencies: {
      '@graftjs/tensor': '^0.0.0',
      '@graftjs/nn': '^0.0.0',
      '@graftjs/peft': '^0.0.0',
    },
    engines: { node: '>=20.19' },
    publishConfig: { access: 'public' },
    graft: { methods: { [name]: type } },
    nx: { tags: ['floor:4', 'runtime:any'] },
  };
  return {
    'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
    'tsconfig.json': `{
  "extends": "../../../tsconfig.base.json",
  "include": ["src", "test", "*.ts"]
}
`,
    'tsup.config.ts': `import { library } from '../../../tsup.config.base.ts';

export default library();
`,
    'README.md': `# @graftjs/${name}

${pascal}: one learnt number for each output of a frozen layer.

    y = s ∘ (x Wᵀ + b)        s [out]

s starts at one: a new adapter changes nothing.

\`\`\`ts
import { ${camel}, ${camel}Config } from '@graftjs/${name}';
import { PeftModel } from '@graftjs/peft';

const model = new PeftModel(base, { runtime, tuners: [${camel}] });
await model.addAdapter('default', ${camel}Config());
\`\`\`

Cost: \`out\` numbers a target. It merges.
`,
    'src/config.ts': `import { type LayerConfig, layerFields, targetFields } from '@graftjs/peft';

/** Every key of the config with its default. */
export const ${camel}Schema = { ...targetFields, ...layerFields } as const;

export type ${pascal}Config = LayerConfig<typeof ${camel}Schema, '${type}'>;
`,
    'src/layer.ts': `/**
 * ${pascal}:
 *
 *     y = s ∘ (x Wᵀ + b),   s [out], which starts at one
 *
 * Merged: s ∘ W by rows, and s ∘ b.
 */
import { type Linear, Parameter } from '@graftjs/nn';
import type { LayerAdapter } from '@graftjs/peft';
import { cast, mul, reshape } from '@graftjs/tensor';

/** What the method does at one linear layer. */
export function scaledOutput(path: string, { outFeatures }: Linear): LayerAdapter {
  const start = new Float32Array(outFeatures).fill(1);
  const scale = new Parameter([outFeatures], start, { name: \`\${path}.${snake}_s\`, trainable: false });
  return {
    parameters: { ${snake}_s: scale },
    output: (y) => mul(y, cast(scale, y.dtype)),
    merged: ({ weight, bias }) => ({
      weight: mul(weight, reshape(scale, [outFeatures, 1])),
      ...(bias ? { bias: mul(bias, scale) } : {}),
    }),
  };
}
`,
    'src/tuner.ts': `import { attentionTargets, defineLayerTuner } from '@graftjs/peft';
import { ${camel}Schema } from './config.ts';
import { scaledOutput } from './layer.ts';

const method = defineLayerTuner({
  peftType: '${type}',
  schema: ${camel}Schema,
  kind: '${pascal} scales outputs of linear layers',
  defaultTargets: attentionTargets,
  adapt: (_, layers) => ({
    layers: new Map([...layers].map(([path, layer]) => [path, scaledOutput(path, layer)])),
  }),
});

/** ${pascal}: give it to a \`PeftModel\` among its tuners. */
export const ${camel} = method.tuner;
/** A config of ${pascal}: the defaults and what the options say. @throws ConfigError */
export const ${camel}Config = method.config;
`,
    'src/method.ts': `import type { Method } from '@graftjs/peft';
import { ${camel}Schema } from './config.ts';
import { ${camel}, ${camel}Config } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: '${name}',
    about: 'Scales the outputs of linear layers',
    paper: 'Unpublished, ${new Date().getFullYear()}',
    tuner: ${camel},
    schema: ${camel}Schema,
    config: ${camel}Config,
    learningRate: 1e-2,
  },
];
`,
    'src/index.ts': `export type { ${pascal}Config } from './config.ts';
export { methods } from './method.ts';
export { ${camel}, ${camel}Config } from './tuner.ts';
`,
    [`src/${name}.test.ts`]: `import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { ${camel}, ${camel}Config } from './tuner.ts';

testTuner({
  name: '${pascal}',
  tuner: ${camel},
  config: () => ${camel}Config(),
  // one number an output
  parameterCount: (model) => defaultLayers(model).reduce((n, { outFeatures }) => n + outFeatures, 0),
  wrongTargets: { config: ${camel}Config({ targetModules: ['v_porj'] }), message: /v_porj/ },
  learningRate: 0.1,
});
`,
  };
};
