import { resolve } from 'node:path';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { MethodCatalog } from '../methods/catalog.ts';
import { describeMethod, type MethodDescription } from '../methods/describe.ts';
import { type MethodFit, methodsFor } from '../methods/methods-for.ts';
import { bytes } from '../report/progress-line.ts';
import { openBaseFiles } from '../run/base-files.ts';

export const methods = defineCommand({
  meta: {
    name: 'graft methods',
    description: 'List the methods of fine-tuning, and what each trains of a model; or the keys of one',
  },
  args: {
    method: { type: 'positional', required: false, description: 'one method, by name or as a file' },
    model: {
      type: 'string',
      valueHint: 'path',
      description:
        'The base model: a Hugging Face folder or a GGUF file; the built-in one unless given. Weights are not read',
    },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { reporter } = data as CommandData;
    const catalog = new MethodCatalog();
    const chosen = args.method as string | undefined;
    if (chosen !== undefined && args.model === undefined) {
      const description = describeMethod(await catalog.method(chosen), catalog);
      reporter.result({ ...description }, describeOne(description));
      return;
    }
    const model = resolve(args.model ?? tinyLlamaFolder);
    const { json } = await openBaseFiles(model);
    const of = chosen === undefined ? await catalog.all() : [await catalog.method(chosen)];
    const found = await methodsFor(of, json, catalog);
    reporter.result({ model, ...found }, describeAll(model, found));
  },
});

function describeAll(
  model: string,
  {
    modelType,
    parameters,
    methods: all,
  }: { modelType: string; parameters: number; methods: readonly MethodFit[] },
): string {
  const width = Math.max(...all.map(({ name }) => name.length));
  const fitting = all.filter(({ applies }) => applies);
  const rows = fitting.map(({ name, parameters: n, share, bytes: size, about }) =>
    [
      `  ${name.padEnd(width)}`,
      n!.toLocaleString('en').padStart(11),
      `${(100 * share!).toPrecision(2)} %`.padStart(9),
      bytes(size!).padStart(9),
      ` ${about}`,
    ].join(' '),
  );
  const others = all.filter(({ applies }) => !applies);
  return [
    `${model} (${modelType}): ${parameters.toLocaleString('en')} parameters`,
    'method, parameters trained, their share, bytes of the adapter:',
    ...rows,
    ...(others.length > 0 ? ['not for this model:'] : []),
    ...others.map(({ name, reason }) => `  ${name.padEnd(width)}  ${reason}`),
    '`graft methods NAME` lists the keys of one.',
  ].join('\n');
}

const describeOne = ({ name, about, paper, package: from, learningRate, keys }: MethodDescription): string =>
  [
    `${name}: ${about}`,
    `${paper}; ${from ?? 'a file'}; learning rate ${learningRate} unless given`,
    'keys, below `method:` or as flags:',
    ...keys.map(
      (key) =>
        `  ${key.name} (--${key.flag}): ${key.expects}; ${JSON.stringify(key.default)}${key.aliases.length > 0 ? `. Also ${key.aliases.join(', ')}` : ''}`,
    ),
  ].join('\n');
