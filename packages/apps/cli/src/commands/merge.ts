import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { JsonObject } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { saveModel } from '@graftjs/models';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { UsageError } from '../errors.ts';
import { listFlag, requiredFlag } from '../flag-values.ts';
import { loadAdapter, taskOfAdapter } from '../run/adapter.ts';
import { openRuntime } from '../run/device.ts';
import { loadBase, openBaseModel } from '../run/open-base.ts';

const dtypes = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;

export const merge = defineCommand({
  meta: { name: 'graft merge', description: 'Write a model with an adapter merged into its weights' },
  args: {
    model: {
      type: 'string',
      valueHint: 'path',
      description: 'The base model: a Hugging Face folder or a GGUF file (needed)',
    },
    adapter: { type: 'string', valueHint: 'folder', description: 'The folder of the adapter (needed)' },
    output: { type: 'string', valueHint: 'folder', description: 'Where the merged model goes (needed)' },
    dtype: {
      type: 'string',
      valueHint: 'bfloat16',
      description: "How weights are stored: float32, float16 or bfloat16; the base's unless given",
    },
    overwrite: { type: 'boolean', description: 'Write into a folder that is not empty' },
    method: {
      type: 'string',
      valueHint: 'file',
      description: "The file of the adapter's method, where it is of no package",
    },
    labels: {
      type: 'string',
      valueHint: 'ham,spam',
      description: 'Of a classifier: names of the classes that the adapter was trained for',
    },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { reporter } = data as CommandData;
    const modelPath = requiredFlag('merge', 'model', args.model);
    const adapterPath = requiredFlag('merge', 'adapter', args.adapter);
    const output = resolve(requiredFlag('merge', 'output', args.output));
    if (args.dtype !== undefined && !Object.hasOwn(dtypes, args.dtype))
      throw new UsageError(
        `--dtype is ${JSON.stringify(args.dtype)}: it must be float32, float16 or bfloat16`,
      );
    await checkTarget(output, resolve(modelPath), args.overwrite === true);

    const adapter = nodeFolder(adapterPath);
    const base = await openBaseModel(modelPath, {
      task: await taskOfAdapter(adapter),
      labels: listFlag(args.labels),
    });
    const { files } = base;
    const runtime = await openRuntime({
      onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
    });
    const loaded = await loadBase(base, runtime, { storage: 'f32' });
    const { peft, warnings } = await loadAdapter(runtime, loaded.model, adapter, args.method);
    for (const message of warnings) reporter.report({ event: 'note', message });
    const model = await peft.mergeAndUnload({ safe: true });

    const target = nodeFolder(output);
    const copied = await files.copyCompanions(target);
    const dtype = dtypes[(args.dtype ?? dtypeOf(loaded.json)) as keyof typeof dtypes] ?? 'F32';
    await saveModel(runtime, target, { ...loaded, model }, { dtype });
    runtime.gpu.close();
    reporter.result(
      { model: output, dtype, files: ['config.json', 'model.safetensors', ...copied] },
      `merged model: ${output} (${dtype}${files.kind === 'gguf' ? ', a Hugging Face folder, dequantized' : ''})`,
    );
  },
});

const dtypeOf = (json: JsonObject): unknown => json.dtype ?? json.torch_dtype ?? 'float32';

/** @throws UsageError where files would be replaced */
async function checkTarget(output: string, model: string, overwrite: boolean): Promise<void> {
  if (output === model)
    throw new UsageError(`--output is the base model itself, ${output}: choose another folder`);
  const names = await readdir(output).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new UsageError(`--output ${output} cannot be a folder (${error.code}): choose another one`);
  });
  if (names.length > 0 && !overwrite)
    throw new UsageError(`--output ${output} is not empty: choose another folder, or give --overwrite`);
}
